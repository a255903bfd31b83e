"""R measured: what follows a forced liquidation is what the closed form of card R1 says.

A market of linear thresholds: lots to be sold lie evenly below the mark, so many a level, and each
level of the book takes a lot. What is sold moves the price by as many levels, and that sets off
`gain` times as much: the dollars that each dollar causes.
"""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketsim import PerpMarket, Simulation
from marketsim.contagion.offspring import Reproduction, pool_states
from marketsim.engine.allocation import grow
from marketsim.engine.state import ATOMS, ONE, UNLIMITED, MarkRule
from marketsim.scenario.loader import load_scenario
from tests.agents.small import MARKET, POPULATIONS, scenario
from tests.contagion.books import MAINTENANCE, MARK, RULES, fill_book, hold_all
from tests.run.own import OWN, with_own
from tests.run.test_simulation import eventful
from tests.slow import slow

#: Ticks between two levels, and levels with thresholds.
SPACING, LEVELS = 20, 150
#: Pools whose sale is felt over many levels; they stand beyond all others.
NUM_LARGE, LARGE = 6, 40
#: Of the mark in a step: all may be next.
MOVEMENT = 0.01


def linear_market(gain: float, **rules: float) -> Simulation:
    """A run in which nobody acts but the venue."""
    small = round(gain * LEVELS)
    exposure = np.append(np.ones(small), np.full(NUM_LARGE, float(LARGE)))[:, None]
    depth = SPACING * np.append((np.arange(small) + 0.5) / gain, np.full(NUM_LARGE, 2.0 * LEVELS))
    market = {**MARKET, "tick_size": 1e-4, "price": MARK * 1e-4}
    holders = {**POPULATIONS["holder"], "count": len(exposure) + 1}
    run = Simulation(scenario(markets={"ONE": market}, populations={"holder": holders}), 1)
    run.traders.next_wake[:] = UNLIMITED
    run.state = state = grow(run.state, num_orders=1000, num_nodes=6000)
    for name, value in {**RULES, "liquidation_fee": 0, **rules}.items():
        setattr(state.venue[0], name, value)
    state.tier["maintenance_fraction"][0] = round(MAINTENANCE * ONE)
    state.market[0].last_ticks = MARK
    state.pool["cash"] = 0
    state.pool["cash"][-2:] = 10**9 * ATOMS
    hold_all(state, exposure.astype(np.int64))
    lots = exposure[:, 0]
    # at its trigger the requirement has fallen with the mark
    need = lots * (MARK * MAINTENANCE + (1.0 - MAINTENANCE) * depth)
    state.pool["cash"][: len(lots)] += np.rint(need).astype(np.int64)
    state.totals[0].deposits = state.pool["cash"].sum()
    state.movement[0, 0] = MOVEMENT**2
    state.recovery[0].moves = 1.0
    fill_book(state, 0, 1, 1, start=MARK - SPACING, spacing=SPACING, count=3 * LEVELS)
    return run


def large_ones(run: Simulation, **given: Any) -> Reproduction:
    """What follows the sales that are felt over many levels: of one lot, none or one follows."""
    found = run.reproduction(n=60, **given)
    large = found.forced_usd[:, 0] > 2.0
    assert (found.n, found.refused) == (60, 0)
    assert large.any()
    rows = ("state", "account", "forced_usd", "offspring_usd")
    return replace(found, **{name: getattr(found, name)[large] for name in rows})


@pytest.mark.parametrize("gain", [0.7, *slow((0.3, 1.5))])
def test_offspring_are_the_gain_of_linear_thresholds(gain: float) -> None:
    found = large_ones(linear_market(gain), horizon=1 / 60)
    assert found.mean == pytest.approx(gain, rel=0.01)
    assert found.by_market["mean"]["ONE"] == pytest.approx(found.mean)


@pytest.mark.slow
def test_all_generations_add_up_to_a_geometric_sum() -> None:
    gain = 0.6
    found = large_ones(linear_market(gain), horizon=1 / 60, generations="all")
    assert found.mean == pytest.approx(gain / (1.0 - gain), rel=0.05)


@pytest.mark.slow
def test_a_slow_mark_passes_on_what_it_has_seen_by_then() -> None:
    gain, weight = 0.6, 0.5
    rules = {"mark_rule": MarkRule.INDEX_PLUS_BASIS, "basis_weight": weight}
    for num_steps, share in ((1, weight), (2, 1 - (1 - weight) ** 2), (9, 1.0)):
        run = linear_market(gain, **rules)
        fill_book(run.state, 0, -1, 1, start=MARK + SPACING, spacing=SPACING, count=1)
        found = large_ones(run, horizon=num_steps / 60)
        # the mid moves by half of what the bids do
        assert found.mean == pytest.approx(0.5 * share * gain, rel=0.1), num_steps


def test_nothing_is_passed_on_by_a_mark_that_is_the_index() -> None:
    run = linear_market(0.6, mark_rule=MarkRule.INDEX)
    assert run.reproduction(n=10, horizon=0.1).mean == 0.0


def test_the_market_is_left_as_it_is() -> None:
    whole = Simulation(eventful(), 4)
    whole.run(whole.num_steps)
    run = Simulation(eventful(), 4)
    run.run(125)
    digest = run.digest()
    for generations in ("first", "all"):
        found = run.reproduction(n=2, horizon=0.1, generations=generations)
        assert found.n == 2
        assert run.digest() == digest
    run.run(run.num_steps - 125)
    assert run.digest() == whole.digest()


