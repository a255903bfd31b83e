"""The comparison with peers makes the same trades everywhere, and says what it found."""

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.bench import book, peers
from marketsim.cli import app
from marketsim.engine import ledger


def test_all_systems_make_the_same_trades() -> None:
    peers.check_trades()


def test_pams_trades_with_the_same_parties_at_the_last_price_of_an_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pams", reason="pams is not installed (pip install --no-deps pams)")
    peers.check_trades()
    monkeypatch.setattr(peers, "_at_last_prices", lambda trades: trades)
    with pytest.raises(RuntimeError, match="pams trades otherwise than marketsim in step"):
        peers.check_trades()


def test_an_order_that_trades_twice_has_one_price_in_pams() -> None:
    made = [(1, 2, 5, 100), (1, 3, 2, 101), (4, 2, -1, 99)]
    assert peers._at_last_prices(made) == [(1, 2, 5, 101), (1, 3, 2, 101), (4, 2, -1, 99)]


def test_a_system_that_trades_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    trades = peers._trades_of
    monkeypatch.setattr(peers, "_trades_of", lambda *args: trades(*args)[1:])
    with pytest.raises(RuntimeError, match="mesa trades otherwise than marketsim in step"):
        peers.check_trades()


def test_the_mesa_model_books_positions_and_cash_as_the_engine_does() -> None:
    ours = book.Ours(40)
    market = peers.Mesa(40).market
    for step in zip(*book.draw_orders(40, 10, 1), strict=True):
        ours.step(*step)
        wanted = dict(zip(map(int, ours.sequence), peers._listed(step), strict=True))
        peers._trades_of(market, wanted)
    assert ledger.conservation_error(ours.state) == 0
    for trader in market.traders:
        assert trader.position == ours.state.position["size"][trader.number, 0]
        # The engine rounds every fee to an atom.
        cash = ours.state.pool["cash"][trader.number]
        assert trader.cash == pytest.approx(cash, abs=50)


def test_tables_show_each_system_and_each_exponent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    peers.bench(60, 10, repetitions=1)
    captured = capsys.readouterr()
    rows = [line.split("|")[1].strip() for line in captured.out.splitlines() if line]
    assert rows == [
        *["workload", "---", "book", "market", "market"],
        *["what grows", "---", "traders", "markets", "steps"],
    ]
    assert "bourse is not installed and is left out" in captured.err
    assert "pams is not installed and is left out" in captured.err


def test_pams_is_timed_by_a_few_steps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pams", reason="pams is not installed (pip install --no-deps pams)")
    monkeypatch.setattr(peers, "_growing", lambda *_: [])
    peers.bench(20, 30, repetitions=1)
    rows = [line.split("|")[2:5] for line in capsys.readouterr().out.splitlines() if "pams" in line]
    assert rows == [[" pams ", " 20 ", " 5 "]]


def test_without_the_repository_the_models_are_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "_MODELS", tmp_path / "none")
    monkeypatch.setattr(peers, "_growing", lambda *_: [])
    peers.bench(20, 3, repetitions=1)
    assert "the models in Mesa and pams are left out" in capsys.readouterr().err


def test_a_workload_beside_peers_is_refused() -> None:
    done = CliRunner().invoke(app, ["bench", "book", "--peers"])
    assert done.exit_code == 2
    assert "--peers compares book and market" in done.stderr
