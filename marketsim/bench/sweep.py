"""The sweep workload: what a sweep costs beside its runs.

Three measurements, each by processes of its own:

- *2 workers*: runs of about 200 ms (a day and a half of `ordinary`). `efficiency` is the time runs
  would take at best, `run_s` x runs / workers, over `wall_s` of the whole sweep with its planning,
  its workers' start and its writing; `run_s` is the mean time of a run as the workers measure it.
- *1,000 runs* and *10,000 runs* of a market of three traders, every one of a cell of its own:
  `driver_cpu_ms` a run, all that the driver does included, and its `peak_rss_mb`; `rss_growth_mb`
  is what the nine thousand more runs add.
- *resume*: the sweep of 10,000 with one run taken away is opened, checked and finished:
  `wall_s` until the last run is back and the results are hashed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from marketsim.bench.measure import peak_rss_mb, show
from marketsim.sweep.design import Design, parse_design
from marketsim.sweep.query import query_rows
from marketsim.sweep.runner import run_sweep
from marketsim.sweep.store import drop_runs, stored_keys

WORKERS = 2
#: Runs of the first measurement, and the days that make one last about 200 ms.
LONG_RUNS = 300
LONG_DAYS = 1.5
#: Runs of the others.
SHORT_RUNS = (1_000, 10_000)
#: The smallest market there is: a run takes a few milliseconds.
TINY = """\
name = "tiny"
days = 0.0208333333333333333
[markets.BTC]
price = 100000.0
tick_size = 0.5
lot_size = 0.001
[populations.crowd]
strategy = "noise"
count = 3
"""


def bench(runs: int | None) -> None:
    """Make the sweeps and print the lines.

    Parameters
    ----------
    runs : int, optional
        Of the largest sweep; the others shrink with it.
    """
    largest = runs or SHORT_RUNS[-1]
    scale = largest / SHORT_RUNS[-1]
    with tempfile.TemporaryDirectory(prefix="marketsim-bench-") as name:
        folder = Path(name)
        (folder / "tiny.toml").write_text(TINY)
        long = _measure("long", max(round(LONG_RUNS * scale), 1), folder)
        busy = long.pop("run_s") * long["runs"] / WORKERS
        run_s = busy * WORKERS / long["runs"]
        _show(f"{WORKERS} workers", long | {"run_s": run_s, "efficiency": busy / long["wall_s"]})
        lines = [_measure("short", max(round(n * scale), 1), folder) for n in SHORT_RUNS]
        growth = {"rss_growth_mb": lines[1]["peak_rss_mb"] - lines[0]["peak_rss_mb"]}
        for line, more in zip(lines, ({}, growth), strict=True):
            _show(f"{line['runs']:,} runs", line | more)
        _show("resume", _measure("resume", largest, folder))


def _show(system: str, line: dict[str, Any]) -> None:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
    show({"workload": "sweep", "system": system, "workers": WORKERS} | rounded)


def _measure(what: str, runs: int, folder: Path) -> dict[str, Any]:
    """Make a measurement in a process of its own and return what it printed."""
    command = [sys.executable, "-m", "marketsim.bench.sweep", what, str(runs), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def design_of(what: str, runs: int, folder: Path) -> Design:
    """Return the design of a measurement.

    Parameters
    ----------
    what : {"long", "short", "resume"}
    runs : int
    folder : Path
        Where the smallest market's scenario is.

    Returns
    -------
    Design
    """
    if what == "long":
        return parse_design({"base": "ordinary", "days": LONG_DAYS, "replicates": runs})
    capital = {"low": 1e3, "high": 1e6}
    return parse_design(
        {
            "base": str(folder / "tiny.toml"),
            "kind": "latin",
            "size": runs,
            "parameters": {"populations.crowd.capital": capital},
        }
    )


def _drop_one(out: Path) -> None:
    """Take the last run out of a finished sweep, as if the driver had been killed before it."""
    last = max(stored_keys(out)).decode()
    drop_runs(out, lambda runs: pc.not_equal(runs["key"], last))


def measure(what: str, runs: int, folder: Path) -> dict[str, Any]:
    """Make one measurement in this process.

    Parameters
    ----------
    what : {"long", "short", "resume"}
    runs : int
    folder : Path
        Of the smallest market's scenario and of the sweeps.

    Returns
    -------
    dict
    """
    out = folder / f"{'long' if what == 'long' else 'short'}-{runs}"
    if what == "resume":
        _drop_one(out)
    design = design_of(what, runs, folder)
    wall, cpu = time.perf_counter(), time.process_time()
    report = run_sweep(design, out, workers=WORKERS)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found: dict[str, Any] = {"runs": runs, "made": report.done, "wall_s": wall}
    if what != "resume":
        ((run_s,),) = query_rows(out, "SELECT avg(wall_s) FROM runs")[1]
        found |= {"run_s": run_s, "driver_cpu_ms": 1e3 * cpu / runs}
    return found | {"peak_rss_mb": peak_rss_mb(), "result": report.result}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))) + "\n")
