"""liquidation_price.json, bankruptcy_price.json, liquidation_sizing.json, insurance_fund.json."""

from fractions import Fraction
from functools import cmp_to_key
from typing import Any

from marketsim.engine import liquidation, pools, socialise
from marketsim.engine.allocation import allocate
from marketsim.engine.formulas import closing
from marketsim.engine.formulas.requirements import waterfall_stage
from marketsim.engine.state import ONE, UNLIMITED, Stage
from tests.conformance.cases import numbers, optional, parts, unit, whole
from tests.conformance.exchange import open_exchange
from tests.conformance.formulas import closing as elsewhere
from tests.conformance.formulas.margin import mirrored

Inputs = dict[str, Any]
Answer = dict[str, Any]


#: Published wallets have up to thirty digits.
FINE_CASH = Fraction(1, 10**9)


def liquidation_price(inputs: Inputs) -> Answer:
    """Isolated and cross alike: the rest of the pool is its cash, assessed by the engine."""
    own = inputs["position"]
    entry, wallet = entry_and_wallet(inputs)
    others = inputs.get("other_positions") or []
    rows = [{**row, "mmf": row["mmr"], "market": f"other {k}"} for k, row in enumerate(others)]
    rows.append({**own, "market": "own", "entry_price": entry, "mark_price": entry, "mmf": "0"})
    exchange = open_exchange(
        {"account": {"collateral": whole(wallet, FINE_CASH) * FINE_CASH, "positions": rows}},
        cash=[FINE_CASH],
    )
    for row in rows[:-1]:
        tier = exchange.state.tier[exchange.market[row["market"]], 0]
        tier.maintenance_amount = whole(optional(row, "maintenance_amount"), exchange.atom)
    pool = exchange.assess("account")
    size = Fraction(own["size"])
    cash = float(exchange.money(pool.equity) - size * entry - exchange.money(pool.maintenance))
    mmr, amount, fee = (
        float(optional(inputs, name)) for name in ("mmr", "maintenance_amount", "close_fee_rate")
    )
    if is_on_entry_value(inputs):
        price = elsewhere.liquidation_price_at_entry(
            cash, float(size), float(entry), mmr, amount, fee
        )
    else:
        price = closing.liquidation_price(cash, float(size), mmr + fee, amount)
    return {"liquidation_price": price}


def entry_and_wallet(
    inputs: Inputs, free_entry: Fraction = Fraction(1)
) -> tuple[Fraction, Fraction]:
    """Return entry price and wallet; a cash balance alone goes with any entry price."""
    own = inputs["position"]
    if inputs.get("wallet_balance") is None:
        return free_entry, Fraction(inputs["cash_balance"]) + Fraction(own["size"]) * free_entry
    return Fraction(own["entry_price"]), Fraction(inputs["wallet_balance"])


def is_on_entry_value(inputs: Inputs) -> bool:
    """Tell whether maintenance margin is a share of the entry value; it is one of the mark's."""
    return inputs.get("mm_basis") == "entry"


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
    """One contract at its entry price; a coin-margined one bought is a linear one sold."""
    entry, leverage = numbers(inputs, "entry_price", "leverage")
    side = 1 if inputs["side"] == "long" else -1
    if inputs.get("contract") == "inverse":
        return {"bankruptcy_price": 1 / _bankruptcy_price(mirrored(entry), -side, leverage)}
    return {"bankruptcy_price": _bankruptcy_price(entry, side, leverage)}


def _bankruptcy_price(entry: Fraction, side: int, leverage: Fraction) -> Fraction:
    """The engine's bankruptcy price of a lone contract, to a trillionth of its entry price."""
    tick = entry / 10**12
    state = allocate(1, 1, 2)
    state.market[0].tick_atoms = 1
    state.market[0].mark_ticks = whole(entry, tick)
    state.tier[0, 0].maintenance_fraction = 1  # any share of what only this position needs is all
    state.position[0, 0].size = side
    state.pool[0].cash = whole(entry / leverage - side * entry, tick)
    return Fraction(pools.bankruptcy_price(state, 0, 0)) * tick


