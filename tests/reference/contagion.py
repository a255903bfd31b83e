"""How the reference venue would answer a small move, and who holds what, from its state alone."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from marketsim.engine.state import ATOMS, MAX_PRICE_TICKS, ONE, LegRule, MarkRule
from tests.reference import closing, margin
from tests.reference.venue import Venue
from tests.reference.waterfall import fund_gain

#: Steps after which what a pool has left to sell does not count.
MAX_STEPS = 1000

Matrix = list[list[float]]


def contagion_matrix(venue: Venue, reflexivity: float, delta: float, falls: bool) -> Matrix:
    """Row j, column k: how far j's mark follows k's, both as fractions.

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
            for j, sold in Paper(venue, position.pool, k, mark).close().items():
                total[j] += sold
    return total


def may_draw(venue: Venue, p: int) -> int:
    """What a side pool could still draw from what its main pool has to spare."""
    pool = venue.pools[p]
    if p == pool.owner or pool.draw_limit == 0:
        return 0
    return max(min(pool.draw_limit - pool.drawn, margin.spare(venue, pool.owner)), 0)


class Paper:
    """A copy of a venue in which one mark is moved, to close one pool without a book."""

    def __init__(self, venue: Venue, p: int, k: int, mark: int) -> None:
        self.drawable = may_draw(venue, p)
        self.fund_room = margin.spare(venue, venue.fund)
        self.p = p
        self.i = venue.pools[p].owner
        self.sold: dict[int, int] = defaultdict(int)
        self.venue = replace(
            venue,
            markets=[replace(each) for each in venue.markets],
            accounts=[replace(each) for each in venue.accounts],
            positions=[[replace(each) for each in row] for row in venue.positions],
            pools=[replace(each) for each in venue.pools],
        )
        self.venue.markets[k].mark_ticks = mark

    def close(self) -> dict[int, int]:
        """Close the pool if it is short of more than it can draw; atoms sold by market."""
        venue, p = self.venue, self.p
        if -margin.spare(venue, p) > self.drawable:
            venue.pools[p].cash += max(min(-margin.equity(venue, p), self.drawable), 0)
            for _ in range(MAX_STEPS):
                venue.step += 1
                rounds = 0
                while rounds < venue.rules.max_rounds and self.close_round():
                    rounds += 1
                if rounds == 0:
                    break
        return self.sold

    def close_round(self) -> bool:
        """Try every leg once, until the pool is safe; tell whether anything was closed."""
        venue = self.venue
        before = [position.size for position in venue.positions[self.i]]
        tried: set[int] = set()
        while margin.is_short(venue, self.p) or (tried and venue.rules.legs == LegRule.ALL):
            leg = closing.next_leg(venue, self.p, tried)
            if leg is None:
                break
            tried.add(leg)
            self.close_leg(leg)
        return before != [position.size for position in venue.positions[self.i]]

    def close_leg(self, m: int) -> None:
        """The fund takes a pool far gone; else a book without end trades at the mark.

        If the order's limit does not allow the mark, fund or counterparties take a bankrupt leg.
        """
        venue, position = self.venue, self.venue.positions[self.i][m]
        market = venue.markets[m]
        side = 1 if position.size > 0 else -1
        if not self.fund_takes(m):
            limit = closing.limit_price(venue, self.i, m)
            if side * (market.mark_ticks - limit) >= 0:
                self.sell(m, side * closing.order_size(venue, self.i, m))
                return
            if margin.equity(venue, self.p) >= 0:
                return
        venue.pools[self.p].cash += closing.bankruptcy_cash(venue, self.i, m, -position.size)
        position.size = 0

    def fund_takes(self, m: int) -> bool:
        """Whether the fund takes a leg at once, and can pay for it and carry it."""
        venue = self.venue
        rules = venue.rules
        equity = margin.equity(venue, self.p)
        far_gone = equity * ONE < margin.maintenance(venue, self.p) * rules.backstop_ratio
        if not (rules.backstop_ratio > 0 and far_gone and rules.fund_takeover):
            return False
        size, held = venue.positions[self.i][m].size, venue.positions[venue.fund][m].size
        cost = closing.bankruptcy_cash(venue, self.i, m, -size) - venue.value(m, size)
        more = margin.maintenance_of(venue, m, held + size) - margin.maintenance_of(venue, m, held)
        too_large = abs(held + size) > venue.markets[m].max_position_lots
        return self.fund_room >= cost + max(more, 0) and not too_large

    def sell(self, m: int, lots: int) -> None:
        """Sell (negative: buy) at the mark, and pay the fund its fee or be paid what it lacks."""
        venue, i = self.venue, self.i
        position, account = venue.positions[i][m], venue.accounts[i]
        mark = venue.markets[m].mark_ticks
        gain = fund_gain(venue, i, m, -lots, mark)
        if account.liquidated_step != venue.step:
            account.liquidated_step = venue.step
            account.liquidated_atoms = account.fund_loss_atoms = 0
        account.liquidated_atoms += abs(venue.value(m, lots))
        account.fund_loss_atoms += max(-gain, 0)
        if 0 < abs(lots) < abs(position.size):
            position.chunk_step = venue.step
        venue.pools[self.p].cash += venue.value(m, lots) - gain
        position.size -= lots
        self.sold[m] += venue.value(m, lots)


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
    ticks, stride = mark, 1
    while not is_short(ticks):
        if abs(ticks - mark) > 2_000:
            stride *= 2
        ticks += way * stride
        if ticks < 1 or ticks > MAX_PRICE_TICKS:
            return 0
    low, high = ticks - way * stride, ticks
    while stride > 1 and abs(high - low) > 1:
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
