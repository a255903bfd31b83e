"""The book as data: what is read of it is what rests there, and what an order would pay it pays."""

import math
from typing import Any

import numpy as np
import pytest

from marketsim import PerpMarket, Simulation
from marketsim.engine.allocation import grow
from marketsim.engine.book import withdraw_orders
from marketsim.engine.state import MAX_PRICE_TICKS, Flag, State
from marketsim.run.measures import Measures
from marketsim.tape.depth import REACHES
from marketsim.tape.digest import digest_result
from tests.agents.small import scenario
from tests.engine.small import PRICE, hold, open_venue, send
from tests.run.test_simulation import eventful

#: Of a random book: makers, the last account but the fund takes.
NUM_MAKERS = 8


class Book(Measures):
    """A venue that can be measured."""

    market_names = ("ONE",)

    def __init__(self, state: State) -> None:
        self.state = state


def random_book(seed: int) -> State:
    """Resting orders of makers, some with too little margin and some only reducing positions."""
    rng = np.random.default_rng(seed)
    cash = [*rng.choice([50.0, 1e3, 1e5], NUM_MAKERS), 1e9]
    state = grow(open_venue(cash), num_fills=500, num_orders=500, num_nodes=5000)
    state.totals[0].record_fills = 1
    for pair in range(0, NUM_MAKERS, 2):
        size = int(rng.integers(0, 5))
        hold(state, pair, size)
        hold(state, pair + 1, -size)
    for _ in range(int(rng.integers(1, 60))):
        side = int(rng.choice([-1, 1]))
        price = PRICE - side * int(rng.geometric(0.05))
        flags = Flag.POST_ONLY | (Flag.REDUCE_ONLY if rng.random() < 0.4 else 0)
        size = side * int(rng.integers(1, 6))
        send(state, int(rng.integers(NUM_MAKERS)), size, price, flags=flags)
    return state


def check_impact(seed: int) -> None:
    """Compare what an order is said to pay with what it then pays."""
    state = random_book(seed)
    rng = np.random.default_rng([seed, 1])
    side = str(rng.choice(["buy", "sell"]))
    before = digest_of(state)
    said = Book(state).impact("ONE", float(rng.uniform(50.0, 20_000.0)), side)
    assert digest_of(state) == before
    sign = 1 if side == "buy" else -1
    first = int(state.totals[0].num_fills)
    bound = MAX_PRICE_TICKS // 1024 if sign > 0 else 1
    send(state, NUM_MAKERS, sign * round(said.size), bound, flags=Flag.IMMEDIATE)
    fills = state.fill[first : int(state.totals[0].num_fills)]
    lots, ticks = np.abs(fills["size"]), fills["price"]
    assert said.filled == lots.sum()
    assert said.levels == len(set(ticks.tolist()))
    if said.filled:
        assert said.average_price == pytest.approx((lots * ticks).sum() / lots.sum() * 0.01)
        assert said.last_price == pytest.approx(int(ticks[-1]) * 0.01)
    else:
        assert math.isnan(said.average_price)


def digest_of(state: State) -> list[bytes]:
    return [np.asarray(array).tobytes() for array in state]


@pytest.mark.parametrize("seed", range(30))
def test_an_order_pays_what_its_impact_says(seed: int) -> None:
    check_impact(seed)


@pytest.mark.slow
def test_hundreds_of_orders_pay_what_their_impact_says() -> None:
    for seed in range(1000, 1500):
        check_impact(seed)


def test_random_books_have_what_makes_it_hard() -> None:
    """Some makers are withdrawn when met, and some reduce-only orders give less than they rest."""
    withdrawn = clipped = 0
    for seed in range(30):
        state = random_book(seed)
        resting = state.order[state.order["size"] > 0]
        clipped += int(((resting["flags"] & Flag.REDUCE_ONLY) != 0).sum())
        asked = Book(state).impact("ONE", 20_000.0, "buy")
        withdrawn += asked.filled < resting["size"][resting["side"] < 0].sum() < asked.size
    assert withdrawn > 3
    assert clipped > 30


def test_an_empty_side_has_no_price() -> None:
    found = Book(open_venue()).impact("ONE", 1_000.0, "buy")
    assert found[:2] == (10.0, 0.0)
    assert found.levels == 0
    assert math.isnan(found.average_price)
    assert math.isnan(found.last_price)


def test_depth_is_the_ladder_of_the_book() -> None:
    state = open_venue([1e6] * 3)
    for i, size, ticks in ((0, 2, 9_990), (1, 3, 9_990), (0, 4, 9_900), (2, -5, 10_010)):
        send(state, i, size, ticks)
    rows = Book(state).depth("ONE")
    assert rows["side"].tolist() == ["bid", "bid", "ask"]
    assert rows["level"].tolist() == [1, 2, 1]
    assert rows["price"].tolist() == pytest.approx([99.9, 99.0, 100.1])
    assert rows["size"].tolist() == [5.0, 4.0, 5.0]
    assert rows["usd"].tolist() == pytest.approx([499.5, 396.0, 500.5])
    assert len(Book(state).depth("ONE", levels=1)) == 2
    with pytest.raises(ValueError, match="read-only"):
        rows["size"] = 0
    near, far = (Book(state).depth_usd(bp) for bp in (10, 100))
    assert near[:, 0].tolist() == pytest.approx([499.5, 500.5])  # the bound itself is within
    assert far[:, 0].tolist() == pytest.approx([895.5, 500.5])
    assert Book(state).depth_usd(9.99).tolist() == [[0.0], [0.0]]
    withdraw_orders(state, 2, 0, 0)
    assert len(Book(state).depth("ONE", None)) == 2
    assert Book(state).depth_usd(10)[:, 0].tolist() == pytest.approx([499.5, 0.0])  # of the mark


