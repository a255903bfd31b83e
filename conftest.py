"""What is not looked through for doctests without an extra, and who runs which tests when."""

from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

HAS_RL = find_spec("gymnasium") is not None and find_spec("pettingzoo") is not None
collect_ignore_glob = [] if HAS_RL else ["marketsim/rl/*", "marketsim/bench/rl.py"]
if find_spec("pams") is None:
    collect_ignore_glob.append("tests/benchmarks/pams_market.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Compile the kernels of a run once, before several processes start that would each do so."""
    import numba

    from marketsim import Simulation, load_scenario
    from marketsim.engine._jit import is_compiled

    if not (numba.config.DISABLE_JIT or is_compiled()):
        Simulation(load_scenario("quickstart"), 1).run(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each of several processes its tests at a stretch, unless `--dist` says otherwise.

    Dealt out in turns, the tests of a file would make its fixtures, runs and pages, in every one.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each of several processes begin with its share of the files that are slow throughout.

    At the end there are short tests to share then, and none waits for another's long one.
    """
    num_workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if num_workers == 1:
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    slow = [file for file in files.values() if all(map(_is_slow, file))]
    begun = {item for file in slow for item in file}
    others = iter([item for item in items if item not in begun])
    stretch = len(items) // num_workers  # what a process is given at first
    ordered: list[pytest.Item] = []
    for n in range(num_workers):
        ordered += [item for file in slow[n::num_workers] for item in file]
        ordered += islice(others, max((n + 1) * stretch - len(ordered), 0))
    items[:] = [*ordered, *others]


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None
