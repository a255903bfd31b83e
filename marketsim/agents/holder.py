"""The holder: enters with leverage and stays."""

import math

from pydantic import Field

from marketsim.agents.base import (
    STOPPED,
    BuiltIn,
    Traders,
    account_equity_usd,
    market_order,
    position_coins,
)
from marketsim.agents.habits import affordable_notional, close_position, draw, pick_market
from marketsim.engine._jit import kernel
from marketsim.engine.state import State


class Holder(BuiltIn):
    """Takes one levered position and keeps it for days.

    Believes in its coin. *Set and forget* or *monitored* is only its attention: who looks again
    stops out at the stop-loss, keeps the buffer by topping up or cutting the position, and after a
    while closes, rests and enters anew. Someone who is liquidated rests too.
    """

    long_share: float = Field(0.6, ge=0, le=1)
    """Probability that an entry is a long."""
    holding_hours: float = Field(72.0, gt=0, le=1e9)
    """Mean life of a position whose holder looks at it."""
    rest_hours: float = Field(12.0, gt=0, le=1e9)
    """Mean rest before the next entry."""

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Holder", g: int, count: int, t: int, seed: int
    ) -> None:
        """Enter, mind the position, leave."""
        hours = state.venue[0].step_hours
        for n in range(count):
            i = traders.awake[n]
            m = _holding(traders, i)
            if m < 0:
                m = pick_market(traders, g, i, t, seed)
                if t >= traders.memory[i, 0, UNTIL]:
                    _enter(state, traders, p, i, m, t, seed)
                continue
            memory = traders.memory[i, m]
            held = position_coins(state, i, m)
            left = draw(traders, i, t, 2, seed) < _leaving(traders, i, hours, p.holding_hours)
            if memory[ENTERED] > 0.0 and held == 0.0:
                _rest(traders, i, m, t, p.rest_hours / hours, seed)
            elif held != 0.0 and left:
                close_position(state, traders, i, m, 1.0)
            elif memory[ENTERED] < traders.trader[i].tranches and memory[STOPPED] == 0.0:
                _add_tranche(state, traders, i, m)


#: What a holder remembers per market: its target in coins (0: none), how many tranches it has
#: sent, and the step from which it may enter anew (kept with the first market).
TARGET = 0
ENTERED = 1
UNTIL = 2


@kernel
def _holding(traders: Traders, i: int) -> int:
    """Return the market a holder is in (or entering), -1 if none."""
    for m in range(traders.memory.shape[1]):
        if traders.memory[i, m, TARGET] != 0.0:
            return m
    return -1


@kernel
def _leaving(traders: Traders, i: int, step_hours: float, holding_hours: float) -> float:
    """Probability of leaving at one look, so that positions last `holding_hours` on average."""
    attention = traders.trader[i].attention
    if math.isinf(attention):
        return 0.0
    return min(attention * step_hours / holding_hours, 1.0)


@kernel
def _enter(state: State, traders: Traders, p: Holder, i: int, m: int, t: int, seed: int) -> None:
    """Decide on a position and send its first tranche."""
    side = 1.0 if draw(traders, i, t, 1, seed) < p.long_share else -1.0
    equity = account_equity_usd(state, i)
    notional = affordable_notional(state, traders, i, m, equity)
    traders.memory[i, m, TARGET] = side * notional / traders.public[m].mid
    traders.memory[i, m, ENTERED] = 0.0
    _add_tranche(state, traders, i, m)


@kernel
def _add_tranche(state: State, traders: Traders, i: int, m: int) -> None:
    trader = traders.trader[i]
    memory = traders.memory[i, m]
    market_order(state, traders, i, m, memory[TARGET] / trader.tranches, trader.slippage, 0)
    memory[ENTERED] += 1.0


@kernel
def _rest(traders: Traders, i: int, m: int, t: int, mean_steps: float, seed: int) -> None:
    """Forget the position and wait."""
    traders.memory[i, m, TARGET] = 0.0
    traders.memory[i, m, ENTERED] = 0.0
    traders.memory[i, m, STOPPED] = 0.0
    traders.memory[i, 0, UNTIL] = t - mean_steps * math.log(draw(traders, i, t, 3, seed))
