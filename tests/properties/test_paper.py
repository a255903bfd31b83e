"""What the venue on paper says of a move is what the venue itself does when it comes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketsim.contagion.response import seize_on_paper
from marketsim.contagion.triggers import is_seized_at
from marketsim.engine import book, margin, step
from marketsim.engine.paper import FUND, TRADER, offer_marks, paper_venue, trial_copy
from marketsim.engine.state import ATOMS, ONE, MarkRule, State
from tests.engine.small import PRICE
from tests.properties.plans import Plan, Step, last, market_rules, pools_of, venues
from tests.properties.profile import tried

#: Prices that no book moves, coins whose worth no mark moves, and a fund that only takes over.
STILL = {"mark_rule": MarkRule.INDEX, "spot_haircut": ONE, "fund_unwind": 0}
RICH = 10**9 * ATOMS

#: What must have happened, or the agreement would show little.
PHENOMENA = (
    *("holds", "draws", "falls", "loss drawn", "fund holds", "legs", "rounds", "steps"),
    *("book_size", "fee", "fund_paid", "takeover_size", "adl_size"),
)


@st.composite
def crowds(draw):
    """Draw three traders of high leverage, with or without side pools, and a fund that may hold."""
    num_markets = draw(st.integers(1, 3))
    pools = draw(pools_of(range(3), num_markets))
    lots = st.integers(2, 15).map(lambda tens: 10 * tens // num_markets)
    sides = [draw(st.sampled_from([1, 1, 1, -1])) for _ in range(num_markets)]
    held = [
        (i, 3, m, sides[m] * draw(lots) * draw(st.sampled_from([1, 1, 1, -1])))
        for i in range(3)
        for m in range(num_markets)
    ]
    held += [(4, 3, m, sides[m] * draw(st.integers(0, 20))) for m in range(num_markets)]
    rules = draw(venues())
    return Plan(
        cash=(*(100.0 * draw(st.integers(5, 20)) for _ in range(3)), 1e6),
        steps=(Step((PRICE,) * num_markets),),
        num_markets=num_markets,
        fund=float(draw(st.sampled_from([0, 300, 10_000, 1e6]))),
        side_pools=pools,
        tiers=draw(st.sampled_from(["flat", "tiered"])),
        venue={**rules, **STILL, "max_rounds": draw(st.integers(1, 3))},
        market=draw(market_rules()),
        held=tuple(held),
        stable=tuple(100.0 * draw(st.integers(0, 4)) for _ in range(3)),
        margin=tuple((i, m[0], 50.0 * draw(st.integers(1, 8))) for i, _, m in pools),
    )


def copied(state):
    return State(*(array.copy() for array in state))


def facing(state, i):
    """A copy in which account i and the fund are as they are; who holds the rest is rich.

    Nobody has an order but the rich one, who takes at the marks what i has to close.
    """
    venue = copied(state)
    fund = len(venue.account) - 1
    rich = fund - 1
    size = venue.position["size"]
    for j in range(len(venue.account)):
        for m in range(len(venue.market)):
            book.withdraw_orders(venue, j, m, 0)
            if j not in (i, fund):
                venue.position[j, m].size = 0
                venue.position[j, m].entry_cost = 0
    size[rich] = -size[i] - size[fund]
    venue.pool["cash"][~np.isin(venue.pool["owner"], (i, fund))] = RICH
    return venue


def move(venue, k, ticks):
    venue.market[k].index_ticks = venue.market[k].mark_ticks = ticks
    venue.market[k].index_price = ticks * venue.market[k].tick_size


def short_pools(venue):
    trial = trial_copy(venue)
    count = margin.assess_pools(trial)
    return trial.short[:count].tolist()


def short_alone(venue):
    """The pools below maintenance by their own means, whatever they may draw."""
    trial = trial_copy(venue)
    margin.value_pools(trial)
    return np.flatnonzero(trial.pool["equity"] < trial.pool["maintenance"]).tolist()


def let_pass(venue, i):
    """Let steps pass in which only the venue acts; return the rows of account i."""
    first = int(venue.totals[0].num_liquidations)
    offer_marks(venue, i, len(venue.account) - 2)
    for _ in range(1000):
        before = int(venue.totals[0].num_liquidations)
        step.begin_counts(venue, int(venue.totals[0].step) + 1)
        step.clear_step(venue, np.empty(0, np.int64))
        if venue.totals[0].num_liquidations == before:
            break
    rows = venue.liquidation[first : venue.totals[0].num_liquidations]
    assert (rows["account"] == i).all()
    return rows


def holdings(state, i):
    """All that an account has, its pools by the markets they back."""
    position = state.position[i]
    pools = [i, *position["pool"].tolist()]
    return {
        "account": state.account[i].tolist(),
        "size": position["size"].tolist(),
        "entry": position["entry_cost"].tolist(),
        "chunk": state.chunk_step[i].tolist(),
        "stable": int(state.stable[i]),
        "coins": state.spot[i].tolist(),
        "cash": [int(state.pool[p].cash) for p in pools],
        "drawn": [int(state.draw[p].drawn) for p in pools],
        "flow": state.flow[i].tolist(),
    }


def compare(state, i, k, ticks, seen):
    """Move a mark against account i, whose pools are safe, on paper and in a venue."""
    fund = len(state.account) - 1
    p = int(state.position[i, k].pool)
    venue = facing(state, i)
    move(venue, k, ticks)
    trial = trial_copy(state)
    margin.value_pools(trial)
    falls = bool(is_seized_at(trial, i, k, ticks))
    assert short_pools(venue) == [p] * falls
    seen["holds"] += not falls
    seen["draws"] += not falls and p in short_alone(venue)
    if not falls:
        return
    lone = paper_venue(state)
    sold = np.zeros(len(state.market))
    seize_on_paper(state, lone, i, k, ticks, sold, np.zeros((len(sold), 2)))
    before = copied(venue)
    rows = let_pass(venue, i)
    expected = [rows["book_cash"][rows["market"] == m].sum() for m in range(len(sold))]
    assert sold.tolist() == expected
    assert holdings(lone, TRADER) == holdings(venue, i)
    assert holdings(lone, FUND) == holdings(venue, fund)
    for name in ("adl_atoms", "socialised_atoms"):
        assert lone.totals[0][name] == venue.totals[0][name] - before.totals[0][name]
    seen["falls"] += 1
    for name in ("book_size", "fee", "fund_paid", "takeover_size", "adl_size"):
        seen[name] += bool(rows[name].any())
    seen["steps"] += len(np.unique(rows["step"])) > 1
    seen["rounds"] += bool((rows["round"] > 0).any())
    seen["legs"] += len(np.unique(rows["market"])) > 1
    seen["loss drawn"] += p != i and bool(venue.pool[i].cash < before.pool[i].cash)
    seen["fund holds"] += bool(before.position["size"][fund].any())


@pytest.mark.slow
def test_paper_says_what_the_venue_does():
    seen = Counter()

    @tried(300)
    @given(crowds(), st.integers(1, 25))
    def compare_all(plan, percent):
        state = last(plan)
        fund = len(state.account) - 1
        short = state.pool["owner"][short_alone(state)]
        size = state.position["size"]
        for i in range(fund - 1):
            # A fund on the other side may be deleveraged: by its rank among all there.
            if i in short or (size[i] * size[fund] < 0).any():
                continue
            for k in np.flatnonzero(size[i]).tolist():
                mark = int(state.market[k].mark_ticks)
                change = mark * percent // 100
                compare(state, i, k, mark - change if size[i, k] > 0 else mark + change, seen)

    compare_all()
    assert [name for name in PHENOMENA if seen[name] == 0] == []
