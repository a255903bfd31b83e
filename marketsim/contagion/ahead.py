"""The contagion matrices compiled before anybody asks for them, by a process of its own."""

import itertools
import os
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
from numba.core.bytecode import FunctionIdentity

from marketsim.contagion.computed import compute_contagion
from marketsim.contagion.response import measure_response
from marketsim.engine import _linking
from marketsim.engine._exchange import Exchange
from marketsim.engine._sources import kernel_digest
from marketsim.engine.allocation import allocate
from marketsim.engine.paper import paper_venue

#: Numba numbers the functions of a process, and code is linked by the numbers: these are not those
#: of the process that asked.
_FIRST_NUMBER = 1_000_000


def compile_ahead() -> None:
    """Compile the matrices, and leave in a folder what they are made of, as all a process does.

    It was started with the folder and the digest of the kernels of the process that asked: who has
    others is of no help.
    """
    folder, digest = sys.argv[1:]
    threading.Thread(target=_end_with_who_asked, args=(folder,), daemon=True).start()
    if digest != kernel_digest():
        return
    FunctionIdentity._unique_ids = itertools.count(_FIRST_NUMBER)
    _linking.takers.append(Exchange(Path(folder)).leave)
    # Two markets in which nobody trades: what counts is the types.
    state = allocate(1, 2, 2)
    state.venue["step_hours"] = 1.0
    for name in ("mark_ticks", "index_ticks", "tick_atoms"):
        state.market[name] = 1
    lone = paper_venue(state)
    measure_response(state, lone, 0.0, 0.5, np.zeros((2, 2, 2)))
    compute_contagion(state, lone, 0.0)


def _end_with_who_asked(folder: str) -> None:
    """Wait for the end of the process that asked, which holds the other end of standard input."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
