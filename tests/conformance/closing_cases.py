"""liquidation_price.json, bankruptcy_price.json, liquidation_sizing.json, insurance_fund.json."""

from fractions import Fraction
from functools import cmp_to_key
from typing import Any

from marketsim.engine import liquidation
from marketsim.engine.formulas import closing, insurance
from marketsim.engine.formulas.requirements import waterfall_stage
from marketsim.engine.state import ONE, UNLIMITED, Stage
from tests.conformance.cases import numbers, parts, unit, whole
from tests.conformance.exchange import open_exchange

Inputs = dict[str, Any]
Answer = dict[str, Any]


def liquidation_price(inputs: Inputs) -> Answer:
    """Isolated and cross alike: the rest of the pool is its cash, assessed by the engine."""
    own = inputs["position"]
    entry = own.get("entry_price") or "0"
    others = inputs.get("other_positions", [])
    wallet = inputs.get("wallet_balance")
    if wallet is None:
        wallet, entry = inputs["cash_balance"], "0"
    fine = Fraction(1, 10**9)  # published wallets have up to thirty digits
    rows = [{**row, "mmf": row["mmr"], "market": f"other {k}"} for k, row in enumerate(others)]
    rows.append({**own, "market": "own", "entry_price": entry, "mark_price": entry, "mmf": "0"})
    exchange = open_exchange(
        {"account": {"collateral": whole(Fraction(wallet), fine) * fine, "positions": rows}},
        cash=[fine],
    )
    for row in rows[:-1]:
        tier = exchange.state.tier[exchange.market[row["market"]], 0]
        tier.maintenance_amount = whole(Fraction(row.get("maintenance_amount") or 0), exchange.atom)
    pool = exchange.assess("account")
    size, at_entry = float(Fraction(own["size"])), Fraction(own["size"]) * Fraction(entry)
    cash = float(exchange.money(pool.equity) - at_entry - exchange.money(pool.maintenance))
    mmr, amount, fee = (
        float(Fraction(inputs.get(name) or 0))
        for name in ("mmr", "maintenance_amount", "close_fee_rate")
    )
    if inputs["mm_basis"] == "entry":
        price = closing.liquidation_price_at_entry(
            cash, size, float(Fraction(own["entry_price"])), mmr, amount, fee
        )
    else:
        price = closing.liquidation_price(cash, size, mmr + fee, amount)
    return {"liquidation_price": price}


def cross_close(inputs: Inputs) -> Answer:
    market, size_delta = inputs["close"]["market"], Fraction(inputs["close"]["size_delta"])
    exchange = open_exchange({"account": inputs}, sizes={market: [size_delta]})
    exchange.assess("account")
    m, lots = exchange.market[market], exchange.lots(market, size_delta)
    cash = exchange.money(liquidation.closing_cash(exchange.state, 0, m, lots))
    return {"cash_received": cash, "bankruptcy_price": -cash / size_delta}


def fillable_price(inputs: Inputs) -> Answer:
    exchange = open_exchange({"account": inputs})
    pool = exchange.assess("account")
    m = exchange.market[inputs["market"]]
    adjustment, spread = numbers(inputs, "bankruptcy_adjustment", "spread_to_maintenance_ratio")
    ticks = closing.fillable_price(
        float(exchange.state.market[m].mark_ticks),
        1 if exchange.state.position[0, m].size > 0 else -1,
        pool.equity,
        pool.maintenance,
        float(exchange.state.tier[m, 0].maintenance_fraction / ONE),
        float(adjustment),
        float(spread),
    )
    return {"fillable_price": Fraction(ticks) * exchange.tick[m]}


def isolated_bankruptcy(inputs: Inputs) -> Answer:
    """A coin-margined contract is a linear one on 1 / price with the sides swapped."""
    entry, leverage = (float(value) for value in numbers(inputs, "entry_price", "leverage"))
    side = 1 if inputs["side"] == "long" else -1
    if inputs["contract"] == "inverse":
        return {"bankruptcy_price": 1.0 / closing.bankruptcy_price(1.0 / entry, -side, leverage)}
    return {"bankruptcy_price": closing.bankruptcy_price(entry, side, leverage)}