def test_looking_at_the_book_changes_nothing() -> None:
    watched, alone = (PerpMarket(eventful(), rng=1) for _ in range(2))
    for _ in range(60):
        watched.run(2)
        watched.depth("ONE")
        watched.impact("TWO", 1e5, "sell")
        watched.depth_usd(25)
    alone.run(120)
    assert digest_result(watched.result()) == digest_result(alone.result())


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda s: s.depth("XRP"), KeyError, "no market 'XRP'; there are ONE, TWO"),
        (lambda s: s.depth("ONE", 0), ValueError, "levels = 0: must be 1 or more"),
        (lambda s: s.depth("ONE", 1.5), TypeError, r"levels = 1\.5: must be a whole number"),
        (lambda s: s.depth("ONE", True), TypeError, "levels = True: must be a whole number"),
        (lambda s: s.impact("ONE", "1", "buy"), ValueError, "usd = '1': must be a number"),
        (lambda s: s.impact("ONE", True, "buy"), ValueError, "usd = True: must be a number"),
        (lambda s: s.impact("XRP", 1.0, "buy"), KeyError, "no market 'XRP'"),
        (lambda s: s.impact("ONE", 0.0, "buy"), ValueError, "usd = 0.0: must be a number above 0"),
        (lambda s: s.impact("ONE", math.nan, "buy"), ValueError, "must be a number above 0"),
        (lambda s: s.impact("ONE", 1.0, "long"), ValueError, "side = 'long': must be 'buy'"),
        (lambda s: s.depth_usd(0), ValueError, "bp 0: must be above 0"),
        (lambda s: s.depth_usd("near"), ValueError, "bp 'near': must be a number"),
    ],
)
def test_what_cannot_be_read_is_refused(ask: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ask(Simulation(scenario(), 1))


def test_recorded_depth_and_books_are_those_of_their_moments() -> None:
    simulation = Simulation(eventful(record={"depth_minutes": 60, "book_minutes": 90}), 1)
    near, ladders = {}, {}
    while simulation.step_count < simulation.num_steps:
        simulation.run(30)
        near[simulation.step_count] = [simulation.depth_usd(bp) for bp in REACHES]
        ladders[simulation.step_count] = simulation.depth("TWO", None)
    result = simulation.result()
    assert result.depth["step"].tolist() == [step for step in range(60, 361, 60) for _ in "12"]
    for row in result.depth:
        for n in range(len(REACHES)):
            seen = near[int(row["step"])][n][:, int(row["market"])] * 1e6
            assert [row["bid"][n], row["ask"][n]] == pytest.approx(seen.tolist())
    assert sorted(set(result.book["step"].tolist())) == [90, 180, 270, 360]
    for step in (90, 360):
        rows = result.book[(result.book["step"] == step) & (result.book["market"] == 1)]
        assert (rows["size"] * 0.01).tolist() == pytest.approx(ladders[step]["size"].tolist())
        assert (rows["price"] * 0.01).tolist() == pytest.approx(ladders[step]["price"].tolist())


def test_depth_share_is_what_rests_near_the_mid_over_open_interest_every_hour() -> None:
    record = {"depth_minutes": 60, "warm_up": 0.5}
    simulation = Simulation(eventful(record=record), 1)
    simulation.run(simulation.num_steps)
    simulation.run(150, extend=True)
    result = simulation.result()
    rows = result.depth.reshape(-1, 2)
    near = (rows["bid"] + rows["ask"])[:, :, REACHES.index(50)]
    ended = np.flatnonzero((result.steps["step"] + 1) % 60 == 0)
    series = result.series[ended]
    held = series["open_interest"] * series["mark_ticks"] * result.tick_atoms
    assert len(near) == len(ended) == simulation.step_count // 60
    assert (held > 0).any()
    expected = np.where(held > 0, near / np.maximum(held, 1), np.nan)
    assert result.depth_share == pytest.approx(expected, nan_ok=True)


def test_recording_depth_changes_nothing_else() -> None:
    record = {"depth_minutes": 60, "book_minutes": 90}
    with_them, without = (Simulation(eventful(record=each), 1) for each in (record, {}))
    for simulation in (with_them, without):
        simulation.run(simulation.num_steps)
    found = with_them.result()
    assert digest_result(found) != digest_result(without.result())
    nothing = {"depth": without.result().depth, "book": without.result().book}
    assert digest_result(replaced(found, **nothing)) == digest_result(without.result())


def replaced(result: Any, **fields: Any) -> Any:
    return type(result)(**{**vars(result), **fields})
