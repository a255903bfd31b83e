"""What no run and no sweep wrote is never read as data: flipped, swapped, cut or missing."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.report.experiment import ExperimentError, read_result
from marketsim.results.run import load_run
from marketsim.study import calibrate
from marketsim.study.targets import load_targets
from marketsim.sweep.design import parse_design
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import read_manifest, record_result
from marketsim.sweep.plan import Plan
from marketsim.sweep.query import query_sweep
from marketsim.sweep.rerun import find_run
from marketsim.sweep.runner import run_sweep
from marketsim.sweep.status import sweep_status
from marketsim.sweep.store import Store, stored_keys
from marketsim.sweep.table import load_sweep
from marketsim.sweep.worker import OK, Outcome
from marketsim.tape.files import FolderError
from tests.sweep.conftest import Inline

JUMP = '[{kind = "jump", at = 0.5, size = -0.25}]'
RUN = ("quickstart", "--steps", 60, "--quiet", "--set", f"shocks={JUMP}")
RECORDS = (
    "record.fills=true",
    "record.snapshot_minutes=30",
    "record.contagion_minutes=30",
    "record.heatmap_minutes=30",
)
DESIGN = f"""\
base = "quickstart"
seed = 1
replicates = 2
metrics = ["liquidated_usd"]
keep = ["series", "events"]
days = {1 / 24}
set = {{ shocks = {JUMP} }}
"""
DESIGN_TABLE = tomllib.loads(DESIGN)
#: How to spoil a file of text, and what of it.
SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "no UTF-8": lambda data: data[:10] + b"\xff\xfe" + data[12:],
    "no JSON or TOML": lambda data: b"= {" + data[3:],
    "a list": lambda data: b"[1, 2]" + b" " * (len(data) - 6),
    "nested": lambda data: b"[" * max(len(data), 200_000),
    "blanks": lambda data: b" " * len(data),
}
COMMANDS = [
    ("cascade", "{}"),
    ("contagion", "{}"),
    ("explain", "{}", "--account", "0"),
    ("validate", "{}"),
    ("stress", "portfolio.toml", "--funding", "{}"),
]
STATUS = ("status", "{}")
ANALYZE = ("analyze", "{}", "--no-figures")
QUERY = ("query", "{}", "SELECT count(*) FROM runs")
RERUN = ("rerun", "{}", "no key")
SWEEP = ("sweep", "design.toml", "--out", "{}", "--quiet")
#: What reads the files of a sweep.
READERS = {
    "sweep.json": [STATUS, ANALYZE, QUERY, RERUN, SWEEP],
    "runs/*.json": [STATUS, ANALYZE, QUERY, RERUN, SWEEP],
    "plan.parquet": [ANALYZE, QUERY],
    "result.json": [STATUS],
}
PORTFOLIO = """\
[markets.BTC]
price = 100_000.0
tick_size = 0.1
lot_size = 0.001
max_leverage = 10.0
maintenance_margin_fraction = 0.05
[collateral]
cash = 40_000.0
[positions.BTC]
size = 1.0
leverage = 5.0
"""

TARGETS = """\
name = "known"
base = "quickstart"
[dials]
insurance_fund = { low = 1000.0, high = 100_000.0, log = true }
[targets]
insurance_fund_usd = { value = 20_000.0 }
"""


def marketsim(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, " ".join(done.output.split())


def make_run(out: Path, seed: int) -> Path:
    options = [word for change in RECORDS for word in ("--set", change)]
    code, said = marketsim("run", *RUN, *options, "--seed", seed, "--out", out)
    assert code == 0, said
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs and two sweeps that differ in their seeds alone."""
    folder = tmp_path_factory.mktemp("made")
    runs = {f"run {seed}": make_run(folder / f"run-{seed}", seed) for seed in (1, 2)}
    for seed in (1, 7):
        out = folder / f"sweep-{seed}"
        run_sweep(parse_design(DESIGN_TABLE | {"seed": seed}), out, executor=Inline())
        runs[f"sweep {seed}"] = out
    return runs


