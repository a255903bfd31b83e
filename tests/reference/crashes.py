"""Random small markets in which liquidations set off liquidations."""

import math
from dataclasses import dataclass
from random import Random

from marketsim.engine.state import ONE, Flag, IntentKind, LimitRule, MarkRule
from marketsim.engine.world import SpotKind
from tests.reference.outside import Outside
from tests.reference.scenarios import (
    PERCENT,
    Scenario,
    add_side_pools,
    random_market,
    random_position,
    random_rules,
    random_world,
)
from tests.reference.venue import Account, Intent, Pool, Venue

#: Steps at which prices begin to fall or rise, and by how much; they come back later.
CRASHES = ((8, -0.12), (20, 0.12), (32, -0.2))
#: Steps that a crash lasts: few and small orders rest in the books.
LENGTH = 6
#: A quiet step, in which some venues ask for more.
RAISE = 18


@dataclass
class Crash(Scenario):
    """A rich account quotes ladders; a crowd at high leverage is long, and a few are short."""

    def __post_init__(self) -> None:
        self.luck = Random(f"crash {self.seed}")
        self.is_round = False
        self.venue = crowded_venue(self.luck, self.luck.randint(8, 12))
        self.begin_within_an_interval()
        self.world = random_world(self.luck, self.venue, self.num_steps)
        self.world.factor.kind = SpotKind.HISTORY
        self.world.shocks.clear()
        follow_crashes(self.luck, self.world, self.num_steps)

    def change_rules(self) -> bool:
        """Double every maintenance margin, in one venue of three."""
        if self.venue.step != RAISE or self.seed % 3 != 0:
            return super().change_rules()
        for market in self.venue.markets:
            for tier in market.tiers:
                tier.maintenance_fraction *= 2
                tier.maintenance_amount *= 2
        return True

    def draw_intents(self) -> tuple[list[Intent], list[int]]:
        """Draw the step's quotes and orders; while prices fall the ladders are thin."""
        luck, venue = self.luck, self.venue
        is_calm = not any(start <= venue.step < start + LENGTH for start, _ in CRASHES)
        intents = []
        for m in range(len(venue.markets)):
            if luck.random() < (0.9 if is_calm else 0.3):
                intents += ladder(luck, venue, m, 40 if is_calm else 8)
        for i in range(1, venue.fund):
            if luck.random() < (0.7 if is_calm else 0.1):
                intents.append(bet(luck, venue, i))
        sequence = list(range(len(intents)))
        luck.shuffle(sequence)
        return intents, sequence


def crowded_venue(luck: Random, num_accounts: int) -> Venue:
    """Draw a venue of two or three markets, whose marks mostly hold what liquidations impact."""
    scale = luck.choice((1, 100, 12_345, 10**7))
    markets = [random_market(luck, scale) for _ in range(luck.randint(2, 3))]
    for market in markets:
        market.max_position_lots = 10**6
        for tier in market.tiers:
            tier.initial_fraction = max(tier.initial_fraction, 4 * PERCENT)
            tier.maintenance_fraction = max(tier.maintenance_fraction, 2 * PERCENT)
        market.funding_cap = luck.choice((0.0004, 0.02))
        market.oi_lower_atoms = market.oi_upper_atoms = 0
        market.liquidates = luck.choice((1, 1, 1, 1, 1, 0))
    unit = max(market.tick_atoms * market.index_ticks for market in markets)
    accounts = [Account(priority=luck.randrange(10)) for _ in range(num_accounts + 1)]
    pools = [Pool(owner=i, cash=luck.randint(10, 40) * unit // 10) for i in range(num_accounts + 1)]
    pools[0].cash = 10_000 * unit
    pools[-1].cash = luck.choice((0, 3 * unit, 1_000 * unit))
    positions = [
        [random_position(luck, i, is_bare=luck.random() < 0.8) for _ in markets]
        for i in range(num_accounts + 1)
    ]
    for i in range(1, num_accounts):
        add_side_pools(luck, i, positions[i], pools, unit)
    rules = random_rules(luck, unit)
    rules.mark_rule = luck.choice((*MarkRule, MarkRule.LAST))
    rules.limit_rule = luck.choice((*LimitRule, LimitRule.MARKET))
    rules.market_bound = luck.choice((10, 30)) * PERCENT
    rules.max_rounds = luck.randint(2, 6)
    return Venue(rules, markets, accounts, positions, pools, order_capacity=400)


def follow_crashes(luck: Random, world: Outside, num_steps: int) -> None:
    """Let prices tremble, and crash together with a way back that takes a few steps."""
    rows = [[asset.price for asset in world.assets]]
    for t in range(num_steps):
        move = sum(size / 3 for start, size in CRASHES if start <= t < start + 3)
        move -= sum(size / 6 for start, size in CRASHES if start + 4 <= t < start + 8)
        moves = [move * luck.uniform(0.2, 1.0) + luck.gauss(0.0, 0.002) for _ in world.assets]
        rows.append([p * math.exp(each) for p, each in zip(rows[-1], moves, strict=True)])
    world.history = rows


def ladder(luck: Random, venue: Venue, m: int, most: int) -> list[Intent]:
    """The rich account's quotes around the index: small orders over a few percent."""
    center = venue.markets[m].index_ticks
    intents = [Intent(0, m, kind=IntentKind.CANCEL)]
    spacing = luck.randint(1, 6)
    for side in (1, -1):
        for rung in range(8):
            price = max(center - side * (1 + rung * spacing), 1)
            intents.append(Intent(0, m, size=side * luck.randint(1, most), price=price))
    return intents


def bet(luck: Random, venue: Venue, i: int) -> Intent:
    """An order at the market, of about what a trader's cash carries; most traders buy."""
    m = luck.randrange(len(venue.markets))
    market = venue.markets[m]
    opinion = -1 if i % 4 == 3 else 1
    side = luck.choice((opinion, opinion, opinion, opinion, -opinion))
    most = max(4 * ONE // market.tiers[0].initial_fraction, 1)
    worst = max(market.index_ticks + side * luck.randint(0, 30), 1)
    flags = luck.choice((0, int(Flag.IMMEDIATE)))
    return Intent(i, m, size=side * luck.randint(1, most), price=worst, flags=flags)
