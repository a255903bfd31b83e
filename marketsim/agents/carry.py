"""The carry trader: collects funding on a perp it has hedged with coins."""

from typing import Any, ClassVar

from pydantic import Field

from marketsim.agents.base import STOPPED, BuiltIn, Traders, position_coins, wealth_usd
from marketsim.agents.habits import hedge_with_spot, move_position, usable_leverage
from marketsim.engine._jit import kernel
from marketsim.engine.state import ONE, State


class Carry(BuiltIn):
    """Shorts the perp and holds the coin while longs pay more than the trade costs.

    Believes that funding goes on as in the last days. Takes the more of the trade the more funding
    is expected to pay beyond the cost of getting in and out, up to what its capital bears, and
    leaves when funding is expected to turn. Coins and short move together, so price does not matter
    to its wealth, but it does to its margin: where coins are no collateral
    (`venue.margin.spot_haircut` = 1), a rally can liquidate the short of a trader who has lost
    nothing. Coins cannot be sold short, so negative funding is not harvested.

    References
    ----------
    M. Schmeling, A. Schrimpf and K. Todorov, "Crypto carry", BIS Working Papers 1087 (2023).
    """

    DEFAULT_HABITS: ClassVar[dict[str, Any]] = {
        "leverage": 3.0,
        "attention": {"kind": "lognormal", "median": 60.0, "sigma": 1.0, "min": 1.0},
        "buffer": 1.0,
        "stop_loss": "never",
        "spot_hedge": 1.0,
    }
    PLANS_HEDGE = True

    horizon_hours: float = Field(168.0, ge=1e-3, le=1e9)
    """Time over which the cost of getting in and out is spread."""
    cost: float = Field(0.0005, ge=0, lt=1)
    """What getting in and out costs beside the taker fees, as a fraction of the position."""
    full_rate: float = Field(0.00005, ge=1e-12, le=1)
    """Expected funding rate per 8 h, beyond cost, at which the whole capital is used."""
    exit_rate: float = Field(0.0, gt=-1, lt=1)
    """Expected funding rate per 8 h below which the trade is closed."""
    rebalance: float = Field(0.1, ge=0, le=1e9)
    """A position is left alone while it is off by less than this share."""

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Carry", g: int, count: int, t: int, seed: int
    ) -> None:
        """Let the carry traders who wake enter, rebalance or leave, coins and perp together."""
        for n in range(count):
            i = traders.awake[n]
            trader = traders.trader[i]
            wealth = max(wealth_usd(state, i), 0.0)
            hedge = trader.spot_hedge
            for m in range(len(state.market)):
                weight = traders.weight[g, m]
                if weight <= 0.0:
                    continue
                view = traders.public[m]
                held = position_coins(state, i, m)
                fee = max(state.market[m].taker_fee, 0) / ONE
                hurdle = (2.0 * fee + p.cost) * 8.0 / p.horizon_hours
                share = wanted_share(view.funding, hurdle, p.full_rate, p.exit_rate)
                if traders.memory[i, m, STOPPED] != 0.0:  # margin ran thin: out, then think again
                    share = 0.0
                    if held == 0.0 and state.spot[i, m] == 0:
                        traders.memory[i, m, STOPPED] = 0.0
                # What the coins cost is not there as margin: leverage is on the rest.
                leverage = usable_leverage(state, traders, i, m, wealth * weight)
                whole = 0.95 * wealth * weight * leverage / (1.0 + hedge * leverage)
                most = whole / view.mid
                target = max(held, -most) if share < 0.0 else -share * most
                if abs(target - held) > p.rebalance * max(abs(target), abs(held)):
                    hedge_with_spot(state, traders, i, m, target)
                    move_position(state, traders, i, m, target)
                else:
                    hedge_with_spot(state, traders, i, m, held)


@kernel
def wanted_share(expected: float, hurdle: float, full_rate: float, exit_rate: float) -> float:
    """Return the share of its capital a carry trader uses, -1 for "as it is".

    Between the rate at which it leaves and the one that pays the cost it neither enters nor leaves.

    Examples
    --------
    >>> wanted_share(3.0, 1.0, 4.0, 0.0), wanted_share(-1.0, 1.0, 4.0, 0.0)
    (0.5, 0.0)
    """
    if expected < exit_rate:
        return 0.0
    if expected < hurdle:
        return -1.0
    return min((expected - hurdle) / full_rate, 1.0)
