"""What a run draws once: keyed by seed and path, within what is allowed, undone by a statement."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, norm

from marketsim.run.seeding import Opener
from marketsim.run.shared_warm_up import open_warmed
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import (
    change_tables,
    load_scenario,
    parse_scenario,
    parse_toml,
    read_tables,
    resolved_toml,
)
from marketsim.scenario.paths import path_keys
from marketsim.tape.digest import digest_result

DRAWN = """
base = "herding"
days = 0.0125

[drawn]
"spot.factor.volatility" = { kind = "lognormal", median = 0.5, sigma = 0.2 }
"populations.crowd.parameters.bias" = { kind = "uniform", min = -0.5, max = 0.5 }
"populations.crowd.count" = { kind = "choice", values = [20, 30, 40] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.toml"
    path.write_text(DRAWN)
    return path


def digest(simulation: Simulation) -> str:
    simulation.run(simulation.num_steps)
    return digest_result(simulation.result())


def test_every_seed_draws_its_own_values_from_the_stated_laws(file: Path) -> None:
    scenario = load_scenario(file)
    runs = [scenario.settled(seed) for seed in range(300)]
    volatility = [run.spot.factor.volatility for run in runs]
    bias = [run.populations["crowd"].parameters["bias"] for run in runs]
    assert kstest(np.log(np.array(volatility) / 0.5) / 0.2, "norm").pvalue > 1e-3
    assert kstest(bias, "uniform", (-0.5, 1.0)).pvalue > 1e-3
    assert abs(np.corrcoef(volatility, bias)[0, 1]) < 4 / np.sqrt(300)
    assert {run.populations["crowd"].count for run in runs} == {20, 30, 40}
    assert not any(run.drawn for run in runs)


@pytest.mark.parametrize("first", [1, 1001, 2**63 - 17])
def test_ten_seeds_in_a_row_draw_from_ten_tenths_of_every_law(file: Path, first: int) -> None:
    scenario = load_scenario(file)
    runs = [scenario.settled(seed) for seed in range(first, first + 10)]
    bias = np.array([run.populations["crowd"].parameters["bias"] for run in runs])
    volatility = np.array([run.spot.factor.volatility for run in runs])
    tenths = [np.sort((10.0 * part).astype(int)) for part in (bias + 0.5, _below(volatility))]
    assert [tenth.tolist() for tenth in tenths] == [list(range(10))] * 2
    assert np.argsort(bias).tolist() != np.argsort(volatility).tolist()


def _below(volatility: np.ndarray) -> np.ndarray:
    """Return the share of the stated law that lies below."""
    return norm.cdf(np.log(volatility / 0.5) / 0.2)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_first_and_the_last_seed_draw_as_any_other(file: Path, seed: int) -> None:
    assert -0.5 < load_scenario(file).settled(seed).populations["crowd"].parameters["bias"] < 0.5


def test_one_more_draw_is_nobody_else_s_luck(file: Path) -> None:
    scenario = load_scenario(file)
    fewer = scenario.model_copy(update={"drawn": dict(list(scenario.drawn.items())[:1])})
    other = dict(reversed(scenario.drawn.items()))
    values = {one.settled(7).spot.factor.volatility for one in (scenario, fewer)}
    assert len(values) == 1
    assert scenario.model_copy(update={"drawn": other}).settled(7) == scenario.settled(7)


def test_the_run_of_a_seed_is_that_of_its_values_stated(file: Path) -> None:
    scenario = load_scenario(file)
    run = Simulation(scenario, 3)
    stated = parse_scenario(parse_toml(resolved_toml(scenario.settled(3))))
    assert run.scenario == stated != scenario
    assert digest(run) == digest(Simulation(stated, 3)) == digest(Opener(scenario).open(3))
    assert digest(Opener(scenario).open(4)) == digest(Simulation(scenario, 4))


def test_runs_share_a_warm_up_all_the_same(file: Path, tmp_path: Path) -> None:
    scenario = load_scenario(file, [("record.warm_up", "0.2")])
    kept = tmp_path / "kept"
    first, second = (open_warmed(scenario, 3, kept) for _ in range(2))
    assert kept.is_file()
    assert digest(first) == digest(second) == digest(Simulation(scenario, 3))


@pytest.mark.parametrize(
    ("stated", "left"),
    [
        ("populations.crowd.parameters.bias", 2),
        ('populations."crowd".parameters.bias', 2),
        ("populations.crowd.parameters", 2),
        ("populations.crowd", 1),
        ("spot", 2),
        ("populations.noise.count", 3),
        ("populations.crow", 3),
    ],
)
def test_a_field_that_is_set_is_no_longer_drawn(file: Path, stated: str, left: int) -> None:
    found = change_tables(read_tables(str(file)), [(stated, {})])
    assert len(found["drawn"]) == left


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_number_of_a_law_is_set_with_the_field_in_quotes(file: Path, quote: str) -> None:
    path = f"drawn.{quote}spot.factor.volatility{quote}.sigma"
    wider = load_scenario(file, [(path, "0.4")])
    stated = load_scenario(file).settled(7).spot.factor.volatility
    assert wider.settled(7).spot.factor.volatility / 0.5 == pytest.approx((stated / 0.5) ** 2)
    with pytest.raises(ScenarioError, match=r"drawn\.spot\.factor\.volatility\.sigma = -1"):
        load_scenario(file, [(path, "-1")])


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("days", ["days"]),
        ("a.0.b", ["a", "0", "b"]),
        ('a."b.c"', ["a", "b.c"]),
        ("'a.b'.\"c.'d\"", ["a.b", "c.'d"]),
        ("", [""]),
        ("a..b.", ["a", "", "b", ""]),
        ('a."".b', ["a", "", "b"]),
        ('a."b', ["a", '"b']),
        ('a."b.c', ["a", '"b', "c"]),
        ('a."b"c."d', ["a", '"b"c', '"d']),
        ("a\nb.c\n", ["a\nb", "c\n"]),
    ],
)
def test_a_path_is_cut_at_the_dots_that_no_quotes_hold(path: str, keys: list[str]) -> None:
    assert path_keys(path) == keys