def inverse_cross(inputs: Inputs) -> Answer:
    """The price at which what is left just pays the closing fee, in the mirror on 1 / price."""
    balance, contracts, entry, fee = numbers(
        inputs, "balance", "contracts", "entry_price", "taker_fee"
    )
    size = -float(contracts)
    cash = float(balance + contracts / entry)
    return {"bankruptcy_price": 1.0 / closing.liquidation_price(cash, size, float(fee), 0.0)}


def notional_limits(inputs: Inputs) -> Answer:
    notional, least = numbers(inputs, "position_notional", "min_notional")
    atom = min(unit([notional, least]), Fraction(1, 10**6))
    limits = closing.notional_limits(
        whole(notional, atom), whole(least, atom), parts(Fraction(inputs["max_position_portion"]))
    )
    return {"min_liquidatable": limits[0] * atom, "max_liquidatable": limits[1] * atom}


def block_limits(inputs: Inputs) -> Answer:
    size, mark, least, step = numbers(inputs, "size", "mark_price", "min_notional", "size_step")
    limit = inputs["account_max_notional"]
    lot = unit([size, step])
    atom = unit([size * mark, least, Fraction(limit or 0)])
    most = UNLIMITED if limit is None else whole(Fraction(limit), atom)
    lots = closing.block_size(
        whole(abs(size), lot),
        whole(abs(size) * mark, atom),
        whole(least, atom),
        parts(Fraction(inputs["max_position_portion"])),
        most,
        whole(step, lot),
    )
    return {"close_size": -lots * lot if size > 0 else lots * lot}


def cover_margin_shortage(inputs: Inputs) -> Answer:
    named = numbers(
        inputs,
        "margin_shortage",
        "oracle_price",
        "quote_price",
        "margin_ratio",
        "liquidator_fee",
        "insurance_fee",
    )
    return {"base_amount": closing.cover_margin_shortage(*(float(value) for value in named))}


def max_portion(inputs: Inputs) -> Answer:
    """Drift takes a shortage below 50 USD for small."""
    shortage = Fraction(inputs.get("margin_shortage") or inputs.get("shortage") or 0)
    small = Fraction(inputs.get("small_shortage") or inputs.get("threshold") or 50)
    first = Fraction(inputs.get("initial_portion") or inputs.get("portion") or 0)
    fine = unit([shortage, small])
    portion = insurance.freeable_portion(whole(shortage, fine), whole(small, fine), parts(first))
    return dict.fromkeys(("portion", "max_portion"), Fraction(portion, ONE))


def large_position_chunk(inputs: Inputs) -> Answer:
    notional, threshold, chunk = numbers(inputs, "position_notional", "threshold", "chunk")
    fine = unit([notional, threshold])
    portion = closing.chunk_portion(
        whole(notional, fine), whole(threshold, fine), parts(chunk), bool(inputs["in_cooldown"])
    )
    return {"portion": Fraction(portion, ONE)}


def stage(inputs: Inputs) -> Answer:
    equity, maintenance = numbers(inputs, "equity", "maintenance_margin")
    fine = unit([equity, maintenance])
    found = waterfall_stage(
        whole(equity, fine), whole(maintenance, fine), parts(Fraction(inputs["backstop_ratio"]))
    )
    return {"stage": Stage(found).name.lower()}


def order_priority(inputs: Inputs) -> Answer:
    mark = Fraction(inputs["mark_price"])
    orders = [(row["id"], *numbers(row, "limit_price", "size_delta")) for row in inputs["orders"]]
    tick = unit([mark, *(limit for _, limit, _ in orders)])
    lot = unit(size for _, _, size in orders)

    def earlier(a: Any, b: Any) -> int:
        first = (float(whole(a[1], tick)), whole(a[2], lot))
        second = (float(whole(b[1], tick)), whole(b[2], lot))
        at = float(whole(mark, tick))
        return int(closing.precedes(*second, *first, at)) - int(
            closing.precedes(*first, *second, at)
        )

    return {"ranking": [row[0] for row in sorted(orders, key=cmp_to_key(earlier))]}


