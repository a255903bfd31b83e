"""Random small venues on which everything goes wrong that can."""

import math
from dataclasses import dataclass, field
from random import Random

from marketsim.engine.state import (
    MAX_PRICE_TICKS,
    ONE,
    UNLIMITED,
    AverageRule,
    Flag,
    IntentKind,
    LegRule,
    LimitRule,
    MarkRule,
    RankRule,
    SettlementPrice,
    SizeRule,
)
from marketsim.engine.world import IndexRule, JumpLaw, ShockKind, SpotKind
from tests.reference.outside import Asset, Factor, News, Outside, Scale, Series, Shock, Source
from tests.reference.venue import Account, Intent, Market, Pool, Position, Rules, Tier, Venue

PERCENT = ONE // 100

#: Rules by which whoever ranks first is deleveraged.
QUEUES = (RankRule.BITMEX, RankRule.BINANCE, RankRule.HYPERLIQUID, RankRule.RANDOM)

#: A step from which some venues settle funding at another interval.
CHANGE = 17


@dataclass
class Scenario:
    """A random venue in a random world, and the luck that drives it."""

    seed: int
    num_steps: int = 40
    luck: Random = field(init=False)
    is_round: bool = field(init=False)
    venue: Venue = field(init=False)
    world: Outside = field(init=False)

    def __post_init__(self) -> None:
        self.luck = Random(self.seed)
        self.is_round = self.luck.random() < 0.3
        self.venue = random_venue(self.luck, self.is_round)
        self.begin_within_an_interval()
        self.arrange_last_resorts()
        self.world = random_world(self.luck, self.venue, self.num_steps)
        if self.is_round:
            self.world.factor.kind = SpotKind.HISTORY
            self.world.shocks.clear()
            self.world.history = round_history(self.luck, len(self.venue.markets), self.num_steps)
        self.give_rates()

    def draw_news(self) -> None:
        """Draw the luck of a step."""
        luck = self.luck
        self.world.common_news = random_news(luck)
        self.world.own_news = [random_news(luck) for _ in self.world.assets]
        for source in self.world.sources:
            source.gauss = luck.gauss(0.0, 1.0)
        own_luck = Random(f"volatility {self.seed} {self.venue.step}")
        for series in (self.world.factor, *self.world.assets):
            for scale in series.scales:
                scale.gauss = own_luck.gauss(0.0, 1.0)

    def draw_deposits(self) -> dict[int, int]:
        """Draw what ruined traders pay in, by account, so that there is always someone to ruin."""
        luck, venue = self.luck, self.venue
        unit = max(market.tick_atoms * market.index_ticks for market in venue.markets)
        poor = [i for i in range(venue.fund) if venue.pools[i].cash < unit and venue.is_flat(i)]
        return {i: luck.randint(10, 60) * unit // 10 for i in poor if luck.random() < 0.3}

    def begin_within_an_interval(self) -> None:
        """Put the start of some venues between two funding settlements."""
        self.venue.rules.funding_phase = Random(f"calendar {self.seed}").choice((0, 0, 1, 5))

    def arrange_last_resorts(self) -> None:
        """Let some venues deleverage without a queue, or have a fund that is soon used up."""
        luck = Random(f"last resorts {self.seed}")
        if luck.random() < 0.4:
            self.venue.rules.rank_rule = luck.choice((RankRule.PRO_RATA, RankRule.PRO_RATA_PROFIT))
        if luck.random() < 0.4:
            unit = max(market.tick_atoms * market.index_ticks for market in self.venue.markets)
            self.venue.pools[self.venue.fund].cash = luck.choice((2, 5, 12, 30)) * unit
            self.venue.rules.fund_takeover = 1

    def give_rates(self) -> None:
        """Give some venues the funding rates of some of their markets, in most of the steps."""
        luck = Random(f"given rates {self.seed}")
        if luck.random() < 0.2:
            self.world.given_rates = [
                [luck.choice((math.nan, luck.uniform(-0.02, 0.02))) for _ in self.venue.markets]
                for _ in range(self.num_steps)
            ]

    def change_rules(self) -> bool:
        """Change the venue's rules if a change is due; tell whether it was.

        Every second venue settles funding at another interval from some step on.
        """
        if self.venue.step != CHANGE or self.seed % 2 != 0:
            return False
        rules = self.venue.rules
        interval = Random(f"interval {self.seed}").choice((1, 2, 5, 8))
        rules.funding_share *= interval / rules.funding_interval
        rules.funding_interval = interval
        return True

    def draw_intents(self) -> tuple[list[Intent], list[int]]:
        """Draw what the traders ask for in a step, and the order in which they are heard."""
        traders = range(len(self.venue.accounts) - 1)
        intents = quotes(self.luck, self.venue)
        for _ in range(self.luck.randint(2, 12)):
            intents.append(random_intent(self.luck, self.venue, self.luck.choice(traders)))
        if self.is_round:
            for intent in intents:
                make_round(intent, self.venue)
        sequence = list(range(len(intents)))
        self.luck.shuffle(sequence)
        return intents, sequence


def random_venue(luck: Random, is_round: bool) -> Venue:
    """Draw a rule book, markets and accounts; account 0 is rich, the last is the fund.

    In a round venue prices, sizes and fractions are such that much comes out equal.
    """
    num_accounts = luck.randint(2, 6)
    scale = luck.choice((1, 7, 100, 12_345, 10**7, 10**10))
    markets = [random_market(luck, scale) for _ in range(luck.randint(1, 3))]
    if is_round:
        markets = [round_market(luck, scale) for _ in markets]
    unit = max(market.tick_atoms * market.index_ticks for market in markets)
    accounts = [
        Account(priority=luck.randrange(10), stable=luck.choice((0, 0, 3 * unit)))
        for _ in range(num_accounts + 1)
    ]
    least = 40 if is_round else 10
    pools = [
        Pool(owner=i, cash=luck.randrange(least, 90, least) * unit // 10)
        for i in range(num_accounts + 1)
    ]
    pools[0].cash *= luck.choice((1, 3, 100))
    pools[-1].cash = luck.choice((0, 0, 0, 3 * unit, 100 * unit, 10_000 * unit))
    accounts[-1].stable = 0
    positions = [
        [random_position(luck, i, is_round or i == num_accounts) for _ in markets]
        for i in range(num_accounts + 1)
    ]
    for i in range(num_accounts):
        add_side_pools(luck, i, positions[i], pools, unit)
    return Venue(
        rules=random_rules(luck, unit),
        markets=markets,
        accounts=accounts,
        positions=positions,
        pools=pools,
        order_capacity=luck.choice((12, 400, 400)),
    )


def random_position(luck: Random, i: int, is_bare: bool) -> Position:
    """A flat position in the main pool, perhaps with coins and a leverage of its own."""
    if is_bare:
        return Position(pool=i)
    coins = luck.choice((0, 0, luck.randint(1, 30)))
    return Position(pool=i, spot=coins, own_fraction=luck.choice((0, 0, luck.randrange(ONE))))


def add_side_pools(
    luck: Random, i: int, positions: list[Position], pools: list[Pool], unit: int
) -> None:
    """Make an account cross (no side pools), isolated (one each) or partial (one for a group)."""
    mode = luck.choice(("cross", "isolated", "partial", "mixed", "mixed"))
    if mode == "cross":
        return
    group: int | None = None
    for position in positions:
        if mode == "mixed" and luck.random() < 0.5:
            continue
        if group is None or mode == "isolated":
            limit = 0 if mode == "isolated" else luck.choice((0, 5 * unit, UNLIMITED))
            pools.append(Pool(owner=i, draw_limit=limit))
            group = len(pools) - 1
        position.pool = group


def random_market(luck: Random, scale: int) -> Market:
    """A market of some 500 ticks of about as many atoms as its scale says."""
    tick_atoms = scale * luck.randint(1, 3)
    tick_size = luck.choice((0.01, 0.1, 0.5, 1.0))
    ticks = luck.randint(300, 800)
    unit = ticks * tick_atoms
    caps = luck.choice(((0, 0), (20 * unit, 200 * unit), (0, 60 * unit)))
    return Market(
        tick_atoms=tick_atoms,
        tick_size=tick_size,
        lot_size=tick_atoms / tick_size * 1e-6,
        tiers=random_tiers(luck, unit),
        oi_lower_atoms=caps[0],
        oi_upper_atoms=caps[1],
        maker_fee=luck.choice((-PERCENT // 30, 0, PERCENT // 20)),
        taker_fee=luck.choice((0, PERCENT // 15, PERCENT // 4)),
        impact_atoms=luck.choice((0, 3 * unit + 1, 20 * unit)),
        funding_cap=luck.choice((0.0004, 0.02, 1.0)),
        max_position_lots=luck.choice((35, 10**6, 10**6)),
        index_ticks=ticks,
        mark_ticks=ticks,
    )


def round_market(luck: Random, scale: int) -> Market:
    """A market of 1,000 ticks, without fees, whose tier begins at a round size."""
    unit = 1_000 * scale
    tiers = [Tier(0, ONE // 10, ONE // 20), Tier(20 * unit, ONE // 5, ONE // 10, unit)]
    return Market(
        tick_atoms=scale,
        tick_size=0.5,
        lot_size=scale * 2e-6,
        tiers=tiers[: luck.randint(1, 2)],
        index_ticks=1_000,
        mark_ticks=1_000,
    )


def random_tiers(luck: Random, unit: int) -> list[Tier]:
    """One to three brackets of rising requirements, continuous where they have an amount."""
    initial = luck.randint(PERCENT, 10 * PERCENT)
    tiers = [Tier(0, initial, initial * luck.randint(30, 90) // 100)]
    for _ in range(luck.randint(0, 2)):
        last = tiers[-1]
        floor = last.floor_atoms + luck.randint(5, 30) * unit
        maintenance = last.maintenance_fraction + luck.randint(1, 10 * PERCENT)
        amount = floor * (maintenance - last.maintenance_fraction) // ONE
        initial = max(last.initial_fraction + 5 * PERCENT, maintenance)
        tiers.append(Tier(floor, initial, maintenance, last.maintenance_amount + amount))
    return tiers


def random_rules(luck: Random, unit: int) -> Rules:
    """Any rule with any other."""
    return Rules(
        mark_rule=luck.choice(list(MarkRule)),
        basis_weight=luck.choice((0.05, 0.3, 1.0)),
        funding_interval=luck.choice((1, 3, 8)),
        funding_share=luck.choice((0.125, 0.5, 1.0)),
        average_rule=luck.choice(list(AverageRule)),
        min_samples=luck.choice((0, 5)),
        interest_rate=luck.choice((0.0, 1e-4, -3e-4)),
        dead_band=luck.choice((-1.0, 5e-4, 5e-3)),
        premium_cap=luck.choice((0.01, 1.0)),
        settlement_price=luck.choice(list(SettlementPrice)),
        spot_haircut=luck.choice((0, 20 * PERCENT, ONE)),
        stable_haircut=luck.choice((0, 5 * PERCENT, ONE)),
        legs=luck.choice(list(LegRule)),
        size_rule=luck.choice(list(SizeRule)),
        limit_rule=luck.choice(list(LimitRule)),
        portion=luck.choice((20 * PERCENT, 55 * PERCENT)),
        min_notional_atoms=luck.choice((0, 4 * unit)),
        chunk_threshold_atoms=luck.choice((0, 10 * unit)),
        chunk_cooldown=luck.choice((0, 2)),
        max_account_notional_atoms=luck.choice((UNLIMITED, UNLIMITED, 12 * unit)),
        max_account_loss_atoms=luck.choice((UNLIMITED, UNLIMITED, unit // 3)),
        market_bound=luck.choice((1, 5, 30)) * PERCENT,
        bankruptcy_adjustment=luck.choice((ONE // 2, ONE, 3 * ONE)),
        spread_ratio=luck.choice((ONE // 10, ONE, 2 * ONE)),
        liquidation_fee=luck.choice((0, PERCENT, 3 * PERCENT)),
        backstop_ratio=luck.choice((0, 66 * PERCENT + 1)),
        fund_takeover=luck.choice((0, 1)),
        fund_unwind=luck.choice((0, 10 * PERCENT, ONE)),
        max_rounds=luck.randint(1, 5),
        rank_rule=luck.choice(QUEUES),
    )


def random_news(luck: Random) -> News:
    """The luck of one series in one step."""
    return News(
        gauss=luck.gauss(0.0, 1.0),
        regime=luck.random(),
        jump=luck.random(),
        jump_gauss=luck.gauss(0.0, 1.0),
        jump_side=luck.random(),
        jump_size=luck.expovariate(1.0),
    )


def random_world(luck: Random, venue: Venue, num_steps: int) -> Outside:
    """A violent world: constant with shocks, a jumpy factor model or a jumpy history."""
    num_sources = luck.randint(1, 4)
    assets = []
    for market in venue.markets:
        price = market.index_ticks * market.tick_size
        asset = Asset(
            base=price,
            fundamental=price,
            price=price,
            loading=luck.uniform(0.3, 1.5),
            drift=luck.uniform(-0.002, 0.002),
            common_log_sd=0.3,
            sources=random_sources(luck, num_sources, price),
        )
        make_violent(luck, asset)
        assets.append(asset)
    factor = Factor(
        kind=luck.choice((*SpotKind, SpotKind.FACTOR, SpotKind.HISTORY)),
        index_rule=luck.choice(list(IndexRule)),
        reflexivity=luck.choice((0.0, 0.0, 0.3)),
        enter_probability=0.1,
        leave_probability=0.2,
        stress_multiplier=3.0,
    )
    make_violent(luck, factor)
    history = random_history(luck, [asset.price for asset in assets], num_steps)
    shocks = [random_shock(luck, venue, num_sources, num_steps) for _ in range(luck.randint(0, 4))]
    return Outside(factor, assets, shocks, history)


def random_sources(luck: Random, count: int, price: float) -> list[Source]:
    """Spot venues of one asset, equal in weight."""
    noise = luck.choice((0.0, 0.002))
    return [
        Source(weight=1.0 / count, deviation_persistence=0.9, deviation_sd=noise, price=price)
        for _ in range(count)
    ]


def make_violent(luck: Random, series: Series) -> None:
    """Give a series volatility and jumps."""
    series.sd = 0.014
    series.log_sd = 0.5
    series.centre = 0.2
    series.scales = [
        Scale(memory=memory, innovation=math.sqrt(1.0 - memory * memory), weight=math.sqrt(share))
        for memory, share in ((0.3, 0.5), (0.9, 0.3), (0.99, 0.2))
    ]
    series.jump_probability = 0.05
    series.jump_law = luck.choice(list(JumpLaw))
    series.jump_sd = 0.1
    series.jump_up_share = 0.4
    series.jump_up_mean = 0.08
    series.jump_down_mean = 0.1


def random_history(luck: Random, prices: list[float], num_steps: int) -> list[list[float]]:
    """Prices that mostly tremble and sometimes leap."""
    rows = [prices]
    for _ in range(num_steps):
        leap = luck.choice((0.0, 0.0, 0.0, 0.06, -0.06, 0.15, -0.15, 0.6, -0.6))
        moves = [leap * luck.random() + luck.gauss(0.0, 0.01) for _ in prices]
        rows.append([p * math.exp(move) for p, move in zip(rows[-1], moves, strict=True)])
    return rows


def round_history(luck: Random, num_markets: int, num_steps: int) -> list[list[float]]:
    """Prices at which round sizes have round values."""
    rows = [[500.0] * num_markets]
    for _ in range(num_steps):
        moves = luck.random() < 0.3
        prices = [luck.choice((250.0, 400.0, 500.0, 500.0, 625.0, 1000.0)) for _ in rows[-1]]
        rows.append(prices if moves else rows[-1])
    return rows


def random_shock(luck: Random, venue: Venue, num_sources: int, num_steps: int) -> Shock:
    """Anything the schedule may hold."""
    kind = luck.choice(list(ShockKind))
    sizes = {
        ShockKind.PRICE: luck.choice((-0.4, -0.15, 0.3)),
        ShockKind.STABLE: luck.choice((-0.3, -0.02)),
    }
    return Shock(
        kind=kind,
        market=luck.randrange(len(venue.markets)),
        source=luck.randrange(len(venue.markets) * num_sources),
        start=luck.randrange(num_steps),
        rise=luck.randint(1, 4),
        hold=luck.randint(0, 5),
        recovery=luck.randint(0, 6),
        remainder=luck.choice((0.0, 0.5, 1.0)),
        size=sizes.get(kind, luck.choice((0.5, 1.5))),
    )


def quotes(luck: Random, venue: Venue) -> list[Intent]:
    """What the rich account quotes: two orders a side around each index, for a few steps."""
    intents = []
    for m, market in enumerate(venue.markets):
        if luck.random() < 0.15:
            continue
        intents.append(Intent(0, m, kind=IntentKind.CANCEL))
        for side in (1, -1):
            for away in (luck.randint(1, 4), luck.randint(5, 60)):
                price = max(market.index_ticks - side * away, 1)
                size = side * luck.randint(1, 25)
                intents.append(Intent(0, m, size=size, price=price, expiry=luck.choice((0, 1, 3))))
    return intents


def make_round(intent: Intent, venue: Venue) -> None:
    """Ask for tens of lots at the index."""
    if intent.kind == IntentKind.ORDER:
        sign = 1 if intent.size > 0 else -1
        intent.size = sign * min(max(abs(intent.size) // 10 * 10, 10), 40)
        intent.price = venue.markets[intent.market].index_ticks


def random_intent(luck: Random, venue: Venue, i: int) -> Intent:
    """Mostly an order, sometimes a sensible one."""
    m = luck.randrange(len(venue.markets))
    market = venue.markets[m]
    kind = luck.choice((*[IntentKind.ORDER] * 24, *IntentKind))
    if kind == IntentKind.CANCEL:
        prices = [order.price for order in market.orders() if order.account == i]
        return Intent(i, m, kind=kind, price=luck.choice([0, 1, *prices]))
    if kind == IntentKind.SPOT:
        return Intent(i, m, kind=kind, size=luck.randint(-15, 15))
    if kind in (IntentKind.STABLE, IntentKind.TRANSFER):
        most = 10 * market.index_ticks * market.tick_atoms
        return Intent(i, m, kind=kind, size=luck.choice((0, luck.randint(-most, most))))
    lots = luck.choice((luck.randint(1, 10), luck.randint(1, 100)))
    opinion = 1 if i % 2 == 1 else -1
    size = luck.choice((opinion, opinion, opinion, -opinion)) * lots
    if luck.random() < 0.03:
        size = 0
    price = market.index_ticks + round(luck.gauss(0.0, 0.02) * market.index_ticks)
    if luck.random() < 0.03:
        price = luck.choice((0, -5, MAX_PRICE_TICKS + 1))
    elif size > 0 and luck.random() < 0.3:
        price += market.index_ticks // 10
    elif luck.random() < 0.3:
        price -= market.index_ticks // 10
    flags = luck.choice((0, 0, 0, Flag.IMMEDIATE, Flag.IMMEDIATE, Flag.POST_ONLY))
    if luck.random() < 0.15:
        flags |= Flag.REDUCE_ONLY
    expiry = luck.choice((0, 0, 1, 2, 7))
    return Intent(i, m, size=size, price=price, flags=int(flags), expiry=expiry)
