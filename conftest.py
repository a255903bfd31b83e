"""What is not looked through for doctests without an extra, and who runs which tests."""

from importlib.util import find_spec
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
