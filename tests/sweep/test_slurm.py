import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketsim.sweep.cluster import connected
from marketsim.sweep.design import Design
from marketsim.sweep.runner import SweepReport, run_sweep
from marketsim.sweep.slurm import ClusterError, SlurmSettings, _arguments, walltime_seconds
from tests.sweep.conftest import Inline

Make = Callable[..., Design]
SETTINGS = 'jobs = 2\n[cluster]\ncores = 1\nmemory = "1GB"\nqueue = "long"\ninterface = "lo"\n'

#: SLURM's commands, doing on this machine what they are asked for.
SBATCH = """\
#!/bin/sh
echo "$@" >> "$SLURM_LOG"
[ "$1" = --test-only ] && exit 0
setsid sh "$1.kept" > /dev/null 2>&1 &
echo "submitted $!" >> "$SLURM_LOG"
echo "Submitted batch job $!"
"""
SBATCH = SBATCH.replace('setsid sh "$1.kept"', 'cp "$1" "$1.kept"; setsid sh "$1.kept"')
SCANCEL = """\
#!/bin/sh
for job in "$@"; do kill -- "-$job" 2> /dev/null; done
exit 0
"""
SQUEUE = """\
#!/bin/sh
for job in $(sed -n 's/^submitted //p' "$SLURM_LOG"); do
    kill -s 0 -- "-$job" 2> /dev/null && echo "$job|RUNNING|None"
done
exit 0
"""
#: A job that ends at once.
SHORT = """\
#!/bin/sh
[ "$1" = --test-only ] && exit 0
echo "Submitted batch job 7"
"""
REFUSAL = """\
#!/bin/sh
echo "sbatch: error: invalid partition specified: nope" >&2
exit 1
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put programs at the front of the search path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_LOG", str(tmp_path / "slurm.log"))

    def make(**texts: str) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    return make


@pytest.mark.slow
def test_slurm_s_jobs_become_workers(
    design: Make, inline: Inline, tmp_path: Path, commands: Callable[..., None]
) -> None:
    commands(sbatch=SBATCH, scancel=SCANCEL, squeue=SQUEUE)
    (tmp_path / "slurm.toml").write_text(SETTINGS)
    with connected("slurm:slurm.toml") as found:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert found.num_workers == 2
        there = run_sweep(design(), tmp_path / "there", executor=found)
    here = run_sweep(design(), tmp_path / "here", executor=inline)
    assert there.result == here.result
    submitted = (tmp_path / "slurm.log").read_text().splitlines()
    assert len([line for line in submitted if line.startswith("submitted ")]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("= 1", "not a TOML file"),
        ("jobs = 0\n[cluster]\n", "jobs = 0"),
        ("jobs = 1\n", "cluster: missing"),
        (
            'jobs = 1\n[cluster]\ncores = 1\nmemory = "1GB"\ncolour = "red"\n',
            "colour: unknown field",
        ),
        ("jobs = 1\n[cluster]\ncores = 1\nwaltime = 9\n", r"waltime: .*did you mean 'walltime'"),
        ('jobs = 1\nlife_time = "5m"\n[cluster]\n', "life_time = .*did you mean 'lifetime'"),
        ('jobs = 1\nlifetime = "soon"\n[cluster]\n', 'lifetime = "soon"'),
        ('jobs = 1\n[cluster]\nmemory = "1GB"\n', "cluster.cores: must be stated"),
        ("jobs = 1\n[cluster]\ncores = 1\n", "how much cores and memory"),
        ('jobs = 1\n[cluster]\ncores = 1\nmemory = "much"\n', "SLURMCluster: "),
        (
            'jobs = 1\n[cluster]\ncores = 1\nmemory = "1GB"\n',
            r'\(cores = 1, memory = "1GB"\): .* specified: nope',
        ),
    ],
)
def test_slurm_settings_that_make_no_sense_are_refused(
    tmp_path: Path, commands: Callable[..., None], text: str | None, said: str
) -> None:
    commands(sbatch=REFUSAL)
    if text is not None:
        (tmp_path / "slurm.toml").write_text(text)
    with pytest.raises(ClusterError, match=said), connected(f"slurm:{tmp_path}/slurm.toml"):
        pass


def test_without_slurm_there_are_no_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slurm.toml").write_text('jobs = 1\n[cluster]\ncores = 1\nmemory = "1GB"\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ClusterError, match="sbatch: No such file"),
        connected(f"slurm:{tmp_path}/slurm.toml"),
    ):
        pass


@pytest.mark.slow
def test_jobs_that_end_are_replaced(
    design: Make,
    inline: Inline,
    tmp_path: Path,
    commands: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands(sbatch=SBATCH, scancel=SCANCEL, squeue=SQUEUE)
    monkeypatch.setattr("marketsim.sweep.slurm.QUEUE_SECONDS", 1.0)
    monkeypatch.setattr("marketsim.sweep.cluster.LOOK_SECONDS", 0.5)
    (tmp_path / "slurm.toml").write_text(SETTINGS)

    def jobs() -> list[int]:
        return [int(job) for job in re.findall(r"^submitted (\d+)$", log.read_text(), re.MULTILINE)]

    def end_all(report: SweepReport) -> None:
        if report.done == 1:
            for job in jobs():
                os.killpg(job, signal.SIGKILL)

    log = tmp_path / "slurm.log"
    there = run_sweep(
        design(replicates=20), tmp_path / "out", cluster="slurm:slurm.toml", progress=end_all
    )
    here = run_sweep(design(replicates=20), tmp_path / "here", executor=inline)
    assert (there.failures, there.result) == (0, here.result)
    assert len(jobs()) > 2
    assert (tmp_path / "out" / "logs").is_dir()


@pytest.mark.slow
def test_jobs_that_end_before_they_work_end_the_sweep(
    design: Make, tmp_path: Path, commands: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands(sbatch=SHORT, scancel=SCANCEL, squeue="#!/bin/sh\n")
    monkeypatch.setattr("marketsim.sweep.slurm.QUEUE_SECONDS", 0.2)
    monkeypatch.setattr("marketsim.sweep.slurm.SUBMIT_SECONDS", 0.5)
    monkeypatch.setattr("marketsim.sweep.cluster.LOOK_SECONDS", 0.1)
    (tmp_path / "slurm.toml").write_text(SETTINGS)
    with pytest.raises(
        ClusterError, match=r"end before a worker is there; what they say is in .*logs"
    ):
        run_sweep(design(), tmp_path / "out", cluster="slurm:slurm.toml")


def arguments(**changes: Any) -> dict[str, Any]:
    stated = {"cores": 4, "memory": "1GB"} | changes
    return _arguments(SlurmSettings(jobs=1, cluster=stated), "my sweep", Path("out/logs"))


def test_jobs_have_the_name_of_the_sweep_and_write_to_its_folder() -> None:
    made = arguments()
    assert (made["job_name"], made["log_directory"], made["processes"]) == (
        "my-sweep",
        "out/logs",
        4,
    )
    made = arguments(job_name="mine", log_directory="/scratch", processes=2)
    assert (made["job_name"], made["log_directory"], made["processes"]) == ("mine", "/scratch", 2)


def test_the_scheduler_listens_where_the_settings_say_and_nowhere_else() -> None:
    assert "host" not in arguments(interface="ib0")["scheduler_options"]
    assert arguments(scheduler_options={"host": "h"})["scheduler_options"]["host"] == "h"
    options = arguments()["scheduler_options"]
    assert options["host"] not in ("", "0.0.0.0")
    assert (options["dashboard"], options["dashboard_address"]) == (False, "localhost:0")


def test_workers_end_before_their_walltime_does() -> None:
    given = arguments(walltime="1:00:00")["worker_extra_args"]
    assert given[:4] == ["--lifetime", "3240s", "--lifetime-stagger", "180s"]
    own = arguments(worker_extra_args=["--lifetime", "9m"])["worker_extra_args"]
    assert own.count("--lifetime") == 1
    assert "--lifetime" not in arguments(walltime="infinite")["worker_extra_args"]
    stated = SlurmSettings(jobs=1, lifetime="5 m", cluster={"cores": 1})
    assert "300s" in _arguments(stated, "a", Path())["worker_extra_args"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 300),
        ("5:30", 330),
        ("1:00:05", 3605),
        ("1-1", 90_000),
        ("1-1:1:1", 90_061),
        ("x", None),
    ],
)
def test_walltimes_are_read_as_slurm_reads_them(text: str, seconds: int | None) -> None:
    assert walltime_seconds(text) == seconds


def documented(language: str) -> str:
    """Return the first block of a language in the page on clusters."""
    page = Path(__file__).parents[2] / "docs" / "clusters.md"
    return page.read_text().partition(f"```{language}\n")[2].partition("```")[0]


def test_the_documented_settings_are_taken(
    tmp_path: Path, commands: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands(sbatch='#!/bin/sh\ncp "$2" kept\nexit 1\n')
    text = documented("toml").replace("/scratch/me", str(tmp_path))
    Path("slurm.toml").write_text(text)
    refused = pytest.raises(ClusterError, match='account = "my-account", walltime = "04:00:00"')
    with refused, connected("slurm:slurm.toml", "leverage"):
        pass
    script = Path("kept").read_text()
    for line in (
        "-J leverage",
        "-p regular",
        "-A my-account",
        "-t 04:00:00",
        "--constraint=skylake",
    ):
        assert f"#SBATCH {line}" in script
    assert "--lifetime 10800s" in script
    lines = script.splitlines()
    assert [line.partition("=")[0] for line in lines if line.startswith("export")] == [
        "export DASK_LOGGING",
        "export MARKETSIM_CACHE_DIR",
    ]


def test_the_documented_array_is_a_script_that_runs_the_sweep(tmp_path: Path) -> None:
    made = '#!/bin/sh\necho "$@" > called\n'
    (tmp_path / "marketsim").write_text(made)
    (tmp_path / "marketsim").chmod(0o755)
    (tmp_path / "venvs" / "marketsim" / "bin").mkdir(parents=True)
    (tmp_path / "venvs" / "marketsim" / "bin" / "activate").write_text("")
    variables = {"HOME": str(tmp_path), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(
        ["bash", "-e", "-c", documented("sh")], cwd=tmp_path, env=os.environ | variables, check=True
    )
    called = (tmp_path / "called").read_text()
    assert called == "sweep leverage.toml --out leverage --quiet\n"
