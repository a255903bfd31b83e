"""The contagion matrix as users read it: from arrays, from a live market, from a run folder."""

import dataclasses
import math

import numpy as np
import pytest

from marketsim import PerpMarket
from marketsim.contagion.matrix import ContagionMatrix, RunawayError
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import load_scenario
from marketsim.tape.digest import digest_result
from marketsim.tape.files import RunFolderError

AB = ("A", "B")


def of(falls, rises=None):
    none = np.zeros((len(falls), len(falls)))
    return ContagionMatrix(AB, np.array(falls), none if rises is None else np.array(rises), 0)


def test_r_is_the_spectral_radius_and_the_total_response_its_geometric_sum():
    matrix = of([[0.2, 0.4], [0.4, 0.2]])
    assert matrix.reproduction_number("falls") == pytest.approx(0.6)
    end = matrix.response({"A": -0.01})
    assert sum(end.values()) == pytest.approx(-0.01 / (1 - 0.6))
    amplified = matrix.amplification("falls") @ np.array([-0.01, 0.0])
    assert amplified.to_dict() == pytest.approx(end)
    assert matrix.response({"A": 0.01}) == {"A": 0.01, "B": 0.0}  # rises pass nothing on


def test_pairs_answer_a_common_fall_with_nothing_and_a_spread_with_all():
    # Pools long one market and short the other, both ways round: card C1.
    pairs = [[0.3, -0.3], [-0.3, 0.3]]
    matrix = of(pairs, pairs)
    assert matrix.reproduction_number("falls") == pytest.approx(0.6)
    common = matrix.response({"A": -0.01, "B": -0.01})
    assert common == pytest.approx({"A": -0.01, "B": -0.01})
    spread = matrix.response({"A": -0.01, "B": 0.01})
    assert spread == pytest.approx({"A": -0.025, "B": 0.025})


def test_a_side_is_chosen_by_the_way_a_market_ends_up_moving():
    # A's fall makes B rise, which feeds on itself by the matrix of rises.
    matrix = of([[0.0, 0.0], [-0.5, 0.9]], [[0.0, 0.0], [0.0, 0.5]])
    assert matrix.response({"A": -0.01}) == pytest.approx({"A": -0.01, "B": 0.01})


def test_leaders_set_off_what_followers_follow():
    matrix = of([[0.0, 0.0], [0.5, 0.1]])  # B follows A and itself, A nobody
    assert matrix.followers("falls") == pytest.approx({"A": 0.0, "B": 1.0})
    assert matrix.leaders("falls") == pytest.approx({"A": 5 / 6, "B": 1 / 6})
    assert matrix.leaders("rises") == {"A": 0.0, "B": 0.0}


def test_a_runaway_has_no_end_state():
    matrix = of([[0.9, 0.3], [0.3, 0.9]])
    with pytest.raises(RunawayError, match=r"1\.2 of falls"):
        matrix.amplification("falls")
    with pytest.raises(RunawayError, match="no end"):
        matrix.response({"B": -0.01})
    unknown = of([[math.nan, 0.0], [0.0, 0.0]])
    assert math.isnan(unknown.reproduction_number("falls"))
    with pytest.raises(RunawayError, match="empty"):
        unknown.leaders("falls")


def test_names_are_checked():
    with pytest.raises(ValueError, match="'falls' or 'rises'"):
        of([[0.0, 0.0], [0.0, 0.0]]).table("up")
    with pytest.raises(KeyError, match="no market 'C'"):
        of([[0.0, 0.0], [0.0, 0.0]]).response({"C": 1.0})


@pytest.fixture(scope="module")
def spiral(tmp_path_factory):
    changes = [
        ("days", "0.625"),
        ("record.contagion_delta", "0.05"),
        ("record.snapshot_minutes", "120"),
    ]
    market = PerpMarket(load_scenario("contagion", changes), rng=1)
    market.run(market.simulation.num_steps)
    folder = tmp_path_factory.mktemp("runs") / "spiral"
    return market, load_run(write_run(market.simulation.result(), folder))


