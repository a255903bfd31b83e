"""Claims: how drivers that share a sweep take runs, so that each is made by one of them.

The runs of a plan are dealt into blocks, and who locks a block makes what is left of it. A driver
keeps its blocks until it ends; those of one that dies are free again. Where drivers cannot see each
other's locks they may make a run twice, the same one: each begins at another block, and looks
before every block at what the others have stored.
"""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from marketsim.sweep.lock import FOLDER, take_lock
from marketsim.sweep.store import stored_keys

#: Blocks of a plan: more than most arrays have jobs, fewer than a process may have files open.
MAX_BLOCKS = 512


def claimed(folder: Path, keys: Any, label: str, stack: contextlib.ExitStack) -> Iterator[int]:
    """Take blocks of a plan while there are any, and go through the runs that are left of them.

    Parameters
    ----------
    folder : Path
        Of the sweep.
    keys : ndarray
        (runs,) of the plan.
    label : str
        Of the driver: decides the block it begins at.
    stack : ExitStack
        Lets go of the blocks, once their runs are stored.

    Yields
    ------
    int
        Number of a run.
    """
    num_blocks = min(len(keys), MAX_BLOCKS)
    first = zlib.crc32(label.encode()) % num_blocks
    left = np.roll(np.arange(num_blocks), -first).tolist()
    known: dict[str, Any] = {}
    while True:
        before = len(left)
        for block in tuple(left):
            if _take(folder / FOLDER / f"block-{block}", stack):
                left.remove(block)
                numbers = np.arange(block, len(keys), num_blocks)
                is_stored = np.isin(keys[numbers], stored_keys(folder, known))
                yield from numbers[~is_stored].tolist()
        if len(left) == before:  # others are at work on the rest
            return


def _take(file: Path, stack: contextlib.ExitStack) -> bool:
    with contextlib.ExitStack() as attempt:
        is_taken = take_lock(attempt.enter_context(file.open("a+")))
        if is_taken:
            stack.push(attempt.pop_all())
    return is_taken
