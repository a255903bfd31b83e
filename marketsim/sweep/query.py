"""Questions to a sweep in SQL: one SELECT over its views, and nothing else can be reached.

DuckDB runs in memory with its access to files narrowed to the sweep's own, no extensions to load,
nothing to spill to disk, and its configuration locked before the question is put.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa

from marketsim.scenario.coercion import at_home
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import PLAN_FILE, Manifest, read_manifest
from marketsim.sweep.parts import RUNS, open_parts
from marketsim.sweep.repeats import repeated_runs
from marketsim.sweep.store import run_schema

if TYPE_CHECKING:
    import pandas as pd

Answer = TypeVar("Answer")

#: Table of the runs that do not count, and the part that has them for nothing.
REPEATED = "repeated_runs"
#: Times a question is put while a driver is merging parts.
ATTEMPTS = 5
#: Words that a question begins with; "": a bracket.
QUESTIONS = ("SELECT", "WITH", "FROM", "")
#: Where nothing outside is touched: no variable of Python's, no extension, no file for spilling.
CLOSED = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
}


def query_sweep(path: str | Path, sql: str) -> "pd.DataFrame":
    """Ask a sweep a question in SQL (DuckDB's).

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.
    sql : str
        One statement, SELECT or WITH. The view ``runs`` has the columns of `load_sweep`; ``series``
        and ``events``, if the sweep keeps them, name the ``key`` of their run.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    SweepFolderError
        If there is no sweep, or the question is no single SELECT or cannot be answered.
    """
    frame: pd.DataFrame = _ask(at_home(path), sql, lambda found: found.df())
    return frame


def query_rows(path: str | Path, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
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
        If there is no sweep, or the question is no single SELECT or cannot be answered.
    """
    return _ask(at_home(path), sql, lambda found: (found.columns, found.fetchall()))


def _ask(folder: Path, sql: str, take: Callable[[duckdb.DuckDBPyRelation], Answer]) -> Answer:
    """Put a question and take the answer in the form wanted."""
    manifest = read_manifest(folder)
    for attempt in range(ATTEMPTS):
        with duckdb.connect(config={**CLOSED}) as connection:
            try:
                _check_statement(connection, sql)
                # What a question does not name it cannot read; a word more costs time alone.
                kept = [name for name in manifest.design.keep if name in sql.lower()]
                _make_views(connection, folder, manifest, kept)
                answer = take(connection.sql(sql))
            except duckdb.IOException as error:  # a driver merged parts since they were listed
                if attempt == ATTEMPTS - 1:
                    msg = f"{folder}: cannot be read: {error}"
                    raise SweepFolderError(msg) from error
            except duckdb.PermissionException as error:
                msg = f"{sql}: only the sweep's own views can be read: {_first_line(error)}"
                raise SweepFolderError(msg) from error
            except duckdb.Error as error:
                msg = f"{sql}: {error}"
                raise SweepFolderError(msg) from error
            else:
                return answer
    raise AssertionError


def _check_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse all but one SELECT.

    Raises
    ------
    SweepFolderError
    """
    kinds = [statement.type for statement in connection.extract_statements(sql)]
    # DuckDB before 2.0 takes many a PRAGMA for a SELECT.
    if kinds != [duckdb.StatementType.SELECT] or _first_word(sql) not in QUESTIONS:
        asked = ", ".join(kind.name for kind in kinds) or "nothing"
        msg = f"{sql}: a question is one SELECT (or WITH ... SELECT) statement, this is {asked}"
        raise SweepFolderError(msg)


def _first_word(sql: str) -> str:
    """Return what a statement begins with, comments passed over."""
    text = sql.encode()  # where tokens begin is counted in bytes
    for start, kind in duckdb.tokenize(sql):
        if kind != duckdb.token_type.comment:
            return re.split(rb"\W", text[start:], maxsplit=1)[0].decode().upper()
    return ""


def _make_views(
    connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, kept: Sequence[str]
) -> None:
    """Name verified tables of a sweep, and lock everything else; points may share their runs."""
    schema = run_schema(folder, manifest)  # verifies the plan
    with ExitStack() as stack:
        runs = open_parts(folder, stack)
        repeated = repeated_runs(runs)
        sources = {
            "plan": [folder / PLAN_FILE],
            RUNS: [Path(file.name) for file in runs],
            **{name: _parts(folder, name) for name in kept},
        }
    files = [str(file) for several in sources.values() for file in several]
    connection.execute("SET allowed_paths = $files", {"files": files})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    stated = ["cell", "variant", *manifest.design.parameter_names]
    columns = (
        f"{'plan' if name in stated else 'stored'}.{_quoted(name)}"
        for name in schema.names
        if name != "scenario"
    )
    again = [(part, key) for part, keys in repeated.items() for key in keys.to_pylist()]
    if again:
        parts, keys = map(pa.array, zip(*again, strict=True))
        connection.register(REPEATED, pa.table({"part": parts, "key": keys}))
    stored = _rows(sources[RUNS], bool(again))
    if not sources[RUNS]:
        connection.register("nothing", schema.empty_table())
        stored = "nothing"
    connection.execute(
        f"CREATE VIEW runs AS SELECT {', '.join(columns)} "  # noqa: S608 - our own names
        f"FROM {_source(sources['plan'])} AS plan JOIN {stored} AS stored USING (scenario)"
    )
    for name in kept:
        if sources[name]:
            source = f"SELECT * FROM {_rows(sources[name], bool(again))}"  # noqa: S608
            connection.execute(f"CREATE VIEW {name} AS {source}")


def _parts(folder: Path, name: str) -> list[Path]:
    """List the files of a table's parts, verified."""
    with ExitStack() as stack:
        return [Path(file.name) for file in open_parts(folder, stack, name)]


def _rows(files: list[Path], are_repeated: bool) -> str:
    """Name the rows of a table's parts; of runs that two drivers have stored those that count."""
    if not are_repeated:
        return _source(files)
    return (
        f"(SELECT * EXCLUDE (filename) FROM {_source(files, 'filename = true')} AS found "  # noqa: S608
        f"WHERE NOT EXISTS (SELECT 1 FROM {REPEATED} AS again WHERE again.key = found.key "
        "AND again.part = parse_filename(found.filename)))"
    )


def _source(files: list[Path], *options: str) -> str:
    names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet({', '.join([f'[{names}]', 'union_by_name = true', *options])})"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