def test_a_live_market_and_its_run_folder_agree(spiral):
    market, run = spiral
    last = market.contagion()
    series = run.contagion()
    read = series.at(10**9)
    assert read.step == last.step == market.step_count
    np.testing.assert_array_equal(read.falls, last.falls)
    np.testing.assert_array_equal(read.rises, last.rises)
    assert series.steps.tolist() == list(range(0, market.step_count + 1, 60))
    numbers = series.reproduction_number
    side = numbers.max().idxmax()
    assert series.peak().reproduction_number(side) == pytest.approx(np.nanmax(numbers.to_numpy()))
    for one, other in ((read.on_paper, last.on_paper), (read.recovery, last.recovery)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(
        run.reproduction["reproduction_on_paper"],
        series.reproduction_on_paper.to_numpy().reshape(-1),
    )
    table = run.reproduction
    np.testing.assert_allclose(table["reproduction_number"], numbers.to_numpy().reshape(-1))
    with pytest.raises(ValueError, match=r"delta = 0\.9: must lie in \[1e-05, 0\.5\]"):
        market.contagion(0.9)


def test_the_summary_knows_r_before_the_shock(spiral):
    _, run = spiral
    numbers = run.contagion().reproduction_number
    summary = run.summary
    assert summary["reproduction_number_before_shock"] == pytest.approx(numbers["falls"][12.0])
    larger = numbers.max(axis=1)
    assert summary["reproduction_number_max"] == pytest.approx(larger.max())
    assert summary["reproduction_number_mean"] == pytest.approx(larger.mean())
    on_paper = run.contagion().reproduction_on_paper.max(axis=1)
    assert summary["reproduction_on_paper_mean"] == pytest.approx(on_paper.mean())


def test_exposure_of_a_live_market_and_of_its_run_agree(spiral):
    market, run = spiral
    live, read = market.exposure(), run.exposure()
    np.testing.assert_allclose(read.notional, live.notional)
    np.testing.assert_array_equal(read.pool, live.pool)
    np.testing.assert_allclose(read.equity, live.equity)
    assert read.population == live.population
    graph = live.graph()
    for m, name in enumerate(live.markets):
        gross = sum(weight for _, _, weight in graph.edges(name, data="weight"))
        assert gross == pytest.approx(np.abs(live.notional[:, m]).sum())
    early = run.exposure(step=250)
    assert early.step == 240
    assert not np.array_equal(early.notional, read.notional)


def test_a_step_that_is_none_is_refused(spiral):
    _, run = spiral
    with pytest.raises(TypeError, match="step = 'x': must be a whole number"):
        run.exposure("x")
    with pytest.raises(ValueError, match="step = -1: must be 0 or more"):
        run.exposure(-1)


def test_the_heat_map_of_a_run_holds_what_the_live_map_holds(spiral):
    market, run = spiral
    chart = market.liquidation_map("GOLD")
    grid = run.heatmap("GOLD")
    near = np.abs(chart.trigger / chart.mark_ticks - 1.0) <= 0.5
    lots = np.abs(chart.size[near]).sum()
    value = lots * chart.lot_size * chart.mark_ticks * chart.tick_size
    assert grid[grid.columns[-1]].sum() == pytest.approx(value)
    price = 0.8 * chart.mark_ticks * chart.tick_size
    longs = chart.size[(chart.size > 0) & (chart.trigger >= round(price / chart.tick_size))].sum()
    assert chart.seized_usd(price) == pytest.approx(longs * chart.lot_size * price, rel=1e-4)
    with pytest.raises(KeyError, match="no market 'TIN'"):
        market.liquidation_map("TIN")
    with pytest.raises(RunFolderError, match="no market 'TIN'"):
        run.heatmap("TIN")


def test_recording_changes_no_other_number_of_a_run():
    results = []
    for minutes in ("7", "never"):
        changes = [("days", "0.3"), ("record.contagion_minutes", minutes)]
        changes.append(("record.heatmap_minutes", minutes))
        simulation = Simulation(load_scenario("mark-spiral", changes), 3)
        simulation.run(simulation.num_steps)
        results.append(simulation.result())
    recorded, bare = results
    assert len(recorded.heat) > len(bare.heat) == len(bare.contagion) == 0
    written = ("contagion_steps", "contagion", "contagion_on_paper", "recovery", "heat")
    blank = {name: getattr(bare, name) for name in written}
    assert digest_result(dataclasses.replace(recorded, **blank)) == digest_result(bare)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("contagion_delta", "0.9", "0.5"),
        ("contagion_minutes", "-1", "must lie in"),
        ("heatmap_minutes", "0", "must lie in"),
    ],
)
def test_bad_fields_are_refused(field, value, text):
    with pytest.raises(ScenarioError, match=rf"record\.{field}.*{text}"):
        load_scenario("calm", [(f"record.{field}", value)])


def test_too_many_matrices_are_refused():
    markets = {f"M{n}": {"price": 1.0, "tick_size": 0.01, "lot_size": 0.1} for n in range(300)}
    from marketsim.scenario.loader import parse_scenario

    crowd = {"strategy": "holder", "count": 1}
    data = {"markets": markets, "populations": {"crowd": crowd}, "days": 365}
    with pytest.raises(ScenarioError, match=r"record\.contagion_minutes.*GiB"):
        parse_scenario(data)
