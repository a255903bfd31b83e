"""Why each pool of the reference venue was liquidated, told from its journal.

A pool's loss is counted since the last margin pass at which it had twice its maintenance margin.
Every position of the pool has its share, split by what moved its mark (news in the index, impacts
of liquidation orders, other flow), funding, and fees with what trades cost against the mark; what
no position explains is collateral. Where impacts took something, the liquidations that moved the
price against the position since then bear it, in proportion to what is left of their impacts.
"""

import math
from dataclasses import dataclass, field

from marketsim.engine.state import NONE, MarkRule
from tests.reference.journal import (
    Began,
    Charged,
    Displaced,
    Ended,
    Funded,
    Mark,
    Marked,
    Met,
    Moved,
    Passed,
    Quote,
    Seized,
    Traded,
)
from tests.reference.venue import Venue

#: Of a forced loss: whoever bears less is not named.
MIN_SHARE = 0.01


@dataclass(frozen=True)
class Split:
    """A mark and two of its parts, ticks; the rest of it is other flow."""

    mark: int
    news: float
    forced: float
    by_last: bool  #: whether impacts act on it as they do on the last price


@dataclass
class Impact:
    """What a liquidation order moved mid and last price by, and what recoveries left of it."""

    number: int
    mid: float
    last: float
    left: list[float] = field(default_factory=list)  #: a factor per recovery since


@dataclass
class Pressure:
    """The impacts on one market that other flow has not made good."""

    impacts: list[Impact] = field(default_factory=list)
    mid: float = 0.0
    last: float = 0.0
    basis: float = 0.0  #: their part of the average basis
    displacement: float = 0.0  #: their part of the index, a share of it
    times_news: float = 1.0
    seen: Quote | None = None


@dataclass
class Tally:
    """What a position has lost since its pool was safe, up to the marks of `split`."""

    split: Split
    price: int = 0
    news: float = 0.0
    forced: float = 0.0
    funding: int = 0
    fees: int = 0


@dataclass(frozen=True)
class Cause:
    """One reason of a seizure."""

    market: int  #: where the loss arose, NONE for what belongs to no market
    kind: str
    parent: int  #: the liquidation to blame, or NONE
    loss: int  #: atoms
    weight: float = 0.0


@dataclass
class Seizure:
    """A pool that was liquidated: its rows in the table of liquidations, and why."""

    pool: int
    rows: range
    causes: list[Cause]


