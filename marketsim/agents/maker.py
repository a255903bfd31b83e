"""The market maker: a ladder of quotes around a reservation price."""

import math
from typing import Any, ClassVar

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
from marketsim.agents.habits import usable_leverage
from marketsim.engine._jit import kernel
from marketsim.engine.state import Flag, State


class Maker(BuiltIn):
    """Quotes both sides, earns the spread, leans against its inventory.

    Believes that the price is the index plus the average basis of late, and that orders arrive at
    random. Its reservation price and best quotes follow Avellaneda and Stoikov, with prices as
    fractions of the index and inventory in clips; deeper levels are spaced in geometric steps and
    hold more, so that depth grows with distance. It shows less while a
    shock has taken depth away, when volatility rises and when it has lost capital, and sells
    inventory at the market once it holds too much.

    References
    ----------
    M. Avellaneda and S. Stoikov, "High-frequency trading in a limit order book", Quantitative
    Finance 8 (2008), equations 3.17-3.18.
    """

    DEFAULT_HABITS: ClassVar[dict[str, Any]] = {
        "leverage": 5.0,
        "attention": 0.2,
        "buffer": 0.0,
        "stop_loss": "never",
    }
    ACTS_FIRST = True

    risk_aversion: float = Field(4.0, ge=1e-6, le=1e6)
    """Gamma, per clip and fraction of price."""
    arrival_decay: float = Field(20_000.0, ge=1e-3, le=1e12)
    """k: how fast the arrival of orders falls with distance from mid, per fraction of price."""
    horizon_minutes: float = Field(60.0, gt=0, le=1e9)
    """tau: how long inventory is expected to be held."""
    clips: float = Field(20.0, ge=1e-3, le=1e6)
    """Inventory limit, in clips."""
    levels: float = Field(8.0, ge=1, le=40, json_schema_extra={"live": "at reset"})
    """Levels per side."""
    reach: float = Field(0.06, gt=0, lt=1)
    """Distance of the last level, as a fraction of price."""
    unload: float = Field(0.8, gt=0, le=1)
    """Share of the inventory limit from which the excess is sold at the market."""
    requote: float = Field(0.3, ge=0, le=1e9)
    """Quotes stay while the reservation price moves less than this share of the half spread."""
    depth: float = Field(1.0, ge=0, le=1)
    """Share of what it could quote that it shows."""
    calm_volatility: float = Field(0.6, ge=1e-6, le=1000)
    """Annual volatility at which full depth is shown."""

    def max_intents(self, num_markets: int) -> int:
        """Return the orders of both ladders, a withdrawal and an unloading in each market."""
        return num_markets * (2 * int(self.levels) + 2)

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Maker", g: int, count: int, t: int, seed: int
    ) -> None:
        """Renew the ladders of the makers who wake."""
        for n in range(count):
            i = traders.awake[n]
            equity = account_equity_usd(state, i)
            for m in range(len(state.market)):
                if traders.weight[g, m] > 0.0:
                    _quote(state, traders, p, i, m, equity * traders.weight[g, m])


@kernel
def reservation_price(mid: float, inventory: float, gamma: float, variance: float) -> float:
    r"""Price at which a maker is indifferent to trading.

    .. math:: r = s - q \gamma \sigma^2 \tau

    Parameters
    ----------
    mid : float
        s, any price unit.
    inventory : float
        q, any size unit.
    gamma : float
        Risk aversion, per price and size unit.
    variance : float
        sigma^2 tau, price unit squared.

    Returns
    -------
    float

    References
    ----------
    Avellaneda and Stoikov (2008), equation 3.17.

    Examples
    --------
    >>> reservation_price(100.0, 2.0, 0.1, 4.0)
    99.2
    """
    return mid - inventory * gamma * variance


@kernel
def optimal_spread(gamma: float, variance: float, decay: float) -> float:
    r"""Total spread between the best quotes of a maker.

    .. math:: \gamma \sigma^2 \tau + \frac{2}{\gamma} \ln(1 + \gamma / k)

    Parameters
    ----------
    gamma, variance : float
        As for `reservation_price`.
    decay : float
        k, per price unit.

    Returns
    -------
    float
        Price unit.

    References
    ----------
    Avellaneda and Stoikov (2008), equation 3.18.

    Examples
    --------
    >>> round(optimal_spread(0.1, 0.5 * 4.0, 1.5), 4)
    1.4908
    """
    return gamma * variance + 2.0 / gamma * math.log(1.0 + gamma / decay)


@kernel
def _quote(state: State, traders: Traders, p: Maker, i: int, m: int, equity: float) -> None:
    """Replace a maker's orders in one market; memory holds the last reservation price."""
    market = state.market[m]
    view = traders.public[m]
    memory = traders.memory[i, m]
    horizon = p.horizon_minutes / (60.0 * state.venue[0].step_hours)
    variance = view.variance * horizon
    spread = optimal_spread(p.risk_aversion, variance, p.arrival_decay)
    leverage = usable_leverage(state, traders, i, m, equity)
    capacity = max(equity, 0.0) * leverage / market.index_price
    clip = capacity / p.clips
    held = position_coins(state, i, m)
    inventory = min(max(held / clip, -p.clips), p.clips) if clip > 0.0 else 0.0
    anchor = 1.0 + view.basis
    reservation = reservation_price(anchor, inventory, p.risk_aversion, variance)
    reservation *= market.index_price
    shown = p.depth * market.depth_factor
    still = abs(reservation - memory[0]) < 0.5 * p.requote * spread * market.index_price
    if still and held == memory[1] and memory[2] == shown and equity > 0.0:
        return
    memory[0] = reservation
    memory[1] = held
    memory[2] = shown
    withdraw(state, i, m)
    if clip <= 0.0:
        return
    if abs(inventory) > p.unload * p.clips:
        excess = held * (1.0 - p.unload * p.clips / abs(inventory))
        slippage = traders.trader[i].slippage
        market_order(state, traders, i, m, -excess, slippage, Flag.REDUCE_ONLY.value)
    calm = p.calm_volatility * math.sqrt(state.venue[0].step_hours / 8760.0)
    depth = shown * min(1.0, calm / math.sqrt(max(view.variance, 1e-18)))
    levels = int(p.levels)
    first = max(0.5 * spread, 0.5 * market.tick_size / market.index_price)
    ratio = math.exp(math.log(max(p.reach / first, 2.0)) / max(levels - 1, 1))
    total = 0.0
    for level in range(levels):
        total += level + 1.0
    for side in (1.0, -1.0):
        room = max(capacity - side * held, 0.0) * min(depth, 1.0)
        distance = first
        for level in range(levels):
            price = reservation - side * distance * market.index_price
            limit_order(
                state, i, m, side * room * (level + 1.0) / total, price, Flag.POST_ONLY.value, 0
            )
            distance *= ratio
