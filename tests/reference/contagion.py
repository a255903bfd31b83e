"""How the reference venue would answer a small move, and who holds what, from its state alone."""

import math
from collections.abc import Callable
from dataclasses import replace

from marketsim.engine.state import ATOMS, MAX_PRICE_TICKS, MarkRule
from tests.reference import margin, waterfall
from tests.reference.deleveraging import deleverage
from tests.reference.exchange import rest
from tests.reference.journal import Ended, Met, Moved, Quote
from tests.reference.venue import Account, Order, Pool, Position, Venue

#: The accounts of a venue on paper, and their main pools.
TRADER, OTHER, FUND = range(3)
#: Steps after which what a pool has left to sell does not count.
MAX_STEPS = 1000

Matrix = list[list[float]]


def contagion_matrix(venue: Venue, reflexivity: float, delta: float, falls: bool) -> Matrix:
    """Row j, column k: how far j's mark follows k's, both as fractions, if no book refills.

    What pools that k's move takes below maintenance sell in j, over what j's book holds for a move
    of that size, times what the mark rule passes on.
    """
    count = len(venue.markets)
    matrix = [[0.0] * count for _ in range(count)]
    passed = reflexivity if venue.rules.mark_rule == MarkRule.INDEX else 1.0
    for k, market in enumerate(venue.markets):
        mark = moved(market.mark_ticks, -delta if falls else delta)
        move = mark / market.mark_ticks - 1.0
        sold = sold_after(venue, k, mark)
        for j in range(count):
            if sold[j] != 0:
                # selling meets the bids and takes the mark down, buying the other way round
                down = sold[j] / depth(venue, j, 1 if sold[j] > 0 else -1, delta)
                matrix[j][k] = -passed * down / move
    return matrix


def recovered(venue: Venue, m: int) -> float:
    """The share of what liquidations moved m's mid by that it came back by in a step."""
    pressure = comebacks = squares = share = 0.0
    seen = Quote(0.0, 0.0, False)
    for entry in venue.journal:
        match entry:
            case Met(quotes) if pressure != 0.0:
                alone = quotes[m].mid - seen.mid - (quotes[m].index - seen.index)
                comebacks = 0.999 * comebacks - pressure * alone
                squares = 0.999 * squares + pressure**2
                share = min(max(comebacks / squares, 0.0), 1.0)
                pressure *= 1.0 - share
                if abs(pressure) < 0.01:
                    pressure = 0.0
            case Ended(quotes):
                seen = quotes[m]
            case Moved(_, market, mid, _) if market == m:
                pressure += mid
    return share


def moved(mark: int, change: float) -> int:
    """A mark after a relative change: to the nearest tick, but by one at least."""
    ticks = math.floor(mark * (1.0 + change) + 0.5)
    if ticks == mark:
        ticks += 1 if change > 0.0 else -1
    return min(max(ticks, 1), MAX_PRICE_TICKS)


def depth(venue: Venue, m: int, side: int, reach: float) -> float:
    """Notional resting within `reach` of the best price of a side, over it; nan if none does."""
    prices = venue.markets[m].prices(side)
    if not prices:
        return math.nan
    last = prices[0] * (1.0 - side * reach)
    queues = venue.markets[m].queues(side)
    held = sum(
        order.size * price
        for price in prices
        if side * (price - last) >= 0.0
        for order in queues[price]
    )
    return held * venue.markets[m].tick_atoms / reach


def sold_after(venue: Venue, k: int, mark: int) -> list[int]:
    """What pools holding k sell in each market (net, atoms) once k's mark is at `mark`.

    Only of those that the move hurts; those below maintenance already do not count.
    """
    total = [0] * len(venue.markets)
    for i in range(venue.fund):
        position = venue.positions[i][k]
        hurts = position.size * (mark - venue.markets[k].mark_ticks) < 0
        if hurts and margin.spare(venue, position.pool) >= 0:
            drawable = may_draw(venue, position.pool)
            paper = on_paper(venue, i)
            paper.markets[k].mark_ticks = mark
            p = paper.positions[TRADER][k].pool
            if -margin.spare(paper, p) > drawable:
                close(paper, p)
            for row in paper.liquidations:
                total[row.market] += row.book_cash
    return total


def may_draw(venue: Venue, p: int) -> int:
    """What a side pool could still draw from what its main pool has to spare."""
    pool = venue.pools[p]
    if p == pool.owner or pool.draw_limit == 0:
        return 0
    return max(min(pool.draw_limit - pool.drawn, margin.spare(venue, pool.owner)), 0)


def on_paper(venue: Venue, i: int) -> Venue:
    """An account and the fund, each as it is, and somebody rich who holds the account's other side.

    Nobody has an order.
    """
    fund = venue.fund
    pools = [
        replace(venue.pools[i], owner=TRADER),
        Pool(OTHER, cash=10**18),
        replace(venue.pools[fund], owner=FUND),
    ]
    numbers = {i: TRADER}
    for p, pool in enumerate(venue.pools):
        if pool.owner == i and p != i:
            numbers[p] = len(pools)
            pools.append(replace(pool, owner=TRADER))
    return Venue(
        venue.rules,
        markets=[replace(market, bids={}, asks={}) for market in venue.markets],
        accounts=[replace(venue.accounts[i]), Account(), replace(venue.accounts[fund])],
        positions=[
            [replace(each, pool=numbers[each.pool]) for each in venue.positions[i]],
            [Position(OTHER, -each.size, -each.entry_cost) for each in venue.positions[i]],
            [replace(each, pool=FUND) for each in venue.positions[fund]],
        ],
        pools=pools,
        order_capacity=len(venue.markets),
        step=venue.step,
        stable_price=venue.stable_price,
    )


