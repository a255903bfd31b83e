"""Workers beyond this machine: Dask's, at a scheduler that runs or started through SLURM."""

import contextlib
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import explain
from marketsim.scenario.loader import absolute_path, parse_toml

#: Seconds a scheduler has to answer, and its first worker to be there.
PATIENCE = 10
#: How a file of SLURM settings is told from an address.
SLURM = "slurm:"


class ClusterError(ValueError):
    """A cluster that cannot be used."""


class SlurmSettings(Part):
    """A file that says how to start workers through SLURM."""

    jobs: int = Field(ge=1, le=100_000)
    """Jobs to start; each has the cores and the memory stated in `cluster`."""
    cluster: dict[str, Any]
    """Arguments of `dask_jobqueue.SLURMCluster`: cores, memory, queue, walltime, account ..."""


class Workers(NamedTuple):
    """Where runs are made."""

    executor: Executor
    num_workers: int  #: runs at a time; of a cluster that grows, how many there may be


@contextlib.contextmanager
def connected(cluster: str) -> Iterator[Workers]:
    """Use the workers of a Dask cluster.

    Parameters
    ----------
    cluster : str
        Address of a scheduler, such as "tcp://10.0.0.1:8786", or "slurm:" and the path of a TOML
        file with the fields of `SlurmSettings`.

    Yields
    ------
    Workers

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
        if cluster.startswith(SLURM):
            settings = _read_settings(cluster.removeprefix(SLURM))
            address = stack.enter_context(_slurm_cluster(settings))
            num_workers = settings.jobs * int(settings.cluster.get("cores", 1))
        else:
            _check_address(cluster)
            address, num_workers = cluster, 0
        try:
            client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            msg = f"{cluster}: no Dask scheduler answers there within {PATIENCE} s"
            raise ClusterError(msg) from error
        stack.enter_context(contextlib.closing(client))
        if not num_workers:
            num_workers = _count_workers(client, cluster)
        executor = client.get_executor(pure=False)
        stack.callback(executor.shutdown, wait=False)
        yield Workers(executor, num_workers)


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


@contextlib.contextmanager
def _slurm_cluster(settings: SlurmSettings) -> Iterator[Any]:
    """Submit the jobs; those that wait in SLURM's queue join when they start."""
    import dask

    handler = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster

    signal.signal(signal.SIGINT, handler)  # loading it had made Ctrl-C a silent exit

    # Runs hold Python's lock, so a process for each core.
    arguments = {
        "processes": settings.cluster.get("cores", 1),
        "scheduler_options": {"dashboard_address": ":0"},  # any port: 8787 may be another's
    } | settings.cluster
    _try_job(_job_script(arguments))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        contextlib.closing(SLURMCluster(**arguments)) as cluster,
    ):
        cluster.scale(jobs=settings.jobs)
        yield cluster


def _job_script(arguments: dict[str, Any]) -> str:
    """Return the script of a job, without the cluster: one half made complains when it goes."""
    from dask_jobqueue.slurm import SLURMJob

    own = ("scheduler_options", "shared_temp_directory", "silence_logs")
    of_job = {name: value for name, value in arguments.items() if name not in own}
    try:
        job = SLURMJob(scheduler="tcp://127.0.0.1:8786", name="marketsim", **of_job)
        return str(job.job_script())
    except (TypeError, ValueError) as error:
        msg = f"dask_jobqueue.SLURMCluster: {error}"
        raise ClusterError(msg) from error


def _try_job(script: str) -> None:
    """Let SLURM check a job without submitting it: Dask only logs what it is told later."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        try:
            done = subprocess.run(
                ["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False
            )
        except OSError as error:
            msg = f"SLURM cannot be used from here: sbatch: {error.strerror}"
            raise ClusterError(msg) from error
    if done.returncode:
        msg = f"SLURM takes no such jobs: {done.stderr.strip()}"
        raise ClusterError(msg)


def _read_settings(path: str) -> SlurmSettings:
    try:
        data = parse_toml(absolute_path(path, Path.cwd()).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ClusterError(msg) from error
    except ValueError as error:
        msg = f"{path}: not a TOML file: {error}"
        raise ClusterError(msg) from error
    try:
        return SlurmSettings.model_validate(data)
    except ValidationError as error:
        found = explain(error, data, SlurmSettings.model_json_schema())
        msg = f"{path}: {'; '.join(line for _, lines in found for line in lines)}"
        raise ClusterError(msg) from error