@pytest.fixture
def run(made: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(made["run 1"], tmp_path / "run")


@pytest.fixture
def sweep(made: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(made["sweep 1"], tmp_path / "sweep")


def read_run(folder: Path, spoilt: Path | None = None) -> dict[str, Any]:
    """Read all of a run, or of its tables only the one whose file is said to be spoilt."""
    run = load_run(folder)
    is_table = spoilt is not None and spoilt.suffix == ".parquet"
    names = [spoilt.stem] if spoilt is not None and is_table else run.tables
    found: dict[str, Any] = {name: run.table(name) for name in names}
    words = (run.scenario, run.seed, run.digest, run.summary, run.notes, run.versions)
    return found | {"words": json.dumps(words), "text": run.scenario_text}


def read_sweep(folder: Path, spoilt: Path | None = None) -> dict[str, Any]:
    """Read all of a sweep, or only the table of which a part is said to be spoilt."""
    tables = ["runs", "series", "events"]
    is_part = spoilt is not None and spoilt.suffix == ".parquet" and spoilt.parent.name in tables
    if spoilt is not None and is_part:
        tables = [spoilt.parent.name]
    found: dict[str, Any] = {name: query_sweep(folder, f"SELECT * FROM {name}") for name in tables}
    status = sweep_status(folder) | {"folder": "", "wall_s": 0.0}
    return found | {"loaded": load_sweep(folder), "status": json.dumps(status)}


def is_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        value.equals(other[name]) if isinstance(value, pd.DataFrame) else value == other[name]
        for name, value in one.items()
    )


def flips(folder: Path, number: int, seed: int) -> Iterator[Path]:
    """Flip random bits one after the other: each file of a folder as often as any other."""
    random = np.random.default_rng(seed)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock")
    for _ in range(number):
        file = files[random.integers(len(files))]
        data = file.read_bytes()
        spoilt = bytearray(data)
        spoilt[random.integers(len(data))] ^= 1 << random.integers(8)
        file.write_bytes(spoilt)
        yield file
        file.write_bytes(data)


def check_flips(folder: Path, read: Callable[..., dict[str, Any]], number: int) -> None:
    """No flip is read as data; one that changes no word of a record, a blank, may pass.

    The spoilt file is the first that is read of those that may be left out: any other would only
    cost time, as it is what it was.
    """
    good = read(folder)
    for file in flips(folder, number, seed=number):
        is_record = file.suffix == ".json"
        refused = pytest.raises(FolderError, match=re.escape(file.name))
        with suppress(FolderError) if is_record else refused:
            assert is_equal(read(folder, file), good)


def test_every_table_of_a_run_and_every_part_of_a_sweep_is_tried(run: Path, sweep: Path) -> None:
    optional = {"fills", "snapshots", "contagion", "reproduction", "liquidation_heatmap"}
    assert optional | {"markets", "steps", "causes", "accounts"} <= set(load_run(run).tables)
    parts = {file.parent.name for file in sweep.glob("*/*.parquet")}
    assert parts == {"runs", "series", "events"}


def test_no_flipped_bit_is_read_as_data(run: Path, sweep: Path) -> None:
    check_flips(run, read_run, 100)
    check_flips(sweep, read_sweep, 30)


@pytest.mark.slow
def test_none_of_800_flipped_bits_is_read_as_data(run: Path, sweep: Path) -> None:
    check_flips(run, read_run, 560)
    check_flips(sweep, read_sweep, 240)


def adjust(run: Path, name: str) -> None:
    """State bytes and rows of a table in `run.json` as they are now."""
    record = json.loads((run / "run.json").read_text())
    file = run / f"{name}.parquet"
    record["tables"][name] |= {"bytes": file.stat().st_size, "rows": len(pd.read_parquet(file))}
    (run / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize("name", ["markets", "liquidations", "population_series"])
@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize("how", ["other run", "half", "column", "rows turned", "other table"])
def test_a_table_that_is_not_the_run_s_is_refused(
    made: dict[str, Path], run: Path, name: str, adjusted: bool, how: str
) -> None:
    file = run / f"{name}.parquet"
    if how in ("other run", "other table"):
        other = {"other run": made["run 2"] / file.name, "other table": run / "steps.parquet"}
        shutil.copy(other[how], file)
    else:
        table = pd.read_parquet(file)
        changed = {"half": table.iloc[: len(table) // 2], "column": table.iloc[:, :-1]}
        (changed | {"rows turned": table.iloc[::-1]})[how].to_parquet(file)
    if adjusted:
        adjust(run, name)
    with pytest.raises(FolderError, match=name):
        load_run(run).table(name)


def test_a_table_that_is_missing_or_a_folder_is_refused(run: Path) -> None:
    file = run / "funding.parquet"
    file.unlink()
    with pytest.raises(FolderError, match="funding"):
        load_run(run)
    file.mkdir()
    with pytest.raises(FolderError, match="funding"):
        load_run(run)


def test_commands_refuse_a_swapped_table(made: dict[str, Path], run: Path) -> None:
    shutil.copy(made["run 2"] / "liquidations.parquet", run)
    adjust(run, "liquidations")
    code, said = marketsim("cascade", run)
    assert code == 2
    assert "liquidations" in said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 5),
        ("seed", "1"),
        ("summary", {}),
        ("markets", ["SOL", "ETH", "BTC"]),
        ("digest", "0" * 32),
        ("tables", []),
        ("tables", {"markets": 3}),
        ("notes", None),
        ("steps", 61),
        ("hash", "0" * 32),
    ],
)
def test_a_changed_field_of_run_json_is_refused(run: Path, field: str, value: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {field: value}))
    for command in COMMANDS[:2]:
        code, said = marketsim(*(word.format(run) for word in command))
        assert code == 2
        assert "run.json" in said


