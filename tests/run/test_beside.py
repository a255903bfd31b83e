"""A first run is compiled in two processes, and by one whatever becomes of the other."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import pytest

from marketsim.engine import _linking
from marketsim.run import beside
from marketsim.run.beside import Helper, finish_compiling, start_helper
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")

#: Helpers of no help: one leaves what is no kernel and stays, one fails.
STUCK = """
import pathlib, sys, time
for name in ("one", "two", "unfinished.part"):
    pathlib.Path(sys.argv[1], name).write_text("no kernel")
time.sleep(1000)
"""
FAILING = "import sys; sys.exit(1)"


class Loop:
    """A loop that is compiled in no time."""

    def __init__(self) -> None:
        self.entry = SimpleNamespace(overloads={})
        self.stops: list[int] = []

    def __call__(self, state: Any, world: Any, traders: Any, tape: Any, stop: int) -> None:
        self.stops.append(stop)


#: A run that stands before step 7, as far as it matters here: state, world, traders, tape.
RUN: Any = (None, None, None, SimpleNamespace(clock=[SimpleNamespace(step=7)]))


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Helper]]:
    """The helpers of a process that has compiled nothing yet, on a machine with two cores."""
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(beside, "usable_cores", lambda: 2)
    monkeypatch.setattr(beside, "run_steps", Loop())
    monkeypatch.setattr(beside, "_COMMAND", STUCK)
    started: list[Helper] = []
    monkeypatch.setattr(beside, "_helpers", started)
    yield started
    for helper in started:
        helper.end()


@pytest.fixture
def scenario() -> Scenario:
    return load_scenario("calm")


def is_over(helper: Helper) -> bool:
    """Tell whether nothing is left of a helper."""
    ended = helper.process.returncode is not None
    return ended and not helper.folder.exists() and _linking.sources == []


def test_a_helper_that_is_stuck_is_told_of_and_given_up(
    helpers: list[Helper], scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(_linking, "listeners", [told.append])
    monkeypatch.setattr(beside, "PATIENCE", 0.1)
    start_helper(scenario)
    start_helper(scenario)
    (helper,) = helpers
    last = time.monotonic() + 60
    while len(list(helper.folder.iterdir())) < 3 and time.monotonic() < last:
        time.sleep(0.01)
    finish_compiling(*RUN)
    assert told == [False, False, True]  # kernels it has translated; ready
    assert beside.run_steps.stops == [7]  # type: ignore[attr-defined]
    assert is_over(helper)
    finish_compiling(*RUN)  # there is none now
    assert beside.run_steps.stops == [7]  # type: ignore[attr-defined]


def test_a_helper_that_fails_is_not_waited_for(
    helpers: list[Helper], scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "_COMMAND", FAILING)
    start_helper(scenario)
    (helper,) = helpers
    began = time.monotonic()
    finish_compiling(*RUN)
    assert time.monotonic() - began < beside.PATIENCE / 2
    assert helper.process.returncode == 1
    assert is_over(helper)


def test_what_is_no_kernel_is_not_taken(helpers: list[Helper], scenario: Scenario) -> None:
    start_helper(scenario)
    (helper,) = helpers

    class Damaged:
        def take(self, dispatcher: Any, kinds: Any) -> bool:
            raise EOFError

    helper._exchange = Damaged()  # type: ignore[assignment]
    assert _linking.sources[-1](None, ()) is False


def test_an_interrupt_ends_the_helper(
    helpers: list[Helper], scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    start_helper(scenario)
    (helper,) = helpers
    monkeypatch.setattr(beside, "run_steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finish_compiling(*RUN)
    assert is_over(helper)


def one_core(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(beside, "usable_cores", lambda: 1)


def kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(beside, "is_kept", lambda file, name: name == "_compute")


def nowhere_to_keep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(beside, "is_kept", lambda file, name: None)


def compiled(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(beside.run_steps.entry.overloads, (), None)  # type: ignore[attr-defined]


def another_program(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "executable", "/usr/bin/spreadsheet")


def no_interpreter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "executable", "/nowhere/python3")


@pytest.mark.parametrize(
    "case", [one_core, kept, nowhere_to_keep, compiled, another_program, no_interpreter]
)
def test_there_is_a_helper_only_where_it_helps(
    helpers: list[Helper],
    scenario: Scenario,
    monkeypatch: pytest.MonkeyPatch,
    case: Callable[[pytest.MonkeyPatch], None],
) -> None:
    case(monkeypatch)
    start_helper(scenario)
    assert helpers == []
    assert _linking.sources == []


def test_a_run_without_matrices_needs_no_helper(helpers: list[Helper], scenario: Scenario) -> None:
    record = scenario.record.model_copy(update={"contagion_minutes": "never"})
    start_helper(scenario.model_copy(update={"record": record}))
    assert helpers == []


# In processes of their own

FIRST_RUN = """
import sys, threading, time
from marketsim.engine import _linking
from marketsim.run import beside
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

