"""Results are never shown as those of an input that has changed since they were made."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from marketsim import PerpMarket, load_run, load_sweep
from marketsim.cli import app
from marketsim.report.sweep_page import report_lines, status_lines
from marketsim.scenario.inputs import InputChangedError
from marketsim.sweep.lock import Shard, SweepFolderError
from marketsim.sweep.runner import SweepReport, run_sweep
from marketsim.sweep.status import sweep_status
from marketsim.sweep.worker import run_task
from tests.cli.conftest import marketsim
from tests.slow import slow
from tests.sweep.conftest import Inline

__all__ = ["marketsim"]

Cli = Callable[..., Result]

FALL = "markets.BTC.index_fall"
FILES = {
    "below.toml": """\
days = 0.05

[markets.BTC]
tick_size = 0.1
lot_size = 0.001

[spot]
kind = "history"
sources.one = { weight = 1.0, deviation = 0.0 }

[spot.history]
path = "prices.csv"
format = "wide"
columns.BTC = "close"

[populations.makers]
strategy = "maker"
count = 4
capital = 500_000.0
""",
    "mini.toml": """\
base = "below.toml"

[populations.noise]
strategy = "noise"
count = 3

[populations.herd]
strategy = "herd"
count = 3
parameters = { network = "file", network_file = "ring.edges" }

[populations.mine]
strategy = "own.py:Mine"
count = 2
capital = 50_000.0
attention = 1.0
""",
    "prices.csv": "time,close\n2025-01-01T00:00:00Z,100000\n2025-01-01T01:00:00Z,100040\n"
    "2025-01-01T02:00:00Z,100080\n2025-01-01T03:00:00Z,100060\n",
    "ring.edges": "0 1\n1 2\n",
    "own.py": "import marketsim, stale_beside\nclass Mine(marketsim.Trader):\n"
    "    def step(self):\n        if self.size('BTC') == 0:\n"
    "            self.buy('BTC', stale_beside.SIZE)\n",
    "stale_beside.py": "SIZE = 0.05\n",
    "design.toml": f"""\
base = "mini.toml"
replicates = 1
metrics = ["{FALL}", "markets.*.volume_usd"]

[parameters]
"populations.noise.count" = [3, 5]
""",
    "targets.toml": """\
base = "mini.toml"
trials = 2
batch = 2
[dials]
"populations.noise.count" = { low = 2, high = 9, integer = true }
[targets]
num_accounts = 15
""",
    "experiments/trade/design.toml": """\
base = "../../mini.toml"
[parameters]
"populations.noise.count" = [3, 5]
""",
    "experiments/trade/experiment.py": """\
from marketsim.study.analysis import cell_means
def tabulate(runs): return cell_means(runs, ["populations.noise.count"], ["volume_usd"])
from marketsim.report.experiment import Check
def check(runs): return [Check("They trade", "sense", "yes", True)]
def draw(table, path): path.write_text("")
def headline(runs): return "They do."
""",
    "experiments/trade/README.md": "# Do they trade?\n<!-- results: written by `marketsim "
    "experiment`, not by hand -->\n<!-- end -->\n",
}
#: An edit of every kind of input that changes what runs are.
EDITS = {
    "prices.csv": ("100040", "90036"),
    "ring.edges": ("1 2", "0 2"),
    "own.py": ("== 0", "<= 0.1"),
    "stale_beside.py": ("0.05", "0.06"),
    "below.toml": ("500_000", "400_000"),
}
COMMANDS = {
    "sweep": ("sweep", "design.toml", "--out", "out"),
    "comparison": (
        *("compare", "mini.toml", "--change", "populations.noise.count=5"),
        *("--seeds", 2, "--out", "out"),
    ),
    "calibration": ("calibrate", "targets.toml", "--out", "out"),
    "experiment": ("experiment", "trade", "--out", "out"),
}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sweep.runner", "study.calibrate"):
        monkeypatch.setattr(f"marketsim.{module}.WorkerPool", lambda *_: Inline())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a scenario, its bases and the files it names; the current one."""
    home = tmp_path / "project"
    for name, text in FILES.items():
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(home)
    return home


class Editor(Inline):
    """Edits a file when so many runs were made: workers read it later than the driver."""

    def __init__(self, name: str, runs: int) -> None:
        self.name, self.left = name, runs

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.left == 0:
            edit(self.name)
        self.left -= fn is run_task
        return super().submit(fn, *args, **kwargs)


def edit(name: str) -> None:
    before, after = EDITS[name]
    assert before in FILES[name]
    Path(name).write_text(FILES[name].replace(before, after))


def restore(name: str) -> None:
    Path(name).unlink(missing_ok=True)
    Path(name).write_text(FILES[name])


