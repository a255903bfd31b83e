import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from marketsim.results import folder as folder_module
from marketsim.results.folder import check_target, free_path, write_run
from marketsim.results.run import load_run
from marketsim.results.tables import build_tables
from marketsim.tape.files import RunFolderError
from marketsim.tape.result import RunResult


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_run_folder_holds_the_tables_the_scenario_and_its_record(
    result: RunResult, tmp_path: Path
) -> None:
    target = write_run(result, tmp_path / "deep" / "run")
    tables = {f"{name}.parquet" for name in build_tables(result)}
    assert names(target) == tables | {"scenario.toml", "run.json"}
    assert names(target.parent) == {"run"}


def test_tables_read_back_as_they_were_written(result: RunResult, tmp_path: Path) -> None:
    run = load_run(write_run(result, tmp_path / "run"))
    for name, columns in build_tables(result).items():
        expected = pd.DataFrame(columns)
        actual = run.table(name)
        assert list(actual) == list(expected)
        for column in expected:
            np.testing.assert_array_equal(actual[column].to_numpy(), expected[column].to_numpy())
    assert run.scenario_text == result.scenario_text
    assert (run.seed, run.digest) == (1, run.summary["digest"])
    assert len(run.markets) == 8


def test_calendar_times_read_back_in_utc(
    make_result: Callable[..., RunResult], tmp_path: Path
) -> None:
    dated = make_result(start_time=np.datetime64("2025-10-10T00:00"))
    run = load_run(write_run(dated, tmp_path / "run"))
    assert run.steps["time"].iloc[-1] == pd.Timestamp("2025-10-10T02:00", tz="UTC")


def test_pandas_alone_reads_a_table(result: RunResult, tmp_path: Path) -> None:
    target = write_run(result, tmp_path / "run")
    code = (
        "import sys, pandas as pd; "
        # Arrow's threads sometimes abort as Python ends (apache/arrow issue 34314).
        "table = pd.read_parquet(sys.argv[1], use_threads=False); "
        "assert len(table) == 2; assert 'marketsim' not in sys.modules"
    )
    file = target / "liquidations.parquet"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)


def test_an_existing_folder_is_refused_unless_forced(
    make_result: Callable[..., RunResult], tmp_path: Path
) -> None:
    write_run(make_result(1), tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"already exists.*--force"):
        write_run(make_result(2), tmp_path / "run")
    assert load_run(tmp_path / "run").seed == 1
    write_run(make_result(2), tmp_path / "run", force=True)
    assert load_run(tmp_path / "run").seed == 2
    assert names(tmp_path) == {"run"}


def test_force_never_replaces_a_folder_that_is_not_a_run(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_run(result, tmp_path / "thesis", force=True)
    assert names(tmp_path / "thesis") == {"chapter.tex"}


def test_force_fills_an_empty_folder(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(RunFolderError, match="already exists"):
        write_run(result, tmp_path / "run")
    write_run(result, tmp_path / "run", force=True)
    assert load_run(tmp_path / "run").seed == 1


@pytest.mark.parametrize("force", [False, True])
def test_a_file_in_the_way_is_refused(result: RunResult, tmp_path: Path, force: bool) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match="not a folder"):
        write_run(result, tmp_path / "run", force)
    with pytest.raises(RunFolderError, match="is a file"):
        write_run(result, tmp_path / "run" / "below", force)


def test_an_unwritable_parent_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "run", Path("/proc/run"), Path("/dev/null/run")):
        with pytest.raises(RunFolderError, match=str(place)):
            check_target(place)


def test_checking_a_target_leaves_nothing_behind(tmp_path: Path) -> None:
    assert check_target(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert names(tmp_path) == set()


def test_a_disk_with_too_little_room_is_found_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="disk full"):
        check_target(tmp_path / "run", rows=10**15)


