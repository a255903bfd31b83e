"""A sweep's runs read back: as pandas and as one hash."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from marketsim.scenario.coercion import at_home, path_of
from marketsim.sweep.manifest import read_manifest, read_plan
from marketsim.sweep.store import read_runs, run_schema

if TYPE_CHECKING:
    from marketsim.sweep.swept import SweptRuns

#: Columns that a plan states for each point of a design, beside its parameters.
POINT = ("cell", "variant")


def load_sweep(path: str | Path) -> "SweptRuns":
    """Read the runs of a sweep, finished or not.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.

    Returns
    -------
    SweptRuns
        A pandas frame, one row per run of each cell and variant: ``key``, ``cell``, ``variant``,
        ``replicate``, ``seed``, a column per parameter (named after its path), one per figure,
        ``digest``, ``status`` ("ok", "error" or "quarantined"), ``error`` and ``wall_s``. Cells of
        the same resolved scenario share their runs, and so their keys. ``attrs`` names the columns
        that are ``parameters`` and those that are ``metrics``. `to_xarray` makes labelled arrays of
        it.

    Raises
    ------
    SweepFolderError
        If there is no sweep, or it is damaged.
    TypeError, ValueError
        If the path is none, or empty.
    """
    from marketsim.sweep.swept import SweptRuns

    folder = path_of("path", path)
    manifest = read_manifest(folder)
    schema = run_schema(folder, manifest)
    stated = [*POINT, *manifest.design.parameter_names]
    own = [name for name in schema.names if name not in stated]  # a run's, whatever its point
    nothing = schema.empty_table().select(own)
    runs = pa.concat_tables([nothing, *read_runs(folder, own)], promote_options="permissive")
    plan = read_plan(folder, manifest, ["scenario", *stated])
    # Points of the same resolved scenario share their runs.
    joined = plan.join(runs, keys="scenario", join_type="inner").drop_columns("scenario")
    names = [name for name in schema.names if name != "scenario"]
    found = SweptRuns(joined.select(names).to_pandas())
    found = found.sort_values(["cell", "variant", "replicate"], ignore_index=True)
    found.attrs |= {
        "sweep": manifest.design.name,
        "kind": manifest.design.kind,
        "folder": str(folder),
        "keep": list(manifest.design.keep),
        "model": manifest.model,
        "parameters": list(manifest.design.parameter_names),
        "metrics": list(manifest.metrics),
    }
    return found


def result_hash(path: str | Path) -> str:
    """Hash what a sweep found, whoever made the runs and in whatever order.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.

    Returns
    -------
    str
        32 hexadecimal digits, of all runs' keys, digests and figures, sorted by key.

    Raises
    ------
    SweepFolderError
        If there is no sweep, or it is damaged.
    """
    folder = at_home(path)
    manifest = read_manifest(folder)
    rows: list[bytes] = []
    for table in read_runs(folder, ["key", "status", "digest", *manifest.metrics]):
        figures = [table[name].to_numpy() for name in manifest.metrics]
        # One NaN for all, whose bits are the same everywhere.
        matrix = np.where(np.isnan(figures), np.nan, figures).T.astype("<f8")
        texts = zip(*(table[name].to_pylist() for name in ("key", "status", "digest")), strict=True)
        for text, row in zip(texts, np.ascontiguousarray(matrix), strict=True):
            content = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            rows.append(":".join(text).encode() + content)
    digest = hashlib.blake2b(",".join(manifest.metrics).encode(), digest_size=16)
    for line in sorted(rows):
        digest.update(line)
    return digest.hexdigest()


def count_runs(path: str | Path) -> "Counter[str]":
    """Count the stored runs of a sweep by their status.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.

    Returns
    -------
    Counter
    """
    found: Counter[str] = Counter()
    for table in read_runs(at_home(path), ["status"]):
        found.update(table["status"].to_pylist())
    return found
