"""The contagion matrix as computed, from its definition: pool by pool, sale by sale, push by push.

Dollars that are liquidated in j for each dollar liquidated in k, of pools that ordinary movement of
the marks would liquidate soon, each with its chance; then the same in moves of the marks.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from marketsim.engine.state import MAX_PRICE_TICKS, ONE, MarkRule
from marketsim.streams import Stream, normal
from tests.reference import contagion, margin
from tests.reference.contagion import TRADER, Matrix
from tests.reference.funding import nearest_tick
from tests.reference.journal import Began, Ended, Marked, middle
from tests.reference.venue import Venue
from tests.reference.waterfall import fund_room

#: Hours within which a liquidation is put down to another one.
HORIZON_HOURS = 0.25
#: Walks that chances are averaged over; every second one mirrors another.
NUM_WALKS = 64
#: What a walk is beyond a threshold when it crosses it, in what it moves by in a step.
OVERSHOOT = 0.5826
#: A pool whose chance is less sets nothing off.
LEAST_CHANCE = 1e-9
#: Standard deviations beyond which a normal law has nothing that counts: 1e-23.
FAR = 10.0
#: Pushes within a factor of two of each other may count as one; the last class holds all the rest.
NUM_CLASSES = 8


@dataclass(frozen=True)
class Measured:
    """What the steps so far say of the books and the marks."""

    recovered: list[float]  #: by market: share of an impact that the book takes back in a step
    covariance: Matrix  #: mean product of two marks' moves in a step, relative
    reflexivity: float  #: share of a perp's displacement that spot follows


@dataclass
class Stand:
    """Where a pool stands, beyond its maintenance margin."""

    cost: list[float]  #: atoms that a fall of each mark by 1 takes from what it has beyond it
    step: float  #: atoms that this moves by in a step of ordinary movement
    spare: float  #: how many such steps it has
    chance: float  #: to be liquidated soon


@dataclass
class Sale:
    """What a pool sells when it is liquidated, by market; buying is negative."""

    atoms: list[int]
    taken: list[int]  #: lots that the book takes of it
    path: list[list[float]]  #: how far the mark goes its way, at once and after each step


def furthest(path: list[float]) -> float:
    """How far a mark goes at most; nowhere if it only goes the other way."""
    return max(0.0, *path)


@dataclass
class Push:
    """One push of a mark: by one pool's sale, or by some that count as their mean."""

    pools: set[int]
    mass: float  #: their chances, summed up
    path: list[float]


def marks_after_steps(venue: Venue) -> list[list[int]]:
    """The marks that every step so far has left, from the journal."""
    found: list[list[int]] = []
    marks: list[int] = []
    has_begun = False
    for entry in venue.journal:
        match entry:
            case Began():
                has_begun = True
            case Marked(each):
                marks = [one.mark for one in each]
            case Ended() if has_begun:
                found.append(marks)
    return found


def mean_products(marks: list[list[int]]) -> Matrix:
    """The mean product of two marks' moves in a step; what is a step older counts for 0.977."""
    count = len(marks[0])
    moves = [
        [now / before - 1.0 for before, now in zip(*pair, strict=True)] for pair in pairwise(marks)
    ]
    weights = [0.977**age for age in reversed(range(len(moves)))]
    return [
        [
            sum(weight * move[m] * move[k] for weight, move in zip(weights, moves, strict=True))
            / max(sum(weights), 1.0)
            for k in range(count)
        ]
        for m in range(count)
    ]


