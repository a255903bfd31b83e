"""Between the two: a reference venue written into the engine's arrays, and where they differ."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from marketsim.engine import book
from marketsim.engine.allocation import allocate
from marketsim.engine.state import NONE, Cause, IntentKind, Outcome, State
from marketsim.engine.world import World, allocate_world
from tests.reference import funding, ledger
from tests.reference.outside import Outside
from tests.reference.venue import (
    Account,
    Intent,
    Market,
    Order,
    Pool,
    Position,
    Rules,
    Tier,
    Venue,
)

Made = TypeVar("Made")

ORDER_FIELDS = ("account", "side", "size", "mid2", "expiry", "flags")
MARKET_STATE = (
    *("index_price", "index_ticks", "mark_ticks", "last_ticks", "best_bid", "best_ask", "mid2"),
    *("basis", "depth_factor", "premium", "funding_rate", "oi_ratio", "volume", "num_fills"),
    *("liquidated_atoms", "num_liquidations"),
)
POSITION_STATE = ("size", "entry_cost")
HOLDING_STATE = ("spot", "own_fraction", "chunk_step")
ACCOUNT_STATE = ("liquidated_step", "liquidated_atoms", "fund_loss_atoms")
TOTALS_STATE = (
    *("step", "fees", "outside_cash", "stable_price"),
    *("adl_atoms", "socialised_atoms", "venue_loss_atoms"),
)
ASSET_STATE = ("base", "fundamental", "displacement", "price", "spread", "burst_return")

Difference = tuple[str, Any, Any]


def write(record: Any, source: Any) -> None:
    """Copy the fields that an array record and a dataclass have in common."""
    for name in record.dtype.names:
        if hasattr(source, name):
            record[name] = getattr(source, name)


def state_of(venue: Venue, *, causes: bool = False) -> State:
    """Allocate the engine's arrays with a venue's rules, opening balances and resting orders.

    With `causes` there is room to record why pools are liquidated.
    """
    state = allocate(
        len(venue.accounts) - 1,
        len(venue.markets),
        len(venue.pools),
        num_tiers=max(len(market.tiers) for market in venue.markets),
        num_orders=venue.order_capacity,
        num_nodes=5 * venue.order_capacity + len(venue.markets),
        num_intents=64,
        num_fills=20_000,
        causes=causes,
    )
    write_rules(state, venue)
    for m, market in enumerate(venue.markets):
        write(state.market[m], market)
        state.market[m]["open_interest"] = ledger.open_interest(venue, m)
        state.market[m]["num_tiers"] = len(market.tiers)
    for i, account in enumerate(venue.accounts):
        write(state.account[i], account)
        state.stable[i] = account.stable
        for m, position in enumerate(venue.positions[i]):
            write(state.position[i, m], position)
            for name in HOLDING_STATE:
                getattr(state, name)[i, m] = getattr(position, name)
    for p, pool in enumerate(venue.pools):
        write(state.pool[p], pool)
        state.draw[p] = (pool.draw_limit, pool.drawn)
    for m, market in enumerate(venue.markets):
        for each in market.orders():
            terms = (each.side, each.size, each.price, each.mid2, each.expiry, each.flags)
            book.add_order(state, each.account, m, *terms)
    state.totals[0].deposits = ledger.missing(venue)
    state.totals[0].stable_price = venue.stable_price
    state.totals[0].record_fills = 1
    return state


def venue_of(state: State) -> Venue:
    """The reference venue that an engine's arrays hold; what it has done so far is left out."""
    return Venue(
        rules=read(Rules, state.venue[0]),
        markets=[market_of(state, m) for m in range(len(state.market))],
        accounts=[
            read(Account, record, stable=int(stable))
            for record, stable in zip(state.account, state.stable, strict=True)
        ],
        positions=[
            [
                read(
                    Position,
                    record,
                    **{name: int(getattr(state, name)[i, m]) for name in HOLDING_STATE},
                )
                for m, record in enumerate(row)
            ]
            for i, row in enumerate(state.position)
        ],
        pools=[
            read(Pool, record, draw_limit=int(draw.limit), drawn=int(draw.drawn))
            for record, draw in zip(state.pool, state.draw, strict=True)
        ],
        order_capacity=len(state.order),
        step=int(state.totals[0].step),
        stable_price=int(state.totals[0].stable_price),
    )