def liquidation_delta(inputs: Inputs) -> Answer:
    fill = inputs["fill"]
    market, price, size_delta = fill["market"], *numbers(fill, "price", "size_delta")
    exchange = open_exchange(
        {"account": inputs}, prices={market: [price]}, sizes={market: [size_delta]}
    )
    exchange.state.venue[0].liquidation_fee = parts(Fraction(inputs["max_liquidation_fee"]))
    exchange.assess("account")
    delta = liquidation.fund_delta(
        exchange.state,
        0,
        exchange.market[market],
        exchange.lots(market, size_delta),
        exchange.ticks(market, price),
    )
    return {"insurance_fund_delta": exchange.money(delta)}


def can_cover(inputs: Inputs) -> Answer:
    balance, delta = numbers(inputs, "fund_balance", "fund_delta")
    fine = unit([balance, delta])
    return {"covered": bool(closing.fund_covers(whole(balance, fine), whole(delta, fine)))}


def account_block_limits(inputs: Inputs) -> Answer:
    named = numbers(
        inputs, "max_notional", "already_liquidated", "max_insurance_loss", "already_lost"
    )
    fine = unit(named)
    notional, liquidated, loss, lost = (whole(amount, fine) for amount in named)
    return {
        "remaining_notional": closing.remaining_limit(notional, liquidated) * fine,
        "remaining_insurance_loss": closing.remaining_limit(loss, lost) * fine,
    }


def implied_fee_rate(inputs: Inputs) -> Answer:
    named = numbers(
        inputs,
        "margin_shortage",
        "base_amount",
        "margin_ratio",
        "liquidator_fee",
        "oracle_price",
        "quote_price",
        "max_fee",
    )
    return {"fee_rate": insurance.implied_fee_rate(*(float(value) for value in named))}


def socialised_loss(inputs: Inputs) -> Answer:
    """Loss, long and short size, in that order, whatever the case calls them."""
    loss, long_size, short_size = (
        next(Fraction(value) for name, value in inputs.items() if word in name)
        for word in ("loss", "long", "short")
    )
    share = insurance.socialised_loss_per_unit(float(loss), float(long_size), float(short_size))
    return dict.fromkeys(("loss_per_unit", "per_unit", "funding_per_unit"), share)


def repay(inputs: Inputs) -> Answer:
    balance, value = numbers(inputs, "fund_balance", "account_value")
    fine = unit([balance, value])
    repaid, left = insurance.repay(whole(balance, fine), whole(value, fine))
    return {"repaid": repaid * fine, "fund_balance_after": left * fine}


def capacity(inputs: Inputs) -> Answer:
    balance, value = numbers(inputs, "fund_balance", "account_value")
    fine = unit([balance, value])
    return {"capacity": insurance.capacity(whole(balance, fine), whole(value, fine)) * fine}


def fill_vs_bankruptcy(inputs: Inputs) -> Answer:
    size, fill, bankrupt = numbers(inputs, "size", "fill_price", "bankruptcy_price")
    lot, tick = unit([size]), unit([fill, bankrupt])
    lots = whole(size if inputs["side"] == "long" else -size, lot)
    gain = insurance.fill_vs_bankruptcy(lots, whole(fill, tick), whole(bankrupt, tick))
    return {"insurance_fund_delta": gain * lot * tick}


PRICE_ADAPTERS = {"isolated": liquidation_price, "cross": liquidation_price}

BANKRUPTCY_ADAPTERS = {
    "cross_close": cross_close,
    "fillable_price": fillable_price,
    "isolated": isolated_bankruptcy,
    "inverse_cross": inverse_cross,
}

SIZING_ADAPTERS = {
    "notional_limits": notional_limits,
    "block_limits": block_limits,
    "cover_margin_shortage": cover_margin_shortage,
    "max_portion": max_portion,
    "large_position_chunk": large_position_chunk,
    "waterfall_stage": stage,
    "order_priority": order_priority,
}

INSURANCE_ADAPTERS = {
    "liquidation_delta": liquidation_delta,
    "can_cover": can_cover,
    "account_block_limits": account_block_limits,
    "implied_fee_rate": implied_fee_rate,
    "socialised_loss": socialised_loss,
    "repay": repay,
    "capacity": capacity,
    "fill_vs_bankruptcy": fill_vs_bankruptcy,
}
