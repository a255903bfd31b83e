"""What neither book nor fund took: auto-deleveraging, then the loss all holders share."""

import math

from marketsim.engine.state import MAX_ROWS_PER_STEP, Cause, RankRule
from tests.reference import closing, ledger, margin
from tests.reference.arithmetic import away_from_zero, ratio
from tests.reference.venue import Deleverage, Liquidation, Venue
from tests.reference.waterfall import note_closed, settle_deficit


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
                    close_down(venue, number, ranked, at_mark=False)
                    close_down(venue, number, ranked, at_mark=True)
                    row = venue.liquidations[number]
                    row.size_after = venue.positions[row.account][m].size
    for number in venue.shortfalls:
        row = venue.liquidations[number]
        loss = settle_deficit(venue, row.pool)
        if loss > 0:
            share_loss(venue, row, loss)
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
    if rule == RankRule.RANDOM:
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
        size, other = venue.positions[i][m].size, venue.positions[j][m].size
        written = len(venue.deleverages) - venue.first_deleverage
        lots = min(abs(size), abs(other))
        if lots == 0 or size * other > 0 or written >= MAX_ROWS_PER_STEP:
            continue
        change = -lots if size > 0 else lots
        cash = -venue.value(m, change)
        if not at_mark:
            cash = closing.bankruptcy_cash(venue, i, m, change)
            agreed = margin.may_change(venue, i, m, change, cash)
            if not (agreed and margin.may_change(venue, j, m, -change, -cash)):
                venue.seen["counterparty passed over"] += 1
                continue
        ledger.trade_off_book(venue, i, j, m, change, cash, Cause.ADL)
        ledger.return_free_cash(venue, venue.positions[j][m].pool)
        note_deleverage(venue, number, j, change, cash)
        venue.seen["deleverage at mark" if at_mark else "deleverage at bankruptcy"] += 1


def note_deleverage(venue: Venue, number: int, j: int, change: int, cash: int) -> None:
    """Write down who closed against a liquidation, and what it cost them against the mark."""
    row = venue.liquidations[number]
    cost = cash + venue.value(row.market, change)
    done = Deleverage(venue.step, number, row.market, j, -change, -cash, cost)
    venue.deleverages.append(done)
    venue.adl_atoms += abs(venue.value(row.market, change))
    row.adl_size += abs(change)
    row.adl_cost += cost
    venue.markets[row.market].volume += abs(change)
    note_closed(venue, row, change)


def share_loss(venue: Venue, row: Liquidation, loss: int) -> None:
    """Let all holders of the market but the fund bear a loss by size.

    Shares are rounded up; the fund gets the surplus, and bears the loss where nobody is left.
    """
    m = row.market
    holders = [i for i in range(venue.fund) if venue.positions[i][m].size != 0]
    sizes = {i: abs(venue.positions[i][m].size) for i in holders}
    shares = {i: away_from_zero(loss * sizes[i], sum(sizes.values())) for i in holders}
    for i, share in shares.items():
        ledger.post(venue, venue.positions[i][m].pool, Cause.SOCIALISED, -share)
    ledger.post(venue, row.pool, Cause.SOCIALISED, loss)
    ledger.post(venue, venue.fund, Cause.SOCIALISED, sum(shares.values()) - loss)
    venue.socialised_atoms += loss
    row.socialised += loss
    venue.seen["socialised loss" if holders else "loss left to the fund"] += 1