def market_of(state: State, m: int) -> Market:
    """One market of an engine's arrays, with its tiers and its book."""
    count = int(state.market[m].num_tiers)
    market = read(
        Market, state.market[m], tiers=[read(Tier, each) for each in state.tier[m, :count]]
    )
    for price, queue in resting(state, m).items():
        for terms in queue[:-1]:
            order = Order(price=price, **dict(zip(ORDER_FIELDS, terms, strict=True)))
            market.queues(order.side).setdefault(price, []).append(order)
    return market


def read(kind: type[Made], record: Any, **others: Any) -> Made:
    """Make a dataclass of the fields that it and an array record have in common, and of others."""
    names = {each.name for each in fields(kind)} & set(record.dtype.names)
    return kind(**{name: record[name].item() for name in names}, **others)


def write_rules(state: State, venue: Venue) -> None:
    """Copy the rules of the venue and the requirements of all markets."""
    write(state.venue[0], venue.rules)
    for m, market in enumerate(venue.markets):
        for number, tier in enumerate(market.tiers):
            write(state.tier[m, number], tier)


def world_of(outside: Outside) -> World:
    """Allocate the engine's arrays of the outside world."""
    world = allocate_world(
        len(outside.assets),
        len(outside.assets[0].sources),
        num_shocks=len(outside.shocks),
        num_steps=max(len(outside.history) - 1, 0),
        num_given=len(outside.given_rates),
    )
    write(world.factor[0], outside.factor)
    for m, asset in enumerate(outside.assets):
        write(world.asset[m], asset)
    for row, series in enumerate([outside.factor, *outside.assets]):
        for k, scale in enumerate(series.scales):
            write(world.scale[row, k], scale)
    for k, source in enumerate(outside.sources):
        write(world.source[k], source)
    for j, shock in enumerate(outside.shocks):
        write(world.shock[j], shock)
    if outside.history:
        world.history[:] = outside.history
    if outside.given_rates:
        world.given_rate[:] = outside.given_rates
    return world


def write_news(world: World, outside: Outside) -> None:
    """Copy the step's luck."""
    write(world.common_draw[0], outside.common_news)
    for m, news in enumerate(outside.own_news):
        write(world.own_draw[m], news)
    for row, series in enumerate([outside.factor, *outside.assets]):
        for k, scale in enumerate(series.scales):
            world.scale[row, k].gauss = scale.gauss
    for k, source in enumerate(outside.sources):
        world.source[k].gauss = source.gauss


def write_intents(state: State, intents: list[Intent], sequence: list[int]) -> Any:
    """Copy the step's intents; return the order in which they are to be carried out."""
    for n, intent in enumerate(intents):
        write(state.intent[n], intent)
    return np.array(sequence, np.int64)


def resting(state: State, m: int) -> dict[int, list[tuple[int, ...]]]:
    """The engine's book: the orders of every price in queue order."""
    orders = [k for k in np.flatnonzero(state.order["size"] > 0) if state.order[k].market == m]
    queues: dict[int, list[tuple[int, ...]]] = {}
    for price in sorted({int(state.order[k].price) for k in orders}):
        level = state.level[book.find_level(state, m, price)]
        queue, k = [], int(level.head)
        while k != NONE:
            queue.append(tuple(int(state.order[k][name]) for name in ORDER_FIELDS))
            k = int(state.order[k].next)
        queue.append((int(level.volume),))
        queues[price] = queue
    return queues


def expected_book(market: Market) -> dict[int, list[tuple[int, ...]]]:
    """The reference's book in the same form: the queue and the lots at each price."""
    queues = {}
    for price, queue in sorted([*market.bids.items(), *market.asks.items()]):
        orders = [tuple(getattr(order, name) for name in ORDER_FIELDS) for order in queue]
        queues[price] = [*orders, (sum(order.size for order in queue),)]
    return queues


