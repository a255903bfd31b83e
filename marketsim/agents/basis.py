"""The arbitrageur: pulls the perp back to its fair premium beyond a cost band."""

import math
from typing import Any, ClassVar

from pydantic import Field

from marketsim.agents.base import (
    BuiltIn,
    Traders,
    account_equity_usd,
    limit_order,
    position_coins,
)
from marketsim.agents.habits import draw, usable_leverage
from marketsim.engine._jit import kernel
from marketsim.engine.state import ONE, State


class Basis(BuiltIn):
    """Sells the perp when it is dear against the index and buys it when it is cheap.

    Believes in the fair premium of a perpetual with proportional funding: kappa is the share of
    the premium paid per 8 h, iota the interest, and the cost of carry the difference between the
    quote and the coin interest rate. Stands ready at fair value plus and minus its cost band, moves
    both quotes against its inventory, and takes whatever is beyond them; what is not taken is
    withdrawn after a step. Its capital sets the elasticity of the premium.

    References
    ----------
    D. Ackerer, J. Hugonnier and U. Jermann, "Perpetual futures pricing", Mathematical Finance
    (2024): f / x = (kappa - iota) / (1 + kappa - exp((r_a - r_b) dt)).
    """

    DEFAULT_HABITS: ClassVar[dict[str, Any]] = {
        "leverage": 5.0,
        "attention": {"kind": "choice", "values": [1.0, 5.0, 15.0]},
        "buffer": 0.5,
        "stop_loss": "never",
    }
    ACTS_FIRST = True

    band: float = Field(0.0003, ge=0, lt=1)
    """Cost band: distance of a quote from fair value beyond the taker fee, as a fraction of price;
    traders are spread over 0.5 to 1.5 times it."""
    risk: float = Field(0.4, ge=0, le=1000)
    """How much wider the band is for the risk of a step, in standard deviations of the index's
    return."""
    lean: float = Field(0.015, ge=0, lt=1)
    """How far both quotes move against a full inventory, as a fraction of price. A fill moves them
    by up to `portion` times this: where that is more than the band is wide, arbitrageurs hand their
    inventory to and fro."""
    portion: float = Field(0.05, gt=0, le=1)
    """Share of its capacity one quote shows."""
    anchoring: float = Field(1.0, ge=1e-6, le=1e6)
    """kappa: share of the premium that funding pays per 8 h."""
    carry: float = Field(0.1095, gt=-1, lt=10)
    """Annual quote interest less coin interest; the default makes the fair premium zero."""

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Basis", g: int, count: int, t: int, seed: int
    ) -> None:
        """Renew both quotes of the arbitrageurs who wake, in each of their markets."""
        growth = 1.0 + p.carry / 1095.0 * (1.0 + 0.5 * p.carry / 1095.0)
        fair = fair_premium(p.anchoring, state.venue[0].interest_rate, growth)
        for n in range(count):
            i = traders.awake[n]
            equity = max(account_equity_usd(state, i), 0.0)
            cost = p.band * (0.5 + draw(traders, i, 0, 0, seed))
            for m in range(len(state.market)):
                weight = traders.weight[g, m]
                if weight <= 0.0:
                    continue
                index_price = state.market[m].index_price
                leverage = usable_leverage(state, traders, i, m, equity * weight)
                capacity = equity * weight * leverage / index_price
                held = position_coins(state, i, m)
                if capacity <= 0.0:
                    continue
                risk = p.risk * math.sqrt(traders.public[m].variance)
                band = cost + risk + state.market[m].taker_fee / ONE
                centre = 1.0 + fair - p.lean * min(max(held / capacity, -1.0), 1.0)
                for side in (1.0, -1.0):
                    room = min(capacity * p.portion, max(capacity - side * held, 0.0))
                    price = index_price * (centre - side * band)
                    limit_order(state, i, m, side * room, price, 0, 1)


@kernel
def fair_premium(kappa: float, iota: float, growth: float) -> float:
    r"""Premium at which holding the perp costs what holding the coin costs.

    .. math:: f/x - 1 = \frac{\kappa - \iota}{1 + \kappa - g} - 1

    Parameters
    ----------
    kappa : float
        Share of the premium paid per period.
    iota : float
        Interest part of funding per period.
    growth : float
        g: exp of the cost of carry per period.

    Returns
    -------
    float
        Fraction of the index.

    References
    ----------
    Ackerer, Hugonnier and Jermann (2024), discrete time, linear contracts.

    Examples
    --------
    Five per cent a year against an interest term of 1 bp per 8 h:

    >>> import math
    >>> round(1e4 * fair_premium(1.0, 1e-4, math.exp(0.05 / 1095)), 2)
    -0.54
    """
    return (kappa - iota) / (1.0 + kappa - growth) - 1.0
