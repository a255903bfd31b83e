"""Worker jobs of SLURM: their settings, their script, and others for those that end."""

import contextlib
import inspect
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field, ValidationError

from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import explain, nearest
from marketsim.scenario.loader import parse_toml
from marketsim.scenario.named_files import absolute_path
from marketsim.scenario.wording import show

#: Seconds between a job's submission and its place in the queue that are not worth a word.
QUEUE_SECONDS = 10.0
#: Seconds between two submissions: jobs that end at once are not to fill the queue.
SUBMIT_SECONDS = 30.0
#: Jobs in a row that may end before a worker of theirs was there, for each that is wanted.
FALSE_STARTS = 2
#: A worker's lifetime and what it may vary by, as shares of the job's walltime: workers end before
#: SLURM ends them, not all at once, and hand their runs back.
LIFETIME, STAGGER = 0.9, 0.05
#: What happens when SLURM is not there, or not at this moment.
NO_ANSWER = (OSError, subprocess.CalledProcessError)
#: Workers log the end of a connection with a traceback, for information: not in a good sweep.
QUIET = '''export DASK_LOGGING="{'distributed.batched': 'warning'}"'''
#: What a job asks of SLURM.
ASKED = ("cores", "memory", "job_mem", "queue", "account", "walltime")
#: Where what is nobody's business listens: any port that only this machine reaches.
PRIVATE = "localhost:0"
#: Arguments of the cluster that are not the user's.
_OURS = {"self", "scheduler", "job_cls", "n_workers", "loop", "asynchronous", "name", "security"}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class ClusterError(ValueError):
    """A cluster that cannot be used."""


class SlurmSettings(Part):
    """A file that says how to start workers through SLURM."""

    jobs: int = Field(ge=1, le=100_000)
    """Jobs to keep up; each has the cores and the memory stated in `cluster`."""
    lifetime: str | None = Field(None, pattern=r"^\d+(\.\d+)? ?[smhd]$")
    """How long a worker takes runs, in s, m, h or d: it ends before its job's walltime does; left
    out: nine tenths of the walltime."""
    tls: bool = False
    """Whether all talk is encrypted, and only who has this sweep's certificate is listened to."""
    cluster: dict[str, Any]
    """Arguments of `dask_jobqueue.SLURMCluster`: cores, memory, queue, walltime, account ..."""