def inverse_cross(inputs: Inputs) -> Answer:
    """The price at which what is left just pays the closing fee, of a linear contract sold."""
    balance, contracts, entry, fee = numbers(
        inputs, "balance", "contracts", "entry_price", "taker_fee"
    )
    size = -float(contracts)
    cash = float(balance + contracts * mirrored(entry))
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
    limit = inputs.get("account_max_notional")
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
    portion = elsewhere.freeable_portion(whole(shortage, fine), whole(small, fine), parts(first))
    return dict.fromkeys(("portion", "max_portion"), Fraction(portion, ONE))


def large_position_chunk(inputs: Inputs) -> Answer:
    notional, threshold, chunk = numbers(inputs, "position_notional", "threshold", "chunk")
    fine = unit([notional, threshold])
    portion = closing.chunk_portion(
        whole(notional, fine), whole(threshold, fine), parts(chunk), bool(inputs.get("in_cooldown"))
    )
    return {"portion": Fraction(portion, ONE)}


def stage(inputs: Inputs) -> Answer:
    equity, maintenance = numbers(inputs, "equity", "maintenance_margin")
    fine = unit([equity, maintenance])
    found = waterfall_stage(
        whole(equity, fine), whole(maintenance, fine), parts(optional(inputs, "backstop_ratio"))
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
    return {"fee_rate": elsewhere.implied_fee_rate(*(float(value) for value in named))}


def socialised_loss(inputs: Inputs) -> Answer:
    """Loss, long and short size, whatever the case calls them; a pool without positions lost."""
    loss, long_size, short_size = (
        next(Fraction(value) for name, value in inputs.items() if word in name)
        for word in ("loss", "long", "short")
    )
    lot = unit([long_size, short_size])
    atom = abs(loss) / 10**15 or Fraction(1)
    state = allocate(2, 1, 4)
    state.market[0].tick_atoms = 1
    for i, size in enumerate((abs(long_size), -abs(short_size))):
        state.position[i, 0].size = whole(size, lot)
    socialise.share_loss(state, 3, 0, whole(abs(loss), atom))
    payer, size = (0, long_size) if long_size else (1, short_size)
    share = -int(state.pool[payer].cash) * atom / abs(size) if size else Fraction(0)
    return dict.fromkeys(("loss_per_unit", "per_unit", "funding_per_unit"), share)


def repay(inputs: Inputs) -> Answer:
    """The fund pays what a flat pool owes, as far as it can."""
    balance, value = numbers(inputs, "fund_balance", "account_value")
    atom = unit([balance, value])
    state = allocate(1, 1, 2)
    state.pool[0].cash, state.pool[1].cash = whole(value, atom), whole(balance, atom)
    liquidation.settle_deficit(state, 0, liquidation.fund_available(state))
    left = int(state.pool[1].cash) * atom
    return {"repaid": balance - left, "fund_balance_after": left}


def capacity(inputs: Inputs) -> Answer:
    """What the fund has, its own positions counted (here without margin) at the mark."""
    balance, value = numbers(inputs, "fund_balance", "account_value")
    atom = unit([balance, value])
    state = allocate(1, 1, 2)
    state.market[0].tick_atoms = state.market[0].mark_ticks = 1
    state.position[1, 0].size = whole(value, atom)
    state.pool[1].cash = whole(balance, atom)
    return {"capacity": int(liquidation.fund_available(state)) * atom}


def fill_vs_bankruptcy(inputs: Inputs) -> Answer:
    """All that a fill brings above the bankruptcy price is the fund's, if the venue says so."""
    size, fill, bankrupt = numbers(inputs, "size", "fill_price", "bankruptcy_price")
    held = size if inputs["side"] == "long" else -size
    position = {"market": "X", "size": held, "mark_price": bankrupt, "mmf": "0.01"}
    account = {"collateral": -held * bankrupt, "positions": [position]}
    exchange = open_exchange({"account": account}, prices={"X": [fill]})
    exchange.state.venue[0].liquidation_fee = ONE
    exchange.assess("account")
    lots, ticks = exchange.lots("X", -held), exchange.ticks("X", fill)
    delta = liquidation.fund_delta(exchange.state, 0, 0, lots, ticks)
    return {"insurance_fund_delta": exchange.money(delta)}


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
