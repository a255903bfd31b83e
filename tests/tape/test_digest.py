import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from marketsim.results.tables import build_tables
from marketsim.run.simulation import Simulation
from marketsim.scenario.inputs import Input
from marketsim.tape.digest import digest_result
from marketsim.tape.result import LEFT_OUT, RunResult
from tests.run.test_simulation import RISKY, eventful

FIELDS = dataclasses.fields(RunResult)
DIGESTED = [each.name for each in FIELDS if LEFT_OUT not in each.metadata]

#: Of every table a run can write: a field of the result behind it and, of records, a column.
BEHIND = {
    "markets": ("series", "premium"),
    "steps": ("steps", "fees"),
    "funding": ("funding", "paid_atoms"),
    "funding_heatmap": ("funding", "rate"),
    "liquidations": ("liquidation", "fee"),
    "causes": ("loss", "index"),
    "deleveragings": ("deleverage", "cost"),
    "populations": ("deposit", None),
    "population_series": ("exposure", "gross"),
    "accounts": ("pool", None),
    "contagion": ("contagion", None),
    "reproduction": ("contagion", None),
    "liquidation_heatmap": ("heat", "size"),
    "depth": ("depth", "bid"),
    "book": ("book", "size"),
    "snapshots": ("end", "equity"),
    "fills": ("fill", "price"),
    "arrivals": ("arrival", "atoms"),
}


@pytest.fixture(scope="module")
def full() -> RunResult:
    """A run that has recorded all that can be recorded."""
    record = {
        "warm_up": 0.5,
        "fills": True,
        "snapshot_minutes": 120,
        "contagion_minutes": 60,
        "heatmap_minutes": 60,
        "reproduction_hours": 2.0,
        "reproduction_draws": 2,
        "reproduction_horizon": 0.1,
        "depth_minutes": 60,
        "book_minutes": 120,
    }
    deposit = {"at_step": 5, "kind": "deposit", "account": 30, "usd": 100.0}
    holders = RISKY["holder"] | {"turnover": {"stay_hours": 1.0, "wait_hours": 0.5}}
    populations = RISKY | {"holder": holders}
    given = eventful(record=record, interventions=[deposit], populations=populations)
    assert not {False, "never"} & set(given.record.model_dump().values())
    simulation = Simulation(given, 1)
    simulation.run(simulation.num_steps)
    made_of = (Input("price file", "/prices.csv", "0" * 64),)
    return dataclasses.replace(simulation.result(), notes=("a note",), inputs=made_of)


def altered(value: Any) -> Iterator[Any]:
    """Give the versions of a value in which the last number of one array or column is another."""
    if isinstance(value, tuple):
        for n, part in enumerate(value):
            for other in altered(part):
                parts = (*value[:n], other, *value[n + 1 :])
                yield type(value)(*parts) if hasattr(value, "_fields") else parts
    elif isinstance(value, np.ndarray):
        for column in value.dtype.names or (...,):
            other = value.copy()
            last = other[column].flat[-1]
            if isinstance(last, np.floating):
                last = 0.0 if np.isnan(last) else np.nextafter(last, -np.inf)
            else:
                last += 1
            other[column].flat[-1] = last
            yield other
    else:
        yield np.datetime64("2025-10-10") if value is None else value + 1


def reworded(value: Any) -> Any:
    """Give another value of a field that holds no result."""
    if isinstance(value, tuple):
        return tuple(map(reworded, value))
    if isinstance(value, dict):
        return dict.fromkeys(value, 9.0)
    return value + ("x" if isinstance(value, str) else 1)


def numbers(result: RunResult) -> dict[tuple[str, int], Any]:
    """The columns of all tables by table and place, those of text left out."""
    return {
        (name, place): column
        for name, table in build_tables(result).items()
        for place, column in enumerate(map(np.asarray, table.values()))
        if column.dtype.kind != "U"
    }


def test_equal_results_have_equal_digests(make_result: Callable[..., RunResult]) -> None:
    assert digest_result(make_result()) == digest_result(make_result())


@pytest.mark.parametrize("name", DIGESTED)
def test_another_last_bit_anywhere_changes_the_digest(full: RunResult, name: str) -> None:
    seen = {digest_result(full)}
    others = [dataclasses.replace(full, **{name: each}) for each in altered(getattr(full, name))]
    seen |= {digest_result(each) for each in others}
    assert len(seen) == 1 + len(others) > 1


@pytest.mark.parametrize("name", [each.name for each in FIELDS if each.name not in DIGESTED])
def test_what_the_digest_leaves_out_is_no_number_of_a_table(full: RunResult, name: str) -> None:
    value = reworded(getattr(full, name))
    assert value != getattr(full, name)
    other = dataclasses.replace(full, **{name: value})
    assert digest_result(other) == digest_result(full)
    before, after = numbers(full), numbers(other)
    assert after.keys() == before.keys()
    for place, column in before.items():
        np.testing.assert_array_equal(after[place], column, str(place))


def test_a_number_behind_every_table_is_known(full: RunResult) -> None:
    tables = build_tables(full)
    assert tables.keys() == BEHIND.keys()
    assert all(len(next(iter(table.values()))) for table in tables.values())


@pytest.mark.parametrize("table", BEHIND)
def test_another_number_in_a_table_is_another_digest(full: RunResult, table: str) -> None:
    field, column = BEHIND[table]
    value = getattr(full, field)
    if isinstance(value, np.ndarray):
        value = value.copy()
        value[column or ...] += 1
    else:
        value = value._replace(**{column: getattr(value, column) + 1})
    other = dataclasses.replace(full, **{field: value})
    assert digest_result(other) != digest_result(full)
    before, after = numbers(full), numbers(other)
    assert any(
        not np.array_equal(before[place], after[place]) for place in before if place[0] == table
    )


def test_moving_a_row_between_tables_changes_the_digest(
    make_result: Callable[..., RunResult],
) -> None:
    result = make_result()
    shorter = dataclasses.replace(result, liquidation=result.liquidation[:1])
    assert digest_result(shorter) != digest_result(result)


def test_text_in_a_field_that_is_not_left_out_is_refused(
    make_result: Callable[..., RunResult],
) -> None:
    with pytest.raises(TypeError, match=r"deposit: .* is no number"):
        digest_result(make_result(deposit=np.array(["much"])))
