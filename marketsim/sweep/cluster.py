"""Workers beyond this machine: Dask's, at a scheduler that runs or started through SLURM."""

import contextlib
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from marketsim.sweep.slurm import ClusterError, SlurmJobs, read_settings, slurm_jobs

#: Seconds a scheduler has to answer, and its first worker to be there.
PATIENCE = 10
#: Seconds between two looks at the workers, and without any before it is said.
LOOK_SECONDS = 5.0
SILENCE = 30.0
#: How often a call is queued again whose result was lost on its way.
RESENDS = 3
#: What is said when the scheduler has gone.
LOST = "no scheduler answers any more"
#: How a file of SLURM settings is told from an address.
SLURM = "slurm:"


class ClusterWarning(UserWarning):
    """Nobody works at the moment."""


class Crew(NamedTuple):
    """Who works on a sweep, and who is yet to come."""

    workers: int  #: runs that can be made at this moment
    waiting: int  #: jobs that wait in SLURM's queue


class ClusterExecutor(Executor):
    """The workers of a cluster, with an eye on whether there are any.

    Parameters
    ----------
    client : distributed.Client
    where : str
        What the user calls the cluster.
    num_workers : int
        Runs at a time, once all are there.
    jobs : SlurmJobs, optional
        The jobs that bring the workers.
    """

    def __init__(
        self, client: Any, where: str, num_workers: int, jobs: SlurmJobs | None = None
    ) -> None:
        self.num_workers = num_workers
        self._client = client
        self._where = where
        self._jobs = jobs
        self._executor: Executor = client.get_executor(pure=False)
        self._crew = Crew(num_workers if jobs is None else 0, 0)
        self._due = self._alone_since = time.monotonic()
        self._is_told = self._is_lost = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; see `concurrent.futures.Executor.submit`."""
        found: Future[Any] = Future()
        self._send(found, partial(fn, *args, **kwargs), RESENDS)
        return found

    def _send(self, found: Future[Any], call: Callable[[], Any], resends: int) -> None:
        """Queue a call whose outcome goes to a future; one that Dask mistakes is queued again.

        Dask asks for a result and then how it came about. Where the worker goes between the two, it
        takes the result for an error's three parts, and says that it cannot unpack it.
        """
        try:
            sent = self._executor.submit(call)
        except Exception as error:
            if self._client.status == "closed":
                raise BrokenExecutor(LOST) from error
            raise

        def pass_on(done: Future[Any]) -> None:
            if done.cancelled():
                found.cancel()
                found.set_running_or_notify_cancel()
                return
            error = done.exception()
            if resends and isinstance(error, ValueError) and "unpack" in str(error):
                try:
                    self._send(found, call, resends - 1)
                except Exception as fault:
                    found.set_exception(fault)
            elif error is not None:
                found.set_exception(error)
            else:
                found.set_result(done.result())

        sent.add_done_callback(pass_on)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Take no more calls, and drop those under way unless they are waited for.

        See `concurrent.futures.Executor.shutdown`.
        """
        try:
            self._executor.shutdown(wait=wait)
        except Exception:
            if self._client.status != "closed":  # or there is nobody to tell
                raise

    def look(self) -> Crew:
        """Count the workers, replace jobs that have ended, and say so when nobody works.

        To be called again and again while calls are under way.

        Returns
        -------
        Crew

        Raises
        ------
        ClusterError
            If jobs end again and again before a worker is there.
        BrokenExecutor
            If the scheduler has gone.

        Warns
        -----
        ClusterWarning
            If there have been no workers for `SILENCE` seconds, and when there are some again.
        """
        now = time.monotonic()
        if now < self._due:
            return self._crew
        self._due = now + LOOK_SECONDS
        if self._client.status == "closed":
            if self._is_lost:  # since the last look: what had come back is stored by now
                raise BrokenExecutor(LOST)
            self._is_lost = True
            return self._crew
        try:
            workers = sum(self._client.nthreads(callback_timeout=PATIENCE).values())
        except (OSError, RuntimeError):  # the next look will tell whether the scheduler has gone
            return self._crew
        queue = self._jobs.look_after(workers) if self._jobs is not None else Counter()
        pending = sum(num for state, num in queue.items() if state.startswith("PENDING"))
        self._crew = Crew(workers, pending)
        if workers:
            self._alone_since = now
        if not workers and not self._is_told and now - self._alone_since >= SILENCE:
            warnings.warn(f"nobody works: {self._explain(queue)}", ClusterWarning, stacklevel=2)
            self._is_told = True
        elif workers and self._is_told:
            warnings.warn(f"{workers} workers are there now", ClusterWarning, stacklevel=2)
            self._is_told = False
        return self._crew

    def _explain(self, queue: "Counter[str]") -> str:
        if self._jobs is None:
            return f"{self._where} has no workers; start some: dask worker {self._where}"
        states = ", ".join(f"{num} {state}" for state, num in queue.items()) or "none in its queue"
        return f"SLURM's jobs {self._jobs.name}: {states}; it goes on when a worker is there"


@contextlib.contextmanager
def connected(
    cluster: str, name: str = "marketsim", logs: str | Path = "logs"
) -> Iterator[ClusterExecutor]:
    """Use the workers of a Dask cluster.

    Parameters
    ----------
    cluster : str
        Address of a scheduler, such as "tcp://10.0.0.1:8786", or "slurm:" and the path of a TOML
        file with the fields of `marketsim.sweep.slurm.SlurmSettings`.
    name : str, optional
        Of SLURM's jobs.
    logs : str or Path, optional
        Folder for what they say.

    Yields
    ------
    ClusterExecutor

    Raises
    ------
    ClusterError
        If the settings are wrong, Dask is not installed or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        msg = f"--cluster needs Dask: pip install 'marketsim-perps[cluster]' ({error})"
        raise ClusterError(msg) from error
    with contextlib.ExitStack() as stack:
        jobs = None
        if cluster.startswith(SLURM):
            settings = read_settings(cluster.removeprefix(SLURM))
            jobs = stack.enter_context(slurm_jobs(settings, name, Path(logs)))
            num_workers = settings.jobs * settings.cluster["cores"]
        else:
            _check_address(cluster)
        try:
            client = Client(
                cluster if jobs is None else jobs.cluster, timeout=PATIENCE, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError) as error:
            msg = f"{cluster}: no Dask scheduler answers there within {PATIENCE} s"
            raise ClusterError(msg) from error
        stack.enter_context(contextlib.closing(client))
        if jobs is None:
            num_workers = _count_workers(client, cluster)
        executor = ClusterExecutor(client, cluster, num_workers, jobs)
        stack.callback(executor.shutdown, wait=False)
        yield executor


def _check_address(address: str) -> None:
    """Refuse what Dask would stumble over: it leaves a client behind that complains as it goes."""
    found = re.fullmatch(
        r"(?:(tcp|tls|ws|wss)://)?(\[[0-9a-fA-F:.%]+\]|[\w.-]+):(\d{1,5})", address
    )
    if found is None or not 0 < int(found[3]) < 2**16:
        msg = f"{address}: must be an address such as tcp://host:8786, or {SLURM}FILE.toml"
        raise ClusterError(msg)
    if found[1] in ("tls", "wss"):
        from distributed.security import Security

        if Security().get_connection_args("client")["ssl_context"] is None:
            msg = f"{address}: needs certificates, set distributed.comm.tls in Dask's configuration"
            raise ClusterError(msg)


def _count_workers(client: Any, cluster: str) -> int:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        msg = f"{cluster}: the scheduler has no workers; start some: dask worker {cluster}"
        raise ClusterError(msg) from error
    return sum(client.nthreads().values())
