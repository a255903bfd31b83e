import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, wait
from pathlib import Path
from typing import Any

import pytest

from marketsim.sweep.pool import WorkerLostError, WorkerPool


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2) as made:
        yield made


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_and_errors_come_back(pool: WorkerPool) -> None:
    futures = [pool.submit(math.sqrt, number) for number in (4.0, 9.0, -1.0)]
    assert [future.result() for future in futures[:2]] == [2.0, 3.0]
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        futures[2].result()


def test_a_call_that_kills_its_worker_is_tried_once_more_and_set_aside(pool: WorkerPool) -> None:
    deadly = pool.submit(os._exit, 7)
    others = [pool.submit(math.sqrt, 4.0) for _ in range(20)]
    assert [future.result(timeout=60) for future in others] == [2.0] * 20
    with pytest.raises(WorkerLostError, match=r"exit code 7\) 2 times"):
        deadly.result(timeout=60)


def test_a_killed_worker_is_replaced_and_its_call_done_by_another(pool: WorkerPool) -> None:
    assert pool.submit(math.sqrt, 4.0).result(timeout=60) == 2.0
    before = set(pool.process_ids)
    futures: list[Future[Any]] = [pool.submit(time.sleep, 0.5) for _ in range(2)]
    time.sleep(0.2)
    for process in before:
        os.kill(process, signal.SIGKILL)
    assert not wait(futures, timeout=60).not_done
    assert [future.exception() for future in futures] == [None, None]
    assert len(pool.process_ids) == 2
    assert before.isdisjoint(pool.process_ids)


def test_workers_that_cannot_start_are_given_up() -> None:
    lost = pytest.raises(BrokenExecutor, match="before they are ready")
    with WorkerPool(1, warm_up=os.abort) as pool, lost:
        pool.submit(math.sqrt, 4.0).result(timeout=60)
    with pytest.raises(BrokenExecutor, match="before they are ready"):
        pool.submit(math.sqrt, 4.0)


def test_a_script_that_would_start_itself_again_and_again_is_stopped(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import math\n"
        "from marketsim.sweep.pool import WorkerPool\n"
        "print(WorkerPool(1).submit(math.sqrt, 4.0).result())\n"
    )
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 1
    assert 'if __name__ == "__main__":' in found.stderr
    assert "workers end before they are ready" in found.stderr


def test_a_failure_to_start_workers_is_told_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr("marketsim.sweep.pool._Worker", refuse)
    with WorkerPool(1) as pool, pytest.raises(BrokenExecutor, match="no more processes"):
        pool.submit(math.sqrt, 4.0).result(timeout=60)


def test_shutdown_without_waiting_ends_calls_under_way() -> None:
    pool = WorkerPool(1)
    assert pool.submit(math.sqrt, 4.0).result(timeout=60) == 2.0
    (process,) = pool.process_ids
    busy, waiting = pool.submit(time.sleep, 600), pool.submit(time.sleep, 600)
    time.sleep(0.2)
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert isinstance(busy.exception(timeout=60), WorkerLostError)
    assert not is_running(process)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(math.sqrt, 4.0)


def test_a_result_that_cannot_travel_is_an_error(pool: WorkerPool) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pool.submit(open, os.devnull).result()
