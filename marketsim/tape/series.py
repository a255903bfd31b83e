"""The tapes of a run: per step (or several) and market, per step, per funding settlement.

Rows hold what the venue held (ticks, lots, atoms, float64); `marketsim.results.tables` turns them
into USD and coins when a run folder is written.
"""

import numpy as np
from numpy.typing import NDArray

from marketsim.engine._jit import kernel
from marketsim.engine.funding import average_premium, charged_share, current_rate
from marketsim.engine.records import F8, I8, Grid, Record, Rows
from marketsim.engine.state import SettlementPrice, State
from marketsim.engine.world import World


class Series(Record):
    """A market over one row of the series."""

    index_price: F8  #: USD
    mark_ticks: I8
    last_ticks: I8  #: price of the last fill
    best_bid: I8  #: ticks at the end of the row, 0 if that side is empty
    best_ask: I8
    premium: F8  #: the step's sample, fraction of the index
    funding_rate: F8  #: last settled, per 8 h
    predicted_rate: F8  #: what the interval would pay if it ended now, per 8 h
    open_interest: I8  #: lots, one-sided
    volume: I8  #: lots
    num_fills: I8
    liquidated_atoms: I8  #: notional at mark
    num_liquidations: I8
    num_orders: I8  #: resting
    spot_spread: F8  #: highest over lowest spot venue price, minus one
    # what the traders are up to, see `marketsim.tape.crowd`; nan where there is none
    herd_index: F8  #: mean opinion of the herds, -1 to 1
    long_share: F8  #: of the accounts with a position
    leverage: F8  #: gross notional over equity of the accounts with a position
    long_distance: F8  #: mean move of the mark to maintenance, at most 1
    short_distance: F8


class Step(Record):
    """The venue over one row of the series."""

    step: I8
    fund_cash: I8  #: atoms: the insurance fund's wallet
    fund_equity: I8  #: atoms: with what it took over, at mark
    fees: I8  #: atoms collected so far
    adl_atoms: I8  #: notional deleveraged so far
    socialised_atoms: I8  #: loss shared so far
    venue_loss_atoms: I8  #: loss nobody was left to share so far, paid out of the fees
    conservation_error: I8  #: atoms, largest so far
    num_orders: I8  #: resting in all books
    num_intents: I8


class Settlement(Record):
    """A funding settlement of one market."""

    step: I8
    market: I8
    rate: F8  #: per 8 h; > 0: longs pay shorts
    interest_rate: F8  #: per 8 h, the venue's at that time
    average_premium: F8  #: of the interval's samples
    index_price: F8  #: USD
    settlement_ticks: I8  #: price that valued the positions
    paid_atoms: I8  #: gross: what the paying side paid, before rounding per account


@kernel
def record_step(
    state: State, world: World, series: Grid[Series], steps: Rows[Step], row: int
) -> None:
    """Write row `row` of the two tapes at the end of a step.

    Several steps may share a row: prices and totals are then those of the last one, what is
    counted per step (volume, fills, liquidations, intents) adds up. Overwrites ``series[row]`` and
    ``steps[row]``, which must be zero before.
    """
    num_markets = len(state.market)
    fund = len(state.account) - 1
    fund_equity = state.pool[fund].cash
    for m in range(num_markets):
        market = state.market[m]
        out = series[row, m]
        out.index_price = market.index_price
        out.mark_ticks = market.mark_ticks
        out.last_ticks = market.last_ticks
        out.best_bid = market.best_bid
        out.best_ask = market.best_ask
        out.premium = market.premium
        out.funding_rate = market.funding_rate
        # A settlement has just emptied the interval: what it set is what was predicted.
        settled = market.num_samples == 0
        out.predicted_rate = market.funding_rate if settled else current_rate(state, m)
        out.open_interest = market.open_interest
        out.volume += market.volume
        out.num_fills += market.num_fills
        out.liquidated_atoms += market.liquidated_atoms
        out.num_liquidations += market.num_liquidations
        out.num_orders = market.num_orders
        out.spot_spread = world.asset[m].spread
        fund_equity += state.position[fund, m].size * market.mark_ticks * market.tick_atoms
    totals = state.totals[0]
    step = steps[row]
    step.step = totals.step
    step.fund_cash = state.pool[fund].cash
    step.fund_equity = fund_equity
    step.fees = totals.fees
    step.adl_atoms = totals.adl_atoms
    step.socialised_atoms = totals.socialised_atoms
    step.venue_loss_atoms = totals.venue_loss_atoms
    step.conservation_error = totals.conservation_error
    step.num_orders = totals.num_orders
    step.num_intents += totals.num_intents


@kernel
def record_deviation(state: State, world: World, deviation: NDArray[np.float64], row: int) -> None:
    """Write how far every spot venue prints off the index; overwrites ``deviation[row]``."""
    for m in range(deviation.shape[1]):
        first = world.asset[m].first_source
        index_price = state.market[m].index_price
        for n in range(deviation.shape[2]):
            deviation[row, m, n] = world.source[first + n].price / index_price - 1.0


@kernel
def record_funding(state: State, funding: Rows[Settlement], count: int) -> int:
    """Append a row per market for the settlement that comes next.

    Call it when funding is due, right before it is settled: settling empties the interval's
    samples. Overwrites ``funding[count:count + M]``; rows beyond the array's end are not written.

    Parameters
    ----------
    state : State
    funding : recarray, (rows,)
    count : int
        Rows already used.

    Returns
    -------
    int
        Rows used now.
    """
    venue = state.venue[0]
    share = charged_share(state)
    for m in range(len(state.market)):
        if count >= len(funding):
            return count
        market = state.market[m]
        rate = current_rate(state, m)
        price = market.mark_ticks
        if venue.settlement_price == SettlementPrice.INDEX:
            price = market.index_ticks
        notional = market.open_interest * price * market.tick_atoms
        out = funding[count]
        out.step = state.totals[0].step
        out.market = m
        out.rate = rate
        out.interest_rate = venue.interest_rate
        out.average_premium = average_premium(state, m)
        out.index_price = market.index_price
        out.settlement_ticks = price
        out.paid_atoms = int(abs(rate) * share * notional)
        count += 1
    return count
