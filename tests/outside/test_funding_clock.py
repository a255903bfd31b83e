"""When funding is settled, for how long it charges, and which end of its step a row's time is."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from marketsim.account.explain import explain
from marketsim.account.funding_cost import recorded_rates
from marketsim.account.portfolio import parse_portfolio
from marketsim.engine.state import ATOMS, UNLIMITED, Cause
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.results.summary import summarise
from marketsim.results.tables import build_tables
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import list_scenarios, load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.tape.events import Table
from marketsim.tape.result import RunResult
from tests.agents.small import MARKETS, POPULATIONS, give, scenario

ONE = {"ONE": MARKETS["ONE"]}
DAY = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def quiet(
    interval: float | str = 8, changes: tuple[tuple[float, Any], ...] = (), **tables: Any
) -> Scenario:
    """A day of four holders; the interval changes at the hours stated."""
    shocks = [
        {"kind": "rule", "at": at, "field": "venue.funding.interval_hours", "value": value}
        for at, value in changes
    ]
    data = {
        "days": 1,
        "markets": ONE,
        "venue": {"funding": {"interval_hours": interval}},
        "populations": {"holder": {**POPULATIONS["holder"], "count": 4}},
        "shocks": shocks,
        "record": {"contagion_minutes": "never", "heatmap_minutes": "never"},
    }
    return scenario(**(data | tables))


def hold(given: Scenario) -> RunResult:
    """Run it with nobody trading; account 0 is long two coins of each market, the last short.

    Each of their positions has 200 USD in its pool.
    """
    simulation = Simulation(given, 1)
    simulation.traders.next_wake[:] = UNLIMITED
    for m in range(len(simulation.market_names)):
        give(simulation, 0, 2.0, m)
        for i in (0, len(simulation.roster.population) - 1):
            side = simulation.state.position[i, m].pool
            simulation.state.pool[i].cash -= 200 * ATOMS
            simulation.state.pool[side].cash += 200 * ATOMS
    simulation.run(simulation.num_steps)
    return simulation.result()


def settled(result: RunResult, market: int = 0) -> list[tuple[float, float]]:
    """Hour of each settlement, and the hours it charged: 8 x paid / (notional x rate)."""
    table = build_tables(result)["funding"]
    rows = np.flatnonzero(np.asarray(table["market"]) == result.market_names[market])
    found = []
    for row in rows:
        notional = 2.0 * table["settlement_price"][row]
        hours = 8.0 * table["paid_usd"][row] / (notional * abs(table["funding_rate"][row]))
        found.append((round(float(table["hours"][row]), 6), round(float(hours), 2)))
    return found


@pytest.mark.parametrize(
    ("interval", "changes", "expected"),
    [
        (8, [(13, 4)], [(8, 8), (16, 8), (20, 4), (24, 4)]),
        (1, [(3, 8)], [(1, 1), (2, 1), (3, 1), (8, 5), (16, 8), (24, 8)]),
        (2, [(6, 8)], [(2, 2), (4, 2), (6, 2), (8, 2), (16, 8), (24, 8)]),
        (8, [(8.5, 4)], [(8, 8), (12, 4), (16, 4), (20, 4), (24, 4)]),
        (4, [(10, 1), (13, 12)], [(4, 4), (8, 4), (11, 3), (12, 1), (13, 1), (24, 11)]),
        # exactly at a settlement, which the old interval ends; a minute before, it is the new one's
        (8, [(16, 4)], [(8, 8), (16, 8), (20, 4), (24, 4)]),
        (4, [(16, 12)], [(4, 4), (8, 4), (12, 4), (16, 4), (24, 8)]),
        (4, [(16 - 1 / 60, 12)], [(4, 4), (8, 4), (12, 4), (24, 12)]),
        # one after the other, and two at once: the later one counts
        (8, [(6, 4), (11, 1), (12, 12)], [(8, 8), (12, 4), (24, 12)]),
        (8, [(9, 1), (9, 6)], [(8, 8), (12, 4), (18, 6), (24, 6)]),
        # more often than the shortest interval alone would have it
        (8, [(8, 5), (10, 8), (16, 6), (18, 10), (20, 7)],
         [(8, 8), (10, 2), (16, 6), (18, 2), (20, 2), (21, 1)]),
        # to every step and back; before the first step; after the end
        (12, [(23 + 58 / 60, "step")], [(12, 12), (23.983333, 11.98), (24, 0.02)]),
        (8, [(0, 12)], [(12, 12), (24, 12)]),
        (12, [(24, 1)], [(12, 12), (24, 12)]),
        # longer than the run
        (48, [], []),
        (48, [(21, 7)], []),
        (48, [(20, 7)], [(21, 21)]),
    ],
)  # fmt: skip
def test_a_settlement_charges_the_hours_since_the_last(
    interval: float, changes: list[tuple[float, Any]], expected: list[tuple[float, float]]
) -> None:
    result = hold(quiet(interval, tuple(changes)))
    assert settled(result) == expected
    assert summarise(result)["markets"]["ONE"]["settlements"] == len(expected)


@pytest.mark.parametrize("mode", ["cross", "isolated", "partial"])
def test_every_pool_pays_for_the_hours_it_held(mode: str) -> None:
    holders = {**POPULATIONS["holder"], "count": 4, "margin_mode": mode}
    if mode == "partial":
        holders["groups"] = {"side": {"markets": ["TWO"], "draw_limit": 0.0}}
    given = quiet(8, ((13, 4),), markets=MARKETS, populations={"holder": holders})
    result = hold(given)
    assert [settled(result, m) for m in (0, 1)] == [[(8, 8), (16, 8), (20, 4), (24, 4)]] * 2
    rates = build_tables(result)["funding"]
    hours = {8.0: 8, 16.0: 8, 20.0: 4, 24.0: 4}
    paid = sum(
        2.0 * price * rate * hours[float(at)] / 8.0
        for price, rate, at in zip(
            rates["settlement_price"], rates["funding_rate"], rates["hours"], strict=True
        )
    )
    flow = result.profit[:, Cause.FUNDING] / ATOMS
    assert flow[0] == pytest.approx(-paid, abs=1e-5)
    assert flow[3] == pytest.approx(paid, abs=1e-5)
    assert paid != 0


def test_the_cap_bounds_the_rate_and_not_the_hours() -> None:
    rules = {"interval_hours": 8, "interest_rate": 0.5, "dead_band": "none", "cap_unit": "rate",
             "cap": 0.01}  # fmt: skip
    result = hold(quiet(changes=((10, 1),), venue={"funding": rules}))
    assert set(result.funding["rate"]) == {0.01}
    assert settled(result)[:3] == [(8, 8), (11, 3), (12, 1)]
    first = build_tables(result)["funding"]["paid_usd"][1]
    assert first == pytest.approx(2 * 100 * 0.01 * 3 / 8)


# The calendar


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """Three days of hourly bars; `time` is their opening, all closes differ."""
    file = tmp_path / "prices.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["time", "close"])
        for hour in range(96):
            opening = DAY - 12 * HOUR + hour * HOUR
            rows.writerow([opening.isoformat(), 100 + (hour * 7 % 13) / 10])
    return file


def replay(prices: Path, start: datetime, **tables: Any) -> Scenario:
    spot = {
        "kind": "history",
        "sources": {"one": {"weight": 1.0, "deviation": 0.0}},
        "history": {
            "path": str(prices),
            "format": "wide",
            "columns": {"ONE": "close"},
            "start": start,
        },
    }
    return quiet(**({"spot": spot} | tables))


def times(table: Table) -> list[str]:
    return [f"{pd.Timestamp(time):%d %H:%M:%S}".removesuffix(":00") for time in table["time"]]


@pytest.mark.parametrize(
    ("start", "interval", "expected"),
    [
        ("05:30", 8, [("01 08:00", 2.5), ("01 16:00", 8), ("02 00:00", 8)]),
        ("07:00", 8, [("01 08:00", 1), ("01 16:00", 8), ("02 00:00", 8)]),
        ("07:59", 8, [("01 08:00", 1 / 60), ("01 16:00", 8), ("02 00:00", 8)]),
        # nothing is due at the very start
        ("08:00", 8, [("01 16:00", 8), ("02 00:00", 8), ("02 08:00", 8)]),
        ("23:59", 8, [("02 00:00", 1 / 60), ("02 08:00", 8), ("02 16:00", 8)]),
        ("05:30", 12, [("01 12:00", 6.5), ("02 00:00", 12)]),
        ("05:30", 24, [("02 00:00", 18.5)]),
        # 1 January 2025 is day 20,089 since 1970: 482,136 h, one more than a multiple of 5 h and
        # 24 h more than one of 48 h
        ("00:00", 5, [("01 04:00", 4), ("01 09:00", 5), ("01 14:00", 5), ("01 19:00", 5),
                      ("02 00:00", 5)]),
        ("05:30", 5, [("01 09:00", 3.5), ("01 14:00", 5), ("01 19:00", 5), ("02 00:00", 5),
                      ("02 05:00", 5)]),
        ("01:00", 48, [("02 00:00", 23)]),
        # not on a whole step: the first step that ends after the time
        ("07:00:20", 8, [("01 08:00:20", 1), ("01 16:00:20", 8), ("02 00:00:20", 8)]),
    ],
)  # fmt: skip
def test_settlements_fall_on_the_clock_of_utc(
    prices: Path, start: str, interval: float, expected: list[tuple[str, float]]
) -> None:
    begin = datetime.fromisoformat(f"2025-01-01T{start}+00:00")
    result = hold(replay(prices, begin, interval=interval))
    found = times(build_tables(result)["funding"])
    charged = [hours for _, hours in settled(result)]
    assert list(zip(found, charged, strict=True)) == [
        (time, pytest.approx(hours, abs=0.006)) for time, hours in expected
    ]


@pytest.mark.parametrize(
    ("step", "interval", "first"),
    [
        (30, 4, "01 08:00"),
        (0.1, 8, "01 08:00"),
        (1 / 7, 8, "01 08:00"),
        # steps that end at 07:30 and 08:30
        (60, 8, "01 08:30"),
        # 60 steps of 7 min, from 1970: 10:00 is 68,878 x 7 h; steps end at 09:56 and 10:03
        (7, 7, "01 10:03"),
    ],
)
def test_the_step_does_not_move_the_clock(
    prices: Path, step: float, interval: float, first: str
) -> None:
    days = (504 if step == 7 else 540) / 1440
    begin = DAY + 5.5 * HOUR
    result = hold(replay(prices, begin, interval=interval, step_minutes=step, days=days))
    assert times(build_tables(result)["funding"])[0] == first


def test_a_change_of_the_interval_follows_the_calendar_too(prices: Path) -> None:
    result = hold(replay(prices, DAY + 5.5 * HOUR, changes=((5, 4), (8.5, 1)), days=0.4))
    # settled at 08:00 for 2.5 h; from 10:30 every 4 h: 12:00 for 4 h; hourly from 14:00
    assert times(build_tables(result)["funding"]) == ["01 08:00", "01 12:00", "01 15:00"]
    assert [hours for _, hours in settled(result)] == [2.5, 4, 3]


def test_without_a_calendar_intervals_are_counted_from_the_start() -> None:
    assert settled(hold(quiet(5))) == [(5, 5), (10, 5), (15, 5), (20, 5)]


# A row's time


@pytest.mark.parametrize(("step", "series"), [(1, 1), (1, 15), (5, 5), (20, 60), (60, 60)])
def test_prices_join_the_file_on_time(prices: Path, step: float, series: float) -> None:
    record = {"series_minutes": series, "contagion_minutes": "never", "heatmap_minutes": "never"}
    result = hold(replay(prices, DAY, step_minutes=step, record=record))
    markets = pd.DataFrame(build_tables(result)["markets"]).set_index("time")["index_price"]
    file = pd.read_csv(prices, parse_dates=["time"])
    closing = (file["time"] + pd.Timedelta("1h")).dt.tz_localize(None)
    close = pd.Series(file["close"].to_numpy(), closing)
    both = close.index.intersection(markets.index)
    assert len(both) == 24
    assert markets[both].tolist() == close[both].tolist()


def test_the_first_row_ends_after_one_step_and_the_last_with_the_run() -> None:
    hours = build_tables(hold(quiet(days=1 / 24)))["markets"]["hours"]
    assert (hours[0], hours[-1], len(hours)) == (1 / 60, 1.0, 60)


def test_rows_of_several_steps_and_a_run_cut_short_bear_their_ends() -> None:
    given = quiet(record={"series_minutes": 15, "population_minutes": 60})
    simulation = Simulation(given, 1)
    simulation.run(100)
    tables = build_tables(simulation.result())
    ends = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 100 / 60]
    assert tables["markets"]["hours"].tolist() == pytest.approx(ends)
    assert tables["steps"]["hours"].tolist() == pytest.approx(ends)
    moments = sorted(set(tables["population_series"]["hours"].tolist()))
    assert moments == pytest.approx([0.0, 1.0, 100 / 60])


def test_a_shock_shows_first_in_the_row_after_its_time() -> None:
    jump = {"kind": "jump", "at": 0.5, "size": -0.1}
    table = build_tables(hold(quiet(days=1 / 24, shocks=[jump])))["markets"]
    index = pd.Series(table["index_price"], np.round(np.asarray(table["hours"]) * 60).astype(int))
    assert (index[30], index[31]) == (100.0, 90.0)


@pytest.fixture
def crash(tmp_path: Path, prices: Path) -> Any:
    """The folder of a replay in which holders are liquidated and all tables are recorded."""
    given = scenario(
        days=4 / 24,
        markets=ONE,
        venue={"funding": {"interval_hours": 1}},
        spot=replay(prices, DAY + 5.5 * HOUR).spot.model_dump(exclude_none=True),
        populations={
            name: {**POPULATIONS[name], **({"leverage": 15.0} if name == "holder" else {})}
            for name in ("maker", "holder")
        },
        shocks=[{"kind": "jump", "at": 2, "size": -0.2}],
        record={"fills": True, "snapshot_minutes": 60},
    )
    simulation = Simulation(given, 3)
    simulation.run(simulation.num_steps)
    return load_run(write_run(simulation.result(), tmp_path / "run"))


def test_all_tables_tell_the_same_time(crash: Any) -> None:
    start = pd.Timestamp(DAY + 5.5 * HOUR)
    timed = [name for name in crash.tables if "hours" in crash.table(name)]
    assert {"markets", "steps", "funding", "liquidations", "fills", "snapshots"} <= set(timed)
    for name in timed:
        table = crash.table(name)
        since = pd.to_timedelta(table["hours"], unit="h").dt.round("s")
        assert (table["time"] == start + since).all(), name
        assert len(table), name
    # what the crash did is stamped after it began, in no table before
    assert crash.liquidations["hours"].min() > 2.0
    assert set(crash.funding["time"].dt.minute) == {0}


def test_the_files_say_what_the_columns_of_time_mean(crash: Any) -> None:
    for name in ("markets", "funding", "liquidations"):
        schema = pq.read_schema(crash.path / f"{name}.parquet")
        for column in ("hours", "time"):
            assert b"END of its step" in schema.field(column).metadata[b"description"]


def test_an_explanation_has_the_time_of_the_table(crash: Any) -> None:
    first = crash.liquidations.iloc[0]
    found = explain(crash, int(first["account"]))
    assert found.hours == first["hours"]
    last = explain(crash, int(first["account"]), step=239)
    assert last.hours == pytest.approx(4.0)


def test_a_portfolio_pays_the_recorded_hours(crash: Any) -> None:
    portfolio = parse_portfolio(
        {
            "markets": {"ONE": {"price": 100.0, "tick_size": 0.01, "lot_size": 0.01}},
            "collateral": {"cash": 100.0},
            "positions": {"ONE": {"size": 1.0}},
        }
    )
    paid = recorded_rates(portfolio, crash)
    assert [each.hours for each in paid] == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert [8 * each.share for each in paid] == pytest.approx([0.5, 1, 1, 1])


# Spans that follow the step


@pytest.mark.parametrize("step", ["0.5", "3", "5", "60"])
@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
def test_a_scenario_takes_another_step_alone(name: str, step: str) -> None:
    record = load_scenario(name, [("step_minutes", step)]).record
    assert record.series_minutes == max(float(step), 1.0)
    assert record.population_minutes == 60.0