def close(paper: Venue, p: int) -> None:
    """Let steps pass until a pool is safe or nothing goes on; someone buys at the marks."""
    for m, market in enumerate(paper.markets):
        size, mark = paper.positions[TRADER][m].size, market.mark_ticks
        if size != 0:
            side = 1 if size > 0 else -1
            rest(market, Order(OTHER, side, mark, abs(size), 2 * mark, expiry=0, flags=0))
    for _ in range(MAX_STEPS):
        paper.step += 1
        paper.first_liquidation = len(paper.liquidations)
        paper.first_deleverage = len(paper.deleverages)
        for round_number in range(paper.rules.max_rounds):
            before = len(paper.liquidations)
            margin.draw(paper)
            waterfall.liquidate(paper, p, round_number)
            deleverage(paper)
            if len(paper.liquidations) == before:
                break
        if len(paper.liquidations) == paper.first_liquidation:
            break


def spectral_radius(matrix: Matrix) -> float:
    """By Gelfand's formula: the limit of the size of M^n to the power 1/n, n doubled over and over.

    Nan where the matrix holds one.
    """
    if any(math.isnan(each) for row in matrix for each in row):
        return math.nan
    radius, share = 1.0, 1.0
    for _ in range(60):
        size = max(abs(each) for row in matrix for each in row)
        if size == 0.0:
            return 0.0
        radius *= size**share
        share /= 2.0
        matrix = [[each / size for each in row] for row in matrix]
        columns = list(zip(*matrix, strict=True))
        matrix = [
            [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns]
            for row in matrix
        ]
    return radius


def end_of_moves(falls: Matrix, rises: Matrix, shock: list[float]) -> list[float]:
    """Let every market follow every other, again and again, until nothing moves any more."""
    end = list(shock)
    for _ in range(10_000):
        sides = [falls if move < 0.0 else rises for move in end]
        end = [
            struck + sum(sides[k][j][k] * end[k] for k in range(len(end)))
            for j, struck in enumerate(shock)
        ]
    return end


def trigger(venue: Venue, i: int, m: int) -> int:
    """The first mark, walking against a position, at which its pool is short of what it may draw.

    The present one if it is short already, 0 if there is no such mark.
    """
    market, position = venue.markets[m], venue.positions[i][m]
    if position.size == 0 or not market.liquidates:
        return 0
    side = 1 if position.size > 0 else -1
    p = position.pool
    drawable = may_draw(venue, p)
    mark = market.mark_ticks
    rest = margin.spare(venue, p) + drawable - venue.value(m, position.size)
    rest += margin.maintenance_of(venue, m, position.size)

    def is_short(ticks: int) -> bool:
        market.mark_ticks = ticks
        need = margin.maintenance_of(venue, m, position.size)
        short = rest + venue.value(m, position.size) < need
        market.mark_ticks = mark
        return short

    return walk(mark, -side, is_short)


def walk(mark: int, way: int, is_short: Callable[[int], bool]) -> int:
    """Go tick by tick until it is short; far from where it started, by ever larger strides."""
    end = 1 if way < 0 else MAX_PRICE_TICKS
    before, ticks, stride = mark, mark, 1
    while not is_short(ticks):
        if ticks == end:
            return 0
        if abs(ticks - mark) > 2_000:
            stride *= 2
        before = ticks
        ticks += way * min(stride, abs(end - ticks))
    low, high = before, ticks
    while abs(high - low) > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_short(middle) else (middle, high)
    return high


def notional(venue: Venue, i: int, m: int) -> float:
    """A position at the mark, USD."""
    return venue.value(m, venue.positions[i][m].size) / ATOMS


def concentration(venue: Venue, m: int, side: int) -> dict[str, float]:
    """How few hold a side of a market, the fund left out; nan of a side that nobody holds."""
    values = [side * notional(venue, i, m) for i in range(venue.fund)]
    held = sorted((each for each in values if each > 0.0), reverse=True)
    total = sum(held)
    return {
        "accounts": len(held),
        "notional_usd": total,
        "herfindahl": sum((each / total) ** 2 for each in held) if held else math.nan,
        "top_10_share": sum(held[:10]) / total if held else math.nan,
    }


def overlap(venue: Venue, j: int, k: int, pooled: bool) -> float:
    """Of the gross notional in j, the share of those who hold k too; if pooled, in one pool."""
    gross = shared = 0.0
    for i in range(venue.fund):
        one, other = venue.positions[i][j], venue.positions[i][k]
        gross += abs(notional(venue, i, j))
        if other.size != 0 and (one.pool == other.pool or not pooled):
            shared += abs(notional(venue, i, j))
    return shared / gross if gross > 0.0 else math.nan


def alignment(venue: Venue, j: int, k: int) -> float:
    """Whether pools that hold both hold them on one side, 1, or on opposite ones, -1."""
    products = [
        notional(venue, i, j) * notional(venue, i, k)
        for i in range(venue.fund)
        if venue.positions[i][j].pool == venue.positions[i][k].pool
    ]
    gross = sum(abs(each) for each in products)
    return sum(products) / gross if gross > 0.0 else math.nan