def differences(state: State, venue: Venue) -> list[Difference]:
    """List what differs between engine and reference: name, engine's value, reference's."""
    return [(name, got, want) for name, got, want in _pairs(state, venue) if got != want]


def _named(label: str, names: Iterable[str], record: Any, source: Any) -> Iterator[Difference]:
    for name in names:
        yield f"{label}.{name}", record[name], getattr(source, name)


def _pairs(state: State, venue: Venue) -> Iterator[Difference]:
    yield from _named("totals", TOTALS_STATE, state.totals[0], venue)
    yield "conservation error", state.totals[0].conservation_error, 0
    for outcome in Outcome:
        yield outcome.name, state.totals[0].outcome[outcome], venue.outcomes[outcome]
    for m, market in enumerate(venue.markets):
        label = f"market {m}"
        yield from _named(label, MARKET_STATE, state.market[m], market)
        total, weights = funding.weighted_sum(venue, market)
        yield f"{label}.premium_sum", state.market[m].premium_sum, total
        yield f"{label}.premium_weight", state.market[m].premium_weight, weights
        yield f"{label}.num_samples", state.market[m].num_samples, len(market.samples)
        yield (
            f"{label}.open_interest",
            state.market[m].open_interest,
            ledger.open_interest(venue, m),
        )
        yield f"{label}.num_orders", state.market[m].num_orders, len(market.orders())
        yield f"{label} book", resting(state, m), expected_book(market)
    for p, pool in enumerate(venue.pools):
        yield f"pool {p}.cash", state.pool[p].cash, pool.cash
        yield f"pool {p}.drawn", state.draw[p].drawn, pool.drawn
    for i, account in enumerate(venue.accounts):
        yield from _named(f"account {i}", ACCOUNT_STATE, state.account[i], account)
        yield f"account {i}.stable", state.stable[i], account.stable
        for cause in Cause:
            yield f"account {i} {cause.name}", state.flow[i, cause], venue.flow[i, cause]
        for m, position in enumerate(venue.positions[i]):
            label = f"position {i}, {m}"
            yield from _named(label, POSITION_STATE, state.position[i, m], position)
            for name in HOLDING_STATE:
                yield f"{label}.{name}", getattr(state, name)[i, m], getattr(position, name)
    yield from _row_pairs("fill", state.totals[0].num_fills, state.fill, venue.fills)
    count = state.totals[0].num_liquidations
    yield from _row_pairs("liquidation", count, state.liquidation, venue.liquidations)
    count = state.totals[0].num_deleverages
    yield from _row_pairs("deleverage", count, state.deleverage, venue.deleverages)


def _row_pairs(label: str, count: int, table: Any, rows: list[Any]) -> Iterator[Difference]:
    """Compare tables; of the rows of earlier steps only the newest, they are written once."""
    yield f"{label}s", count, len(rows)
    for number in range(max(len(rows) - 60, 0), min(count, len(rows))):
        names = [each.name for each in fields(rows[number])]
        yield from _named(f"{label} {number}", names, table[number], rows[number])


def world_differences(world: World, outside: Outside) -> list[Difference]:
    """List what differs between the outside worlds."""
    pairs: list[Difference] = []
    for m, asset in enumerate(outside.assets):
        pairs += _named(f"asset {m}", ASSET_STATE, world.asset[m], asset)
    for row, series in enumerate([outside.factor, *outside.assets]):
        for k, scale in enumerate(series.scales):
            pairs += _named(f"scale {row}.{k}", ("value",), world.scale[row, k], scale)
    for k, source in enumerate(outside.sources):
        pairs += _named(f"source {k}", ("price", "deviation"), world.source[k], source)
    return [(name, got, want) for name, got, want in pairs if got != want]


def outcome_differences(state: State, intents: list[Intent]) -> list[Difference]:
    """List the intents of which the engine made something else."""
    kinds = [IntentKind(intent.kind).name for intent in intents]
    pairs = [
        (f"{kind} intent {n}", state.intent[n].outcome, intents[n].outcome)
        for n, kind in enumerate(kinds)
    ]
    return [(name, got, want) for name, got, want in pairs if got != want]
