"""Explanations against the tables of the run and against margin maths in plain Python."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketsim.account.explain import Explanation, explain
from marketsim.account.statement import PoolStatement
from marketsim.results.run import Run, load_run
from marketsim.tape.files import RunFolderError, hash_file, seal
from tests.account.conftest import JUMP_STEP, make_run

TICK = {"BTC": 0.1, "ETH": 0.01}
CENT = 0.005


def maintenance(explanation: Explanation, pool: PoolStatement, marks: dict[str, float]) -> float:
    """Requirement of a pool at other marks, in plain Python: the default venue has flat rates."""
    return sum(
        abs(one.size) * marks[one.market] * one.maintenance_margin_fraction
        for one in pool.positions
    )


def buffer(explanation: Explanation, pool: PoolStatement, **moved: float) -> float:
    """Equity less maintenance margin of a pool at other marks, in plain Python."""
    marks = explanation.marks | moved
    profit = sum(one.size * (marks[one.market] - one.entry_price) for one in pool.positions)
    return pool.cash_usd + profit - maintenance(explanation, pool, marks)


def first_liquidated(run: Run) -> list[int]:
    accounts = run.liquidations.drop_duplicates("account")["account"]
    return [int(account) for account in accounts]


@pytest.fixture(scope="module")
def seized(jump: Run) -> list[Explanation]:
    """All accounts that were liquidated, as they were seized."""
    return [explain(jump, account) for account in first_liquidated(jump)[:16]]


def test_the_run_liquidates_accounts_of_every_margin_mode(seized: list[Explanation]) -> None:
    assert {one.margin_mode for one in seized} == {"cross", "isolated", "partial"}
    assert any(one.step == JUMP_STEP for one in seized)


def test_a_pool_is_shown_as_the_run_recorded_its_seizure(seized: list[Explanation]) -> None:
    assert sum(one.is_exact for one in seized) > len(seized) / 2
    for one in seized:
        if one.is_exact:
            first = one.liquidations[0]
            (pool,) = (pool for pool in one.statement.pools if pool.pool == first.pool)
            assert pool.equity_usd == pytest.approx(first.equity_usd, abs=1e-6)
            assert pool.maintenance_usd == pytest.approx(first.maintenance_usd, abs=1e-6)
            assert pool.is_liquidatable


def test_a_pool_was_safe_a_step_before_the_jump(seized: list[Explanation]) -> None:
    for one in (one for one in seized if one.step == JUMP_STEP):
        assert one.before is not None
        (pool,) = (p for p in one.before.pools if p.pool == one.liquidations[0].pool)
        assert pool.buffer_usd > 0
        assert not pool.is_liquidatable


def test_the_sum_of_a_pool_is_that_of_plain_python(seized: list[Explanation]) -> None:
    for one in seized:
        for pool in one.statement.pools:
            assert pool.buffer_usd == pytest.approx(buffer(one, pool), abs=CENT)
            assert pool.equity_usd == pytest.approx(
                pool.cash_usd + pool.holdings_usd + pool.profit_usd, abs=1e-6
            )


def test_a_move_of_one_percent_does_what_plain_python_says(jump: Run) -> None:
    checked = 0
    for account in first_liquidated(jump)[:8]:
        one = explain(jump, account, step=60)
        for pool in one.statement.pools:
            for move in pool.moves:
                mark, tick = one.marks[move.market], TICK[move.market]
                for change, usd in ((0.01, move.up_usd), (-0.01, move.down_usd)):
                    there = round(mark * (1 + change) / tick) * tick
                    expected = buffer(one, pool, **{move.market: there}) - buffer(one, pool)
                    assert usd == pytest.approx(expected, abs=CENT)
                    checked += 1
    assert checked >= 12


def test_the_liquidation_price_is_the_first_tick_at_which_the_pool_falls_short(jump: Run) -> None:
    checked = 0
    for account in first_liquidated(jump):
        one = explain(jump, account, step=60)
        if one.margin_mode == "partial":
            continue  # draws from the main pool come in between
        for pool in one.statement.pools:
            for move in pool.moves:
                if move.exhausted_at is None:
                    continue
                tick = TICK[move.market]
                back = tick if move.exhausted_at < one.marks[move.market] else -tick
                assert buffer(one, pool, **{move.market: move.exhausted_at}) < 0
                assert buffer(one, pool, **{move.market: move.exhausted_at + back}) > 0
                closed = next(p for p in pool.positions if p.market == move.market)
                assert closed.maintenance_price is not None
                assert abs(move.exhausted_at - closed.maintenance_price) <= tick
                checked += 1
    assert checked >= 8


def test_an_account_s_profits_lead_from_its_deposit_to_its_end(jump: Run) -> None:
    accounts = jump.accounts
    for account in (0, 30, *first_liquidated(jump)[:3]):
        one = explain(jump, account, step=10)
        end = one.deposit_usd + sum(one.profit_usd.values())
        assert end == pytest.approx(one.equity_end_usd, abs=1e-5)
        assert one.equity_end_usd == accounts["equity_end_usd"][account]


def test_without_a_liquidation_the_end_of_the_run_is_shown(jump: Run) -> None:
    account = next(a for a in range(len(jump.accounts) - 1) if a not in first_liquidated(jump))
    one = explain(jump, account)
    assert (one.step, one.seized_round, one.before) == (one.num_steps - 1, None, None)
    assert one.statement.equity_usd == pytest.approx(one.equity_end_usd, abs=1e-5)
    last = jump.markets[jump.markets["step"] == one.step].set_index("market")["mark_price"]
    assert one.marks == pytest.approx(last.to_dict())


def test_liquidations_are_the_account_s_rows_of_the_table(seized: list[Explanation]) -> None:
    for one in seized:
        run = load_run(one.run)
        rows = run.liquidations[run.liquidations["account"] == one.account]
        assert [order.number for order in one.liquidations] == rows.index.tolist()
        assert sum(o.fee_usd for o in one.liquidations) == pytest.approx(rows["fee_usd"].sum())
        causes = run.causes
        for order in one.liquidations:
            mine = causes[causes["liquidation"] == order.number]
            assert len(order.causes) == len(mine) > 0
            assert sum(cause.weight for cause in order.causes) == pytest.approx(1.0)
        json.dumps(one.to_dict(), allow_nan=False)


def test_the_jump_is_named_as_the_cause(seized: list[Explanation]) -> None:
    for one in seized:
        if one.step == JUMP_STEP and one.seized_round == 0:
            top = one.liquidations[0].causes[0]
            assert (top.kind, top.market) == ("index", "BTC")


def test_looking_at_an_account_changes_no_other_look(jump: Run) -> None:
    account = first_liquidated(jump)[0]
    first = explain(jump, account)
    explain(jump, account, step=3)
    assert dataclasses.asdict(explain(jump, account)) == dataclasses.asdict(first)


def test_an_account_that_does_not_exist_is_refused_with_those_that_do(jump: Run) -> None:
    fund = len(jump.accounts) - 1
    told = f"no account 4000, only 0 to {fund - 1}; first liquidated were"
    with pytest.raises(RunFolderError, match=told):
        explain(jump, 4000)
    with pytest.raises(RunFolderError, match="no account -1"):
        explain(jump, -1)
    with pytest.raises(RunFolderError, match=f"account {fund} is the insurance fund"):
        explain(jump, fund)


def test_a_step_outside_the_run_is_refused(jump: Run) -> None:
    for step in (-1, 180):
        with pytest.raises(RunFolderError, match=f"step {step}: the run has steps 0 to 179"):
            explain(jump, 0, step)


@pytest.fixture
def copy(jump: Run, tmp_path: Path) -> Path:
    """A run folder to damage."""
    return Path(shutil.copytree(jump.path, tmp_path / "copy"))


def change_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write a table anew and record it, as another version would have."""
    file = folder / f"{name}.parquet"
    table.to_parquet(file, index=False)
    record = json.loads((folder / "run.json").read_text())
    with file.open("rb") as stream:
        record["tables"][name] |= {"bytes": file.stat().st_size, "hash": hash_file(stream)}
    (folder / "run.json").write_text(json.dumps(seal(record)))