@pytest.mark.parametrize("file_number", range(3))
def test_a_full_disk_leaves_nothing_and_keeps_the_old_run(
    make_result: Callable[..., RunResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file_number: int,
) -> None:
    write_run(make_result(1), tmp_path / "run")
    flushed = []

    def fail(stream: object) -> None:
        flushed.append(stream)
        if len(flushed) > 4 * file_number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder_module, "_flush", fail)
    with pytest.raises(RunFolderError, match="disk full"):
        write_run(make_result(2), tmp_path / "run", force=True)
    with pytest.raises(RunFolderError, match="disk full"):
        write_run(make_result(2), tmp_path / "other")
    assert names(tmp_path) == {"run"}
    assert load_run(tmp_path / "run").seed == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_real_write_error_is_explained(result: RunResult, tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(RunFolderError, match="disk full"):
            write_run(result, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == set()


def test_an_interrupt_while_writing_leaves_nothing(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, "_rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_run(result, tmp_path / "run")
    assert names(tmp_path) == set()


def test_what_a_killed_run_left_is_removed_by_the_next(result: RunResult, tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.stdin is not None
    killed.stdin.close()
    mark = folder_module._staging_prefix(tmp_path / "run").replace(
        f"-{os.getpid()}-", f"-{killed.pid}-"
    )
    (tmp_path / f"{mark}x").mkdir()
    alive = tmp_path / f"{folder_module._staging_prefix(tmp_path / 'run')}y"
    alive.mkdir()
    write_run(result, tmp_path / "run")
    assert names(tmp_path) == {"run", alive.name}


def test_a_folder_made_meanwhile_is_not_overwritten(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = folder_module._fill

    def slowly(*args: object) -> None:
        fill(*args)  # type: ignore[arg-type]
        (tmp_path / "run").mkdir()

    monkeypatch.setattr(folder_module, "_fill", slowly)
    with pytest.raises(RunFolderError, match="already exists"):
        write_run(result, tmp_path / "run")
    assert names(tmp_path) == {"run"}


def test_free_path_counts_up(tmp_path: Path) -> None:
    assert free_path(tmp_path, "a-1") == tmp_path / "a-1"
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-1-2").mkdir()
    assert free_path(tmp_path, "a-1") == tmp_path / "a-1-3"


def test_run_json_names_versions_and_has_no_nan(result: RunResult, tmp_path: Path) -> None:
    target = write_run(result, tmp_path / "run")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    record = json.loads((target / "run.json").read_text(), parse_constant=refuse)
    assert {"python", "numpy", "numba"} <= record["versions"].keys()
    assert record["tables"]["markets"]["rows"] == 8


def test_a_missing_or_foreign_folder_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such folder"):
        load_run(tmp_path / "nothing")
    with pytest.raises(RunFolderError, match="not a run folder"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunFolderError, match="not written by marketsim"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": ')
    with pytest.raises(RunFolderError, match="damaged"):
        load_run(tmp_path)


def test_a_damaged_folder_cannot_be_loaded(result: RunResult, tmp_path: Path) -> None:
    target = write_run(result, tmp_path / "run")
    file = target / "markets.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(RunFolderError, match=r"markets\.parquet.*damaged"):
        load_run(target)
    file.write_bytes(bytes(len(whole)))
    with pytest.raises(RunFolderError, match=r"markets\.parquet: damaged, or not the file"):
        _ = load_run(target).markets
    file.unlink()
    with pytest.raises(RunFolderError, match=r"markets\.parquet: missing"):
        load_run(target)


def test_a_folder_of_another_format_version_is_refused(result: RunResult, tmp_path: Path) -> None:
    target = write_run(result, tmp_path / "run")
    record = json.loads((target / "run.json").read_text())
    (target / "run.json").write_text(json.dumps(record | {"format_version": 99}))
    with pytest.raises(RunFolderError, match="format version 99"):
        load_run(target)


def test_a_table_that_is_not_there_is_named(result: RunResult, tmp_path: Path) -> None:
    run = load_run(write_run(result, tmp_path / "run"))
    with pytest.raises(RunFolderError, match="no table 'fills'"):
        _ = run.fills


def test_a_loaded_run_is_frozen(result: RunResult, tmp_path: Path) -> None:
    run = load_run(write_run(result, tmp_path / "run"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.seed = 2  # type: ignore[misc]


def test_tables_are_compressed_with_zstd(result: RunResult, tmp_path: Path) -> None:
    target = write_run(result, tmp_path / "run")
    column = pq.read_metadata(target / "markets.parquet").row_group(0).column(0)
    assert column.compression == "ZSTD"