def hashes(record: Any) -> dict[str, str]:
    return {Path(each["name"]).name: each["sha256"] for each in record["inputs"]}


def hash_now(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_given_again_is_refused_after_any_input_changed(
    marketsim: Cli, project: Path, command: str
) -> None:
    first = marketsim(*COMMANDS[command])
    assert first.exit_code == 0, first.output
    known = hashes(json.loads(Path("out/sweep.json").read_text()))
    assert {name: known.get(name) for name in EDITS} == {name: hash_now(name) for name in EDITS}
    for name in EDITS:
        edit(name)
        done = marketsim(*COMMANDS[command])
        assert done.exit_code == 2, (name, done.output)
        assert f"{project / name}: the " in done.stderr
        assert "has changed" in done.stderr
        assert "another folder" in done.stderr
        restore(name)
    again = marketsim(*COMMANDS[command])
    assert again.exit_code == 0, again.output
    if command != "calibration":
        status = sweep_status("out")
        assert status["ok"] == status["runs"] == len(load_sweep("out"))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("sweep", "design.toml"),
        ("calibration", "targets.toml"),
        ("experiment", "experiments/trade/design.toml"),
        ("comparison", "mini.toml"),
    ],
)
def test_what_a_file_says_counts_not_how_it_is_written(
    marketsim: Cli, project: Path, command: str, name: str
) -> None:
    assert marketsim(*COMMANDS[command]).exit_code == 0
    assert hash_now(name) in hashes(json.loads(Path("out/sweep.json").read_text())).values()
    Path(name).write_text("# a comment\n" + FILES[name])
    assert marketsim(*COMMANDS[command]).exit_code == 0
    Path(name).write_text(FILES[name].replace("noise.count", "herd.count") + "\n# an edit\n")
    if command != "comparison":
        done = marketsim(*COMMANDS[command])
        assert done.exit_code == 2
        assert f"{name}: the " in done.stderr


def test_a_deleted_input_is_named(marketsim: Cli, project: Path) -> None:
    assert marketsim(*COMMANDS["sweep"]).exit_code == 0
    for name in ("prices.csv", "ring.edges", "own.py"):
        Path(name).unlink()
        done = marketsim(*COMMANDS["sweep"])
        assert done.exit_code == 2
        assert str(project / name) in done.stderr
        restore(name)
    assert len(load_sweep("out")) == 2


@pytest.mark.parametrize("name", ["prices.csv", "ring.edges", "own.py", "stale_beside.py"])
@pytest.mark.parametrize("how", ["edited", *slow(("gone", "link"))])
def test_explain_and_rerun_refuse_an_input_that_changed(
    marketsim: Cli, project: Path, name: str, how: str
) -> None:
    assert marketsim("run", "mini.toml", "--steps", 9, "--out", "r", "--quiet").exit_code == 0
    assert marketsim(*COMMANDS["sweep"]).exit_code == 0
    key = load_sweep("out")["key"][0]
    again = [("explain", "r", "--account", 0), ("rerun", "out", key, "--out", "one", "--force")]
    edit(name)
    if how == "gone":
        Path(name).unlink()
    if how == "link":
        Path(name).rename("elsewhere")
        Path(name).symlink_to("elsewhere")
    for command in again:
        done = marketsim(*command)
        assert done.exit_code == 2, done.output
        assert f"{project / name}: the " in done.stderr
    restore(name)
    for command in again:
        done = marketsim(*command)
        assert done.exit_code == 0, done.output


def test_a_run_folder_says_what_it_was_made_from(marketsim: Cli, project: Path) -> None:
    def inputs(out: str) -> dict[str, str]:
        assert marketsim("run", "mini.toml", "--steps", 9, "--out", out, "-q").exit_code == 0
        return hashes(json.loads(Path(out, "run.json").read_text()))

    first = inputs("a")
    assert first == {name: hash_now(name) for name in ("mini.toml", *EDITS)}
    assert inputs("b") == first
    Path("prices.csv").write_text(FILES["prices.csv"].replace("100060", "90000"))  # never reached
    third = inputs("c")
    assert load_run("c").digest == load_run("a").digest
    assert {name for name in third if third[name] != first[name]} == {"prices.csv"}


def test_a_moved_folder_is_the_same_folder(marketsim: Cli, project: Path, tmp_path: Path) -> None:
    assert marketsim("run", "mini.toml", "--steps", 9, "--out", "r", "--quiet").exit_code == 0
    assert marketsim(*COMMANDS["sweep"]).exit_code == 0
    Path("r").rename(tmp_path / "moved")
    Path("out").rename(tmp_path / "swept")
    assert marketsim("explain", tmp_path / "moved", "--account", 0).exit_code == 0
    key = load_sweep(tmp_path / "swept")["key"][0]
    assert marketsim("rerun", tmp_path / "swept", key).exit_code == 0
    done = marketsim("sweep", "design.toml", "--out", tmp_path / "swept")
    assert "0 made now, 2 there before" in done.stdout


