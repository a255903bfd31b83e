"""Runs that two drivers have stored because their locks did not reach each other: one counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from marketsim.sweep.parts import label_of
from marketsim.sweep.plan import KEY_DIGITS
from marketsim.sweep.worker import OK


def repeated_runs(files: Sequence[IO[bytes]]) -> dict[str, pa.Array]:
    """Find the runs that do not count, because another part has them too.

    Of the same run that which came to its end counts, wherever it is; of equals the first.

    Parameters
    ----------
    files : sequence of file
        Parts of runs, in order.

    Returns
    -------
    dict of str to pyarrow.Array
        Keys of such runs, by the name of the file that has them for nothing.
    """
    names = [Path(file.name).name for file in files]
    if len(set(map(label_of, names))) < 2:
        return {}  # no driver stores a run twice
    tables = [pq.read_table(file, columns=["key", "status"], use_threads=False) for file in files]
    place = np.repeat(np.arange(len(files)), [table.num_rows for table in tables])
    whole = pa.concat_tables(tables)
    keys = np.array(whole["key"].to_pylist(), f"S{KEY_DIGITS}")
    is_failed = np.array(whole["status"].to_pylist()) != OK
    order = np.lexsort((place, is_failed, keys))
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    return {
        names[number]: pa.array(keys[again[place[again] == number]].astype(str))
        for number in np.unique(place[again])
    }
