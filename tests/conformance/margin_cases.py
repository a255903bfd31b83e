"""margin.json: equity, requirements, the liquidation test and the acceptance of changes."""

from fractions import Fraction
from typing import Any

from marketsim.engine import ledger, margin, pools
from marketsim.engine.allocation import allocate
from marketsim.engine.formulas import requirements as rules
from marketsim.engine.state import ONE
from tests.conformance.cases import numbers, optional, parts, unit, whole
from tests.conformance.exchange import open_exchange
from tests.conformance.formulas import margin as elsewhere

Inputs = dict[str, Any]
Answer = dict[str, Any]


def predicate(inputs: Inputs) -> Answer:
    amounts = {key: Fraction(value) for key, value in inputs.items()}
    fine = unit(amounts.values())
    units = {key: whole(value, fine) for key, value in amounts.items()}
    equity = units["equity"]
    answer: Answer = {}
    if "maintenance_margin" in units:
        maintenance = units["maintenance_margin"]
        answer["liquidatable"] = bool(rules.is_liquidatable(equity, maintenance))
        answer["meets_maintenance"] = bool(rules.is_collateralised(equity, maintenance))
    if "initial_margin" in units:
        answer["meets_initial"] = bool(rules.is_collateralised(equity, units["initial_margin"]))
    return answer


def risk_compare(inputs: Inputs) -> Answer:
    amounts = [
        number for side in "ab" for number in numbers(inputs[side], "equity", "maintenance_margin")
    ]
    fine = unit(amounts)
    return {"sign": rules.compare_risk(*(whole(amount, fine) for amount in amounts))}


def account(inputs: Inputs) -> Answer:
    exchange = open_exchange({"account": inputs})
    pool = exchange.assess("account")
    initial = pools.initial_margin(exchange.state, 0)
    return {
        "equity": exchange.money(pool.equity),
        "maintenance_margin": exchange.money(pool.maintenance),
        "initial_margin": exchange.money(initial),
        "liquidatable": bool(rules.is_liquidatable(pool.equity, pool.maintenance)),
        "meets_maintenance": bool(rules.is_collateralised(pool.equity, pool.maintenance)),
        "meets_initial": bool(rules.is_collateralised(pool.equity, initial)),
    }


def order_check(inputs: Inputs) -> Answer:
    collateral, delta = numbers(inputs, "collateral_before", "collateral_delta")
    rows = inputs["markets"]

    changes = [Fraction(row["size_delta"]) for row in rows]

    def account_with(cash: Fraction, times: int) -> Inputs:
        """The account with the change applied so many times."""
        positions = [
            {**row, "size": Fraction(row["size_before"]) + times * change}
            for row, change in zip(rows, changes, strict=True)
        ]
        return {"collateral": cash, "positions": positions}

    exchange = open_exchange(
        {"before": account_with(collateral, 0), "after": account_with(collateral + delta, 1)},
        sizes={row["market"]: numbers(row, "size_before", "size_delta") for row in rows},
        cash=[collateral, delta],
    )
    state = exchange.state
    old, new = exchange.assess("before"), exchange.assess("after")
    initial = pools.initial_margin(state, exchange.account["after"])
    accepted = bool(
        rules.change_is_accepted(old.equity, old.maintenance, new.equity, initial, new.maintenance)
    )
    traded = [row for row, change in zip(rows, changes, strict=True) if change != 0]
    if len(traded) == 1:
        # One market alone: the engine's own check of a trade must say the same. What the change
        # of cash differs from the trade at the mark comes in as a fee.
        m = exchange.market[traded[0]["market"]]
        market = state.market[m]
        lots = exchange.lots(traded[0]["market"], traded[0]["size_delta"])
        fee = -whole(delta, exchange.atom) - lots * market.mark_ticks * market.tick_atoms
        checked = margin.trade_is_accepted(state, 0, m, lots, market.mark_ticks, fee)
        assert bool(checked) == accepted
    if accepted:
        return {"accepted": True, "reason": "ok"}
    had = rules.is_collateralised(old.equity, pools.initial_margin(state, 0))
    reason = "newly_undercollateralised" if had else "still_undercollateralised"
    return {"accepted": False, "reason": reason}


def maintenance_fraction(inputs: Inputs) -> Answer:
    imf, share = numbers(inputs, "imf", "maintenance_fraction_of_initial")
    return {"mmf": Fraction(elsewhere.maintenance_fraction(parts(imf), parts(share)), ONE)}