def test_nor_one_that_a_scenario_states_on_top_of_its_base(file: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = 'base = "drawn.toml"\n[populations.crowd.parameters]\nbias = 0.1\n[drawn]\n'
    text += '"spot.factor.volatility" = { kind = "uniform", min = 0.4, max = 0.6 }\n'
    own.write_text(text + '"spot.own.volatility" = { kind = "uniform", min = 0.1, max = 0.2 }\n')
    found = load_scenario(own)
    fields = ["spot.factor.volatility", "populations.crowd.count", "spot.own.volatility"]
    assert list(found.drawn) == fields
    assert found.settled(5).populations["crowd"].parameters["bias"] == 0.1


@pytest.mark.parametrize(
    ("path", "law", "said"),
    [
        ("spot.factor.vol", 0.5, "there is no 'vol' in spot.factor"),
        ("populations.crow.count", 3, "there is no 'crow' in populations (did"),
        ("populations.crowd.count", {"kind": "uniform", "min": 1, "max": 9}, "a whole number"),
        (
            "populations.crowd.parameters.bias",
            {"kind": "uniform", "min": 0, "max": 2},
            "may draw 1: must be less",
        ),
        ("spot.factor.volatility", {"kind": "uniform", "min": -1, "max": 1}, "may draw -0.99"),
        ("days", 3, "cannot be drawn: only what lies in markets, venue, spot, populations"),
        ("spot.factor.volatility.low", 3, "is a value"),
        ("spot.factor.scales", 3, "is a list"),
        ("spot.factor.scales.7.share", 3, "4 entries"),
        ("venue.preset", 3, "may draw 3"),
    ],
)
def test_what_cannot_be_drawn_is_said(path: str, law: object, said: str) -> None:
    tables = read_tables("herding") | {"drawn": {path: law}}
    with pytest.raises(ScenarioError, match=r"drawn\.") as caught:
        parse_scenario(tables)
    assert said in str(caught.value).replace("\n", " ")
