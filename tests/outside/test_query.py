"""`marketsim query` and `query_sweep` read the views of one sweep, and do nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.query import query_sweep
from marketsim.sweep.runner import run_sweep
from tests.cli.conftest import marketsim
from tests.sweep.conftest import Inline, design, inline, tiny

__all__ = ["design", "inline", "marketsim", "tiny"]

#: What is no question to the sweep: it writes, configures, loads, or looks elsewhere.
FORBIDDEN = [
    "COPY (SELECT 1 a) TO 'out.csv'",
    "COPY runs TO 'out.parquet' (FORMAT parquet)",
    "EXPORT DATABASE 'out'",
    "ATTACH 'new.db' AS n; CREATE TABLE n.t AS SELECT 1 a; SELECT 1",
    "ATTACH 'new.db' AS n",
    "CREATE TABLE t AS SELECT 1 a",
    "CREATE OR REPLACE VIEW runs AS SELECT 1 a",
    "WITH a AS (SELECT 1 x) INSERT INTO runs SELECT * FROM a",
    "DELETE FROM runs",
    "DROP VIEW runs",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "/* SELECT */ PRAGMA show_tables",
    "SHOW TABLES",
    "SET enable_external_access = true",
    "SET temp_directory = 'spill'",
    "CALL pragma_database_list()",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT content FROM read_text('secret.csv')",
    "SELECT content FROM read_blob('secret.csv')",
    "SELECT * FROM read_csv('secret.csv')",
    "SELECT * FROM 'secret.csv'",
    "SELECT * FROM sniff_csv('secret.csv')",
    "SELECT * FROM read_parquet('*/*.parquet')",
    "SELECT * FROM read_json('https://127.0.0.1/a.json')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM connection",
    "SELECT (SELECT count(*) FROM read_text('secret.csv'))",
    "",
]


@pytest.fixture
def sweep(design: Callable[..., Any], inline: Inline, tmp_path: Path) -> Path:
    """A small finished sweep, with a file beside it that is nobody's business."""
    (tmp_path / "secret.csv").write_text("a\n42\n")
    run_sweep(design(replicates=1), tmp_path / "out", executor=inline)
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_nothing_but_a_question_is_answered(sweep: Path) -> None:
    before = contents(sweep.parent)
    for sql in FORBIDDEN:
        with pytest.raises(SweepFolderError) as refused:
            query_sweep(sweep, sql)
        assert "42" not in str(refused.value)
    assert contents(sweep.parent) == before


def test_questions_are_answered(sweep: Path) -> None:
    assert query_sweep(sweep, "SELECT count(*) AS n FROM runs")["n"].tolist() == [4]
    commented = "-- wie viele? \u00e4\n/* all */ (SELECT count(*) AS n FROM runs)"
    assert query_sweep(sweep, commented)["n"].tolist() == [4]
    common = "WITH few AS (SELECT seed FROM runs LIMIT 2) SELECT count(*) AS n FROM few"
    assert query_sweep(sweep, common)["n"].tolist() == [2]
    assert query_sweep(sweep, "FROM runs SELECT max(replicate) AS r")["r"].tolist() == [0]


def test_a_refused_command_says_so_and_ends_with_code_2(
    marketsim: Callable[..., Any], sweep: Path
) -> None:
    for sql in ("COPY (SELECT 1 a) TO 'out.csv'", "SELECT * FROM read_csv('secret.csv')"):
        done = marketsim("query", sweep, sql)
        assert done.exit_code == 2
        assert "SELECT" in done.stderr
        assert "Traceback" not in done.stderr
