"""Every column of every table is described, in the files themselves too."""

import pyarrow.parquet as pq
import pytest

import marketsim
from marketsim.results import columns
from marketsim.results.columns import describe_column

EVERYTHING = [
    ("record.fills", "true"),
    ("record.depth_minutes", "60"),
    ("record.book_minutes", "300"),
    ("record.snapshot_minutes", "300"),
    ("populations.noise.turnover", "{stay_hours = 4.0, wait_hours = 1.0}"),
]


@pytest.fixture(scope="module")
def run():
    return marketsim.run_scenario("contagion", seed=1, days=0.525, overrides=EVERYTHING)


def test_every_column_of_every_table_is_described(run) -> None:
    for table in run.tables:
        for name in run.table(table):
            assert describe_column(table, name).text, (table, name)


def test_nothing_is_described_that_is_not_there(run) -> None:
    there = {f"{table}.{name}" for table in run.tables for name in run.table(table)}
    names = {name for table in run.tables for name in run.table(table)} | {"time"}
    for key in columns._COLUMNS:
        if "<" in key:
            pattern = columns.re.compile(columns._pattern(key))
            assert any(pattern.fullmatch(name) for name in names), key
        else:
            assert key in there or key in names, key


def test_money_is_in_dollars_and_names_say_so(run) -> None:
    for table in run.tables:
        for name in run.table(table):
            unit = describe_column(table, name).unit
            assert ("_usd" in name) <= (unit == "USD"), (table, name)
            assert name.endswith("_atoms") == (unit == "1e-6 USD"), (table, name)


def test_the_files_say_it_themselves(run, tmp_path) -> None:
    there = run.save(tmp_path / "run")
    for table in there.tables:
        for field in pq.read_schema(there.path / f"{table}.parquet"):
            column = describe_column(table, field.name)
            assert field.metadata[b"unit"].decode() == column.unit
            assert field.metadata[b"description"].decode() == column.text


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError, match="no column 'nothing' of table 'markets'"):
        describe_column("markets", "nothing")