def test_prices_that_are_not_those_recorded_are_refused(copy: Path) -> None:
    table = load_run(copy).markets
    table.loc[table.index[41], "mark_price"] += 0.1
    change_table(copy, "markets", table)
    with pytest.raises(RunFolderError, match=r"step 20: the mark price of ETH was .* another vers"):
        explain(copy, 0)
    explain(copy, 0, step=19)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("markets", "mark_price"),
        ("accounts", "funding_usd"),
        ("liquidations", "pool"),
        ("deleveragings", "price"),
        ("causes", "weight"),
    ],
)
def test_a_table_without_a_column_is_refused(copy: Path, name: str, column: str) -> None:
    account = first_liquidated(load_run(copy))[0]
    change_table(copy, name, load_run(copy).table(name).drop(columns=column))
    with pytest.raises(RunFolderError, match=rf"{name}.parquet: no column {column}: damaged"):
        explain(copy, account)


def test_a_damaged_scenario_is_refused(copy: Path) -> None:
    (copy / "scenario.toml").write_text("name = ")
    with pytest.raises(RunFolderError, match=r"scenario.toml: .* damaged"):
        explain(copy, 0)


def test_runs_with_traders_in_python_and_sparse_series_are_done_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import marketsim\n"
        "class Mine(marketsim.Trader):\n"
        "    def step(self):\n"
        "        if self.size('BTC') == 0:\n"
        "            self.buy('BTC', 8 * self.equity / self.model.mid_price('BTC'))\n"
    )
    file = tmp_path / "own.toml"
    file.write_text(
        'base = "quickstart"\n'
        "days = 0.05\n"
        "[record]\nseries_minutes = 10\n"
        "[populations.mine]\nstrategy = 'mine.py:Mine'\ncount = 2\ncapital = 10000.0\n"
        "attention = 1.0\nleverage = 20.0\n"
        "[[shocks]]\nkind = 'jump'\nat = 1.0\nsize = -0.2\nmarkets = ['BTC']\n"
    )
    run = load_run(make_run(file, tmp_path / "run"))
    mine = run.accounts["account"][run.accounts["population"] == "mine"].tolist()
    one = explain(run, mine[0])
    assert one.population == "mine"
    assert one.step == 60
    first = one.liquidations[0]
    (pool,) = (pool for pool in one.statement.pools if pool.pool == first.pool)
    assert pool.buffer_usd < 0
    assert not math.isnan(pool.buffer_usd)
    assert np.isclose(first.equity_usd, pool.equity_usd) == one.is_exact