def read_settings(path: str) -> SlurmSettings:
    """Read a file of SLURM settings.

    Parameters
    ----------
    path : str

    Returns
    -------
    SlurmSettings

    Raises
    ------
    ClusterError
        If it cannot be read, or a setting is unknown or of the wrong kind.
    """
    try:
        data = parse_toml(absolute_path(path, Path.cwd()).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ClusterError(msg) from error
    except ValueError as error:
        msg = f"{path}: not a TOML file: {error}"
        raise ClusterError(msg) from error
    try:
        settings = SlurmSettings.model_validate(data)
    except ValidationError as error:
        found = explain(error, data, SlurmSettings.model_json_schema())
        msg = f"{path}: {'; '.join(line for _, lines in found for line in lines)}"
        raise ClusterError(msg) from error
    _check_arguments(path, settings.cluster)
    return settings


def _load_jobqueue() -> Any:
    """Load `dask_jobqueue`, which by itself would make Ctrl-C a silent exit."""
    handler = signal.getsignal(signal.SIGINT)
    import dask_jobqueue.slurm

    signal.signal(signal.SIGINT, handler)
    return dask_jobqueue


def _check_arguments(path: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that nothing takes, and what the runs of a job are counted from."""
    jobqueue = _load_jobqueue()
    known = {
        name
        for each in (jobqueue.slurm.SLURMJob, jobqueue.core.Job, jobqueue.JobQueueCluster)
        for name, about in inspect.signature(each.__init__).parameters.items()
        if about.kind is not inspect.Parameter.VAR_KEYWORD and name not in _OURS
    }
    for name in arguments:
        if name not in known:
            msg = f"{path}: cluster.{name}: unknown field{nearest(name, known)}"
            raise ClusterError(msg)
    cores = arguments.get("cores")
    if isinstance(cores, bool) or not isinstance(cores, int) or cores < 1:
        stated = "" if cores is None else f" = {show(cores)}"
        msg = f"{path}: cluster.cores{stated}: must be stated, a whole number from 1 on"
        raise ClusterError(msg)


class SlurmJobs:
    """The worker jobs of a sweep: as many as are wanted, whatever becomes of them.

    Parameters
    ----------
    cluster : dask_jobqueue.SLURMCluster
    name : str
        Of the jobs.
    wanted : int
    logs : str
        Where they write what they say.
    """

    def __init__(self, cluster: Any, name: str, wanted: int, logs: str) -> None:
        self.cluster = cluster
        self.name = name
        self.wanted = wanted
        self.logs = logs
        self._seen: dict[tuple[Any, Any], float] = {}  # when each was first looked for
        self._false_starts = 0
        self._due = 0.0
        cluster.scale(jobs=wanted)

    def look_after(self, working: int) -> "Counter[str]":
        """Submit a job for each that has ended.

        Parameters
        ----------
        working : int
            Runs that workers can make at this moment.

        Returns
        -------
        Counter
            Jobs in SLURM's queue by their state, for those that wait with its reason.

        Raises
        ------
        ClusterError
            If jobs end again and again before a worker is there.
        """
        try:
            queue = self._queue()
        except NO_ANSWER:  # it will, in a moment: controllers are restarted
            return Counter({"SLURM does not answer": self.wanted})
        now = time.monotonic()
        # Numbers, not the jobs: what holds a job as the cluster closes makes it complain.
        jobs = {(name, job.job_id) for name, job in self.cluster.workers.items()}
        self._seen = {each: self._seen.get(each, now) for each in jobs}
        gone = [
            name
            for name, job in jobs
            if job not in queue and now - self._seen[name, job] > QUEUE_SECONDS
        ]
        if working:
            self._false_starts = 0
        if now >= self._due and (gone or len(jobs) < self.wanted):
            self._submit(gone)
            self._due = now + SUBMIT_SECONDS
        mine = {job for _, job in jobs}
        return Counter(state for job, state in queue.items() if job in mine)

    def _submit(self, gone: list[str]) -> None:
        """Submit jobs in the place of those that are gone."""
        self._false_starts += len(gone)
        if self._false_starts > FALSE_STARTS * self.wanted:
            msg = f"SLURM's jobs end before a worker is there; what they say is in {self.logs}"
            raise ClusterError(msg)
        self.cluster.sync(self._forget, gone)
        self.cluster.scale(jobs=self.wanted)

    async def _forget(self, names: list[str]) -> None:
        for name in names:
            self.cluster.workers.pop(name, None)

    def _queue(self) -> dict[str, str]:
        """Ask SLURM for the jobs of this name."""
        lines = _call("squeue", "--noheader", "--name", self.name, "--format", "%A|%T|%r")
        rows = (line.strip().split("|", 2) for line in lines.splitlines())
        return {
            job: f"{state} ({reason})" if state == "PENDING" else state
            for job, state, reason in rows
        }


@contextlib.contextmanager
def slurm_jobs(settings: SlurmSettings, name: str, logs: Path) -> Iterator[SlurmJobs]:
    """Submit worker jobs, and take them back at the end.

    Parameters
    ----------
    settings : SlurmSettings
    name : str
        Of the jobs, if the settings state none.
    logs : Path
        Folder of what they say, likewise.

    Yields
    ------
    SlurmJobs

    Raises
    ------
    ClusterError
        If SLURM is not there, or takes no such jobs.
    """
    import dask

    arguments = _arguments(settings, name, logs)
    _try_job(_job_script(arguments), settings.cluster)
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 1}))
        try:
            cluster = _load_jobqueue().SLURMCluster(**arguments, security=settings.tls or None)
        except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            _refuse_arguments(error)
        stack.enter_context(contextlib.closing(cluster))
        said = str(arguments["log_directory"])
        yield SlurmJobs(cluster, arguments["job_name"], settings.jobs, said)


def _arguments(settings: SlurmSettings, name: str, logs: Path) -> dict[str, Any]:
    """Complete what the file states: jobs of the sweep's name that listen where it says."""
    import dask
    from distributed.utils import get_ip

    stated = {"log_directory": str(logs), **settings.cluster}
    configured = dask.config.get("jobqueue.slurm", {})
    worker_options = [*stated.get("worker_extra_args", configured.get("worker-extra-args", []))]
    prologue = stated.get("job_script_prologue", configured.get("job-script-prologue", []))
    lifetime = _lifetime(settings, stated.get("walltime", configured.get("walltime")))
    if lifetime and "--lifetime" not in worker_options:
        stagger = lifetime * STAGGER / LIFETIME
        worker_options += [
            "--lifetime",
            f"{lifetime:.0f}s",
            "--lifetime-stagger",
            f"{stagger:.0f}s",
        ]
    # Dask's own pages would listen to everybody.
    worker_options += ["--no-dashboard", "--dashboard-address", PRIVATE]
    pages = {"dashboard": False, "dashboard_address": PRIVATE}
    scheduler = pages | stated.get("scheduler_options", {})
    interface = stated.get("interface", configured.get("interface"))
    if not interface and not scheduler.keys() & {"host", "interface"}:
        scheduler["host"] = get_ip()  # not every address of this machine
    return {
        "job_name": re.sub(r"[^\w.-]", "-", name),
        "shared_temp_directory": stated["log_directory"],  # of the certificates
        "processes": stated["cores"],  # runs hold Python's lock, so a process for each core
        **stated,
        "job_script_prologue": [QUIET, *prologue],
        "worker_extra_args": worker_options,
        "scheduler_options": scheduler,
    }


def _lifetime(settings: SlurmSettings, walltime: Any) -> float | None:
    """Return the seconds a worker takes runs; None: as long as SLURM lets it."""
    if settings.lifetime is not None:
        return float(settings.lifetime[:-1]) * _SECONDS[settings.lifetime[-1]]
    seconds = walltime_seconds(str(walltime))
    return None if seconds is None else LIFETIME * seconds


def walltime_seconds(text: str) -> int | None:
    """Return the seconds of a walltime as SLURM reads it, None if it is unlimited.

    Parameters
    ----------
    text : str
        Minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes ...

    Returns
    -------
    int or None

    Examples
    --------
    >>> walltime_seconds("30"), walltime_seconds("1:30:00"), walltime_seconds("2-0")
    (1800, 5400, 172800)
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if found is None:
        return None
    days, *rest = (int(each or 0) for each in found.groups())
    hours_first = found[1] is not None or found[4] is not None
    hours, minutes, seconds = rest if hours_first else (0, *rest[:2])
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _job_script(arguments: dict[str, Any]) -> str:
    """Return the script of a job, without the cluster: one half made complains when it goes."""
    own = ("scheduler_options", "shared_temp_directory", "silence_logs")
    of_job = {name: value for name, value in arguments.items() if name not in own}
    try:
        job = _load_jobqueue().slurm.SLURMJob("tcp://127.0.0.1:8786", "marketsim", **of_job)
        return str(job.job_script())
    except (OSError, TypeError, ValueError) as error:
        _refuse_arguments(error)


def _refuse_arguments(error: Exception) -> NoReturn:
    msg = f"dask_jobqueue.SLURMCluster: {error}"
    raise ClusterError(msg) from error


def _try_job(script: str, stated: dict[str, Any]) -> None:
    """Let SLURM check a job without submitting it: Dask only logs what it is told later."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        try:
            _call("sbatch", "--test-only", file.name)
        except OSError as error:
            msg = f"SLURM cannot be used from here: sbatch: {error.strerror}"
            raise ClusterError(msg) from error
        except subprocess.CalledProcessError as error:
            asked = ", ".join(f"{name} = {show(stated[name])}" for name in ASKED if name in stated)
            msg = f"SLURM takes no such jobs ({asked}): {' '.join(error.stderr.split())}"
            raise ClusterError(msg) from error


def waiting_jobs(arrays: Container[str]) -> list[dict[str, str]]:
    """List the jobs of some arrays that wait in SLURM's queue, as SLURM writes them.

    Parameters
    ----------
    arrays : container of str
        Numbers of the arrays.

    Returns
    -------
    list of dict
        With ``job`` and ``reason``; empty where SLURM cannot be asked.
    """
    try:
        lines = _call("squeue", "--noheader", "--states", "PENDING", "--format", "%F|%i|%r")
    except NO_ANSWER:
        return []
    rows = (line.strip().split("|", 2) for line in lines.splitlines())
    return [{"job": job, "reason": reason} for array, job, reason in rows if array in arrays]


def _call(command: str, *options: str) -> str:
    """Call a command of SLURM's and return what it prints."""
    return subprocess.run([command, *options], capture_output=True, text=True, check=True).stdout