def walks(num_steps: int) -> list[list[float]]:
    """Ordinary movement after each step, less what the first one brings."""
    found = []
    for n in range(NUM_WALKS // 2):
        place, path = 0.0, [0.0]
        for u in range(2, num_steps + 1):
            place += normal(0, Stream.PROBE.value, n, u, 0)
            path.append(place)
        found += [path, [-each for each in path]]
    return found


def chance(spare: float, paths: list[list[float]], cost: list[float] | None = None) -> float:
    """The chance that a walk goes beyond `spare`, if `cost` is added at once and after each step.

    All walks share their first step, a normal draw; given the rest of one, it must exceed what the
    furthest of it leaves.
    """
    if cost is None:
        cost = [0.0] * (len(paths[0]) + 1)
    if cost[0] > spare:
        return 1.0
    if spare > max(max(path) for path in paths) + max(cost) + FAR:
        return 0.0
    beyond = 0.0
    for path in paths:
        highest = max(place + each for place, each in zip(path, cost[1:], strict=True))
        beyond += 0.5 * math.erfc((spare - highest) / math.sqrt(2.0))
    return beyond / len(paths)


class Computation:
    """The matrices of a venue as it stands, and what they rest on."""

    def __init__(self, venue: Venue, measured: Measured) -> None:
        self.venue = venue
        self.measured = measured
        self.walks = walks(max(round(HORIZON_HOURS / venue.rules.step_hours), 1))
        self.stands = {
            p: stand
            for p, pool in enumerate(venue.pools)
            if pool.owner != venue.fund and (stand := self.stand(p)) is not None
        }
        self._sales: dict[int, Sale] = {}

    @cached_property
    def likely(self) -> list[int]:
        """The pools that may be the next to be liquidated."""
        return [p for p, stand in self.stands.items() if stand.chance >= LEAST_CHANCE]

    def deviation(self, m: int) -> float:
        """What a mark moves by in a step."""
        return math.sqrt(self.measured.covariance[m][m])

    def stand(self, p: int) -> Stand | None:
        """Where a pool stands; None if it is short already, or nothing moves what it has."""
        venue = self.venue
        row = venue.positions[venue.pools[p].owner]
        cost = [0.0] * len(venue.markets)
        for m in venue.legs(p):
            if row[m].size != 0:
                value = venue.value(m, row[m].size)
                tier = venue.markets[m].tiers[margin.tier_of(venue, m, abs(value))]
                # at a lower mark the position is worth less, and so is its requirement
                cost[m] = value - abs(value) * (tier.maintenance_fraction / ONE)
        variance = sum(
            one * other * self.measured.covariance[m][k]
            for m, one in enumerate(cost)
            for k, other in enumerate(cost)
        )
        spare = margin.spare(venue, p) + contagion.may_draw(venue, p)
        if spare < 0 or variance <= 0.0:
            return None
        step = math.sqrt(variance)
        return Stand(cost, step, spare / step, chance(spare / step, self.walks))

    def sale(self, p: int) -> Sale:
        """What a pool sells, and what that does to the books and the marks."""
        if p not in self._sales:
            self._sales[p] = self.sell(p)
        return self._sales[p]

    def sell(self, p: int) -> Sale:
        """Close a pool on paper, where the mark that matters most to it takes it to its end."""
        venue, count = self.venue, len(self.venue.markets)
        steps = len(self.walks[0])
        sale = Sale([0] * count, [0] * count, [[0.0] * (steps + 1) for _ in range(count)])
        i, weights = venue.pools[p].owner, [0.0] * count
        for m, market in enumerate(venue.markets):
            if market.liquidates:
                weights[m] = abs(self.stands[p].cost[m]) * self.deviation(m)
        k = weights.index(max(weights))
        trigger = contagion.trigger(venue, i, k) if weights[k] > 0.0 else 0
        if trigger == 0:
            return sale
        side = 1 if venue.positions[i][k].size > 0 else -1
        beyond = trigger * (1.0 - side * OVERSHOOT * self.deviation(k))
        paper = contagion.on_paper(venue, i)
        paper.markets[k].mark_ticks = min(max(math.floor(beyond + 0.5), 1), MAX_PRICE_TICKS)
        contagion.close(paper, paper.positions[TRADER][k].pool)
        for m in range(count):
            rows = [row for row in paper.liquidations if row.market == m]
            sale.atoms[m] = sum(row.book_cash for row in rows)
            lots = math.floor(abs(sale.atoms[m]) / venue.value(m, 1) + 0.5)
            if lots > 0:
                # the orders' terms are those on paper, as fractions of the mark
                mark = venue.markets[m].mark_ticks
                limit = rows[0].limit_ticks / rows[0].mark_ticks * mark
                bankruptcy = rows[0].bankruptcy_price / rows[0].mark_ticks * mark
                side = 1 if sale.atoms[m] > 0 else -1
                self.meet_book(sale, m, side * lots, limit, bankruptcy)
        return sale

    def meet_book(self, sale: Sale, m: int, lots: int, limit: float, bankruptcy: float) -> None:
        """Let the book take what it takes within the limit, and the fund can pay for."""
        market = self.venue.markets[m]
        side = 1 if lots > 0 else -1
        room = float(fund_room(self.venue))
        book = {
            price: sum(order.size for order in queue)
            for price, queue in market.queues(side).items()
        }
        left, worst = abs(lots), 0
        for price in market.prices(side):
            size = min(left, book[price])
            room -= max(side * (bankruptcy - price), 0.0) * size * market.tick_atoms
            if size == 0 or side * (price - limit) < 0.0 or room < 0.0:
                break
            left -= size
            book[price] -= size
            worst = price
        if worst == 0:
            return
        best = [price for price, held in book.items() if held > 0]
        near = (max(best) if side > 0 else min(best)) if best else worst
        across = market.prices(-side)
        after = 0.5 * (near + (across[0] if across else worst))
        moved = max(side * (middle(market) - after), 0.0)
        sale.taken[m] = lots - side * left
        sale.path[m] = self.mark_path(m, side, worst, moved)

    def mark_path(self, m: int, side: int, worst: int, moved: float) -> list[float]:
        """How far a mark goes once a sale has moved the mid, and traded last at `worst`.

        In ticks, all of them its way: the mid and the last price come back by the same share in
        every step, where without the sale the last price would have been at once what it is, and
        later on the mid. The index follows its share of the mid of the step before; the average of
        mid - index takes in its newest once a step.
        """
        rules, market = self.venue.rules, self.venue.markets[m]
        away = [
            moved * (1.0 - self.measured.recovered[m]) ** u for u in range(len(self.walks[0]) + 1)
        ]
        last_price = market.last_ticks or market.index_ticks
        path, average = [], 0.0
        for u, mid in enumerate(away):
            index = self.measured.reflexivity * away[u - 1] if u > 0 else 0.0
            if u > 0:
                average += rules.basis_weight * (mid - index - average)
            plain = float(last_price) if u == 0 else middle(market)
            last = side * (plain - worst) * (1.0 - self.measured.recovered[m]) ** u
            if rules.mark_rule == MarkRule.INDEX:
                went = index
            elif rules.mark_rule == MarkRule.LAST:
                went = last
            elif rules.mark_rule == MarkRule.INDEX_PLUS_BASIS:
                went = index + average
            else:
                prices = self.three_prices(m, plain)
                gone = (index, index + average, last)
                pushed = [price - side * each for price, each in zip(prices, gone, strict=True)]
                went = side * (sorted(prices)[1] - sorted(pushed)[1])
            path.append(went / market.mark_ticks)
        return path

    def three_prices(self, m: int, last: float) -> list[float]:
        """What `MEDIAN` takes the middle of: the index with funding, with its basis, the last."""
        rules, market = self.venue.rules, self.venue.markets[m]
        gone = (self.venue.step + rules.funding_phase) % rules.funding_interval
        time_left = (rules.funding_interval - gone) / rules.funding_interval
        carry = market.funding_rate * (time_left * rules.funding_share)
        carried = nearest_tick(market, market.index_price * (1.0 + carry))
        return [carried, nearest_tick(market, market.index_price + market.basis), last]

    def pushes(self, k: int, sign: int, *, in_classes: bool) -> list[Push]:
        """The pushes of a market's mark to a side, one by one or in classes by how far they go."""
        each = [
            Push({p}, self.stands[p].chance, self.sale(p).path[k])
            for p in self.likely
            if sign * self.sale(p).taken[k] > 0
        ]
        if not in_classes:
            return each
        most = max((furthest(push.path) for push in each), default=0.0)
        classes: list[list[Push]] = [[] for _ in range(NUM_CLASSES)]
        for push in each:
            if furthest(push.path) > 0.0:
                number = 0
                while number < NUM_CLASSES - 1 and furthest(push.path) <= most / 2 ** (number + 1):
                    number += 1
                classes[number].append(push)
        return [merged(some) for some in classes if some]

    def reproduction_number(self, *, falls: bool, in_classes: bool = True) -> float:
        """The spectral radius of the matrix of a side."""
        return contagion.spectral_radius(self.matrix(falls=falls, in_classes=in_classes))

    def matrix(self, *, falls: bool, in_classes: bool = True) -> Matrix:
        """Row j, column k: how far j's mark follows k's, both as fractions.

        With `in_classes` pushes are grouped as the engine does to save time, otherwise every pool
        is held against every other, as the definition says.
        """
        sign = 1 if falls else -1
        count = len(self.venue.markets)
        dollars = [[0.0] * count for _ in range(count)]
        impact = [0.0] * count
        for k in range(count):
            alone = self.pushes(k, sign, in_classes=False)
            forced = sum(
                push.mass * abs(self.sale(p).atoms[k]) for push in alone for p in push.pools
            )
            if forced > 0.0:
                impact[k] = sum(push.mass * furthest(push.path) for push in alone) / forced
            if impact[k] > 0.0:
                pushes = self.pushes(k, sign, in_classes=in_classes)
                for j, atoms in enumerate(self.set_off(k, sign, pushes)):
                    dollars[j][k] = atoms / forced
        return [
            [
                dollars[j][k] * impact[j] / impact[k] if impact[k] > 0.0 else 0.0
                for k in range(count)
            ]
            for j in range(count)
        ]

    def set_off(self, k: int, sign: int, pushes: list[Push]) -> list[float]:
        """What pushes of market k's mark liquidate in each market, atoms."""
        total = [0.0] * len(self.venue.markets)
        for p, stand in self.stands.items():
            if sign * stand.cost[k] <= 0.0:
                continue
            added = 0.0
            for push in pushes:
                others = push.mass - (stand.chance if p in push.pools else 0.0)
                unit = sign * stand.cost[k] / stand.step
                cost = [unit * each for each in push.path]
                added += others * (chance(stand.spare, self.walks, cost) - stand.chance)
            if added != 0.0:
                total = [
                    sum_ + added * sign * atoms
                    for sum_, atoms in zip(total, self.sale(p).atoms, strict=True)
                ]
        return total


def merged(pushes: list[Push]) -> Push:
    """Some pushes as one: their mean path, each by its chance."""
    mass = sum(push.mass for push in pushes)
    path = [
        sum(push.mass * push.path[u] for push in pushes) / mass for u in range(len(pushes[0].path))
    ]
    return replace(
        pushes[0], pools={p for push in pushes for p in push.pools}, mass=mass, path=path
    )
