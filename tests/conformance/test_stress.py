"""liquidation_price.json through `marketsim stress`: the vectors as portfolios of a user's own.

A price does not change if sizes and money grow alike, so amounts are scaled until ticks are fine.
"""

import math
from fractions import Fraction
from typing import Any

import pytest

from marketsim.account.portfolio import Portfolio, parse_portfolio
from marketsim.account.stress import stress
from tests.conformance.cases import MISSING, Case, load_cases, optional, unit
from tests.conformance.closing_cases import entry_and_wallet, is_on_entry_value

CASES = [case for case in load_cases() if case["category"] == "liquidation_price"]
#: Finest tick: prices of a portfolio stay below so many ticks.
MAX_TICKS = 4_000_000


def is_a_rule_of_ours(case: Case) -> bool:
    """Tell whether maintenance margin is a share of the notional at mark, and above zero."""
    inputs = case["inputs"]
    own = inputs["position"]
    rows = [{**own, **inputs, "mark_price": case["expected"]["liquidation_price"]}]
    rows += inputs.get("other_positions") or []
    return not is_on_entry_value(inputs) and all(
        abs(Fraction(row["size"])) * Fraction(row["mark_price"]) * Fraction(row["mmr"])
        > optional(row, "maintenance_amount")
        for row in rows
    )


def tiers(mmr: Fraction, amount: Fraction) -> list[dict[str, float]]:
    """Brackets whose last has this rate and, by continuity from half of it, this amount."""
    rates, floors = ([mmr / 2, mmr], [0, 2 * amount / mmr]) if amount else ([mmr], [0])
    return [
        {
            "notional_floor": float(floor),
            "initial_margin_fraction": float(min(2 * mmr, 1)),
            "maintenance_margin_fraction": float(rate),
        }
        for rate, floor in zip(rates, floors, strict=True)
    ]


def portfolio_of(case: Case, mode: str) -> tuple[Portfolio, float]:
    """Return a vector as a portfolio at its entry price, and the tick of its market.

    Where that is free it lies a fifth of the end price away from the end.
    """
    inputs, own = case["inputs"], case["inputs"]["position"]
    end = Fraction(case["expected"]["liquidation_price"])
    fee = optional(inputs, "close_fee_rate")  # what closing costs is kept back like margin
    away = Fraction(1, 5) if Fraction(own["size"]) > 0 else -Fraction(1, 5)
    entry, wallet = entry_and_wallet(inputs, end * (1 + away))
    rows: list[dict[str, Any]] = [
        {
            **own,
            "market": "own",
            "entry_price": entry,
            "mark_price": entry,
            "mmr": Fraction(inputs["mmr"]) + fee,
            "maintenance_amount": optional(inputs, "maintenance_amount"),
        },
        *(inputs.get("other_positions") or []),
    ]
    tick: dict[str, Fraction] = {}
    lot: dict[str, Fraction] = {}
    for row in rows:
        prices = [Fraction(row["mark_price"]), *([end] if row["market"] == "own" else [])]
        power = math.ceil(math.log10(float(max(prices)) / MAX_TICKS))
        tick[row["market"]] = Fraction(10) ** power
        lot[row["market"]] = unit([Fraction(row["size"])])
    scale = max(1, *(Fraction(1, 10**6) / (tick[name] * lot[name]) for name in tick))
    markets, positions = {}, {}
    for row in rows:
        name = row["market"]
        mark = round(Fraction(row["mark_price"]) / tick[name]) * tick[name]
        markets[name] = {
            "price": float(mark),
            "tick_size": float(tick[name]),
            "lot_size": float(lot[name] * scale),
            "tiers": tiers(Fraction(row["mmr"]), optional(row, "maintenance_amount") * scale),
        }
        positions[name] = {
            "size": float(Fraction(row["size"]) * scale),
            "entry_price": float(Fraction(row["entry_price"])),
        }
    cash = float(wallet * scale)
    if mode == "isolated":
        positions["own"]["collateral"] = cash
    data = {"markets": markets, "positions": positions, "collateral": {"cash": cash}}
    return parse_portfolio(data), float(tick["own"])


@pytest.mark.skipif(not CASES, reason=MISSING)
def test_most_vectors_can_be_a_portfolio():
    assert sum(map(is_a_rule_of_ours, CASES)) >= 0.85 * len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_stress_liquidates_at_the_price_of_the_exchange(case: Case) -> None:
    if not is_a_rule_of_ours(case):
        pytest.skip("maintenance margin is none, or a share of the entry value")
    mode = case["kind"]
    portfolio, tick = portfolio_of(case, mode)
    expected = float(case["expected"]["liquidation_price"])
    shock = expected / portfolio.price("own") - 1.0
    beyond = math.copysign(min(0.02, 0.5 * expected / portfolio.price("own")), shock)
    (found,) = stress(portfolio, {"own": shock + beyond}, modes=[mode]).modes
    allowed = float(case["tolerance"]["abs"]) + float(case["tolerance"]["rel"]) * expected
    reached = found.seizures[0].prices["own"]
    assert abs(reached - expected) <= tick * 1.000001 + allowed
    (pool,) = (
        pool for pool in found.start.pools if any(one.market == "own" for one in pool.positions)
    )
    stated = next(move.exhausted_at for move in pool.moves if move.market == "own")
    assert stated == pytest.approx(reached, abs=tick / 2)
    position = next(one for one in pool.positions if one.market == "own")
    assert position.liquidation_price == stated
    assert position.maintenance_price == pytest.approx(expected, abs=allowed + 1e-3 * tick)
