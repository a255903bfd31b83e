"""Sweeps from Python: designs as tables, and executors that die."""

import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import marketsim
from marketsim.sweep.design import Design, DesignError
from marketsim.sweep.runner import ExecutorLostError, run_sweep
from marketsim.sweep.table import load_sweep
from tests.sweep.conftest import Inline

Make = Callable[..., Design]


class Mortal(Inline):
    """Does some calls, then breaks as a process pool does whose worker is killed."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls -= 1
        if self.calls >= 0:
            return super().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        future.set_exception(BrokenProcessPool("a process was terminated abruptly"))
        return future


def test_runs_that_were_done_when_the_executor_broke_are_kept(
    design: Make, inline: Inline, tmp_path: Path
) -> None:
    whole = run_sweep(design(), tmp_path / "whole", executor=inline)
    with pytest.raises(ExecutorLostError, match=r"terminated abruptly; the same command goes on"):
        run_sweep(design(), tmp_path / "out", executor=Mortal(1 + 5))  # names of figures, 5 runs
    assert len(load_sweep(tmp_path / "out")) == 5
    report = run_sweep(design(), tmp_path / "out", executor=inline)
    assert (report.stored, report.done) == (5, 7)
    assert report.result == whole.result


@pytest.mark.slow
def test_a_process_pool_whose_worker_is_killed_is_named(design: Make, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(BrokenExecutor):
            pool.submit(os._exit, 1).result()
        with pytest.raises(ExecutorLostError, match=r"the workers are gone: .*process pool"):
            run_sweep(design(), tmp_path / "out", executor=pool)


def test_an_executor_that_was_shut_down_is_refused(design: Make, tmp_path: Path) -> None:
    pool = ProcessPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ExecutorLostError, match=r"cannot schedule new futures after shutdown"):
        run_sweep(design(), tmp_path / "out", executor=pool)


def test_a_design_is_a_table_too(design: Make, inline: Inline, tmp_path: Path) -> None:
    table = {
        "base": "tiny.toml",
        "replicates": 3,
        "parameters": {
            "populations.crowd.count": [3, 5],
            "venue.funding.interval_hours": [1, 8],
        },
    }
    from_table = marketsim.run_sweep(table, tmp_path / "table", executor=inline)
    assert from_table.result == run_sweep(design(), tmp_path / "design", executor=inline).result


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            {"base": "tiny.toml", "parameters": {"populations.crowd.cuont": [1, 2]}},
            r"populations.crowd.cuont = 1: unknown field .did you mean 'count'",
        ),
        ({"base": "tiny.toml", "variants": {"a": {"market.BTC.price": 1.0}}}, r"market"),
        ({"base": "nowhere.toml"}, r"nowhere.toml"),
        ({"base": "tiny.toml", "replicate": 2}, r"replicate.*did you mean 'replicates'"),
        ("nowhere-design.toml", r"nowhere-design.toml"),
    ],
)
def test_an_unknown_path_is_refused_by_name(
    tiny: Path, inline: Inline, tmp_path: Path, table: Any, fault: str
) -> None:
    with pytest.raises(DesignError, match=fault):
        marketsim.run_sweep(table, tmp_path / "out", executor=inline)
    assert not (tmp_path / "out").exists()
