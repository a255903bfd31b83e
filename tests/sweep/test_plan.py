import ast
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketsim.engine._sources import PACKAGE
from marketsim.run.version import sources_of
from marketsim.sweep.design import Design, DesignError
from marketsim.sweep.plan import MODEL_SOURCES, Plan, model_version, run_key

Make = Callable[..., Design]


def test_every_cell_has_the_same_seeds(design: Make) -> None:
    plan = Plan(design(seed=7))
    runs = [plan.run(number) for number in range(len(plan))]
    seeds = {cell: [run.seed for run in runs if run.point.cell == cell] for cell in range(4)}
    assert set(map(tuple, seeds.values())) == {(7, 8, 9)}
    assert len({run.key for run in runs}) == len(runs) == 12


def test_first_replicates_of_all_cells_come_before_second(design: Make) -> None:
    plan = Plan(design())
    assert [plan.run(number).replicate for number in range(12)] == [0] * 4 + [1] * 4 + [2] * 4


def test_variants_are_applied_on_top_of_every_cell(design: Make) -> None:
    variants = {"plain": {}, "slow": {"venue.funding.interval_hours": 4}}
    plan = Plan(design(variants=variants))
    hours = [plan.scenario(point).venue.funding.interval_hours for point in plan.points()]
    assert hours == [1.0, 4.0, 8.0, 4.0, 1.0, 4.0, 8.0, 4.0]


def test_another_base_has_what_holds_for_the_whole_design(design: Make) -> None:
    table = [{"base": "calm", "days": 2.0}, {"base": "contagion"}]
    given = {"kind": "table", "table": table, "parameters": {}, "replicates": 1}
    plan = Plan(design(**given, days=1.0, set={"record.causes": False}))
    calm, contagion = (plan.scenario(point) for point in plan.points())
    assert (calm.name, contagion.name) == ("calm", "contagion")
    assert (calm.days, contagion.days) == (2.0, 1.0)
    assert not calm.record.causes
    assert not contagion.record.causes
    assert len(plan.shapes) == 2
    with pytest.raises(DesignError, match="did you mean 'calm'"):
        Plan(design(parameters={"base": {"levels": ["clam"]}}))


def test_points_of_the_same_scenario_share_their_runs(design: Make) -> None:
    variants = {"plain": {}, "slow": {"venue.funding.interval_hours": 4}}
    plan = Plan(design(variants=variants))
    assert plan.num_points == 8
    assert len(plan) == 6 * 3  # both cells of a count lead to the same slow scenario
    assert len(set(plan.keys)) == len(plan)


def test_a_key_depends_on_scenario_seed_and_model() -> None:
    keys = {run_key("a", 1, "m"), run_key("b", 1, "m"), run_key("a", 2, "m"), run_key("a", 1, "n")}
    assert len(keys) == 4
    assert run_key("a", 1, "m") in keys


def test_wording_is_no_part_of_a_scenario_s_hash(design: Make) -> None:
    one, other, different = (
        Plan(design(parameters={}, set=changes))
        for changes in ({}, {"name": "x", "seed": 5}, {"insurance_fund": 5.0})
    )
    assert one.point_hash[0] == other.point_hash[0] != different.point_hash[0]


def test_what_a_named_file_holds_counts_not_where_it_is(design: Make, tmp_path: Path) -> None:
    def hashed(text: str, name: str) -> str:
        file = tmp_path / name
        file.write_text(text)
        changes = {"populations.mine.strategy": f"{file}:Mine", "populations.mine.count": 1}
        return bytes(Plan(design(parameters={}, set=changes)).point_hash[0]).decode()

    assert hashed("a = 1", "a.py") == hashed("a = 1", "b.py") != hashed("a = 2", "c.py")


def test_the_model_s_version_is_stable() -> None:
    assert model_version() == model_version()
    assert model_version().startswith("0.1.0+")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, whose sources decide the version instead."""
    copy = tmp_path / "src" / "marketsim"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("marketsim.engine._sources.PACKAGE", copy)
    monkeypatch.setattr("marketsim.run.version.PACKAGE", copy)
    return copy


def version_after(path: Path, text: str) -> str:
    path.write_text(path.read_text() + text)
    return model_version.__wrapped__()


@pytest.mark.slow
def test_comments_change_no_version(package: Path) -> None:
    before = model_version.__wrapped__()
    for path in sources_of(MODEL_SOURCES):
        assert path.suffix in (".py", ".toml")
        path.write_text(path.read_text() + "# another comment\n")
    assert model_version.__wrapped__() == before


@pytest.mark.slow
def test_code_of_the_model_changes_the_version_and_that_of_other_rooms_does_not(
    package: Path,
) -> None:
    seen = {model_version.__wrapped__()}
    for name in ("sweep/plan.py", "cli/run.py", "bench/book.py", "report/charts.py"):
        seen.add(version_after(package / name, "another = 1\n"))
    assert len(seen) == 1
    for name in ("sweep/metrics.py", "streams.py", "engine/state.py", "scenario/schema.py"):
        seen.add(version_after(package / name, "another = 1\n"))
    seen.add(version_after(package / "engine" / "venues" / "dydx.toml", "[another]\n"))
    assert len(seen) == 6


def test_what_the_model_imports_is_of_the_model() -> None:
    sources = {path.relative_to(PACKAGE.parent).as_posix() for path in sources_of(MODEL_SOURCES)}
    for path in sources_of(MODEL_SOURCES):
        for node in ast.walk(ast.parse(path.read_text())) if path.suffix == ".py" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("marketsim."):
                place = (node.module or "").replace(".", "/")
                modules = [f"{place}/{alias.name}.py" for alias in node.names]
                assert {f"{place}.py", f"{place}/__init__.py", *modules} & sources, (path, place)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base": "clam"}, "did you mean 'calm'"),
        ({"set": {"venue.fundin.interval_hours": 1}}, "did you mean 'funding'"),
        ({"parameters": {"populations.crwd.leverage": [1, 2]}}, "did you mean 'crowd'"),
        ({"parameters": {"venue.funding.intervall_hours": [1]}}, "did you mean 'interval_hours'"),
        ({"parameters": {"populations.crowd.count.x": [1]}}, "is a value"),
        ({"variants": {"a": {"insurance_fund": -1}}}, "variant a.*insurance_fund = -1"),
        ({"days": 0.00001}, "base.*days"),
        (
            {
                "kind": "latin",
                "size": 2,
                "parameters": {"spot.reflexivity": {"low": 0.5, "high": 1.5}},
            },
            r"corner \(spot.reflexivity = 1.5\).*less than or equal to 1",
        ),
    ],
)
def test_a_design_that_leads_to_no_scenario_is_refused(
    design: Make, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DesignError, match=said):
        Plan(design(**changes))


def test_a_corner_counts_though_no_cell_is_there(design: Make) -> None:
    """Leverage and its limit: only their combination at one corner is impossible."""
    ranges = {
        "populations.crowd.leverage": {"low": 1.0, "high": 10.0},
        "markets.BTC.max_leverage": {"low": 9.9, "high": 20.0},
    }
    made = design(kind="latin", size=1, parameters=ranges, seed=1)
    with pytest.raises(DesignError, match=r"corner .*above the limit of BTC"):
        Plan(made)


def test_a_huge_design_has_to_be_confirmed(design: Make) -> None:
    with pytest.raises(DesignError, match=r"1,200,000 runs, more than 20,000: .*--yes"):
        Plan(design(replicates=300_000), most_runs=20_000)
