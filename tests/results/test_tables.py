import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from marketsim.engine.records import records
from marketsim.engine.state import Cause, Fill
from marketsim.results.tables import build_tables
from marketsim.tape.depth import BookLevel, Depth
from marketsim.tape.result import RunResult, profit_by_cause


def test_every_column_of_a_table_is_equally_long(result: RunResult) -> None:
    for name, table in build_tables(result).items():
        assert len({len(column) for column in table.values()}) == 1, name


def test_markets_are_in_usd_and_coins(result: RunResult) -> None:
    table = build_tables(result)["markets"]
    last_btc = 2 * 3
    assert table["step"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert table["hours"][last_btc] == 2.0
    assert table["market"].tolist()[:2] == ["BTC", "DOGE"]
    assert table["mark_price"][last_btc] == 100_200.0
    assert table["open_interest"][last_btc] == pytest.approx(0.01)
    assert table["open_interest_usd"][last_btc] == pytest.approx(1_002.0)


def test_an_empty_side_of_the_book_has_no_price(result: RunResult) -> None:
    table = build_tables(result)["markets"]
    assert np.isnan(table["best_ask"][7])
    assert table["best_bid"][7] == pytest.approx(0.249)


def test_funding_rows_come_at_interval_ends(result: RunResult) -> None:
    table = build_tables(result)["funding"]
    assert table["step"].tolist() == [1, 1, 3, 3]
    # 10 lots at an index of 200,000 ticks of 500 atoms, 0.01 % per 8 h, one hour
    assert table["paid_usd"][0] == pytest.approx(1_000 * 0.0001 / 8)


def test_a_liquidation_names_who_took_the_rest(result: RunResult) -> None:
    table = build_tables(result)["liquidations"]
    assert table["rest_taken_by"].tolist() == ["fund", "later"]
    assert table["stage"].tolist() == ["market", "backstop"]
    assert table["side"].tolist() == ["long", "short"]
    assert table["population"].tolist() == ["crowd", "crowd"]


def test_a_liquidation_shows_its_average_price_and_cost_against_mark(result: RunResult) -> None:
    table = build_tables(result)["liquidations"]
    assert table["average_price"][0] == pytest.approx(99_500.0)
    assert np.isnan(table["average_price"][1])
    assert table["book_cost_usd"][0] == pytest.approx(6 * 1_000 * 500 / 1e6)
    assert table["notional_usd"].tolist() == [1_000.0, 0.0]


def test_a_short_bought_back_above_mark_has_a_positive_cost(result: RunResult) -> None:
    rows = result.liquidation.copy()
    rows[1].book_size = rows[1].order_size = -8
    rows[1].size_after = 0
    rows[1].book_cash = -8 * 252 * 1_000
    table = build_tables(dataclasses.replace(result, liquidation=rows))["liquidations"]
    assert table["book_cost_usd"][1] == pytest.approx(8 * 2 * 1_000 / 1e6)
    assert table["rest_taken_by"][1] == "none"


def test_deleveraging_price_is_cash_over_size(result: RunResult) -> None:
    assert build_tables(result)["deleveragings"]["price"].tolist() == [95_000.0]


def test_profit_by_cause_adds_up_to_the_change_of_equity(result: RunResult) -> None:
    profit = profit_by_cause(result.start, result.end)
    assert (profit.sum(axis=1) == result.end.equity - result.start.equity).all()
    assert profit[0, Cause.FEE] == -7
    # bought at 200,000 ticks; the mark ended at 200,400
    assert profit[0, Cause.PRICE] == 10 * 400 * 500


def test_populations_add_up_accounts_and_keep_the_fund_apart(result: RunResult) -> None:
    table = build_tables(result)["populations"]
    assert table["population"].tolist() == ["crowd", "makers", "insurance_fund"]
    assert table["num_accounts"].tolist() == [2, 1, 1]
    assert table["deposit_usd"].tolist() == [3_000.0, 3_000.0, 100.0]
    assert table["accounts_liquidated"].tolist() == [2, 0, 0]
    assert table["liquidated_usd"].tolist() == [1_000.0, 0.0, 0.0]


def test_calendar_time_appears_only_where_a_run_has_one(
    make_result: Callable[..., RunResult],
) -> None:
    assert "time" not in build_tables(make_result())["markets"]
    dated = make_result(start_time=np.datetime64("2025-10-10T00:00"))
    assert build_tables(dated)["steps"]["time"][-1] == np.datetime64("2025-10-10T02:00")


def test_fills_are_a_table_only_when_recorded(make_result: Callable[..., RunResult]) -> None:
    assert "fills" not in build_tables(make_result())
    rows = records(Fill, 1)
    rows[0].size, rows[0].price, rows[0].market = -3, 251, 1
    table = build_tables(make_result(fill=rows))["fills"]
    assert table["size"].tolist() == [-3.0]
    assert table["price"].tolist() == pytest.approx([0.251])


def test_depth_is_a_table_in_usd_when_recorded(make_result: Callable[..., RunResult]) -> None:
    assert "depth" not in build_tables(make_result())
    rows = records(Depth, 1)
    rows["step"], rows["market"], rows["mid2"] = 2, 1, 501
    rows["bid"], rows["ask"] = np.arange(5) * 10**6, (5 + np.arange(5)) * 10**6
    table = build_tables(make_result(depth=rows))["depth"]
    assert {name: column.tolist() for name, column in table.items()} == {
        "step": [2],
        "hours": [1.0],
        "market": ["DOGE"],
        "mid_price": [pytest.approx(0.2505)],
        **{f"bid_usd_{n}bp": [usd] for usd, n in enumerate((5, 10, 25, 50, 100))},
        **{f"ask_usd_{n}bp": [usd] for usd, n in enumerate((5, 10, 25, 50, 100), 5)},
    }


def test_books_are_a_table_when_recorded(make_result: Callable[..., RunResult]) -> None:
    assert "book" not in build_tables(make_result())
    rows = records(BookLevel, 2)
    rows["step"], rows["side"] = 4, (1, -1)
    rows["price"], rows["size"] = (199_999, 200_001), (7, 3)
    table = build_tables(make_result(book=rows))["book"]
    assert {name: column.tolist() for name, column in table.items()} == {
        "step": [4, 4],
        "hours": [2.0, 2.0],
        "market": ["BTC", "BTC"],
        "side": ["bid", "ask"],
        "price": [99_999.5, 100_000.5],
        "size": [pytest.approx(0.007), pytest.approx(0.003)],
    }


def test_snapshots_are_a_table_from_start_to_end_when_taken(
    make_result: Callable[..., RunResult],
) -> None:
    result = make_result()
    assert "snapshots" not in build_tables(result)
    table = build_tables(make_result(snapshots=((2, result.end),)))["snapshots"]
    assert table["step"].tolist() == [0] * 4 + [2] * 4 + [4] * 4
    assert table["equity_usd"][0] == 1_000.0
    assert table["size_BTC"][4:8] == pytest.approx([0.01, -0.01, 0.0, 0.0])
