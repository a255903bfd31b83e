"""Venues on paper: what would happen is tried on copies, by the venue's own kernels."""

from marketsim.engine import book
from marketsim.engine._jit import kernel
from marketsim.engine.allocation import allocate
from marketsim.engine.records import records
from marketsim.engine.state import (
    ACCOUNT_ARRAYS,
    MARKET_ARRAYS,
    MAX_ATOMS,
    MAX_ROWS_PER_STEP,
    NONE,
    POOL_ARRAYS,
    TREE_LEVELS,
    Fill,
    State,
    copy_account,
    copy_pool,
    widen,
)

#: The accounts of a paper venue, and their main pools: one trader, who takes the other side of all
#: it holds, and the insurance fund.
TRADER, NEUTRAL, FUND = 0, 1, 2
_NUM_ACCOUNTS = 3
#: Of either kind that an attempt at a leg may write: twice, two accounts may be deleveraged.
_MAX_ROWS = 4


def trial_copy(state: State) -> State:
    """Return the venue with markets and pools of its own, to try a move and a margin pass on."""
    changed = (*MARKET_ARRAYS, *POOL_ARRAYS, "short")
    return state._replace(**{name: getattr(state, name).copy() for name in changed})


def book_copy(state: State) -> State:
    """Return the venue with books, accounts and pools of its own, to try an order on.

    Its fills are recorded from the first row on.
    """
    changed = (
        *("totals", "order", "level", "node", "wheel"),
        *MARKET_ARRAYS,
        *ACCOUNT_ARRAYS,
        *POOL_ARRAYS,
    )
    trial = state._replace(
        **{name: getattr(state, name).copy() for name in changed},
        fill=records(Fill, int(state.totals[0].num_orders) + 1),
    )
    totals = trial.totals[0]
    totals.record_fills = 1
    totals.record_causes = 0
    totals.num_fills = 0
    return trial


def with_own_pools(state: State) -> State:
    """Return the venue with records of pools of its own, to assess them as nothing has moved."""
    return state._replace(pool=state.pool.copy())


def paper_venue(state: State) -> State:
    """Return a venue of the same rules and prices for one account, which `move_in` copies to it.

    Its books are empty, with room for an order in each. It has a side pool for every market.
    """
    num_markets = len(state.market)
    paper = allocate(
        _NUM_ACCOUNTS - 1,
        num_markets,
        _NUM_ACCOUNTS + num_markets,
        num_tiers=state.tier.shape[1],
        num_orders=num_markets,
        num_nodes=TREE_LEVELS * num_markets,
        num_intents=1,
        num_rows=_num_rows(state),
    )
    _copy_rules(state, paper)
    return paper


def follow(state: State, paper: State) -> State:
    """Give a paper venue, or one with more room, the rules and prices that the venue has now."""
    if len(paper.liquidation) < _num_rows(state):
        return paper_venue(state)
    _copy_rules(state, paper)
    return paper


def _num_rows(state: State) -> int:
    rounds = int(state.venue[0].max_rounds)
    return min(_MAX_ROWS * len(state.market) * rounds, MAX_ROWS_PER_STEP)


def _copy_rules(state: State, paper: State) -> None:
    for name in ("venue", *MARKET_ARRAYS):
        getattr(paper, name)[:] = getattr(state, name)
    for name in ("best_bid", "best_ask", "num_orders"):
        paper.market[name] = 0
    paper.totals[0].stable_price = state.totals[0].stable_price


@kernel
def move_in(state: State, i: int, paper: State) -> None:
    """Make a paper venue's trader a copy of account `i`, and its fund one of the fund.

    Orders are left out. Whoever takes the other side holds the opposite of every position and is
    rich beyond need. A side pool lies behind the main pools, at the place of the first market it
    holds.
    """
    paper.totals[0].step = state.totals[0].step
    _copy_main(state, len(state.account) - 1, paper, widen(FUND))
    _copy_main(state, i, paper, widen(TRADER))
    paper.pool[NEUTRAL].cash = MAX_ATOMS
    for m in range(len(state.market)):
        held, opposite = paper.position[TRADER, m], paper.position[NEUTRAL, m]
        opposite.size, opposite.entry_cost = -held.size, -held.entry_cost
        p = widen(state.position[i, m].pool)
        first = widen(0)
        while state.position[i, first].pool != p:
            first += 1
        place = _NUM_ACCOUNTS + m
        if p != i:
            held.pool = _NUM_ACCOUNTS + first
        if p != i and first == m:
            copy_pool(state, p, paper, place)
        else:  # what the trader before had there
            paper.pool[place].cash = 0
            paper.draw[place].limit = 0
        paper.pool[place].owner = TRADER


@kernel
def _copy_main(state: State, i: int, paper: State, j: int) -> None:
    """Make account `j` of a paper venue a copy of account `i`, all of it in its main pool."""
    copy_account(state, i, paper, j)
    copy_pool(state, i, paper, j)
    paper.pool[j].owner = j
    for m in range(len(state.market)):
        paper.position[j, m].pool = j
        paper.position[j, m].first_order = NONE


@kernel
def offer_marks(state: State, i: int, j: int) -> None:
    """Let account `j` rest an order for every position of account `i`, all of it, at the mark."""
    for m in range(len(state.market)):
        size = state.position[i, m].size
        if size != 0:
            ticks = state.market[m].mark_ticks
            side = widen(1 if size > 0 else -1)
            book.add_order(state, j, m, side, abs(size), ticks, 2 * ticks, widen(0), widen(0))


@kernel
def withdraw_offers(state: State, j: int) -> None:
    """Take back what is left of what `offer_marks` has rested for account `j`."""
    for m in range(len(state.market)):
        book.withdraw_orders(state, j, m, widen(0))
