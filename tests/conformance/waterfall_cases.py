"""adl.json and waterfall.json: who is closed against whom, and a whole liquidation."""

from fractions import Fraction
from typing import Any

import numpy as np

from marketsim.engine import adl, liquidation, waterfall
from marketsim.engine.formulas import ranks
from marketsim.engine.state import UNLIMITED, LimitRule, RankRule, SizeRule, Stage
from tests.conformance.cases import numbers, optional, parts, unit, whole
from tests.conformance.exchange import Exchange, open_exchange
from tests.conformance.formulas import closing as elsewhere

#: Limits on notional cut positions finer than the sizes a case names.
FINE_SIZE = Fraction(1, 10**8)

Inputs = dict[str, Any]
Answer = dict[str, Any]


def trigger(inputs: Inputs) -> Answer:
    """An attempt in an empty book leaves a shortfall to deleverage if the account is bankrupt."""
    exchange = open_exchange({"account": inputs["account"]})
    pool = exchange.assess("account")
    waterfall.liquidate_pool(exchange.state, 0, 0)
    is_delisted = bool(inputs.get("market_delisted"))
    return {
        "at_bankruptcy_price": bool(exchange.state.totals[0].num_shortfalls > 0),
        "at_mark_price": is_delisted and elsewhere.settles_at_mark(int(pool.equity)),
    }


def close_pair(inputs: Inputs) -> Answer:
    market, size = inputs["market"], Fraction(inputs["close_size"])
    pair = {name: inputs[name] for name in ("bankrupt", "counterparty")}
    exchange = open_exchange(pair, sizes={market: [size]})
    m = exchange.market[market]
    held = exchange.state.position[0, m].size
    # The engine closes: a change that adds to the position is a close of less than nothing.
    lots = -exchange.lots(market, size) if held > 0 else exchange.lots(market, size)
    at_mark = (inputs.get("price_mode") or "bankruptcy") != "bankruptcy"
    settles = not at_mark or all(
        elsewhere.settles_at_mark(int(exchange.assess(name).equity)) for name in pair
    )
    closed = adl.close_pair(exchange.state, 0, 1, m, lots, at_mark) if settles else 0
    return {
        "accepted": bool(closed > 0),
        **{f"{name}_after": exchange.statement(name) for name in pair},
    }


def close_queue(inputs: Inputs) -> Answer:
    market, size = inputs["market"], Fraction(inputs["close_size"])
    others = {row["id"]: row for row in inputs["counterparties"]}
    exchange = open_exchange({"bankrupt": inputs["bankrupt"], **others}, sizes={market: [size]})
    fills = _close_against(exchange, market, list(others), abs(exchange.lots(market, size)))
    closed = sum(fill["size"] for fill in fills)
    return {
        "fills": fills,
        "remaining": abs(size) - closed,
        "after": {name: exchange.statement(name) for name in exchange.account},
    }


def _close_against(exchange: Exchange, market: str, names: list[str], lots: int) -> list[Any]:
    """Deleverage `lots` of account 0 against others in order; list who took what."""
    state = exchange.state
    m = exchange.market[market]
    order = np.array([exchange.account[name] for name in names], np.int64)
    before = [(int(state.position[i, m].size), int(state.pool[i].cash)) for i in order]
    if lots == abs(state.position[0, m].size):
        exchange.assess(next(iter(exchange.account)))
        number = liquidation.open_liquidation(state, 0, m, Stage.MARKET, 0)
        adl.deleverage(state, number, order, False)
    else:
        for i in order:
            lots -= adl.close_pair(state, 0, i, m, min(lots, abs(state.position[i, m].size)), False)
    fills = []
    for name, i, (old, cash) in zip(names, order, before, strict=True):
        change = (int(state.position[i, m].size) - old) * exchange.lot[m]
        if change != 0:
            price = -exchange.money(state.pool[i].cash - cash) / change
            fills.append({"id": name, "size": abs(change), "price": price})
    return fills


def queue(inputs: Inputs) -> Answer:
    """A bankrupt account is closed down a queue of given scores, of accounts of ample collateral.

    The mark is its bankruptcy price. The engine's random ranking goes by priority alone.
    """
    rows = inputs.get("queue") or inputs["counterparties"]
    size = Fraction(inputs.get("close_size") or inputs["size"])
    given = (inputs.get(name) for name in ("price", "bankruptcy_price", "mark_price"))
    price = next((Fraction(text) for text in given if text is not None), Fraction(1))

    def holder(held: Fraction, collateral: Fraction) -> Inputs:
        position = {"market": "X", "size": held, "mark_price": price, "mmf": "0.01", "imf": "0.02"}
        return {"collateral": collateral, "positions": [position]}

    accounts = {"bankrupt": holder(-size, size * price)}
    for row in rows:
        held = abs(Fraction(row["size"])) * (1 if size > 0 else -1)
        accounts[row["id"]] = holder(held, abs(held) * price * 2 - held * price)
    exchange = open_exchange(accounts)
    state = exchange.state
    state.venue[0].rank_rule = RankRule.RANDOM
    scores = [Fraction(row["score"]) for row in rows]
    for row, score in zip(rows, scores, strict=True):
        state.account[exchange.account[row["id"]]].priority = sum(s < score for s in scores)
    names = list(exchange.account)
    ranked = [names[i] for i in adl.queue(state, 0, 0)]
    fills = _close_against(exchange, "X", ranked, abs(exchange.lots("X", size)))
    taken = {fill["id"]: fill["size"] for fill in fills}
    return {
        "order": ranked,
        "ranking": ranked,
        "fills": fills,
        "remaining": abs(size) - sum(taken.values()),
        "left": {row["id"]: abs(Fraction(row["size"])) - taken.get(row["id"], 0) for row in rows},
    }


