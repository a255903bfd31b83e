"""A pool of worker processes that outlives the death of any of them."""

import contextlib
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from multiprocessing import connection, current_process, get_context, parent_process
from typing import Any

#: Times a task may cost its worker the life.
MAX_DEATHS = 2
#: Workers in a row that may die before they are ready.
MAX_FALSE_STARTS = 3
#: Seconds a worker has to end by itself.
PATIENCE = 5.0

#: Why a script whose workers start more workers is stopped.
UNGUARDED = (
    'a script that is run with workers has to say so under `if __name__ == "__main__":`, '
    "for each worker loads the script first"
)

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class WorkerLostError(RuntimeError):
    """The workers that tried a task were killed."""


class _Job:
    def __init__(self, call: Call) -> None:
        self.future: Future[Any] = Future()
        self.payload = pickle.dumps(call, pickle.HIGHEST_PROTOCOL)
        self.deaths = 0


class _Worker:
    """A process and the driver's end of its pipe."""

    def __init__(self, context: Any, warm_up: Callable[[], None] | None) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, warm_up), daemon=True)
        self.process.start()
        theirs.close()
        self.is_ready = False
        self.job: _Job | None = None


class WorkerPool(Executor):
    """Run calls in worker processes; one that is killed is replaced.

    A call whose worker dies is tried once more; if that worker dies too, its future gets a
    `WorkerLostError` and the others go on. Workers start once and stay, one call at a time, and end
    with the process that made them, however it ends. If workers cannot be started at all, calls end
    with a `concurrent.futures.BrokenExecutor`.

    Parameters
    ----------
    num_workers : int
    warm_up : callable, optional
        Called once in every worker before its first call.
    """

    def __init__(self, num_workers: int, warm_up: Callable[[], None] | None = None) -> None:
        if getattr(current_process(), "_inheriting", False):
            # Told by this process in its first lines; the one it works for hears of its end.
            raise BrokenExecutor(UNGUARDED)
        self.num_workers = num_workers
        self._warm_up = warm_up
        self._context = get_context("spawn")
        self._waiting: deque[_Job] = deque()
        self._workers: list[_Worker] = []
        self._false_starts = 0
        self._lock = threading.Lock()
        self._ended = False
        self._broken = ""  # why no worker can be had
        self._bell, self._ring = self._context.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._supervise, name="sweep-pool", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; see `concurrent.futures.Executor.submit`."""
        job = _Job((fn, args, kwargs))
        with self._lock:
            if self._broken:
                raise BrokenExecutor(self._broken)
            if self._ended:
                msg = "the pool has been shut down"
                raise RuntimeError(msg)
            self._waiting.append(job)
        self._wake()
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; calls under way are finished only if they are waited for.

        See `concurrent.futures.Executor.shutdown`.
        """
        with self._lock:
            self._ended = True
            if cancel_futures or not wait:
                while self._waiting:
                    self._waiting.popleft().future.cancel()
        self._wake()
        if not wait:
            for worker in list(self._workers):
                worker.process.kill()
        self._thread.join()

    @property
    def process_ids(self) -> list[int]:
        """Ids of the worker processes."""
        return [worker.process.pid for worker in self._workers if worker.process.pid]

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._ring.send_bytes(b"")

    def _supervise(self) -> None:
        try:
            while self._go_on():
                self._hire()
                self._hand_out()
                ready = connection.wait([self._bell, *self._watched()])
                if self._bell in ready:
                    self._bell.recv_bytes()
                for worker in list(self._workers):
                    if worker.pipe in ready or worker.process.sentinel in ready:
                        self._hear(worker)
        except Exception as error:  # a caller would wait for ever
            self._break(f"no worker can be started: {error}")
        finally:
            self._dismiss()

    def _go_on(self) -> bool:
        with self._lock:
            busy = any(worker.job for worker in self._workers)
            return not self._ended or bool(self._waiting) or busy

    def _watched(self) -> list[Any]:
        return [end for worker in self._workers for end in (worker.pipe, worker.process.sentinel)]

    def _hire(self) -> None:
        while not self._ended and len(self._workers) < self.num_workers:
            self._workers.append(_Worker(self._context, self._warm_up))
        if self._ended and not self._workers:  # nobody is left to do what waits
            self._abandon("the pool was shut down")

    def _hand_out(self) -> None:
        for worker in self._workers:
            while worker.is_ready and worker.job is None:
                with self._lock:
                    job = self._waiting.popleft() if self._waiting else None
                if job is None:
                    return
                if job.deaths or job.future.set_running_or_notify_cancel():
                    worker.job = job
                    with contextlib.suppress(OSError):  # it just died: `_hear` will see
                        worker.pipe.send_bytes(job.payload)

    def _hear(self, worker: _Worker) -> None:
        """Take what a worker has to say, or note that it is dead."""
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv_bytes()
                if not worker.is_ready:
                    worker.is_ready = True
                    self._false_starts = 0
                elif worker.job is not None:
                    job, worker.job = worker.job, None
                    _settle(job.future, message)
        except (EOFError, OSError):
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        worker.process.join(PATIENCE)
        worker.process.kill()
        worker.pipe.close()
        self._workers.remove(worker)
        job, code = worker.job, worker.process.exitcode
        if job is not None:
            job.deaths += 1
            if job.deaths < MAX_DEATHS and not self._ended:
                with self._lock:
                    self._waiting.appendleft(job)
            else:
                text = f"worker killed ({_describe(code)}) {job.deaths} times by this task"
                job.future.set_exception(WorkerLostError(text))
        elif not worker.is_ready:
            self._false_starts += 1
            if self._false_starts >= MAX_FALSE_STARTS and not self._ended:
                self._break(f"workers end before they are ready ({_describe(code)})")

    def _break(self, reason: str) -> None:
        """Give up: no worker can be had."""
        with self._lock:
            self._broken = reason
            self._ended = True
        self._abandon(reason)

    def _abandon(self, reason: str) -> None:
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
        for job in jobs:
            if job.deaths or job.future.set_running_or_notify_cancel():
                job.future.set_exception(BrokenExecutor(reason))

    def _dismiss(self) -> None:
        for worker in self._workers:
            worker.pipe.close()  # a worker that waits for work ends by itself
        for worker in self._workers:
            worker.process.join(PATIENCE)
            worker.process.kill()
            worker.process.join()
        self._workers.clear()


def _settle(future: Future[Any], message: bytes) -> None:
    try:
        is_result, value = pickle.loads(message)  # noqa: S301 - from our own worker
    except Exception as error:
        is_result, value = False, error
    if is_result:
        future.set_result(value)
    else:
        future.set_exception(value)


def _describe(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def _work(pipe: Any, warm_up: Callable[[], None] | None) -> None:
    """Serve calls until the pipe is closed: the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if warm_up is not None:
        warm_up()
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(payload: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(payload)  # noqa: S301 - from our own driver
        return pickle.dumps((True, function(*args, **kwargs)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)  # noqa: S301 - some errors cannot be read back
        except Exception:
            answer = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return answer


def _end_with(sentinel: Any) -> None:
    """End this process when the driver's ends, even by SIGKILL and in the middle of a run."""
    connection.wait([sentinel])
    os._exit(1)
