"""Stressed portfolios against closed forms and against simulated runs of the same account."""

from pathlib import Path
from typing import Any

import pytest

from marketsim.account.explain import explain
from marketsim.account.funding_cost import cost_funding, given_rates, recorded_rates
from marketsim.account.portfolio import Portfolio, parse_portfolio
from marketsim.account.stress import ModeStress, stress
from marketsim.model.opening import open_simulation
from marketsim.results.folder import write_run
from marketsim.results.run import Run, load_run
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import parse_scenario
from marketsim.tape.files import RunFolderError
from tests.slow import slow

MARKETS = {
    "BTC": {"price": 100_000.0, "tick_size": 0.1, "lot_size": 0.001},
    "ETH": {"price": 4_000.0, "tick_size": 0.01, "lot_size": 0.01},
}
FLAT = {"max_leverage": 10.0, "maintenance_margin_fraction": 0.05}
MODES = ("cross", "isolated", "partial")


def portfolio_of(positions: dict[str, Any], cash: float, **tables: Any) -> Portfolio:
    markets = {name: market | FLAT for name, market in MARKETS.items()}
    data = {"markets": markets, "positions": positions, "collateral": {"cash": cash}}
    return parse_portfolio(data | tables)


def one_mode(portfolio: Portfolio, shocks: dict[str, float], mode: str, **how: Any) -> ModeStress:
    (found,) = stress(portfolio, shocks, modes=[mode], **how).modes
    return found


# A simulated run of the same portfolio

FALL_STEP, FALL_STEPS = 20, 40
FALL = {"BTC": -0.2, "ETH": -0.25}

#: Enters two markets at once and never looks again.
TRADER = """
import marketsim


class Twofold(marketsim.Trader):
    btc: float = 1.0  # notional / equity, long > 0
    eth: float = 1.0

    def step(self):
        if self.size("BTC") == 0 and self.model.step_count < 3:
            for market, share in (("BTC", self.btc), ("ETH", self.eth)):
                size = share * self.equity / self.model.mid_price(market)
                (self.buy if size > 0 else self.sell)(market, abs(size))
"""

#: Both long, and one against the other.
SIDES = {"long": (3.0, 4.0), "spread": (6.0, -3.0)}


def crash_run(folder: Path, preset: str) -> Run:
    """Traders of every margin mode hold two markets, which then fall in a straight line."""
    (folder / "twofold.py").write_text(TRADER)
    group = {"both": {"markets": ["BTC", "ETH"], "draw_limit": 0.3}}
    traders = {
        f"{mode}_{side}": {
            "strategy": f"{folder / 'twofold.py'}:Twofold",
            "count": 1,
            "capital": 20_000.0,
            "leverage": 20.0,
            "attention": 1.0,
            "margin_mode": mode,
            "groups": group if mode == "partial" else {},
            "parameters": {"btc": btc, "eth": eth},
        }
        for mode in MODES
        for side, (btc, eth) in SIDES.items()
    }
    scenario = parse_scenario(
        {
            "name": "fall",
            "days": 70 / 1440,
            "venue": {"preset": preset, "mark": {"rule": "index"}},
            "markets": MARKETS,
            "spot": {"kind": "constant"},
            "populations": {
                "makers": {"strategy": "maker", "count": 8, "capital": 2_000_000.0},
                **traders,
            },
            "shocks": [
                {
                    "kind": "crash",
                    "at": FALL_STEP / 60,
                    "size": size,
                    "fall_minutes": FALL_STEPS,
                    "hold_minutes": 60.0,
                    "markets": [name],
                }
                for name, size in FALL.items()
            ],
        }
    )
    market = open_simulation(scenario, 3)
    market.run(scenario.num_steps)
    return load_run(write_run(market.result(), folder / preset))


