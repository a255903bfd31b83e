"""The populations over time: what each owns, has paid in fees and holds in every market."""

from marketsim.engine._jit import kernel
from marketsim.engine.ledger import holdings_value
from marketsim.engine.records import I8, Block, Grid, Indices, Record
from marketsim.engine.state import Cause, State


class Wealth(Record):
    """A population at one moment."""

    step: I8  #: steps done: 0 at the start
    equity: I8  #: atoms: cash, positions at mark and holdings, nothing haircut
    fees: I8  #: atoms of trading fees paid since the start, rebates off
    num_holders: I8  #: accounts with a position


class Holding(Record):
    """What a population holds in one market at one moment."""

    net: I8  #: atoms: signed size x mark
    gross: I8  #: atoms: absolute size x mark


@kernel
def record_wealth(
    state: State,
    group: Indices,
    wealth: Grid[Wealth],
    exposure: Block[Holding],
    row: int,
    num_steps: int,
) -> None:
    """Write one row for every population; overwrites ``wealth[row]`` and ``exposure[row]``.

    Parameters
    ----------
    state : State
    group : ndarray, (N + 1,)
        Population of each account; the insurance fund has one of its own, the last.
    wealth : recarray, (rows, G + 1)
    exposure : recarray, (rows, G + 1, M)
    row : int
    num_steps : int
        Steps done.
    """
    num_markets = len(state.market)
    for g in range(wealth.shape[1]):
        out = wealth[row, g]
        out.step = num_steps
        out.equity = out.fees = out.num_holders = 0
        for m in range(num_markets):
            exposure[row, g, m].net = exposure[row, g, m].gross = 0
    for p in range(len(state.pool)):
        wealth[row, group[state.pool[p].owner]].equity += state.pool[p].cash
    for i in range(len(state.account)):
        out = wealth[row, group[i]]
        out.equity += holdings_value(state, i)
        out.fees -= state.flow[i, Cause.FEE]
        holds = 0
        for m in range(num_markets):
            size = state.position[i, m].size
            if size != 0:
                holds = 1
                value = size * state.market[m].mark_ticks * state.market[m].tick_atoms
                out.equity += value
                exposure[row, group[i], m].net += value
                exposure[row, group[i], m].gross += abs(value)
        out.num_holders += holds