beside.usable_cores = lambda: 2
begun = []
_linking.listeners.append(begun.append)
taken = [0]
take = beside.Helper._take
def counted_take(self, dispatcher, kinds):
    found = take(self, dispatcher, kinds)
    taken[0] += found
    return found
beside.Helper._take = counted_take
translated = [0]
translate = _linking.PartCompiler.compile_extra
def counted(self, function):
    translated[0] += 1
    return translate(self, function)
_linking.PartCompiler.compile_extra = counted

def kill(helper):
    while sum(not file.suffix for file in helper.folder.iterdir()) < 40:
        time.sleep(0.01)
    helper.process.kill()

scenario, steps, *how = sys.argv[1:]
simulation = Simulation(load_scenario(scenario), 1)
helped = len(beside._helpers)
if "killed" in how:
    threading.Thread(target=kill, args=beside._helpers, daemon=True).start()
simulation.run(int(steps))
print((simulation.digest(), helped, translated[0], taken[0], begun.count(False)))
"""


def check_first_run(run: Callable[..., str], digest: str, *how: str) -> None:
    """Check that a first run is compiled by two processes, and its second compiles nothing.

    `run` runs `FIRST_RUN` for a scenario and a number of steps, where no kernels are kept yet, with
    more words about how; it returns what that prints.
    """
    *same, translated, taken, told = ast.literal_eval(run(*how))
    assert same == [digest, 1]
    assert translated > 0
    assert taken > 0  # the helper did these
    assert told > translated
    assert ast.literal_eval(run()) == (digest, 0, 0, 0, 0)  # compiled, and kept


@pytest.mark.slow
def test_a_run_is_compiled_to_its_end_when_its_helper_is_killed(tmp_path: Path) -> None:
    """With one that lives, `tests/test_additions.py` compiles."""

    def run(*how: str) -> str:
        env = os.environ | {"MARKETSIM_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-W", "error", "-c", FIRST_RUN, "calm", "120", *how]
        done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # What the kernels of these tests give is what `tests/golden` has.
    simulation = Simulation(load_scenario("calm"), 1)
    simulation.run(120)
    check_first_run(run, simulation.digest(), "killed")


LEFT = """
import sys, time
from marketsim.run import beside
from marketsim.scenario.loader import load_scenario

beside.usable_cores = lambda: 2
beside.start_helper(load_scenario("calm"))
(helper,) = beside._helpers
print(helper.process.pid, helper.folder, flush=True)
time.sleep(1000)
"""


def is_running(pid: int) -> bool:
    """Tell whether there is a process, and it has not ended."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_helper_outlives_who_asked_it(tmp_path: Path, number: int) -> None:
    env = os.environ | {"MARKETSIM_CACHE_DIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", LEFT], env=env, stdout=pipe, stderr=pipe, text=True
    ) as asked:
        assert asked.stdout is not None
        pid, folder = asked.stdout.readline().split()
        assert is_running(int(pid))
        asked.send_signal(number)
    last = time.monotonic() + 60
    while (is_running(int(pid)) or Path(folder).exists()) and time.monotonic() < last:
        time.sleep(0.05)
    assert not is_running(int(pid))
    assert not Path(folder).exists()