def test_a_file_of_the_same_name_elsewhere_is_another_input(
    marketsim: Cli, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert marketsim(*COMMANDS["sweep"]).exit_code == 0
    shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    edit("prices.csv")
    done = marketsim("sweep", "design.toml", "--out", project / "out")
    assert done.exit_code == 2
    assert "prices.csv" in done.stderr


def test_an_input_that_changes_during_the_sweep_stops_it(project: Path) -> None:
    with pytest.raises(InputChangedError, match=r"prices\.csv: the price file has changed"):
        run_sweep("design.toml", "out", executor=Editor("prices.csv", 1))
    status = sweep_status("out")
    assert (status["ok"], status["error"], status["missing"]) == (1, 0, 1)
    with pytest.raises(SweepFolderError, match=r"prices\.csv: the price file has changed"):
        run_sweep("design.toml", "out")
    restore("prices.csv")
    assert run_sweep("design.toml", "out").result == run_sweep("design.toml", "fresh").result


def test_an_input_that_changes_during_a_calibration_stops_it(
    marketsim: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("targets.toml").write_text(FILES["targets.toml"].replace("trials = 2", "trials = 4"))
    whole = run_sweep

    def change(*arguments: Any, **options: Any) -> SweepReport:
        report = whole(*arguments, **options)
        edit("prices.csv")
        return report

    monkeypatch.setattr("marketsim.study.calibrate.run_sweep", change)
    done = marketsim(*COMMANDS["calibration"])
    assert done.exit_code == 2, done.output
    assert "prices.csv: the price file has changed" in done.stderr
    assert [folder.name for folder in Path("out/batches").iterdir()] == ["000000"]


def test_a_worker_that_sees_another_file_stops_the_sweep(project: Path) -> None:
    with pytest.raises(InputChangedError, match=r"own\.py: the strategy has changed"):
        run_sweep("design.toml", "out", executor=Editor("own.py", 0))
    assert not Path("out/sweep.json").exists()


def test_shards_of_a_sweep_see_the_same_files(project: Path) -> None:
    run_sweep("design.toml", "out", shard=Shard(1, 2))
    edit("prices.csv")
    with pytest.raises(SweepFolderError, match=r"prices\.csv: the price file has changed"):
        run_sweep("design.toml", "out", shard=Shard(2, 2))
    assert len(load_sweep("out")) == 1


def test_an_edit_is_seen_by_the_next_sweep_of_the_same_process(project: Path) -> None:
    run_sweep("design.toml", "before")
    edit("prices.csv")
    run_sweep("design.toml", "after")
    assert load_sweep("before")[FALL].max() < 0.01
    assert load_sweep("after")[FALL].min() > 0.05
    assert not set(load_sweep("before")["key"]) & set(load_sweep("after")["key"])


def test_a_module_is_an_input_like_a_file(marketsim: Cli, project: Path) -> None:
    Path("stale_module.py").write_text(FILES["own.py"])
    Path("mini.toml").write_text(FILES["mini.toml"].replace("own.py:Mine", "stale_module:Mine"))
    assert marketsim(*COMMANDS["sweep"]).exit_code == 0
    known = hashes(json.loads(Path("out/sweep.json").read_text()))
    assert known["stale_module"] == hash_now("stale_module.py")
    assert known["stale_beside.py"] == hash_now("stale_beside.py")
    Path("stale_module.py").write_text(FILES["own.py"] + "\n")
    done = marketsim(*COMMANDS["sweep"])
    assert done.exit_code == 2
    assert "stale_module: the strategy has changed" in done.stderr
    # Python has the old text, so a new folder would not be of the new one.
    done = marketsim("run", "mini.toml", "--steps", 9, "--out", "r")
    assert done.exit_code == 2
    assert "start a new process" in done.stderr


def test_files_a_design_varies_are_inputs(project: Path) -> None:
    Path("other.csv").write_text(FILES["prices.csv"].replace("100040", "90036"))
    levels = '"spot.history.path" = ["prices.csv", "other.csv"]\n'
    Path("design.toml").write_text(FILES["design.toml"] + levels)
    run_sweep("design.toml", "out")
    falls = load_sweep("out").groupby("spot.history.path")[FALL].min()
    assert sorted(falls > 0.05) == [False, True]
    Path("other.csv").write_text(FILES["prices.csv"])
    with pytest.raises(SweepFolderError, match=r"other\.csv: the price file has changed"):
        run_sweep("design.toml", "out")


def test_results_of_an_edited_experiment_are_listed_as_such(marketsim: Cli, project: Path) -> None:
    done = marketsim("experiment", "trade", "--full")
    assert done.exit_code == 0, done.output
    assert "changed" not in marketsim("experiment").stdout
    for name in ("design.toml", "experiment.py"):
        file = Path("experiments/trade", name)
        file.write_text(file.read_text() + "\n# an edit\n")
    edit("prices.csv")
    said = marketsim("experiment").stdout
    assert "design.toml, ../../prices.csv, experiment.py changed since" in said
    assert json.loads(marketsim("experiment", "--json").stdout)[0]["changed"]


def test_nothing_is_said_of_shards_where_there_are_none() -> None:
    whole, part = (SweepReport(Path(), planned=4, total=total, stored=total) for total in (4, 2))
    assert len(report_lines(whole)) == 1
    assert "other shards are missing" in report_lines(part)[1]
    status = {"name": "a", "kind": "grid", "runs": 2, "missing": 1, "error": 0, "quarantined": 0}
    status |= {"wall_s": None, "errors": [], "result": None, "recorded": None}
    status |= {"queued": [], "shards": []}
    for label, is_told in (("1-of-1", False), ("1-of-2", True)):
        lines = status_lines(status | {"drivers": [{"shard": label, "process": 1, "host": "a"}]})
        assert ("shard" in lines[1]) == is_told


# Code of somebody else's


@pytest.fixture
def strangers(marketsim: Cli, project: Path, tmp_path: Path, monkeypatch: Any) -> Path:
    """Folders of a run and a sweep whose strategy leaves a trace when it is loaded; elsewhere."""
    trace = tmp_path / "trace"
    Path("own.py").write_text(FILES["own.py"] + f"open({str(trace)!r}, 'w').close()\n")
    assert marketsim("run", "mini.toml", "--steps", 9, "--out", "r", "--quiet").exit_code == 0
    assert marketsim(*COMMANDS["sweep"]).exit_code == 0
    for name in [name for name in sys.modules if name.startswith("marketsim_own_own_")]:
        monkeypatch.delitem(sys.modules, name)  # it would not be run a second time
    trace.unlink()
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    return trace


def commands(project: Path) -> list[tuple[Any, ...]]:
    key = load_sweep(project / "out")["key"][0]
    return [
        ("explain", project / "r", "--account", 0),
        ("rerun", project / "out", key, "--out", project / "one", "--force"),
    ]


def test_strangers_code_is_not_run_unasked(marketsim: Cli, project: Path, strangers: Path) -> None:
    for command in commands(project):
        done = marketsim(*command)
        assert done.exit_code == 2
        assert str(project / "own.py") in done.stderr
        assert "--trust" in done.stderr
        assert not strangers.exists()


def test_strangers_code_is_run_for_who_trusts_it(
    marketsim: Cli, project: Path, strangers: Path
) -> None:
    for command in commands(project):
        done = marketsim(*command, "--trust")
        assert done.exit_code == 0, done.output
    assert strangers.exists()


def test_code_in_the_current_folder_is_run(
    marketsim: Cli, project: Path, strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    for command in commands(project):
        assert marketsim(*command).exit_code == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_who_sits_at_a_terminal_is_asked(
    project: Path, strangers: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("marketsim.cli.trust._somebody_is_there", lambda: True)
    for command in commands(project):
        done = CliRunner().invoke(app, [str(part) for part in command], input=answer)
        assert done.exit_code == code, done.output
        assert "Run it?" in done.stderr
    assert strangers.exists() == (code == 0)


def test_modules_beside_strategies_of_two_folders_do_not_mix(project: Path, tmp_path: Path) -> None:
    def bought(folder: Path) -> float:
        model = PerpMarket("mini.toml", 1, [("populations.mine.strategy", f"{folder}/own.py:Mine")])
        model.run(30)
        mine = [view for view in model.agents if view.population == "mine"]
        return float(sum(view.size("BTC") for view in mine))

    other = tmp_path / "other"
    other.mkdir()
    for name in ("own.py", "stale_beside.py"):
        (other / name).write_text(FILES[name].replace("0.05", "0.07"))
    assert bought(project) == pytest.approx(0.1)
    assert bought(other) == pytest.approx(0.14)
    assert bought(project) == pytest.approx(0.1)
    Path("stale_beside.py").write_text("SIZE = 0.090\n")
    assert bought(project) == pytest.approx(0.18)