def imf_open_interest(inputs: Inputs) -> Answer:
    names = ("open_interest_notional", "oi_lower_cap", "oi_upper_cap")
    amounts = [optional(inputs, name) for name in names]
    fine = unit(amounts)
    ratio = rules.open_interest_ratio(*(whole(amount, fine) for amount in amounts))
    fraction = rules.scaled_initial_fraction(parts(Fraction(inputs["imf"])), ratio)
    return {"effective_imf": Fraction(fraction, ONE)}


def _multiple(fractions: list[Fraction]) -> int:
    """The least number of times the fractions must be taken to be whole in units of 1e-9."""
    off = (max(abs(k * f * ONE - round(k * f * ONE)) for f in fractions) for k in range(1, 1000))
    return next((k for k, error in enumerate(off, start=1) if error < Fraction(1, ONE)), 1)


def tiered_maintenance(inputs: Inputs) -> Answer:
    """A rate of 1/30 is no whole number of 1e-9: three times the rate gives thirds of atoms."""
    notional = Fraction(inputs["notional"])
    floors = [Fraction(tier["notional_floor"]) for tier in inputs["tiers"]]
    atom = min(unit([notional, *floors]), Fraction(1, 10**6))
    state = allocate(1, 1, 2, num_tiers=len(floors))
    market = state.market[0]
    market.num_tiers = len(floors)
    market.tick_atoms = market.mark_ticks = 1
    times = _multiple([Fraction(tier["mmr"]) for tier in inputs["tiers"]])
    amount = fraction_below = 0
    for k, tier in enumerate(inputs["tiers"]):
        fraction = parts(Fraction(tier["mmr"]) * times)
        floor = whole(floors[k], atom)
        amount = rules.maintenance_amount(amount, floor, fraction, fraction_below)
        fraction_below = fraction
        row = state.tier[0, k]
        row.floor_atoms = floor
        row.maintenance_fraction = fraction
        row.maintenance_amount = amount
    units = whole(notional, atom)
    row = state.tier[0, pools.bracket(state, 0, units)]
    return {
        "mmr": Fraction(int(row.maintenance_fraction), ONE) / times,
        "maintenance_amount": int(row.maintenance_amount) * atom / times,
        "maintenance_margin": pools.maintenance_requirement(state, 0, units) * atom / times,
    }


def risk_limit_steps(inputs: Inputs) -> Answer:
    amounts = numbers(inputs, "position_value", "base_limit", "step")
    atom = min(unit(amounts), Fraction(1, 10**6))
    units = [whole(amount, atom) for amount in amounts]
    steps = elsewhere.risk_limit_steps(*units)
    base_mmf, base_imf = (parts(value) for value in numbers(inputs, "base_mmf", "base_imf"))
    mmf = elsewhere.stepped_maintenance_fraction(base_mmf, steps)
    return {
        "mmf": Fraction(mmf, ONE),
        "imf": Fraction(elsewhere.stepped_initial_fraction(base_imf, base_mmf, steps), ONE),
        "maintenance_margin": rules.bracket_requirement(units[0], mmf, 0) * atom,
    }


def size_scaled_weight(inputs: Inputs) -> Answer:
    base, size, factor = (
        float(number) for number in numbers(inputs, "base_weight", "size", "size_factor")
    )
    return {"weight": elsewhere.size_scaled_fraction(base, size, factor)}


def inverse_pnl(inputs: Inputs) -> Answer:
    """A coin-margined contract bought is a linear one sold, on 1 / price."""
    contracts, entry, close = numbers(inputs, "contracts", "entry_price", "exit_price")
    lot = unit([contracts], largest=0)
    tick = Fraction(1, 10**14)
    state = allocate(1, 1, 2)
    state.market[0].tick_atoms = 1
    lots = whole(contracts, lot)
    for change, price in ((-lots, entry), (lots, close)):
        ticks = whole(elsewhere.mirrored(price), tick)
        ledger.book_fill(state, 0, 0, change, ticks, 2 * ticks)
    return {"pnl": int(state.pool[0].cash) * tick * lot}


ADAPTERS = {
    "predicate": predicate,
    "risk_compare": risk_compare,
    "account": account,
    "order_check": order_check,
    "maintenance_fraction": maintenance_fraction,
    "imf_open_interest": imf_open_interest,
    "tiered_maintenance": tiered_maintenance,
    "risk_limit_steps": risk_limit_steps,
    "size_scaled_weight": size_scaled_weight,
    "inverse_pnl": inverse_pnl,
}
