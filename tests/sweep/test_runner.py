import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioWarning
from marketsim.scenario.loader import load_scenario
from marketsim.sweep.design import Design, DesignError
from marketsim.sweep.lock import Shard, SweepFolderError, locked
from marketsim.sweep.metrics import run_metrics
from marketsim.sweep.plan import Plan
from marketsim.sweep.query import query_sweep
from marketsim.sweep.runner import (
    ExecutorLostError,
    StoreError,
    TooManyFailuresError,
    run_sweep,
)
from marketsim.sweep.store import read_runs, stored_keys
from marketsim.sweep.table import load_sweep, result_hash
from tests.sweep.conftest import GRID, Inline

Make = Callable[..., Design]

#: A trader of one's own that fails in every second replicate.
FRAGILE = """\
import marketsim

class Fragile(marketsim.Strategy):
    def decide(self, market, traders):
        if float(market.mid[0]) > 100_000.0:
            raise RuntimeError("too dear")
"""


def test_a_sweep_s_figures_are_those_of_its_runs(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(), tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    row = runs[(runs["cell"] == 3) & (runs["replicate"] == 2)].iloc[0]
    changes = [("populations.crowd.count", "5"), ("venue.funding.interval_hours", "8")]
    simulation = Simulation(load_scenario("tiny.toml", changes), 2)
    simulation.run(30)
    expected = run_metrics(simulation.result())
    assert {name: row[name] for name in expected} == pytest.approx(expected, nan_ok=True, rel=0)
    assert row["seed"] == 2


def test_a_base_may_be_varied_like_a_field(
    design: Make, inline: Inline, tmp_path: Path, tiny: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(tiny.read_text().replace("price = 100000.0", "price = 50000.0"))
    changes = {"base": {"levels": ["tiny.toml", "other.toml"]}}
    swept = design(parameters=changes, replicates=1, days=0.0125)
    run_sweep(swept, tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    assert runs["base"].tolist() == ["tiny.toml", "other.toml"]
    first = runs["markets.BTC.index_start"].to_numpy()
    assert first[0] / first[1] == pytest.approx(2.0, rel=0.01)
    other.write_text(tiny.read_text())
    with pytest.raises(SweepFolderError, match="another design"):
        run_sweep(swept, tmp_path / "out", executor=inline)


@pytest.mark.slow
def test_the_same_results_with_one_worker_two_and_three_shards(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    one, two = (run_sweep(design(), tmp_path / f"{n}", workers=n) for n in (1, 2))
    for number in (3, 1, 2):
        part = run_sweep(design(), tmp_path / "shards", executor=inline, shard=Shard(number, 3))
        assert part.done == part.total == 4
    assert one.result == two.result == part.result != ""
    assert len(set(stored_keys(tmp_path / "shards"))) == 12


def test_a_finished_sweep_has_nothing_left_to_do(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    first = run_sweep(design(), tmp_path / "out", executor=inline)
    again = run_sweep(design(), tmp_path / "out")
    assert (first.done, first.stored) == (12, 0)
    assert (again.done, again.stored) == (0, 12)
    assert again.result == first.result


def test_a_run_that_raises_is_an_error_row_and_the_sweep_goes_on(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    (tmp_path / "fragile.py").write_text(FRAGILE)
    mine = {"populations.mine.strategy": str(tmp_path / "fragile.py:Fragile")}
    made = design(set={**mine, "populations.mine.count": 2}, replicates=8, parameters={})
    report = run_sweep(made, tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out")
    failed = runs[runs["status"] == "error"]
    assert 0 < len(failed) < 8
    assert report.failures == len(failed)
    assert failed["error"].str.contains("RuntimeError: too dear").all()
    assert failed["markets.BTC.volume_usd"].isna().all()
    assert runs.loc[runs["status"] == "ok", "digest"].str.len().eq(32).all()


def test_failed_runs_are_made_again_when_asked(
    design: Make, inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "run", lambda *_: 1 / 0)
        assert run_sweep(design(), out, executor=inline).failures == 12
    assert run_sweep(design(), out, executor=inline).failures == 12
    again = run_sweep(design(), out, executor=inline, retry=True)
    assert (again.failures, again.done) == (0, 12)
    assert len(stored_keys(out)) == len(set(stored_keys(out))) == 12


def test_too_many_failures_stop_a_sweep(
    design: Make, inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Simulation, "run", lambda *_: 1 / 0)
    with pytest.raises(TooManyFailuresError, match="2 runs failed, the last: ZeroDivisionError"):
        run_sweep(design(), tmp_path / "out", executor=inline, max_failures=2)
    assert len(stored_keys(tmp_path / "out")) == 2


def test_a_full_disk_stops_a_sweep_that_goes_on_when_there_is_room(
    design: Make, inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        if len(stored_keys(tmp_path / "out")) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("marketsim.sweep.runner.FLUSH_RUNS", 4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"runs: disk full; .* run the same command"):
            run_sweep(design(), tmp_path / "out", executor=inline)
    assert len(stored_keys(tmp_path / "out")) == 4
    again = run_sweep(design(), tmp_path / "out", executor=inline)
    assert (again.stored, again.done) == (4, 8)


def test_metrics_are_chosen_by_pattern(design: Make, inline: Inline, tmp_path: Path) -> None:
    made = design(metrics=["markets.*.volume_usd", "fees_usd"], replicates=1)
    run_sweep(made, tmp_path / "out", executor=inline)
    metrics = load_sweep(tmp_path / "out").attrs["metrics"]
    assert sorted(metrics) == ["fees_usd", "markets.BTC.volume_usd"]


def test_metrics_of_populations_that_only_some_cells_have_are_known(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    more = {"populations.more.strategy": "noise", "populations.more.count": 1}
    made = design(
        variants={"few": {}, "many": more}, metrics=["populations.more.profit_usd"], replicates=1
    )
    run_sweep(made, tmp_path / "out", executor=inline)
    runs = load_sweep(tmp_path / "out").set_index("variant")["populations.more.profit_usd"]
    assert runs["few"].isna().all()
    assert runs["many"].notna().all()


def test_a_metric_that_does_not_exist_is_refused_before_the_first_run(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    with pytest.raises(DesignError, match=r"did you mean 'markets\.BTC\.volume_usd'"):
        run_sweep(design(metrics=["markets.BTC.volume_us"]), tmp_path / "out", executor=inline)
    assert not (tmp_path / "out" / "sweep.json").exists()


def test_series_and_events_are_kept_beside_the_figures(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    run_sweep(design(keep=["series", "events"]), tmp_path / "out", executor=inline)
    counts = query_sweep(tmp_path / "out", "SELECT key, count(*) AS n FROM series GROUP BY key")
    assert counts["n"].tolist() == [30] * 12
    joined = query_sweep(
        tmp_path / "out",
        "SELECT runs.cell, max(series.mark_price) AS top FROM series JOIN runs USING (key) "
        "GROUP BY runs.cell",
    )
    assert np.isfinite(joined["top"]).all()


def test_a_folder_in_use_is_refused(design: Make, inline: Inline, tmp_path: Path) -> None:
    refused = pytest.raises(SweepFolderError, match="is at work on this sweep")
    with locked(tmp_path / "out", Shard()), refused:
        run_sweep(design(), tmp_path / "out", executor=inline)


def test_what_has_no_effect_in_the_base_is_told_once(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    idle = {"markets.ETH": {"price": 4000.0, "tick_size": 0.01, "lot_size": 0.01}}
    made = design(set={**idle, "populations.crowd.markets": ["BTC"]}, replicates=1)
    with pytest.warns(ScenarioWarning, match=r"markets\.ETH: no population trades it") as told:
        run_sweep(made, tmp_path / "out", executor=inline)
    assert len(told) == 1


def test_workers_of_another_version_are_refused(
    design: Make, inline: Inline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketsim.sweep.worker.model_version", lambda: "0.0.1+old")
    with pytest.raises(ExecutorLostError, match=r"have marketsim 0.0.1\+old, this is"):
        run_sweep(design(), tmp_path / "out", executor=inline)


def start(tmp_path: Path, *options: str) -> "subprocess.Popen[str]":
    (tmp_path / "design.toml").write_text(GRID.replace("replicates = 3", "replicates = 80"))
    code = "import marketsim.sweep.runner as r; r.FLUSH_SECONDS = 0.2; import marketsim.cli as c; "
    command = [sys.executable, "-c", f"{code}c.main()", "sweep", "design.toml", "--out", "out"]
    return subprocess.Popen(
        [*command, "--workers", "2", *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(process: int) -> list[int]:
    """Ids of the pool's workers: children that run Python's spawned main."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if int(status[1]) == process and "spawn_main" in command:
                found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
@pytest.mark.slow
def test_killed_workers_and_a_killed_driver_change_no_result(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = start(tmp_path)
    wait_for(lambda: len(stored_keys(out)) > 20)
    workers = children(driver.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    stored = len(stored_keys(out))
    wait_for(lambda: len(stored_keys(out)) > stored + 20)
    workers = children(driver.pid)
    driver.kill()
    driver.communicate()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 10.0)
    stored = len(stored_keys(out))
    assert 0 < stored < 320

    resumed = start(tmp_path)
    text, errors = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, errors
    keys = stored_keys(out)
    assert sorted(keys) == sorted(set(keys)) == sorted(Plan(design(replicates=80)).keys)
    whole = run_sweep(design(replicates=80), tmp_path / "whole", executor=inline)
    assert whole.result == result_hash(out)
    assert f"result {whole.result}" in text
    assert all(status == "ok" for table in read_runs(out) for status in table["status"].to_pylist())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_an_interrupt_stores_what_is_done(tiny: Path, tmp_path: Path) -> None:
    driver = start(tmp_path)
    wait_for(lambda: len(stored_keys(tmp_path / "out")) > 5)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert 0 < len(stored_keys(tmp_path / "out")) < 320
