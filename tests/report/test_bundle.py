"""Bundles: one zip that says what made a result, and makes it again elsewhere."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.report.crate import CRATE, SCRIPT, SUMS
from marketsim.results.run import load_run
from tests.cli.test_experiment import CODE, README
from tests.cli.test_experiment import DESIGN as EXPERIMENT
from tests.sweep.conftest import GRID, Inline

ROOT = Path(__file__).parents[2]
TINY = """\
name = "tiny"
description = "Three who trade at random"
days = 0.0625

[markets.BTC]
price = 100000.0
tick_size = 0.5
lot_size = 0.001

[populations.crowd]
strategy = "noise"
count = 3
"""
OWN = """\
import marketsim
from beside import SIZE

class Buyer(marketsim.Strategy):
    def decide(self, market, traders):
        traders.market_order(SIZE)
"""
WITH_FILES = """\
[populations.mine]
strategy = "mine.py:Buyer"
count = 2
"""


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("marketsim.sweep.runner.WorkerPool", lambda *_: Inline())
    monkeypatch.chdir(tmp_path)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def unpacked(file: Path, place: Path) -> Path:
    """Unpack a bundle; return its only folder."""
    shutil.unpack_archive(file, place)
    (folder,) = place.iterdir()
    return folder


def repeat(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a bundle's script with the marketsim of these tests."""
    program = folder.parent / "marketsim"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m marketsim.cli "$@"\n')
    program.chmod(0o755)
    variables = {"PYTHONPATH": str(ROOT), "MARKETSIM": str(program)}
    return subprocess.run(
        ["sh", str(folder / SCRIPT)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    assert command("run", "tiny.toml", "--seed", 3, "--out", "made", "-q").exit_code == 0
    return tmp_path / "made"


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "design.toml").write_text(GRID.replace("replicates = 3", "replicates = 1"))
    assert command("sweep", "design.toml", "--out", "made", "-q").exit_code == 0
    return tmp_path / "made"


@pytest.mark.slow
def test_a_run_s_bundle_says_what_made_it(run: Path, tmp_path: Path) -> None:
    done = command("bundle", run)
    assert done.exit_code == 0, done.output
    assert "made-bundle.zip" in done.stdout
    folder = unpacked(tmp_path / "made-bundle.zip", tmp_path / "elsewhere")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = {"scenario.toml", "run.json", "versions.json", "README.md", SCRIPT, SUMS, CRATE}
    assert names >= wanted | {"figures/prices.png", "figures/profit.png"}
    loaded = load_run(run)
    assert loaded.digest in (folder / SCRIPT).read_text()
    assert loaded.digest in (folder / "README.md").read_text()
    assert json.loads((folder / "versions.json").read_text()) == loaded.versions
    sums = dict(reversed(line.split("  ")) for line in (folder / SUMS).read_text().splitlines())
    assert set(sums) == names - {SUMS}
    for name, expected in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected


def test_the_crate_lists_every_file_with_its_hash(run: Path, tmp_path: Path) -> None:
    command("bundle", run, "--no-figures", "-o", "b.zip")
    folder = unpacked(tmp_path / "b.zip", tmp_path / "elsewhere")
    crate = json.loads((folder / CRATE).read_text())
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    things = {each["@id"]: each for each in crate["@graph"]}
    assert things[CRATE]["about"] == {"@id": "./"}
    root = things["./"]
    assert root["identifier"] == load_run(run).digest
    listed = {part["@id"] for part in root["hasPart"]}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed == files - {CRATE, SUMS}
    for name in listed:
        data = (folder / name).read_bytes()
        assert things[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert things[name]["contentSize"] == str(len(data))
    referred = json.dumps([each for each in crate["@graph"] if each["@type"] == "CreateAction"])
    assert '{"@id": "scenario.toml"}' in referred


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        assert command("bundle", run, "--no-figures", "-o", name).exit_code == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.skipif(os.name != "posix", reason="runs a script of the shell")
@pytest.mark.slow
def test_a_run_is_repeated_elsewhere_without_its_files(run: Path, tmp_path: Path) -> None:
    for name, text in {"mine.py": OWN, "beside.py": "SIZE = 0.01\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "own.toml").write_text(TINY + WITH_FILES)
    assert command("run", "own.toml", "--out", "own", "-q").exit_code == 0
    assert command("bundle", "own", "--no-figures", "-o", "own.zip").exit_code == 0
    folder = unpacked(tmp_path / "own.zip", tmp_path / "elsewhere")
    assert (folder / "inputs" / "beside.py").read_text() == "SIZE = 0.01\n"
    for name in ("mine.py", "beside.py", "own.toml"):
        (tmp_path / name).unlink()
    digest = load_run(tmp_path / "own").digest
    shutil.rmtree(tmp_path / "own")
    done = repeat(folder)
    assert done.returncode == 0, done.stderr
    assert f"the same digest: {digest}" in done.stdout
    assert load_run(folder / "repeat" / "run").digest == digest
    assert str(tmp_path / "mine.py") not in (folder / "scenario.toml").read_text()

    script = folder / SCRIPT  # another result is not taken for the same
    script.write_text(script.read_text().replace(digest, "0" * 32).replace(f"$sums -c {SUMS}", ":"))
    done = repeat(folder)
    assert (done.returncode, "ANOTHER digest" in done.stderr) == (1, True)


@pytest.mark.skipif(os.name != "posix", reason="runs a script of the shell")
@pytest.mark.slow
def test_a_sweep_is_repeated_elsewhere(swept: Path, tmp_path: Path) -> None:
    assert command("bundle", swept, "--no-figures", "-o", "b.zip").exit_code == 0
    folder = unpacked(tmp_path / "b.zip", tmp_path / "elsewhere")
    assert (folder / "analysis" / "means.csv").is_file()
    result = json.loads((swept / "result.json").read_text())["result"]
    shutil.rmtree(swept)
    (tmp_path / "tiny.toml").unlink()
    done = repeat(folder)
    assert done.returncode == 0, done.stderr
    assert f"the same digest: {result}" in done.stdout


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "experiments" / "trade"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(TINY)
    (folder / "design.toml").write_text(EXPERIMENT)
    (folder / "experiment.py").write_text(CODE)
    (folder / "README.md").write_text(README)
    assert command("experiment", "trade", "--full", "-q").exit_code == 0
    return folder


@pytest.mark.skipif(os.name != "posix", reason="runs a script of the shell")
@pytest.mark.slow
def test_an_experiment_is_repeated_elsewhere(experiment: Path, tmp_path: Path) -> None:
    assert command("bundle", "trade").exit_code == 0
    folder = unpacked(tmp_path / "trade-bundle.zip", tmp_path / "elsewhere")
    result = json.loads((experiment / "results.json").read_text())["result"]
    before = {path: path.read_bytes() for path in (folder / "trade").iterdir()}
    shutil.rmtree(experiment.parent)
    done = repeat(folder)
    assert done.returncode == 0, done.stderr
    assert f"the same digest: {result}" in done.stdout
    assert {path: path.read_bytes() for path in (folder / "trade").iterdir()} == before


def test_an_experiment_whose_results_are_old_is_refused(experiment: Path) -> None:
    (experiment / "experiment.py").write_text(CODE + "\n")
    done = command("bundle", experiment)
    assert (done.exit_code, "experiment.py; run it again" in done.stderr) == (2, True)
    (experiment / "results.json").unlink()
    done = command("bundle", "trade")
    assert (done.exit_code, "was not run in full yet" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["markets.parquet", "scenario.toml", "run.json"])
def test_a_damaged_run_is_refused_by_name(run: Path, tmp_path: Path, name: str) -> None:
    data = bytearray((run / name).read_bytes())
    place = data.index(b"tiny") if name == "run.json" else len(data) // 2
    data[place] ^= 1
    (run / name).write_bytes(data)
    done = command("bundle", run, "-o", "b.zip")
    assert (done.exit_code, name in done.stderr) == (2, True)
    assert not (tmp_path / "b.zip").exists()


def test_a_damaged_or_unfinished_sweep_is_refused(swept: Path, tmp_path: Path) -> None:
    (file,) = (swept / "runs").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    done = command("bundle", swept, "-o", "b.zip")
    assert (done.exit_code, file.name in done.stderr) == (2, True)
    done = command("sweep", "design.toml", "--out", "half", "--shard", "1/2", "-q")
    done = command("bundle", "half", "-o", "b.zip")
    assert (done.exit_code, "2 of 4 runs are missing" in done.stderr) == (2, True)
    assert not (tmp_path / "b.zip").exists()


def test_a_run_that_ended_early_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.replace("from beside import SIZE", "SIZE = [1, 2, 3]"))
    (tmp_path / "own.toml").write_text(
        TINY + WITH_FILES.replace("count = 2", "count = 2\nattention = 9.0")
    )
    assert command("run", "own.toml", "--out", "own", "-q").exit_code == 1
    done = command("bundle", "own", "-o", "b.zip")
    assert (done.exit_code, "ended early at" in done.stderr) == (2, True), done.output


def test_a_file_that_has_changed_since_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.replace("from beside import SIZE", "SIZE = 0.01"))
    (tmp_path / "own.toml").write_text(TINY + WITH_FILES)
    assert command("run", "own.toml", "--out", "own", "-q").exit_code == 0
    (tmp_path / "mine.py").write_text(OWN)
    done = command("bundle", "own", "-o", "b.zip")
    assert (done.exit_code, "mine.py: the strategy has changed since" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere"),
        (["."], "holds no run"),
        (["made", "-o", "made.tar"], "must end in .zip"),
        (["made", "-o", "tiny.toml/b.zip"], "tiny.toml"),
    ],
)
def test_bad_input_is_named(run: Path, arguments: list[str], says: str) -> None:
    done = command("bundle", *arguments)
    assert (done.exit_code, says in done.stderr) == (2, True), done.output
    assert "Traceback" not in done.output
