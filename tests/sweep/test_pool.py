import math
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, wait
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