def quintile(inputs: Inputs) -> Answer:
    rows = sorted(inputs["queue"], key=lambda row: -Fraction(row["score"]))
    lot = unit(abs(Fraction(row["size"])) for row in rows)
    lots = [whole(abs(Fraction(row["size"])), lot) for row in rows]
    return {
        "percentile": {
            row["id"]: Fraction(elsewhere.queue_quintile(sum(lots[: k + 1]), sum(lots)), 5)
            for k, row in enumerate(rows)
        }
    }


def _score(formula: Any, *names: str) -> Any:
    def adapter(inputs: Inputs) -> Answer:
        return {"score": formula(*(float(value) for value in numbers(inputs, *names)))}

    return adapter


def liquidate(inputs: Inputs) -> Answer:
    order = inputs["liquidation"]
    market, name = order["market"], order["account"]
    given = {key: order.get(key) for key in ("size_delta", "limit_price")}
    exchange = _exchange_of(inputs)
    state = exchange.state
    p, m = exchange.account[name], exchange.market[market]
    state.totals[0].step = 1
    exchange.assess(name)
    liquidation.cancel_orders(state, p)
    if given["size_delta"] is None and given["limit_price"] is None:
        waterfall.liquidate_leg(state, p, m, 0)
    else:
        number = liquidation.open_liquidation(state, p, m, Stage.MARKET, 0)
        row = state.liquidation[number]
        row.order_size = liquidation.order_size(state, p, m)
        if given["size_delta"] is not None:
            row.order_size = abs(exchange.lots(market, given["size_delta"]))
        if given["limit_price"] is not None:
            row.limit_ticks = exchange.ticks(market, given["limit_price"])
        waterfall.fill_leg(state, number)
        if row.book_size == 0 and exchange.assess(name).equity < 0:
            liquidation.note_shortfall(state, number)
    if state.totals[0].num_shortfalls > 0:
        adl.deleverage(state, state.shortfall[0].liquidation, adl.queue(state, p, m), False)
    filled = state.liquidation[0].book_size if state.totals[0].num_liquidations > 0 else 0
    return {
        "accounts_after": {account: exchange.statement(account) for account in exchange.account},
        "filled_size": int(filled) * exchange.lot[m],
        "insurance_fund_after": exchange.money(state.pool[len(exchange.account)].cash),
    }


def _exchange_of(inputs: Inputs) -> Exchange:
    """The venue, the book and the fund of a liquidation case."""
    order, config = inputs["liquidation"], inputs["config"]
    book = inputs.get("book") or []
    rows = [*book, order]
    prices: dict[str, list[Fraction]] = {}
    sizes: dict[str, list[Fraction]] = {}
    for row in rows:
        price = "price" if "price" in row else "limit_price"
        prices.setdefault(row["market"], []).append(optional(row, price))
        sizes.setdefault(row["market"], []).append(optional(row, "size_delta"))
    for market in inputs["markets"]:
        sizes.setdefault(market, []).append(FINE_SIZE)
    fund = optional(inputs, "insurance_fund")
    exchange = open_exchange(
        inputs["accounts"], inputs["markets"], prices=prices, sizes=sizes, cash=[fund]
    )
    state = exchange.state
    venue = state.venue[0]
    limits = {
        key: UNLIMITED if config.get(key) is None else whole(Fraction(config[key]), exchange.atom)
        for key in ("account_max_notional", "account_max_insurance_loss")
    }
    venue.size_rule = SizeRule.PORTION
    venue.limit_rule = LimitRule.FILLABLE
    venue.rank_rule = RankRule.RANDOM
    venue.portion = parts(optional(config, "max_position_portion", 1))
    venue.min_notional_atoms = whole(optional(config, "min_notional"), exchange.atom)
    venue.max_account_notional_atoms = limits["account_max_notional"]
    venue.max_account_loss_atoms = limits["account_max_insurance_loss"]
    venue.bankruptcy_adjustment = parts(optional(config, "bankruptcy_adjustment", 1))
    venue.spread_ratio = parts(optional(config, "spread_to_maintenance_ratio"))
    venue.liquidation_fee = parts(optional(config, "max_liquidation_fee"))
    for market in state.market:
        market.maker_fee = parts(optional(inputs, "maker_fee"))
        market.taker_fee = parts(optional(inputs, "taker_fee"))
    for k, account in enumerate(exchange.account.values()):
        # Random ranking goes by priority alone: the first listed is deleveraged first.
        state.account[account].priority = len(exchange.account) - k
    state.pool[len(exchange.account)].cash = whole(fund, exchange.atom)
    for row in book:
        size_delta, price = numbers(row, "size_delta", "price")
        exchange.rest(row["account"], row["market"], size_delta, price)
    return exchange


ADL_ADAPTERS = {
    "trigger": trigger,
    "close_pair": close_pair,
    "close_queue": close_queue,
    "queue": queue,
    "quintile": quintile,
    "score_bitmex": _score(ranks.score_bitmex, "mark_value", "bankrupt_value", "entry_value"),
    "score_binance": _score(
        ranks.score_binance, "unrealised_profit", "position_notional", "wallet_balance"
    ),
    "score_hyperliquid": _score(
        ranks.score_hyperliquid, "mark_price", "entry_price", "position_notional", "account_value"
    ),
}

WATERFALL_ADAPTERS = {"liquidate": liquidate}
