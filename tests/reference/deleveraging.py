"""What neither book nor fund took: auto-deleveraging, then a fund that is used up."""

import math

from marketsim.engine.state import MAX_ROWS_PER_STEP, Cause, RankRule, Stage
from tests.reference import closing, ledger, margin
from tests.reference.arithmetic import ratio
from tests.reference.journal import Seized
from tests.reference.venue import Deleverage, Venue
from tests.reference.waterfall import keep, new_row, note_closed, settle_deficit, socialise


def deleverage(venue: Venue) -> None:
    """Close the shortfalls of a round, longs before shorts in each market, then the deficits."""
    for m in range(len(venue.markets)):
        for side in (1, -1):
            numbers = [
                number
                for number in venue.shortfalls
                if venue.liquidations[number].market == m
                and venue.liquidations[number].size_before * side > 0
            ]
            if numbers:
                ranked = queue(venue, m, -side)
                for number in numbers:
                    for at_mark in (False, True):
                        if venue.rules.rank_rule in (RankRule.PRO_RATA, RankRule.PRO_RATA_PROFIT):
                            close_parts(venue, number, ranked, at_mark)
                        else:
                            close_down(venue, number, ranked, at_mark)
                    row = venue.liquidations[number]
                    row.size_after = venue.positions[row.account][m].size
    for number in venue.shortfalls:
        row = venue.liquidations[number]
        loss = settle_deficit(venue, row.pool)
        if loss > 0 and socialise(venue, row.pool, [row.market], loss):
            row.socialised += loss
        ledger.return_free_cash(venue, row.pool)
    venue.shortfalls.clear()


def queue(venue: Venue, m: int, side: int) -> list[int]:
    """The accounts on one side of a market, first to be deleveraged first."""
    holders = [j for j, row in enumerate(venue.positions) if row[m].size * side > 0]
    return sorted(holders, key=lambda j: (-score(venue, j, m), -venue.accounts[j].priority, j))


def score(venue: Venue, i: int, m: int) -> float:
    """An account's rank by the venue's rule, highest first."""
    rule = venue.rules.rank_rule
    position = venue.positions[i][m]
    value = float(venue.value(m, position.size))
    entry = float(position.entry_cost)
    equity = float(margin.equity(venue, position.pool))
    if rule in (RankRule.RANDOM, RankRule.PRO_RATA, RankRule.PRO_RATA_PROFIT):
        return float(venue.accounts[i].priority)
    if rule == RankRule.BINANCE:
        profit = value - entry
        return score_binance(profit, abs(value), (equity - profit) + profit)
    if rule == RankRule.BITMEX:
        own = margin.maintenance_of(venue, m, position.size)
        share = ratio(own, max(margin.maintenance(venue, position.pool), 1))
        return score_bitmex(value, value - (value - equity * share), entry)
    if position.size > 0:
        return score_hyperliquid(value, entry, abs(value), equity)
    return score_hyperliquid(entry, value, abs(value), equity)


def score_binance(profit: float, notional: float, equity: float) -> float:
    """Profit share times the account's leverage; a loss is divided by it."""
    if profit > 0.0:
        return profit / equity if equity != 0.0 else math.inf
    return profit / notional * equity / notional


def score_bitmex(value: float, buffer: float, entry: float) -> float:
    """Profit over entry value times effective leverage; a loss is divided by it."""
    if entry == 0.0:
        return 0.0
    gain = (value - entry) / abs(entry)
    if gain > 0.0:
        return gain * abs(value) / buffer if buffer != 0.0 else math.inf
    return gain * buffer / abs(value)


def score_hyperliquid(end: float, start: float, notional: float, equity: float) -> float:
    """Price gain times the account's leverage."""
    if start == 0.0:
        return 0.0
    return end / start * (notional / equity) if equity != 0.0 else math.inf


def close_down(venue: Venue, number: int, ranked: list[int], at_mark: bool) -> None:
    """Close what is left of a leg against a ranked queue.

    The first time at its bankruptcy price, passing over whoever that would leave worse off.
    """
    row = venue.liquidations[number]
    i, m = row.account, row.market
    for j in ranked:
        lots = min(abs(venue.positions[i][m].size), abs(venue.positions[j][m].size))
        close_against(venue, number, j, lots, at_mark)


