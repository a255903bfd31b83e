import dataclasses
from collections.abc import Callable

from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult


def test_equal_results_have_equal_digests(make_result: Callable[..., RunResult]) -> None:
    assert digest_result(make_result()) == digest_result(make_result())


def test_timings_and_notes_do_not_enter(make_result: Callable[..., RunResult]) -> None:
    other = make_result(timings={"wall": 9.0}, notes=("x",), scenario_text="# y")
    assert digest_result(other) == digest_result(make_result())


def test_another_number_anywhere_changes_the_digest(
    make_result: Callable[..., RunResult],
) -> None:
    seen = {digest_result(make_result())}
    for name in ("series", "steps", "funding", "liquidation", "deleverage", "wealth", "exposure"):
        result = make_result()
        rows = getattr(result, name)
        rows[rows.dtype.names[-1]].flat[-1] += 1
        seen.add(digest_result(result))
    result = make_result()
    cash = result.end.cash.copy()
    cash[0] += 1
    seen.add(digest_result(dataclasses.replace(result, end=result.end._replace(cash=cash))))
    result = make_result()
    result.deviation[0, 0, 0] = 1e-9
    seen.add(digest_result(result))
    assert len(seen) == 10


def test_moving_a_row_between_tables_changes_the_digest(
    make_result: Callable[..., RunResult],
) -> None:
    result = make_result()
    shorter = dataclasses.replace(result, liquidation=result.liquidation[:1])
    assert digest_result(shorter) != digest_result(result)
