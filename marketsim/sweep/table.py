"""A sweep's runs read back: as pandas, through SQL, and as one hash."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import PLAN_FILE, Manifest, read_manifest
from marketsim.sweep.store import RUNS, live_parts, read_runs, run_schema

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

Answer = TypeVar("Answer")

#: Times a question is put while a driver is merging parts.
ATTEMPTS = 5


def load_sweep(path: str | Path) -> "pd.DataFrame":
    """Read the runs of a sweep, finished or not.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.

    Returns
    -------
    pandas.DataFrame
        One row per run of each cell and variant: ``key``, ``cell``, ``variant``, ``replicate``,
        ``seed``, a column per parameter (named after its path), one per figure, ``digest``,
        ``status`` ("ok", "error" or "quarantined"), ``error`` and ``wall_s``. Cells of the same
        resolved scenario share their runs, and so their keys. ``attrs`` names the columns that are
        ``parameters`` and those that are ``metrics``.

    Raises
    ------
    SweepFolderError
        If there is no sweep, or it is damaged.
    """
    folder = Path(path).expanduser()
    manifest = read_manifest(folder)
    sql = "SELECT * FROM runs ORDER BY cell, variant, replicate"
    found: pd.DataFrame = _ask(folder, manifest, sql, _frame)
    found.attrs["parameters"] = list(manifest.design.parameter_names)
    found.attrs["metrics"] = list(manifest.metrics)
    return found


def query_sweep(path: str | Path, sql: str) -> "pd.DataFrame":
    """Ask a sweep a question in SQL (DuckDB's).

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.
    sql : str
        The view ``runs`` has the columns of `load_sweep`; ``series`` and ``events``, if the sweep
        keeps them, name the ``key`` of their run.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    SweepFolderError
        If there is no sweep, or the question cannot be answered.
    """
    folder = Path(path).expanduser()
    return _ask(folder, read_manifest(folder), sql, _frame)


def query_rows(path: str | Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask a sweep a question in SQL, without loading pandas; see `query_sweep`.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.
    sql : str

    Returns
    -------
    tuple of (list of str, list of tuple)
        Names of the columns, and the rows.

    Raises
    ------
    SweepFolderError
        If there is no sweep, or the question cannot be answered.
    """
    folder = Path(path).expanduser()
    return _ask(folder, read_manifest(folder), sql, lambda found: (found.columns, found.fetchall()))


def _frame(found: "duckdb.DuckDBPyRelation") -> "pd.DataFrame":
    return found.df()


def _ask(
    folder: Path,
    manifest: Manifest,
    sql: str,
    take: "Callable[[duckdb.DuckDBPyRelation], Answer]",
) -> "Answer":
    """Put a question and take the answer in the form wanted."""
    import duckdb

    for attempt in range(ATTEMPTS):
        with duckdb.connect() as connection:
            try:
                _make_views(connection, folder, manifest)
                found = connection.sql(sql)
                if found is None:
                    msg = f"{sql}: asks for nothing; begin with SELECT"
                    raise SweepFolderError(msg)
                answer = take(found)
            except duckdb.IOException as error:  # a driver merged parts since they were listed
                if attempt == ATTEMPTS - 1:
                    msg = f"{folder}: cannot be read: {error}"
                    raise SweepFolderError(msg) from error
            except duckdb.Error as error:
                msg = f"{sql}: {error}"
                raise SweepFolderError(msg) from error
            else:
                return answer
    raise AssertionError


def _make_views(connection: "duckdb.DuckDBPyConnection", folder: Path, manifest: Manifest) -> None:
    """Name the tables of a sweep; cells that share a scenario share its runs."""
    parts = live_parts(folder)
    stated = ["cell", "variant", *manifest.design.parameter_names]
    own = ["replicate", "seed", *manifest.metrics, "digest", "status", "error", "wall_s"]
    first, last = own[:2], own[2:]
    columns = [
        'stored."key"',
        *(f"plan.{_quoted(name)}" for name in stated[:2]),
        *(f"stored.{_quoted(name)}" for name in first),
        *(f"plan.{_quoted(name)}" for name in stated[2:]),
        *(f"stored.{_quoted(name)}" for name in last),
    ]
    if parts:
        stored = _source([folder / RUNS / part.file for part in parts])
    else:
        connection.register("nothing", run_schema(folder, manifest).empty_table())
        stored = "nothing"
    plan = _source([folder / PLAN_FILE])
    connection.execute(
        f"CREATE VIEW runs AS SELECT {', '.join(columns)} "  # noqa: S608 - our own names
        f"FROM {plan} AS plan JOIN {stored} AS stored USING (scenario)"
    )
    for name in manifest.design.keep:
        files = [folder / name / part.file for part in parts]
        there = [file for file in files if file.exists()]
        if there:
            source = f"SELECT * FROM {_source(there)}"  # noqa: S608
            connection.execute(f"CREATE VIEW {name} AS {source}")


def _source(files: list[Path]) -> str:
    names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{names}], union_by_name = true)"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


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
    folder = Path(path).expanduser()
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
    for table in read_runs(Path(path).expanduser(), ["status"]):
        found.update(table["status"].to_pylist())
    return found