def test_a_field_that_run_json_lacks_is_refused(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    for field in record:
        (run / "run.json").write_text(json.dumps({k: v for k, v in record.items() if k != field}))
        with pytest.raises(FolderError, match=r"run\.json"):
            load_run(run)


def test_the_run_json_of_another_run_is_refused(made: dict[str, Path], run: Path) -> None:
    shutil.copy(made["run 2"] / "run.json", run)
    with pytest.raises(FolderError, match="markets"):
        _ = load_run(run).markets


@pytest.mark.parametrize("name", ["run.json", "scenario.toml"])
@pytest.mark.parametrize("how", [*SPOILS, "folder"])
def test_every_command_refuses_a_spoilt_record_in_one_sentence(
    run: Path, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    Path("portfolio.toml").write_text(PORTFOLIO)
    spoil(run / name, how)
    reads_scenario = ("cascade", "explain")
    for command in COMMANDS:
        code, said = marketsim(*(word.format(run) for word in command))
        if name == "run.json" or command[0] in reads_scenario:
            assert code == 2, (command, said)
            assert name in said
            assert "Traceback" not in said
        assert code in (0, 1, 2)


def spoil(file: Path, how: str) -> None:
    if how == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(SPOILS[how](file.read_bytes()))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("how", [*SPOILS, "folder"])
def test_every_command_refuses_a_spoilt_record_of_a_sweep(
    sweep: Path, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep.parent)
    Path("design.toml").write_text(DESIGN)
    (file,) = sweep.glob(name)
    spoil(file, how)
    for command in READERS[name]:
        code, said = marketsim(*(word.format(sweep) for word in command))
        assert code == 2, (command, said)
        assert file.name in said
        assert "Traceback" not in said


@pytest.mark.parametrize("how", [*SPOILS, "folder", "seed"])
def test_a_spoilt_record_of_a_calibration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("targets.toml").write_text(TARGETS)
    search = load_targets("targets.toml")
    calibrate._claim(Path("out"), search, calibrate.check_dials(search))
    record = Path("out/sweep.json")
    if how == "seed":
        record.write_text(record.read_text().replace('"seed": 0', '"seed": 5'))
    else:
        spoil(record, how)
    code, said = marketsim("calibrate", "targets.toml", "--out", "out")
    assert code == 2
    assert "sweep.json: " in said
    assert "Traceback" not in said


def test_a_spoilt_result_of_an_experiment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(b"{cut")
    with pytest.raises(ExperimentError, match=r"results\.json: damaged"):
        read_result(tmp_path)


def parts(folder: Path, name: str = "runs") -> list[Path]:
    return sorted((folder / name).glob("*.parquet"))


def lists(folder: Path) -> list[Path]:
    return sorted((folder / "runs").glob("*.json"))


def test_a_part_of_another_sweep_is_refused(made: dict[str, Path], sweep: Path) -> None:
    (file,) = parts(sweep)
    shutil.copy(parts(made["sweep 7"])[0], file)
    for read in (load_sweep, sweep_status, read_sweep):
        with pytest.raises(FolderError, match=rf"{file.name}: .*--retry makes its runs again"):
            read(sweep)


def test_all_parts_of_another_sweep_are_refused_with_their_list(
    made: dict[str, Path], sweep: Path
) -> None:
    shutil.copytree(made["sweep 7"] / "runs", sweep / "runs", dirs_exist_ok=True)
    with pytest.raises(FolderError, match=r"1-of-1\..*\.json: .* another sweep"):
        load_sweep(sweep)


def test_a_part_that_nobody_lists_is_not_read(made: dict[str, Path], sweep: Path) -> None:
    good = read_sweep(sweep)
    label = lists(sweep)[0].stem
    shutil.copy(parts(made["sweep 7"])[0], sweep / "runs" / f"{label}.0000007-0000007.parquet")
    assert is_equal(read_sweep(sweep), good)
    shutil.copy(parts(made["sweep 7"])[0], sweep / "runs" / "2-of-2.0000007-0000007.parquet")
    with pytest.raises(FolderError, match=r"2-of-2\.json: missing"):
        load_sweep(sweep)


@pytest.mark.parametrize("how", ["half", "column", "missing", "folder"])
def test_a_part_that_is_cut_or_missing_is_refused(sweep: Path, how: str) -> None:
    (file,) = parts(sweep)
    table = pq.read_table(file)
    if how == "half":
        pq.write_table(table.slice(0, 1), file)
    elif how == "column":
        pq.write_table(table.drop_columns(["error"]), file)
    else:
        file.unlink()
        if how == "folder":
            file.mkdir()
    for read in (load_sweep, sweep_status, read_sweep, lambda path: find_run(path, "0")):
        with pytest.raises(FolderError, match=file.name):
            read(sweep)


def test_series_are_verified_by_the_questions_that_name_them(sweep: Path) -> None:
    (file,) = parts(sweep, "series")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert len(query_sweep(sweep, "SELECT * FROM runs")) == 2
    with pytest.raises(FolderError, match=f"series/{file.name}"):
        query_sweep(sweep, 'SELECT * FROM "Series"')
    file.unlink()
    with pytest.raises(FolderError, match=f"series/{file.name}: missing"):
        query_sweep(sweep, "SELECT * FROM series")


@pytest.mark.parametrize("what", ["part", "series", "list", "missing part", "missing list"])
def test_retry_makes_the_runs_of_damaged_parts_again(sweep: Path, what: str) -> None:
    good = read_sweep(sweep)
    file = {"series": parts(sweep, "series")[0], "part": parts(sweep)[0]}.get(
        what.removeprefix("missing "), lists(sweep)[0]
    )
    if what.startswith("missing"):
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9])
    design = parse_design(DESIGN_TABLE)
    if what != "series":
        with pytest.raises(FolderError, match=file.name):
            run_sweep(design, sweep, executor=Inline())
    report = run_sweep(design, sweep, executor=Inline(), retry=True)
    assert (report.done, report.result) == (2, report.recorded)
    again = read_sweep(sweep)
    for found in (good, again):
        for name in ("runs", "loaded"):
            found[name] = found[name].drop(columns="wall_s")
    assert is_equal(again, good)


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_damage_is_not_merged_into_another_part(sweep: Path, how: str) -> None:
    manifest = read_manifest(sweep)
    plan = Plan(parse_design(DESIGN_TABLE | {"replicates": 3}))
    run = plan.run(2)
    (file,) = parts(sweep, "series")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    if how == "missing":
        file.unlink()
    store = Store(sweep, manifest, lists(sweep)[0].stem)
    figures = (0.0,) * len(manifest.metrics)
    store.add(run, Outcome(run.key, OK, "", "d", figures, 0.1, {}))
    with pytest.raises(SweepFolderError, match=f"series/{file.name}"):
        store.close()
    assert len(stored_keys(sweep)) == 3


def test_status_says_when_the_result_is_not_the_one_recorded(sweep: Path) -> None:
    known = sweep_status(sweep)["result"]
    assert known == sweep_status(sweep)["recorded"]
    assert "NOT" not in marketsim("status", sweep)[1]
    (sweep / "result.json").unlink()
    record_result(sweep, read_manifest(sweep), "f" * 32)
    _, said = marketsim("status", sweep)
    assert f"result {known} NOT the result that was recorded when all runs were made, fff" in said
    report = run_sweep(parse_design(DESIGN_TABLE), sweep, executor=Inline())
    assert (report.result, report.recorded) == (known, "f" * 32)
