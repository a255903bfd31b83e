import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import marketsim as package
from marketsim.run.simulation import Simulation
from tests.sweep.conftest import Inline

Cli = Callable[..., Result]

DESIGN = """\
base = "tiny.toml"
replicates = 2
days = 0.02083333333333333

[parameters]
"populations.crowd.count" = [3, 5]
"""


@pytest.fixture
def design(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A design of four short runs, which are made in this process."""
    monkeypatch.setattr("marketsim.sweep.runner.WorkerPool", lambda *_: Inline())
    file = tmp_path / "design.toml"
    file.write_text(DESIGN)
    return file


def test_a_sweep_reports_and_resumes(marketsim: Cli, design: Path) -> None:
    first = marketsim("sweep", design, "--out", "out")
    assert first.exit_code == 0
    assert "4 made now, 0 there before, 0 failed" in first.stdout
    again = marketsim("sweep", design, "--out", "out")
    assert "0 made now, 4 there before, 0 failed" in again.stdout
    assert re.findall("result [0-9a-f]{32}", first.stdout) == re.findall(
        "result [0-9a-f]{32}", again.stdout
    )
    assert len(package.load_sweep("out")) == 4


def test_a_file_is_no_folder_for_a_sweep(marketsim: Cli, design: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = marketsim("sweep", design, "--out", "notes.txt")
    assert done.exit_code == 2
    assert f"{tmp_path / 'notes.txt'}: exists and is not a folder; choose another" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_sweep_may_be_told_to_keep_nothing(marketsim: Cli, design: Path) -> None:
    assert marketsim("sweep", design, "--out", "out", "--keep", "").exit_code == 0


def test_shards_make_the_whole_together(
    marketsim: Cli, design: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = marketsim("sweep", design, "--out", "out", "--shard", "1/2")
    assert "2 runs in" in part.stdout
    assert "other shards are missing" in part.stdout
    for name, value in {"ID": "8", "COUNT": "2", "MIN": "7"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert "result" in marketsim("sweep", design, "--out", "out").stdout


def test_failed_runs_give_exit_code_3(
    marketsim: Cli, design: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Simulation, "run", lambda *_: 1 / 0)
    done = marketsim("sweep", design, "--out", "out")
    assert done.exit_code == 3
    assert "4 failed" in done.stdout
    status = marketsim("status", "out")
    assert "4 x ZeroDivisionError: division by zero (run " in status.stdout
    stopped = marketsim("sweep", design, "--out", "other", "--max-failures", "1")
    assert stopped.exit_code == 3
    assert "1 runs failed" in stopped.stderr
    monkeypatch.undo()


def test_a_report_in_json(marketsim: Cli, design: Path) -> None:
    report = json.loads(marketsim("sweep", design, "--out", "out", "--json").stdout)
    assert (report["total"], report["done"], report["failures"]) == (4, 4, 0)
    status = json.loads(marketsim("status", "out", "--json").stdout)
    assert status["result"] == report["result"]
    assert (status["runs"], status["ok"], status["missing"]) == (4, 4, 0)
    assert status["drivers"] == []


def test_status_of_an_unfinished_sweep(marketsim: Cli, design: Path) -> None:
    marketsim("sweep", design, "--out", "out", "--shard", "1/2")
    lines = marketsim("status", "out").stdout.splitlines()
    assert lines[0].startswith("sweep (grid): 2 of 4 runs (50%), 0 failed, 0 quarantined")
    assert not any(line.startswith("result") for line in lines)


def test_keep_overrides_the_design(marketsim: Cli, design: Path) -> None:
    marketsim("sweep", design, "--out", "out", "--keep", "series,events")
    asked = marketsim("query", "out", "SELECT count(*) AS n FROM series", "--json")
    assert json.loads(asked.stdout) == [{"n": 120}]
    wrong = marketsim("sweep", design, "--out", "other", "--keep", "serious")
    assert wrong.exit_code == 2
    assert "series" in wrong.stderr


def test_a_query_answers_as_table_json_or_csv(marketsim: Cli, design: Path) -> None:
    marketsim("sweep", design, "--out", "out")
    sql = 'SELECT "populations.crowd.count" AS n, count(*) AS runs FROM runs GROUP BY n ORDER BY n'
    assert marketsim("query", "out", sql, "--csv").stdout == "n,runs\n3,2\n5,2\n"
    assert marketsim("query", "out", sql).stdout.split() == ["n", "runs", "3", "2", "5", "2"]
    assert json.loads(marketsim("query", "out", sql, "--json").stdout)[1] == {"n": 5, "runs": 2}
    for wrong in (["SELEC 1"], ["SELECT x FROM runs"], [sql, "--json", "--csv"]):
        done = marketsim("query", "out", *wrong)
        assert done.exit_code == 2
        assert "Traceback" not in done.stderr


def test_a_run_is_made_again_by_its_key(marketsim: Cli, design: Path) -> None:
    marketsim("sweep", design, "--out", "out")
    row = package.load_sweep("out").iloc[3]
    done = marketsim("rerun", "out", row["key"][:12], "--out", "again")
    assert done.exit_code == 0
    assert f"digest {row['digest']}, the same as in the sweep" in done.stdout
    run = package.load_run("again")
    assert (run.digest, run.seed) == (row["digest"], row["seed"])
    assert run.summary["markets"]["BTC"]["volume_usd"] == row["markets.BTC.volume_usd"]
    assert marketsim("rerun", "out", row["key"], "--out", "again").exit_code == 2


def test_a_run_that_is_only_planned_can_be_made(marketsim: Cli, design: Path) -> None:
    marketsim("sweep", design, "--out", "whole")
    marketsim("sweep", design, "--out", "half", "--shard", "1/2")
    missing = set(package.load_sweep("whole")["key"]) - set(package.load_sweep("half")["key"])
    done = marketsim("rerun", "half", missing.pop(), "--out", "again")
    assert done.exit_code == 0
    assert "has not been made yet" in done.stdout


def test_a_rerun_with_another_digest_fails(
    marketsim: Cli, design: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("marketsim.tape.digest.digest_result", lambda _: "0" * 32)
        marketsim("sweep", design, "--out", "out")
    key = package.load_sweep("out")["key"].iloc[0]
    done = marketsim("rerun", "out", key, "--out", "again")
    assert done.exit_code == 1
    assert f"not {'0' * 32} as in the sweep" in done.stderr


@pytest.mark.parametrize("key", ["", "z", "0" * 40])
def test_a_key_that_names_no_single_run_is_refused(marketsim: Cli, design: Path, key: str) -> None:
    marketsim("sweep", design, "--out", "out")
    done = marketsim("rerun", "out", key)
    assert done.exit_code == 2
    assert "its runs begin so" in done.stderr or "no run of it begins so" in done.stderr


BAD: list[tuple[dict[str, str], list[str], str]] = [
    ({"populations.crowd.count": "populations.crwd.count"}, [], "did you mean 'crowd'"),
    ({"[3, 5]": "[3, -5]"}, [], "populations.crowd.count = -5"),
    ({"replicates = 2": "replicates = 10001"}, [], "20,002 runs, more than 20,000"),
    ({"days": 'metrics = ["markets.BTC.volme_usd"]\ndays'}, [], "did you mean 'markets.BTC.volu"),
    ({}, ["--cluster", "nonsense"], "no Dask scheduler|must be an address"),
    ({}, ["--cluster", "tcp://127.0.0.1:9", "--workers", "2"], "exclude each other"),
    ({}, ["--shard", "3/2"], "--shard 3/2: must read i/n"),
    ({}, ["--shard", "1/2", "--retry"], "exclude each other"),
    ({}, ["--form", "quik"], "did you mean 'quick'"),
]


@pytest.mark.parametrize(("changes", "options", "said"), BAD)
def test_bad_input_is_refused_in_one_sentence(
    marketsim: Cli,
    design: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.setattr("marketsim.sweep.cluster.PATIENCE", 1)
    text = DESIGN
    for old, new in changes.items():
        text = text.replace(old, new)
    design.write_text(text)
    done = marketsim("sweep", design, "--out", "out", *options)
    assert done.exit_code == 2
    assert re.search(said, done.stderr)
    assert "Traceback" not in done.stderr
    assert not Path("out/sweep.json").exists()


def test_a_range_outside_its_field_s_bounds_is_refused(marketsim: Cli, design: Path) -> None:
    design.write_text(
        'base = "tiny.toml"\nkind = "latin"\nsize = 2\n'
        '[parameters]\n"spot.reflexivity" = { low = 0.0, high = 2.0 }\n'
    )
    done = marketsim("sweep", design, "--out", "out")
    assert done.exit_code == 2
    assert "spot.reflexivity = 2" in done.stderr


def test_another_design_s_folder_is_refused_with_the_difference(
    marketsim: Cli, design: Path
) -> None:
    marketsim("sweep", design, "--out", "out")
    done = marketsim("sweep", design, "--out", "out", "--replicates", 1)
    assert done.exit_code == 2
    assert "design.replicates: 2 there, 1 here" in done.stderr


def test_more_replicates_are_added(marketsim: Cli, design: Path) -> None:
    before = json.loads(marketsim("sweep", design, "--out", "out", "--json").stdout)
    done = marketsim("sweep", design, "--out", "out", "--replicates", 3, "--json")
    report = json.loads(done.stdout)
    assert report["stored"] == before["done"] == 2 * report["done"]
    assert report["result"] == report["recorded"] != before["result"]


@pytest.mark.parametrize("command", [["status"], ["query", "SELECT 1"], ["rerun", "abc"]])
def test_what_is_no_sweep_is_refused(marketsim: Cli, tmp_path: Path, command: Any) -> None:
    name, *rest = command
    done = marketsim(name, tmp_path / "nothing", *rest)
    assert done.exit_code == 2
    assert "no such folder" in done.stderr
