"""The compilation of a first run in two processes, where there are two cores.

What takes longest to compile is the loop and, where contagion is measured, its matrices; half of
what the matrices are made of is in the loop too. So a helper, a Python of its own, compiles the
matrices while the run is built and its loop is compiled here. What kernels the helper has
translated by then are taken over (`marketsim.engine._exchange`), and the matrices are found where
all kernels are kept. Whatever becomes of the helper: what it leaves undone is done here.
"""

import atexit
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numba

from marketsim.agents.base import Traders
from marketsim.engine import _linking
from marketsim.engine._exchange import Exchange
from marketsim.engine._jit import is_kept, is_loaded
from marketsim.engine._sources import kernel_digest
from marketsim.engine.state import State
from marketsim.engine.world import World
from marketsim.run.cores import usable_cores
from marketsim.run.loop import Tape, run_steps
from marketsim.scenario.schema import Scenario

#: Seconds that a helper is waited for when all else is compiled.
PATIENCE = 60.0
#: Seconds between two looks at it.
_PAUSE = 0.05

_COMMAND = "from marketsim.contagion import ahead; ahead.compile_ahead()"

#: The helper at work, if there is one.
_helpers: "list[Helper]" = []


class Helper:
    """A process that compiles the contagion matrices.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="marketsim-"))
        self._exchange = Exchange(self.folder)
        self._num_told = 0
        path = os.pathsep.join([each or str(Path.cwd()) for each in sys.path])
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _COMMAND, str(self.folder), kernel_digest()],
                env=os.environ | {"PYTHONPATH": path},
                stdin=subprocess.PIPE,  # its end tells the helper of ours
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        _linking.sources.append(self._take)
        atexit.register(self.end)

    def _take(self, dispatcher: Any, kinds: tuple[Any, ...]) -> bool:
        self._tell()
        with contextlib.suppress(Exception):  # whatever is wrong with it, it is translated here
            return self._exchange.take(dispatcher, kinds)
        return False

    def _tell(self) -> None:
        """Tell of the kernels it has translated since."""
        found = len([file for file in self.folder.iterdir() if not file.suffix])
        for _ in range(found - self._num_told):
            _linking.tell()
        self._num_told = max(found, self._num_told)

    def wait(self) -> None:
        """Wait until it is done, dead or given up."""
        last = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < last:
            self._tell()
            time.sleep(_PAUSE)
        _linking.tell(ready=True)

    def end(self) -> None:
        """End it, and remove what it has left."""
        atexit.unregister(self.end)
        _linking.sources.remove(self._take)
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_helper(scenario: Scenario) -> None:
    """Let a helper begin, if a run of a scenario has all to compile and there is a core for it.

    Without a place where kernels are kept there is none: it could not hand the matrices over.
    """
    if numba.config.DISABLE_JIT or _helpers or not scenario.span(scenario.record.contagion_minutes):
        return
    if is_loaded(run_steps) or usable_cores() < 2 or "python" not in Path(sys.executable).stem:
        return
    kept = [is_kept("run/loop.py", "run_steps"), is_kept("contagion/computed.py", "_compute")]
    if kept == [False, False]:
        with contextlib.suppress(OSError):
            _helpers.append(Helper())


def finish_compiling(state: State, world: World, traders: Traders, tape: Tape) -> None:
    """Compile the loop for a run and wait for a helper, if one is at work."""
    if not _helpers:
        return
    helper = _helpers.pop()
    try:
        run_steps(state, world, traders, tape, int(tape.clock[0].step))  # it makes no step
        helper.wait()
    finally:
        helper.end()