@dataclass
class Reader:
    """Goes through a venue's journal once."""

    venue: Venue
    seizures: list[Seizure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pressure = [Pressure() for _ in self.venue.markets]
        self.split: list[Split] = []
        self.size = [[0 for _ in row] for row in self.venue.positions]
        self.tally: dict[tuple[int, int], Tally] = {}
        self.safe_equity: list[int] = []
        self.safe_row = [0 for _ in self.venue.pools]

    def note(self, name: str) -> None:
        """Note what happened, for the test to ask."""
        self.venue.seen[name] += 1

    def read(self) -> None:
        """Follow the journal from its first entry to its last."""
        for entry in self.venue.journal:
            match entry:
                case Began(equity):
                    self.safe_equity = list(equity)
                    for p in range(len(equity)):
                        self.begin_anew(p)
                case Displaced():
                    self.displace(entry)
                case Met(quotes):
                    for m, quote in enumerate(quotes):
                        self.recover(m, quote)
                        self.average(m, quote)
                case Ended(quotes):
                    for pressure, quote in zip(self.pressure, quotes, strict=True):
                        pressure.seen = quote
                case Marked(marks):
                    self.split = [self.split_of(m, mark) for m, mark in enumerate(marks)]
                case Passed(pools, count):
                    for p, (equity, maintenance) in enumerate(pools):
                        if equity >= 2 * maintenance:
                            self.safe_equity[p], self.safe_row[p] = equity, count
                            self.begin_anew(p)
                case Traded(i, m, change, cost):
                    self.catch_up(i, m).fees += cost
                    self.size[i][m] += change
                case Charged(i, m, fee):
                    self.tally[i, m].fees += fee
                case Funded(i, m, loss):
                    self.tally[i, m].funding += loss
                case Moved(number, m, mid, last):
                    pressure = self.pressure[m]
                    pressure.impacts.append(Impact(number, mid, last))
                    pressure.mid += mid
                    pressure.last += last
                case Seized():
                    self.seize(entry)
        self.close(len(self.venue.liquidations))

    def begin_anew(self, p: int) -> None:
        """Count a pool's losses from the present marks."""
        for m in self.venue.legs(p):
            self.tally[self.venue.pools[p].owner, m] = Tally(self.split[m])

    def displace(self, entry: Displaced) -> None:
        """Spot follows a power of the mid: note what it would lose if impacts were taken off it."""
        for m, quote in enumerate(entry.quotes):
            pressure = self.pressure[m]
            pressure.times_news = entry.times_news[m]
            if quote.is_two_sided:
                without = max(quote.mid - pressure.mid, 1.0)
                pressure.displacement = 1.0 - (without / quote.mid) ** entry.reflexivity

    def recover(self, m: int, quote: Quote) -> None:
        """Take off the impacts what the mid came back by since the last step, by itself.

        What it came back by because the index moved does not count.
        """
        pressure = self.pressure[m]
        impact = pressure.mid or pressure.last
        if impact == 0.0 or pressure.seen is None:
            return
        toward = -1.0 if impact > 0.0 else 1.0
        moved = toward * (quote.mid - pressure.seen.mid)
        back = min(moved, moved - toward * (quote.index - pressure.seen.index))
        if back < moved and back > 0.0:
            self.note("recovery less than the mid's move")
        if back >= abs(impact):
            pressure.impacts.clear()
            pressure.mid = pressure.last = 0.0
            self.note("impacts made good")
        elif back > 0.0:
            left = 1.0 - back / abs(impact)
            pressure.mid *= left
            pressure.last *= left
            for each in pressure.impacts:
                each.left.append(left)
            self.note("impacts made good in part")

    def average(self, m: int, quote: Quote) -> None:
        """The average of mid - index holds an average of what impacts moved either by."""
        pressure = self.pressure[m]
        if quote.is_two_sided:
            now = pressure.mid - pressure.displacement * quote.index
            pressure.basis += self.venue.rules.basis_weight * (now - pressure.basis)

    def split_of(self, m: int, mark: Mark) -> Split:
        """Split a mark by the price that it is."""
        pressure = self.pressure[m]
        rule = self.venue.rules.mark_rule
        leaned = pressure.displacement * mark.index
        is_median = rule == MarkRule.MEDIAN
        forced, by_last = leaned, False
        if rule == MarkRule.INDEX_PLUS_BASIS or (is_median and mark.mark == mark.with_basis):
            forced = leaned + pressure.basis
        elif rule == MarkRule.LAST or (is_median and mark.mark == mark.last):
            forced, by_last = pressure.last, True
        return Split(mark.mark, mark.index / pressure.times_news, forced, by_last)

    def catch_up(self, i: int, m: int) -> Tally:
        """Count what the marks' moves took from a position until now."""
        tally, now = self.tally[i, m], self.split[m]
        value = self.size[i][m] * self.venue.markets[m].tick_atoms
        tally.price -= value * (now.mark - tally.split.mark)
        tally.news -= value * (now.news - tally.split.news)
        tally.forced -= value * (now.forced - tally.split.forced)
        tally.split = now
        return tally

    def seize(self, entry: Seized) -> None:
        """Write down what a pool has lost, and by what."""
        p = entry.pool
        i = self.venue.pools[p].owner
        self.close(entry.num_liquidations)
        losses: list[Cause] = []
        for m in self.venue.legs(p):
            tally = self.catch_up(i, m)
            news, forced = math.floor(tally.news + 0.5), math.floor(tally.forced + 0.5)
            if self.size[i][m] == 0 and tally.price != 0:
                self.note("leg closed since the pool was safe")
            losses += [
                Cause(m, "index", NONE, news),
                Cause(m, "other", NONE, tally.price - news - forced),
                Cause(m, "funding", NONE, tally.funding),
                Cause(m, "fees", NONE, tally.fees),
                *self.blame(p, m, self.size[i][m], forced),
            ]
        explained = sum(each.loss for each in losses)
        total = self.safe_equity[p] - entry.equity
        losses.append(Cause(NONE, "collateral", NONE, total - explained))
        first = entry.num_liquidations
        self.seizures.append(Seizure(p, range(first, first), weigh(losses)))

    def close(self, num_liquidations: int) -> None:
        """Give the last seizure its rows; one that liquidated nothing is forgotten."""
        if self.seizures:
            last = self.seizures[-1]
            last.rows = range(last.rows.start, num_liquidations)
            if not last.rows:
                self.seizures.pop()

    def blame(self, p: int, m: int, size: int, forced: int) -> list[Cause]:
        """Share what impacts took from a position among the liquidations that made them."""
        shares = self.shares(p, m, size) if forced > 0 else {}
        total = sum(shares.values())
        if total == 0.0:
            return [Cause(m, "forced", NONE, forced)]
        named = {n: share for n, share in shares.items() if share >= MIN_SHARE * total}
        parts = {n: math.floor(forced * (share / total)) for n, share in named.items()}
        rest = forced - sum(parts.values())
        self.note("several to blame" if len(named) > 1 else "one to blame")
        if len(named) == len(shares):
            parts[min(named)] += rest  # no more than rounding
            rest = 0
        else:
            self.note("too small to be named")
        found = [Cause(m, "forced", n, part) for n, part in parts.items()]
        return [*found, Cause(m, "forced", NONE, rest)]

    def shares(self, p: int, m: int, size: int) -> dict[int, float]:
        """What is left of each impact that hurt a position since its pool was safe.

        Counted as of the newest of the market's impacts: what was taken off all alike is no matter.
        """
        pressure = self.pressure[m]
        shares = {}
        for impact in pressure.impacts:
            ticks = impact.last if self.split[m].by_last else impact.mid
            if impact.number >= self.safe_row[p] and ticks * size < 0.0:
                since = len(impact.left) - len(pressure.impacts[-1].left)
                shares[impact.number] = abs(ticks) * math.prod(impact.left[:since])
        return shares


def weigh(losses: list[Cause]) -> list[Cause]:
    """Drop what is nothing, largest loss first; give each loss its share, gains weigh nothing."""
    losses = sorted((each for each in losses if each.loss != 0), key=lambda each: -each.loss)
    lost = sum(max(each.loss, 0) for each in losses)
    if lost == 0:
        return [Cause(NONE, "requirement", NONE, 0, 1.0), *losses]
    return [
        Cause(each.market, each.kind, each.parent, each.loss, max(each.loss, 0) / lost)
        for each in losses
    ]


def explain(venue: Venue) -> list[Seizure]:
    """Tell why each pool of a venue that was played was liquidated."""
    reader = Reader(venue)
    reader.read()
    return reader.seizures
