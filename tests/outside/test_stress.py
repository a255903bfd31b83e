"""Limits in the right place: modes that can start, brackets of the size, real ticks, one figure.

Fees are zero. A long of size s, entry e and cash c is liquidated at p where c + s (p - e) = m s p.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from marketsim.account.portfolio import OWNER, Portfolio, open_portfolio, parse_portfolio
from marketsim.account.statement import Account, Statement, state_account
from marketsim.account.stress import stress
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.population import Mode
from tests.cli.conftest import marketsim

__all__ = ["marketsim"]

Cli = Callable[..., Result]

MODES: tuple[Mode, ...] = ("cross", "isolated", "partial")


def market(price: float, tick: float, lot: float, share: float, leverage: float = 20.0) -> Any:
    """A market without fees that asks for `share` of the notional as maintenance margin."""
    return {
        "price": price,
        "tick_size": tick,
        "lot_size": lot,
        "maker_fee": 0.0,
        "taker_fee": 0.0,
        "max_leverage": leverage,
        "maintenance_margin_fraction": share,
    }


BTC, ALT = market(50.0, 1e-4, 0.01, 0.01), market(0.5, 1e-4, 1.0, 0.05, 10)
ETH = market(2_600.0, 0.01, 0.001, 0.02, 25)


def portfolio(markets: Any, positions: Any, **tables: Any) -> Portfolio:
    return parse_portfolio({"markets": markets, "positions": positions, **tables})


def statement(held: Portfolio, mode: Mode) -> Statement:
    state = open_portfolio(held, mode)
    return state_account(Account(state, OWNER, tuple(held.markets), held.atoms))


def limits(held: Portfolio, mode: Mode) -> dict[str, float | None]:
    return {one.market: one.liquidation_price for one in statement(held, mode).positions}


def toml(data: dict[str, Any], *path: str) -> str:
    """A portfolio as a file."""
    own = "".join(f"{key} = {value!r}\n" for key, value in data.items() if type(value) is not dict)
    text = f"[{'.'.join(path)}]\n{own}" if path and own else own
    return text + "".join(
        toml(value, *path, key) for key, value in data.items() if type(value) is dict
    )


# The modes that can start

#: Under isolated margin ALT has 1 USD for 0.05 x 50 = 2.50 USD; under partial margin half of it.
THIN = {
    "markets": {"BTC": BTC, "ALT": ALT},
    "collateral": {"cash": 30.0},
    "positions": {"BTC": {"size": 2.0}, "ALT": {"size": 100.0, "collateral": 1.0}},
    "groups": {"alt": {"markets": ["ALT"], "collateral": 1.0}},
}


@pytest.fixture
def thin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    text = toml(THIN).replace("'", '"')
    (tmp_path / "thin.toml").write_text(text)
    return tmp_path / "thin.toml"


def test_modes_that_can_start_are_shown_and_the_others_marked(thin: Path, marketsim: Cli) -> None:
    done = marketsim("stress", thin, "--shock", "BTC=-5%", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (cross,) = found["modes"]
    # 30 + 2 (p - 50) = 0.02 p + 2.5
    (btc,) = (one for one in cross["start"]["pools"][0]["positions"] if one["market"] == "BTC")
    assert btc["liquidation_price"] == pytest.approx(72.5 / 1.98, abs=1e-4)
    assert [one["mode"] for one in found["cannot_start"]] == ["isolated", "partial"]
    for one in found["cannot_start"]:
        assert "1.00 USD of equity for 2.50 USD of maintenance margin" in one["reason"]
    table = marketsim("stress", thin, "--shock", "BTC=-5%", "--funding", "0.01%").stdout
    assert "36.616" in table
    assert table.count("cannot start") == 2
    assert "already liquidatable under isolated margin: ALT (isolated)" in table


@pytest.mark.parametrize("asked", [("isolated",), ("cross", "isolated"), ("partial",)])
def test_a_mode_asked_for_that_cannot_start_is_refused_with_the_reason(
    thin: Path, marketsim: Cli, asked: tuple[str, ...]
) -> None:
    options = [word for mode in asked for word in ("--mode", mode)]
    done = marketsim("stress", thin, "--shock", "BTC=-5%", *options)
    assert done.exit_code == 2
    assert f"already liquidatable under {asked[-1]} margin" in done.output
    assert "1.50 USD too little" in done.output


def test_where_no_mode_can_start_every_reason_is_given(thin: Path, marketsim: Cli) -> None:
    done = marketsim("stress", thin, "--set", "collateral.cash=2")  # for 1.00 + 2.50 USD
    assert done.exit_code == 2
    for mode in MODES:
        assert f"already liquidatable under {mode} margin" in done.output


def test_margin_stated_beyond_the_wallet_leaves_cross_margin() -> None:
    positions = {"BTC": {"size": 2.0, "leverage": 2.0}}  # 50 USD of its own under isolated margin
    held = portfolio({"BTC": BTC}, positions, collateral={"cash": 30.0})
    found = stress(held, {})
    assert [each.mode for each in found.modes] == ["cross", "partial"]  # partial: half of it
    (isolated,) = found.cannot_start
    assert "30.00 USD, less than the 50.00 USD the positions hold" in isolated.reason
    assert limits(held, "cross")["BTC"] == pytest.approx(70.0 / 1.98, abs=1e-4)


def test_coins_back_the_main_pool_and_those_that_may_draw_on_it() -> None:
    held = portfolio(
        {"BTC": market(30_000.0, 0.01, 0.001, 0.01, 50)},
        {"BTC": {"size": 0.1}},
        collateral={"coins": {"BTC": 0.4}},
        venue={"margin": {"spot_haircut": 0.05}},
    )
    found = stress(held, {"BTC": -0.05})
    assert [each.mode for each in found.modes] == ["cross", "partial"]
    # 0.4 x 0.95 p + 0.1 (p - 30,000) = 0.001 p: the coins fall with the position
    (btc,) = found.modes[0].start.positions
    assert btc.liquidation_price == pytest.approx(3_000.0 / 0.479, abs=0.01)
    (isolated,) = found.cannot_start
    assert "BTC (isolated) has 0.00 USD of equity for 30.00 USD" in isolated.reason


# Equity above zero is enough


def test_a_wallet_below_zero_with_open_profit_is_an_account() -> None:
    positions = {"ETH": {"size": -2.0, "entry_price": 2_000.0}}
    held = portfolio({"ETH": ETH | {"price": 1_500.0}}, positions, collateral={"cash": -700.0})
    for mode in MODES:  # -700 + 2 (2,000 - p) = 0.04 p
        assert limits(held, mode)["ETH"] == pytest.approx(3_300.0 / 2.04, abs=0.01)
    assert [each.equity_start_usd for each in stress(held, {"ETH": 0.03}).modes] == [300.0] * 3


def test_profit_alone_may_back_a_position() -> None:
    positions = {"ETH": {"size": 1.0, "entry_price": 2_000.0}}
    held = portfolio({"ETH": ETH}, positions)
    for mode in MODES:  # p - 2,000 = 0.02 p
        assert limits(held, mode)["ETH"] == pytest.approx(2_000.0 / 0.98, abs=0.01)


def test_a_loss_without_collateral_is_no_account() -> None:
    with pytest.raises(ScenarioError, match="collateral: missing"):
        portfolio({"ETH": ETH}, {"ETH": {"size": -1.0, "entry_price": 2_000.0}})


def test_withdrawn_profit_of_one_position_leaves_the_rest_in_the_main_pool() -> None:
    positions = {"ETH": {"size": 2.0, "entry_price": 2_000.0, "collateral": -800.0}}
    held = portfolio({"ETH": ETH}, positions, collateral={"cash": 1_000.0})
    pools = {pool.name: pool.equity_usd for pool in statement(held, "isolated").pools}
    assert pools == {"main pool (cross)": 1_800.0, "ETH (isolated)": 400.0}
    # -800 + 2 (p - 2,000) = 0.04 p
    assert limits(held, "isolated")["ETH"] == pytest.approx(4_800.0 / 1.96, abs=0.01)


def test_what_was_withdrawn_is_shared_by_profit() -> None:
    positions = {
        "ETH": {"size": 2.0, "entry_price": 2_000.0},  # 1,200 USD of profit
        "BTC": {"size": 40.0, "entry_price": 40.0},  # 400
        "ALT": {"size": -10.0},  # none
    }
    held = portfolio({"ETH": ETH, "BTC": BTC, "ALT": ALT}, positions, collateral={"cash": -800.0})
    assert held.own_margin() == pytest.approx({"ETH": -600.0, "BTC": -200.0, "ALT": 0.0})
    (cross,) = stress(held, {"ETH": -0.1}, modes=["cross"]).modes
    assert cross.equity_start_usd == pytest.approx(800.0)


def test_margin_may_come_from_profit_withdrawn_elsewhere() -> None:
    positions = {
        "ETH": {"size": 2.0, "entry_price": 2_000.0, "collateral": -500.0},
        "BTC": {"size": 40.0, "collateral": 1_500.0},
    }
    held = portfolio({"ETH": ETH, "BTC": BTC}, positions, collateral={"cash": 1_000.0})
    pools = {pool.name: pool.equity_usd for pool in statement(held, "isolated").pools}
    assert pools == {"ETH (isolated)": 700.0, "BTC (isolated)": 1_500.0}


# Leverage against the bracket of the size


def binance(size: float, leverage: float, entry: float = 100_000.0) -> Portfolio:
    markets = {"BTC": {"price": 100_000.0, "tick_size": 0.1, "lot_size": 0.001}}
    own = {"BTC": {"size": size, "leverage": leverage, "entry_price": entry}}
    venue = {"preset": "binance"}
    return portfolio(markets, own, venue=venue, collateral={"cash": 1e8})


@pytest.mark.parametrize(
    ("size", "allowed"),
    # the notional at 100,000 USD: below 50,000, in (50,000, 600,000), (600,000, 3 M) and so on
    [(0.4, 125), (-0.5, 100), (5.9, 100), (6.0, 75), (-29.0, 75), (50.0, 50), (-130.0, 25)],
)
def test_leverage_is_what_the_bracket_of_the_size_allows(size: float, allowed: int) -> None:
    assert binance(size, allowed).positions["BTC"].leverage == allowed
    notional = f"{abs(size) * 1e5:,.0f} USD"
    with pytest.raises(ScenarioError, match=rf"BTC\.leverage = .*limit of {allowed} .*{notional}"):
        binance(size, allowed + 1)


def test_the_size_is_that_at_entry() -> None:
    assert binance(50.0, 100, entry=11_000.0).positions["BTC"].leverage == 100
    with pytest.raises(ScenarioError, match=r"leverage = 100: above the market's limit of 75"):
        binance(50.0, 100, entry=12_000.0)


# Ticks of real contracts


@pytest.mark.parametrize(
    ("tick", "lot", "price", "size"),
    [
        (1e-7, 1.0, 0.0071, 1_000.0),
        (1e-7, 1.0, 0.0071, -1_003.0),
        (1e-8, 1.0, 0.00002345, 7_777_777.0),
        (1e-5, 0.01, 0.523, 1_234.56),
        (0.01, 1e-5, 100_000.0, 0.12345),
        (0.01, 0.001, 126_000.0, -3.0),
        (0.001, 0.001, 100_000.0, 3.0),
        (0.00025, 0.3, 12.5, 0.9),
    ],
)
def test_any_tick_is_counted_to_the_tick(
    tick: float, lot: float, price: float, size: float
) -> None:
    cash = 0.2 * abs(size) * price
    held = portfolio(
        {"X": market(price, tick, lot, 0.01)}, {"X": {"size": size}}, collateral={"cash": cash}
    )
    side = 1.0 if size > 0 else -1.0
    expected = price * (1.0 - side * 0.2) / (1.0 - side * 0.01)
    (position,) = statement(held, "cross").positions
    assert position.liquidation_price == pytest.approx(expected, abs=1.01 * tick)
    assert position.size == pytest.approx(size)
    assert position.notional_usd == pytest.approx(abs(size) * price)
    (cross,) = stress(held, {"X": -side * 0.3}, modes=["cross"]).modes
    (seizure,) = cross.seizures
    assert seizure.mark_price == pytest.approx(position.liquidation_price)


@settings(max_examples=60, deadline=None)
@given(
    tick=st.builds(lambda digit, power: digit * 10.0**-power, st.integers(1, 9), st.integers(2, 9)),
    lot=st.builds(lambda digit, power: digit * 10.0**-power, st.integers(1, 9), st.integers(0, 3)),
    ticks=st.integers(1_000, 20_000_000),
    lots=st.integers(1, 1_000),
    side=st.sampled_from((1.0, -1.0)),
    share=st.floats(0.02, 0.9),
)
def test_random_ticks_and_lots_meet_the_closed_form(
    tick: float, lot: float, ticks: int, lots: int, side: float, share: float
) -> None:
    price = float(f"{ticks * tick:.12g}")
    lot, tick = float(f"{lot:.6g}"), float(f"{tick:.6g}")
    size = side * float(f"{lots * lot:.12g}")
    cash = share * abs(size) * price
    held = portfolio(
        {"X": market(price, tick, lot, 0.01)},
        {"X": {"size": size}},
        collateral={"cash": cash},
    )
    expected = price * (1.0 - side * share) / (1.0 - side * 0.01)
    found = limits(held, "cross")["X"]
    # what a lot is worth at the last atom also decides where money is coarse
    coarse = 2.0 / held.atoms / abs(size)
    assert found == pytest.approx(expected, abs=1.01 * tick + coarse)


def test_money_too_fine_for_the_integers_is_refused_by_name() -> None:
    with pytest.raises(ScenarioError, match=r"markets\.X\.lot_size = 1: would overflow"):
        portfolio(
            {"X": market(0.0071, 1.23456789012e-7, 1.0, 0.01)},
            {"X": {"size": 1_000.0}},
            collateral={"cash": 2.0},
        )
    with pytest.raises(ScenarioError, match=r"collateral: 100,000 USD would overflow counted in"):
        portfolio(
            {"X": market(7.1e-9, 1e-13, 1.0, 0.01)},
            {"X": {"size": 1_000.0}},
            collateral={"cash": 1e5},
        )


def test_an_entry_price_that_no_tick_holds_is_refused_by_name() -> None:
    positions = {"BTC": {"size": 2.0, "entry_price": 1e12}}
    with pytest.raises(ScenarioError, match=r"positions\.BTC\.entry_price = 1e\+12: .* ticks of"):
        portfolio({"BTC": BTC}, positions, collateral={"cash": 30.0})


def test_funding_of_a_fine_contract_is_counted_in_usd(tmp_path: Path, marketsim: Cli) -> None:
    tables = {
        "markets": {"PEPE": market(0.0071, 1e-7, 1.0, 0.01)},
        "collateral": {"cash": 2.0},
        "positions": {"PEPE": {"size": 1_000.0}},
    }
    file = tmp_path / "pepe.toml"
    file.write_text(toml(tables))
    done = marketsim("stress", file, "--funding", "0.1%", "--days", "1", "--json")
    for cost in json.loads(done.stdout)["funding"]:
        assert cost["paid_usd"]["PEPE"] == pytest.approx(3 * 0.001 * 7.1)


# The same in runs


def run_tables(name: str, **contract: Any) -> dict[str, Any]:
    return {
        "name": "contract",
        "days": 30 / 1440,
        "markets": {name: contract},
        "populations": {
            "makers": {"strategy": "maker", "count": 4, "capital": 100_000.0},
            "noise": {"strategy": "noise", "count": 20, "capital": 1_000.0, "attention": 2.0},
        },
    }


def test_a_run_trades_in_the_smallest_multiple_of_the_lot_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marketsim: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    tables = run_tables("PEPE", price=0.0071, tick_size=1e-7, lot_size=1.0)
    tables["record"] = {"fills": True}
    Path("pepe.toml").write_text(toml(tables).replace("'", '"').replace("True", "true"))
    done = marketsim("run", "pepe.toml", "--out", "r")
    assert done.exit_code == 0, done.output
    note = "markets.PEPE.lot_size = 1 coins: traded in lots of 10"
    assert note in " ".join(done.output.split())
    record = json.loads(Path("r/run.json").read_text())
    assert note in record["notes"][0]
    import pandas as pd

    sizes = pd.read_parquet("r/fills.parquet")["size"]
    assert len(sizes) > 20
    assert ((sizes / 10.0).round() * 10.0 == sizes).all()
    assert ((sizes / 100.0).round() * 100.0 != sizes).any()


@pytest.mark.parametrize(
    ("tick", "lot", "traded", "unit"),
    [
        (0.01, 0.001, 0.001, 10),  # BTC as it is listed: nothing changes
        (1e-7, 1.0, 10.0, 1),
        (1e-8, 0.1, 100.0, 1),
        (5e-7, 1.0, 2.0, 1),
        (2.5e-7, 3.0, 12.0, 3),
        (1e-4, 0.015, 0.03, 3),
    ],
)
def test_the_multiple_is_the_smallest(tick: float, lot: float, traded: float, unit: int) -> None:
    tables = run_tables("X", price=1_000_000 * tick, tick_size=tick, lot_size=lot)
    scenario = parse_scenario(tables)
    steps = scenario.markets["X"].steps()
    assert (steps.lot_size, steps.tick_atoms) == (traded, unit)
    assert len(scenario.notices()) == (traded != lot)


@pytest.mark.parametrize(
    ("price", "tick", "accepted"), [(126_000.0, 0.01, True), (126_000.0, 1e-3, False)]
)
def test_prices_a_book_holds_are_accepted_and_others_refused_with_the_cure(
    price: float, tick: float, accepted: bool
) -> None:
    tables = run_tables("BTC", price=price, tick_size=tick, lot_size=0.001)
    if accepted:
        assert parse_scenario(tables).markets["BTC"].tick_size == tick
        return
    with pytest.raises(ScenarioError, match=r"markets\.BTC\.price = 126000: 1\.26e\+08") as caught:
        parse_scenario(tables)
    (cure,) = re.findall(r"raise tick_size to at least (\S+)", str(caught.value))
    assert parse_scenario(run_tables("BTC", price=price, tick_size=float(cure), lot_size=0.001))


# One meaning for one figure


@pytest.mark.parametrize(
    ("size", "cash", "leverage", "tick"),
    [
        (0.5, 300.0, 50, 0.01),
        pytest.param(-0.5, 400.0, 40, 0.01, marks=pytest.mark.slow),
        pytest.param(0.5, 300.0, 50, 0.5, marks=pytest.mark.slow),
        pytest.param(2.0, 9_000.0, 5, 0.1, marks=pytest.mark.slow),
    ],
)
def test_json_and_table_give_the_same_liquidation_prices(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    marketsim: Cli,
    size: float,
    cash: float,
    leverage: int,
    tick: float,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    tables = {
        "markets": {"BTC": market(20_000.0, tick, 0.001, 0.005, 100)},
        "collateral": {"cash": cash},
        "positions": {"BTC": {"size": size, "leverage": leverage}},
    }
    file = tmp_path / "mine.toml"
    file.write_text(toml(tables))
    table = marketsim("stress", file).stdout
    found = json.loads(marketsim("stress", file, "--json").stdout)
    (line,) = (line for line in table.splitlines() if line.startswith("BTC"))
    assert "liquidation price" in table
    shown = [float(word.replace(",", "")) for word in line.split()[3:]]
    written = [
        position["liquidation_price"]
        for each in found["modes"]
        for pool in each["start"]["pools"]
        for position in pool["positions"]
    ]
    assert len(shown) == 3
    assert shown == pytest.approx(written, abs=1e-9)


def test_a_pool_that_draws_is_liquidated_when_it_can_draw_no_more() -> None:
    held = portfolio(
        {"BTC": market(20_000.0, 0.01, 0.001, 0.005, 100)},
        {"BTC": {"size": 0.5, "leverage": 50}},
        collateral={"cash": 300.0},
    )
    (position,) = statement(held, "partial").positions
    # of its own half of 200 USD: 100 + 0.5 (p - 20,000) = 0.0025 p
    assert position.maintenance_price == pytest.approx(9_900.0 / 0.4975)
    # it may draw half of the 300 USD: 250 + 0.5 (p - 20,000) = 0.0025 p
    assert position.liquidation_price == pytest.approx(9_750.0 / 0.4975, abs=0.01)