def close_parts(venue: Venue, number: int, holders: list[int], at_mark: bool) -> None:
    """Close what is left of a leg against all its other side, each for its part.

    By contracts; or by profit first. Whoever turns its part down is not asked again at that price.
    """
    row = venue.liquidations[number]
    own = venue.positions[row.account][row.market]
    refused: set[int] = set()
    by_profit = venue.rules.rank_rule == RankRule.PRO_RATA_PROFIT
    for weigh in [profit, size] if by_profit else [size]:
        while True:
            weights = [0 if j in refused else weigh(venue, j, row.market) for j in holders]
            if own.size == 0 or sum(weights) == 0:
                break
            parts = apportion(abs(own.size), weights)
            venue.seen["pro rata"] += 1
            venue.seen["odd lot"] += sum(weights) * parts[0] != abs(own.size) * weights[0]
            for j, part in zip(holders, parts, strict=True):
                lots = min(part, size(venue, j, row.market))
                venue.seen["part beyond the position"] += lots < part
                if lots > 0 and not close_against(venue, number, j, lots, at_mark):
                    refused.add(j)


def size(venue: Venue, j: int, m: int) -> int:
    """Lots an account holds."""
    return abs(venue.positions[j][m].size)


def profit(venue: Venue, j: int, m: int) -> int:
    """What an account has gained on a position, nothing if it has lost."""
    position = venue.positions[j][m]
    return max(venue.value(m, position.size) - position.entry_cost, 0)


def apportion(lots: int, weights: list[int]) -> list[int]:
    """Whole lots in proportion to weights, by largest remainder; of equals to the first."""
    total = sum(weights)
    parts = [lots * weight // total for weight in weights]
    lost = [ratio(lots * weight % total, total) for weight in weights]
    first = sorted(range(len(weights)), key=lambda n: -lost[n])
    for n in first[: lots - sum(parts)]:
        parts[n] += 1
    return parts


def close_against(venue: Venue, number: int, j: int, lots: int, at_mark: bool) -> bool:
    """Close lots of a leg against an account, if both may at that price; tell whether it was."""
    row = venue.liquidations[number]
    i, m = row.account, row.market
    held = venue.positions[i][m].size
    written = len(venue.deleverages) - venue.first_deleverage
    if lots == 0 or held * venue.positions[j][m].size > 0 or written >= MAX_ROWS_PER_STEP:
        return False
    change = -lots if held > 0 else lots
    cash = -venue.value(m, change)
    if not at_mark:
        cash = closing.bankruptcy_cash(venue, i, m, change)
        agreed = margin.may_change(venue, i, m, change, cash)
        if not (agreed and margin.may_change(venue, j, m, -change, -cash)):
            venue.seen["counterparty passed over"] += 1
            return False
    note_deleverage(venue, number, j, change, cash)
    ledger.trade_off_book(venue, i, j, m, change, cash, Cause.ADL)
    ledger.return_free_cash(venue, venue.positions[j][m].pool)
    venue.seen["deleverage at mark" if at_mark else "deleverage at bankruptcy"] += 1
    return True


def note_deleverage(venue: Venue, number: int, j: int, change: int, cash: int) -> None:
    """Write down who closes against a liquidation, and what it costs them against the mark."""
    row = venue.liquidations[number]
    m = row.market
    cost = cash + venue.value(m, change)
    held = venue.positions[j][m]
    gain = venue.value(m, held.size) - held.entry_cost
    done = Deleverage(venue.step, number, m, j, held.size, gain, -change, -cash, cost)
    venue.deleverages.append(done)
    venue.adl_atoms += abs(venue.value(row.market, change))
    row.adl_size += abs(change)
    row.adl_cost += cost
    venue.markets[row.market].volume += abs(change)
    note_closed(venue, row, change)


def close_fund(venue: Venue) -> None:
    """Close a fund whose equity is used up, as any bankrupt pool; others bear what it lacks."""
    fund = venue.fund
    equity = margin.equity(venue, fund)
    if equity > 0 or (equity == 0 and venue.is_flat(fund)):
        return
    venue.journal.append(Seized(fund, equity, len(venue.liquidations)))
    for m, position in enumerate(venue.positions[fund]):
        if position.size != 0:
            row = new_row(venue, fund, m, venue.rules.max_rounds)
            row.stage = int(Stage.BACKSTOP)
            keep(venue, row)
            venue.shortfalls.append(len(venue.liquidations) - 1)
            venue.seen["fund deleveraged"] += 1
    deleverage(venue)
    lacking = -margin.equity(venue, fund)
    if lacking > 0:
        socialise(venue, fund, range(len(venue.markets)), lacking)
        venue.seen["flat fund made good"] += 1