def test_copies_keep_their_books_in_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    from marketsim.run import forced

    kept: list[Any] = []
    branch = forced.branch

    def keeping(*given: Any) -> Any:
        kept.append(branch(*given))
        return kept[-1]

    monkeypatch.setattr(forced, "branch", keeping)
    run = Simulation(eventful(), 4)
    run.run(125)
    run.reproduction(n=3, horizon=0.1)
    assert len(kept) == 6
    assert [int(copy.state.totals[0].conservation_error) for copy in kept] == [0] * 6
    assert {int(copy.state.totals[0].deposits) for copy in kept} == {
        int(kept[0].state.totals[0].deposits)
    }


def test_a_market_with_own_traders_is_measured_too() -> None:
    market = PerpMarket(with_own("quickstart", 60), rng=5, strategies=OWN)
    market.run(30)
    digest = market.digest()
    found = market.reproduction(n=2, horizon=0.05)
    assert found.n + found.refused in (0, 2)  # where nobody is near the edge none is forced
    assert (market.digest(), market.step_count) == (digest, 30)


def test_a_key_draws_the_same_accounts_and_another_one_others() -> None:
    run = Simulation(eventful(), 4)
    run.run(125)
    draws = [run.reproduction(n=3, horizon=0.02, key=key).draws for key in (0, 0, 1)]
    assert draws[0].equals(draws[1])
    assert draws[0]["account"].tolist() != draws[2]["account"].tolist()


def test_a_side_is_that_of_the_pools() -> None:
    run = linear_market(0.3)
    assert run.reproduction(n=3, horizon=1 / 60, side="falls").n == 3
    others = run.reproduction(n=3, horizon=1 / 60, side="rises")
    assert (others.n, others.refused) == (0, 0)  # to the one who is short nobody sells


def made_by_hand(offspring: Any, state: Any = (0, 0, 0)) -> Reproduction:
    forced = np.array([[100.0, 0.0], [0.0, 100.0], [50.0, 50.0]])
    return Reproduction(
        markets=("A", "B"),
        generations="first",
        side=None,
        horizon_hours=1.0,
        state=np.array(state),
        account=np.array([3, 1, 2]),
        forced_usd=forced,
        offspring_usd=np.array(offspring),
    )


def test_means_are_dollars_over_dollars() -> None:
    found = made_by_hand([[30.0, 0.0], [0.0, 60.0], [0.0, 0.0]])
    assert found.mean == pytest.approx(0.3)
    assert found.by_market["mean"].to_dict() == pytest.approx({"A": 0.1, "B": 0.2})
    error = math.sqrt(3 / 2 * (0.0 + 30.0**2 + 30.0**2)) / 300.0
    assert found.interval == pytest.approx((0.3 - 1.96 * error, 0.3 + 1.96 * error))
    assert "mean 0.3" in repr(found)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (written["n"], written["states"], written["mean"]) == (3, 1, pytest.approx(0.3))
    assert found.draws["offspring_usd_B"].tolist() == [0.0, 60.0, 0.0]


def test_states_count_as_a_whole() -> None:
    one = made_by_hand([[30.0, 0.0], [0.0, 60.0], [0.0, 0.0]])
    other = made_by_hand([[90.0, 0.0], [0.0, 0.0], [0.0, 120.0]])
    both = pool_states([one, other])
    assert (both.n, both.states, both.mean) == (6, 2, pytest.approx(0.5))
    error = math.sqrt(2 * (60.0**2 + 60.0**2)) / 600.0
    assert both.interval == pytest.approx((0.5 - 1.96 * error, 0.5 + 1.96 * error))
    with pytest.raises(ValueError, match="one or more"):
        pool_states([])


def test_every_pair_of_copies_has_a_luck_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from marketsim.run import forced

    lucks: list[int] = []
    copied = forced._copy

    def noting(run: Any, luck: int) -> Any:
        lucks.append(luck)
        return copied(run, luck)

    monkeypatch.setattr(forced, "_copy", noting)
    linear_market(0.3).reproduction(n=3, horizon=1 / 60)
    assert lucks[0::2] == lucks[1::2]
    assert len(set(lucks)) == 3


def test_a_market_without_positions_has_nothing_to_measure() -> None:
    run = Simulation(eventful(), 4)
    found = run.reproduction(n=5, horizon=0.1)
    assert (found.n, found.to_dict()["mean"]) == (0, None)
    assert "nothing" in repr(found)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"n": 0}, "n = 0: must be 1 or more"),
        ({"horizon": 0.0}, r"horizon = 0: must be a number of hours above 0"),
        ({"horizon": 1e6}, r"horizon = 1000000: the scenario ends in .* h"),
        ({"horizon": math.nan}, "must be a number of hours"),
        ({"key": -1}, r"key = -1: must lie in \[0, 16777215\]"),
        ({"side": "up"}, "side = \"up\": must be 'falls', 'rises' or None"),
        ({"generations": "second"}, "generations = \"second\": must be 'first' or 'all'"),
    ],
)
def test_bad_arguments_are_refused(given: dict[str, Any], text: str) -> None:
    run = Simulation(eventful(), 4)
    with pytest.raises(ValueError, match=text):
        run.reproduction(**given)


@pytest.mark.slow
def test_newcomers_may_open_pools_of_their_own_while_it_is_measured():
    changes = [
        ("record.reproduction_hours", "30.5"),
        ("days", "1.5"),
        ("venue.mark.rule", "median"),
    ]
    run = Simulation(load_scenario("october-10", changes), 7)
    run.run(run.num_steps)
    assert run.result().reproduction_measured.size
