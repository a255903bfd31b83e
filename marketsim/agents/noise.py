"""The noise trader: random small trades, the heartbeat of the market."""

import math

from pydantic import Field

from marketsim.agents.base import (
    BuiltIn,
    Traders,
    account_equity_usd,
    limit_order,
    market_order,
    position_coins,
    withdraw,
)
from marketsim.agents.habits import close_position, draw, pick_market, usable_leverage
from marketsim.engine._jit import kernel
from marketsim.engine.state import State

#: Trades grow with volatility by at most this factor.
MOST_RESPONSE = 8.0


class Noise(BuiltIn):
    """Trades for reasons of its own, in a random market, direction and size.

    Believes nothing, but may trade more when prices move more. It sometimes waits with a limit
    order near mid, otherwise takes what the book offers; now and then it closes what it has.

    References
    ----------
    F. Black, "Noise", Journal of Finance 41 (1986).
    """

    size: float = Field(0.2, gt=0, le=1)
    """Largest trade as a share of equity x leverage; sizes are uniform below it."""
    close_share: float = Field(0.4, ge=0, le=1)
    """Probability of closing an open position instead of trading at random."""
    passive_share: float = Field(0.3, ge=0, le=1)
    """Probability of a limit order instead of a market order."""
    passive_reach: float = Field(0.002, ge=0, lt=1)
    """Farthest limit price from mid, as a fraction of it."""
    patience_minutes: float = Field(120.0, gt=0, le=1e9)
    """Life of a limit order."""
    response: float = Field(0.0, ge=0, le=10)
    """How its trades grow with the volatility of the last minutes: in proportion to its ratio to
    `usual_volatility`, to this power, and at most eightfold. 0: not at all."""
    usual_volatility: float = Field(0.6, ge=1e-6, le=1000)
    """Annual volatility at which trades have their usual size."""

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Noise", g: int, count: int, t: int, seed: int
    ) -> None:
        """Let each noise trader who wakes make one random trade."""
        expiry = max(int(p.patience_minutes / (60.0 * state.venue[0].step_hours)), 1)
        usual = p.usual_volatility * math.sqrt(state.venue[0].step_hours / 8760.0)
        for n in range(count):
            i = traders.awake[n]
            trader = traders.trader[i]
            m = pick_market(traders, g, i, t, seed)
            if state.position[i, m].first_order >= 0:
                withdraw(state, i, m)
            held = position_coins(state, i, m)
            if held != 0.0 and draw(traders, i, t, 1, seed) < p.close_share:
                close_position(state, traders, i, m, 1.0)
                continue
            equity = max(account_equity_usd(state, i), 0.0)
            mid = traders.public[m].mid
            side = 1.0 if draw(traders, i, t, 2, seed) < 0.5 else -1.0
            leverage = usable_leverage(state, traders, i, m, equity)
            size = side * p.size * draw(traders, i, t, 3, seed) * equity * leverage / mid
            volatility = math.sqrt(traders.public[m].stir)
            size *= min(math.pow(volatility / usual, p.response), MOST_RESPONSE)
            if abs(held + size) * mid > equity * leverage:
                continue
            if draw(traders, i, t, 4, seed) < p.passive_share:
                price = mid * (1.0 - side * p.passive_reach * draw(traders, i, t, 5, seed))
                limit_order(state, i, m, size, price, 0, expiry)
            else:
                market_order(state, traders, i, m, size, trader.slippage, 0)