@pytest.fixture(scope="module", params=["default", "binance", "hyperliquid"])
def fall(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return crash_run(tmp_path_factory.mktemp("fall"), request.param)


def as_portfolio(run: Run, account: int) -> tuple[Portfolio, str]:
    """Write an account down as a user would read it off, a step before the fall."""
    one = explain(run, account, step=FALL_STEP - 1)
    mode = one.margin_mode
    main = next((pool for pool in one.statement.pools if "main" in pool.name), None)
    side = [pool for pool in one.statement.pools if "main" not in pool.name]
    positions: dict[str, Any] = {
        p.market: {"size": p.size, "entry_price": p.entry_price} for p in one.statement.positions
    }
    tables: dict[str, Any] = {}
    if mode == "isolated":
        for pool in side:
            positions[pool.positions[0].market]["collateral"] = pool.cash_usd
    if mode == "partial":
        (pool,) = side
        tables["groups"] = {
            "both": {
                "markets": ["BTC", "ETH"],
                "collateral": pool.cash_usd,
                "draw_limit_usd": pool.draw_left_usd,
            }
        }
    cash = sum(pool.cash_usd for pool in side) + (main.cash_usd if main else 0.0)
    data = {
        "venue": {"preset": run.path.name, "mark": {"rule": "index"}},
        "markets": MARKETS,
        "positions": positions,
        "collateral": {"cash": cash},
    }
    return parse_portfolio(data | tables), mode


@pytest.mark.slow
def test_a_simulated_run_seizes_the_same_portfolio_at_the_same_tick(fall: Run) -> None:
    rows = fall.liquidations
    compared = set()
    for account, name in fall.accounts["population"].items():
        if str(name).rpartition("_")[0] not in MODES:
            continue
        portfolio, mode = as_portfolio(fall, int(account))
        assert mode == str(name).partition("_")[0]
        found = one_mode(portfolio, FALL, mode, num_steps=FALL_STEPS)
        mine = rows[rows["account"] == account]
        assert bool(found.seizures) == bool(len(mine))
        smooth = one_mode(portfolio, FALL, mode)
        for _, first in mine.groupby("pool").head(1).iterrows():
            # Which leg goes first may differ: the book may not take the first the venue tries.
            one, before = (
                next(s for s in each.seizures if mode != "isolated" or s.market == first["market"])
                for each in (found, smooth)
            )
            assert one.step == first["step"] - FALL_STEP
            assert one.prices[first["market"]] == first["mark_price"]
            assert one.equity_usd == pytest.approx(first["equity_usd"], abs=2e-6)
            assert one.maintenance_usd == pytest.approx(first["maintenance_usd"], abs=2e-6)
            assert one.step < before.share * FALL_STEPS <= one.step + 1
            compared.add((name, first["market"]))
    assert {str(name).partition("_")[0] for name, _ in compared} == set(MODES)
    assert len(compared) >= 5


# Closed forms


def test_liquidation_prices_of_one_long_are_the_closed_forms() -> None:
    portfolio = portfolio_of({"BTC": {"size": 1.0, "leverage": 5.0}}, 30_000.0)
    # cross: 30,000 + (p - 100,000) = 0.05 p; isolated: 20,000 of them
    # partial: 10,000 of its own, and it may draw half of the 30,000
    for mode, backing in (("cross", 30_000.0), ("isolated", 20_000.0), ("partial", 25_000.0)):
        expected = (100_000.0 - backing) / 0.95
        (one,) = one_mode(portfolio, {"BTC": -0.5}, mode).seizures
        assert one.mark_price == pytest.approx(expected, abs=0.1)
        assert one.mark_price < expected


def test_liquidation_prices_of_one_short_are_the_closed_forms() -> None:
    portfolio = portfolio_of({"ETH": {"size": -10.0, "entry_price": 4_100.0}}, 6_000.0)
    (one,) = one_mode(portfolio, {"ETH": 0.5}, "cross").seizures
    expected = (6_000.0 + 41_000.0) / (10.0 * 1.05)
    assert 0.0 < one.mark_price - expected <= 0.01
    assert one.side == "short"


def test_coins_back_a_long_after_their_haircut() -> None:
    rules = {"margin": {"spot_haircut": 0.1}}
    portfolio = portfolio_of(
        {"BTC": {"size": 2.0}}, 0.0, venue=rules, collateral={"coins": {"BTC": 1.0}}
    )
    (one,) = one_mode(portfolio, {"BTC": -0.6}, "cross").seizures
    # 0.9 p + 2 (p - 100,000) = 0.1 p
    assert one.mark_price == pytest.approx(200_000.0 / 2.8, abs=0.1)


def test_cross_margin_nets_what_isolated_margin_does_not() -> None:
    positions = {"BTC": {"size": 1.0, "leverage": 10.0}, "ETH": {"size": -25.0, "leverage": 10.0}}
    portfolio = portfolio_of(positions, 20_000.0)
    together = {"BTC": -0.3, "ETH": -0.3}
    cross, isolated, _ = stress(portfolio, together).modes
    assert cross.seizures == ()
    assert cross.equity_end_usd == pytest.approx(20_000.0)
    assert [one.market for one in isolated.seizures] == ["BTC"]
    assert isolated.seizures[0].mark_price == pytest.approx(90_000.0 / 0.95, abs=0.1)
    # the short's gain is left, and its margin
    assert isolated.equity_end_usd > 40_000.0


def test_the_cash_to_add_is_the_least_that_keeps_everything() -> None:
    positions = {"BTC": {"size": 1.0}, "ETH": {"size": 10.0}}
    shocks = {"BTC": -0.3, "ETH": -0.2}
    needed = one_mode(portfolio_of(positions, 20_000.0), shocks, "cross").needed_usd
    # (20,000 + x) - 30,000 - 8,000 = 0.05 x (70,000 + 32,000)
    assert needed == pytest.approx(23_100.0, abs=0.01)
    assert not one_mode(portfolio_of(positions, 20_000.0 + needed), shocks, "cross").seizures
    assert one_mode(portfolio_of(positions, 19_999.0 + needed), shocks, "cross").seizures


def test_a_path_in_jumps_is_seized_at_the_first_jump_beyond_the_price() -> None:
    portfolio = portfolio_of({"BTC": {"size": 1.0}}, 20_000.0)
    (one,) = one_mode(portfolio, {"BTC": -0.36}, "cross", num_steps=2).seizures
    # 84,210 lies beyond half way in log price: sqrt(0.64) = 0.8
    assert one.step == 0
    assert one.mark_price == pytest.approx(80_000.0)
    assert one.share == 0.5


OTHERS = ("dydx", "binance", "bitmex", "hyperliquid")


@pytest.mark.parametrize("preset", ["default", *slow(OTHERS)])
def test_every_preset_closes_a_portfolio_that_a_shock_ruins(preset: str) -> None:
    portfolio = parse_portfolio(
        {
            "venue": {"preset": preset},
            "markets": MARKETS,
            "positions": {"BTC": {"size": 1.0}, "ETH": {"notional": 50_000.0}},
            "collateral": {"cash": 30_000.0},
        }
    )
    for each in stress(portfolio, {"BTC": -0.5, "ETH": -0.5}).modes:
        assert {one.market for one in each.seizures} == {"BTC", "ETH"}
        assert each.held_end_usd == pytest.approx(-45_000.0, abs=1.0)
        assert 0.0 <= each.equity_end_usd < each.equity_start_usd
        assert not each.end.positions
        (again,) = stress(portfolio, {"BTC": -0.5, "ETH": -0.5}, modes=[each.mode]).modes
        assert again == each


# Funding


def test_funding_is_rate_times_notional_at_every_settlement() -> None:
    positions = {"BTC": {"size": 1.0}, "ETH": {"size": -10.0}}
    for interval, preset in ((8.0, "binance"), (1.0, "dydx")):
        portfolio = portfolio_of(positions, 60_000.0, venue={"preset": preset})
        rates = given_rates(portfolio, {"BTC": 0.0003, "ETH": 0.0001}, days=10)
        cost = cost_funding(portfolio, "cross", rates, 10)
        assert cost.num_settlements == 2 * 10 * 24 / interval
        assert cost.paid_usd["BTC"] == pytest.approx(30 * 0.0003 * 100_000.0)
        assert cost.paid_usd["ETH"] == pytest.approx(-30 * 0.0001 * 40_000.0)
        assert cost.liquidated_hours is None


def test_funding_alone_liquidates_when_the_buffer_is_used_up() -> None:
    portfolio = portfolio_of({"BTC": {"size": 1.0}}, 5_950.0)
    # 950 USD above maintenance margin, 100 at every settlement: the tenth is too much
    rates = given_rates(portfolio, {"BTC": 0.001}, days=30)
    cost = cost_funding(portfolio, "cross", rates, 30)
    assert cost.liquidated_hours == 80.0
    assert cost.liquidated_markets == ("BTC",)
    assert cost.num_settlements == 10
    assert cost.paid_usd["BTC"] == pytest.approx(1_000.0)
    assert cost.buffer_end_usd == pytest.approx(-50.0)


def test_the_rates_of_a_run_are_paid_as_the_run_paid_them(jump: Run) -> None:
    portfolio = portfolio_of({"BTC": {"size": 0.5}, "ETH": {"size": 3.0}}, 60_000.0)
    settlements = recorded_rates(portfolio, jump)
    cost = cost_funding(portfolio, "cross", settlements, 0.125)
    table = jump.funding
    assert [one.hours for one in settlements] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    for name, notional in (("BTC", 50_000.0), ("ETH", 12_000.0)):
        rates = table[table["market"] == name]["funding_rate"]
        assert len(rates) == 3
        assert cost.paid_usd[name] == pytest.approx(notional * rates.sum() / 8.0, abs=1e-5)
    assert len(recorded_rates(portfolio, jump, days=1.5 / 24)) == 2


# What is refused


def test_a_run_that_cannot_say_what_funding_cost_is_refused(jump: Run) -> None:
    portfolio = portfolio_of({"BTC": {"size": 0.5}}, 60_000.0)
    with pytest.raises(RunFolderError, match=r"2 days of funding: the run has 0.125"):
        recorded_rates(portfolio, jump, days=2)
    markets = {"SOL": MARKETS["ETH"] | FLAT}
    other = parse_portfolio(
        {"markets": markets, "positions": {"SOL": {"size": 1.0}}, "collateral": {"cash": 5_000.0}}
    )
    with pytest.raises(RunFolderError, match="no funding of SOL was settled; it has BTC, ETH"):
        recorded_rates(other, jump)


def test_a_liquidatable_portfolio_is_refused_with_what_it_lacks() -> None:
    portfolio = portfolio_of({"BTC": {"size": 1.0}}, 4_000.0)
    with pytest.raises(ScenarioError, match=r"already liquidatable under cross .*1,000.00 USD too"):
        stress(portfolio, {"BTC": 0.1})


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"positions": {}}, "positions"),
        ({"positions": {"SOL": {"size": 1.0}}}, "no such market"),
        ({"positions": {"BTC": {"size": 1.0, "notional": 5.0}}}, "state size or notional"),
        ({"positions": {"BTC": {"size": 0.0}}}, "must not be 0"),
        ({"positions": {"BTC": {"notional": 20.0}}}, "less than one lot of 0.001 coins"),
        ({"positions": {"BTC": {"size": 0.0015}}}, "whole number of lots of 0.001"),
        ({"positions": {"BTC": {"size": 1.0, "leverage": 11.0}}}, "above the market's limit of 10"),
        (
            {"positions": {"BTC": {"size": 1.0, "leverage": 5.0, "collateral": 1.0}}},
            "state leverage or collateral, not both",
        ),
        ({"collateral": {}}, "state cash, stable or coins"),
        ({"collateral": {"cash": 1.0, "coins": {"SOL": 1.0}}}, "no such market"),
        ({"groups": {"a": {"markets": ["DOGE"]}}}, "no such market"),
        ({"venue": {"preset": "binanse"}}, "binance"),
        ({"money": {"cash": 5.0}}, "unknown field"),
    ],
)
def test_wrong_fields_are_named(tables: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        portfolio_of(**{"positions": {"BTC": {"size": 1.0}}, "cash": 20_000.0} | tables)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("shocks", "how", "error"),
    [
        (None, {}, r"shocks = None: must be moves by market"),
        ("BTC=-10%", {}, r"shocks = 'BTC=-10%': must be moves by market"),
        ({"BTC": "-10%"}, {}, r"shocks\['BTC'\] = '-10%': must be a number"),
        ({"BTC": True}, {}, r"shocks\['BTC'\] = True: must be a number"),
        ({"BTC": -0.1}, {"modes": "cross"}, r"modes = 'cross': must be a list"),
        ({"BTC": -0.1}, {"modes": 5}, r"modes = 5: must be a list"),
        ({"BTC": -0.1}, {"num_steps": 1.5}, r"num_steps = 1.5: must be a whole number"),
        ({"BTC": -0.1}, {"num_steps": True}, r"num_steps = True: must be a whole number"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_refused(
    shocks: Any, how: dict[str, Any], error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        stress(portfolio_of({"BTC": {"size": 1.0}}, 25_000.0), shocks, **how)


@pytest.mark.parametrize("num_steps", [0, -1, 100_001, 10**9])
def test_a_path_of_no_step_or_too_many_is_refused(num_steps: int) -> None:
    held = portfolio_of({"BTC": {"size": 1.0}}, 25_000.0)
    need = f"num_steps = {num_steps}: must be 1 or more, at most 100,000"
    with pytest.raises(ValueError, match=need):
        stress(held, {"BTC": -0.1}, num_steps=num_steps)


@pytest.mark.parametrize(("shocks", "modes"), [({1: -0.1}, None), ({"BTC": -0.1}, [None])])
def test_a_market_or_mode_that_is_no_name_is_refused(shocks: Any, modes: Any) -> None:
    held = portfolio_of({"BTC": {"size": 1.0}}, 25_000.0)
    with pytest.raises(ScenarioError, match=r"shock 1: no such market|mode \"None\": must be one"):
        stress(held, shocks, modes=modes)
