"""Equal digests mean equal numbers: in every table that a run writes, whatever is recorded."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.results.run import Run, load_run
from marketsim.scenario.schema import Record

COMMAND = ("run", "quickstart", "--steps", "180", "--seed", "1", "--json", "--quiet")
JUMP = 'shocks=[{kind="jump",at=1,size=-0.25}]'

#: Another value of every field of a scenario's `record`.
CHANGED = {
    "warm_up": "0.5",
    "fills": "true",
    "causes": "false",
    "series_minutes": "2",
    "population_minutes": "30",
    "snapshot_minutes": "60",
    "contagion_minutes": "30",
    "contagion_delta": "0.02",
    "depth_minutes": "30",
    "book_minutes": "60",
    "heatmap_minutes": "30",
    "heatmap_band": "0.02",
    "heatmap_reach": "0.1",
}
#: R measured is a figure of the summary, and in no table.
MEASURED = {"reproduction_hours": "0.25", "reproduction_draws": "2", "reproduction_horizon": "0.1"}


def make_run(out: Path, *changes: str) -> Run:
    options = [each for change in (JUMP, *changes) for each in ("--set", change)]
    done = CliRunner().invoke(app, [*COMMAND, "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    run = load_run(out)
    assert json.loads(done.stdout)["digest"] == run.digest
    return run


def is_equal(one: Run, other: Run) -> bool:
    return one.tables == other.tables and all(
        pd.DataFrame.equals(one.table(name), other.table(name)) for name in one.tables
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "base")


def test_every_field_of_the_record_is_tried() -> None:
    assert CHANGED.keys() | MEASURED.keys() == Record.model_fields.keys()


@pytest.mark.parametrize("field", CHANGED)
def test_where_tables_differ_digests_differ(base: Run, tmp_path: Path, field: str) -> None:
    other = make_run(tmp_path / "other", f"record.{field}={CHANGED[field]}")
    assert not is_equal(other, base)
    assert other.digest != base.digest


def test_a_figure_that_is_measured_is_part_of_the_digest(base: Run, tmp_path: Path) -> None:
    changes = [f"record.{field}={value}" for field, value in MEASURED.items()]
    other = make_run(tmp_path / "other", *changes)
    assert "reproduction_measured" in other.summary
    assert is_equal(other, base)
    assert other.digest != base.digest


def test_where_only_words_differ_digests_are_equal(base: Run, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", "name=other", "description=the same market")
    assert is_equal(other, base)
    assert other.digest == base.digest
