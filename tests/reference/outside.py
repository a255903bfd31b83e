"""What lies outside the reference venue: spot prices, scheduled shocks, sources and indices."""

import math
from dataclasses import dataclass, field

from marketsim.engine.state import MAX_PRICE_TICKS, NONE, ONE, UNLIMITED
from marketsim.engine.world import IndexRule, JumpLaw, ShockKind, SpotKind
from tests.reference.venue import Venue


@dataclass
class News:
    """The luck of one step: drawn by whoever runs the step."""

    gauss: float = 0.0
    regime: float = 0.5
    jump: float = 1.0
    jump_gauss: float = 0.0
    jump_side: float = 0.5
    jump_size: float = 0.0


@dataclass
class Scale:
    """A time scale of a log-volatility."""

    memory: float = 0.0
    innovation: float = 0.0
    weight: float = 0.0
    value: float = 0.0
    gauss: float = 0.0

    def move(self) -> float:
        """Go through a step; return what it contributes in the middle of it."""
        if self.weight == 0.0:
            return 0.0
        before = self.value
        self.value = self.memory * before + self.innovation * self.gauss
        return self.weight * 0.5 * (before + self.value)


@dataclass
class Series:
    """A return with a lognormal volatility and jumps; factor and assets have one each."""

    sd: float = 0.0
    log_sd: float = 0.0
    centre: float = 0.0
    jump_probability: float = 0.0
    jump_law: int = 0
    jump_mean: float = 0.0
    jump_sd: float = 0.0
    jump_up_share: float = 0.0
    jump_up_mean: float = 0.0
    jump_down_mean: float = 0.0
    scales: list[Scale] = field(default_factory=list)

    def move_scales(self) -> float:
        """Move log-volatility, of unit variance; return it in the middle of the step."""
        middle = 0.0
        for scale in self.scales:
            middle += scale.move()
        return middle

    def jump(self, news: News) -> float:
        """The jump of the step, mostly none."""
        if news.jump >= self.jump_probability:
            return 0.0
        if self.jump_law == JumpLaw.NORMAL:
            return self.jump_mean + self.jump_sd * news.jump_gauss
        if news.jump_side < self.jump_up_share:
            return self.jump_up_mean * news.jump_size
        return -self.jump_down_mean * news.jump_size


@dataclass
class Factor(Series):
    """What all assets share, and what moves them at all."""

    kind: int = 0
    is_random: int = 0
    index_rule: int = 0
    reflexivity: float = 0.0
    enter_probability: float = 0.0
    leave_probability: float = 0.0
    stress_multiplier: float = 1.0
    stress: int = 0
    log_volatility: float = 0.0
    shock: float = 0.0
    shock_variance: float = 0.0
    jump_return: float = 0.0


@dataclass
class Source:
    """A spot venue that prints an asset's price, more or less."""

    weight: float = 1.0
    deviation: float = 0.0
    deviation_persistence: float = 0.0
    deviation_sd: float = 0.0
    fault_factor: float = 1.0
    is_stale: int = 0
    price: float = 1.0
    gauss: float = 0.0


@dataclass
class Asset(Series):
    """What a market is written on."""

    loading: float = 1.0
    common_log_sd: float = 0.0
    drift: float = 0.0
    base: float = 1.0
    burst_return: float = 0.0
    fundamental: float = 1.0
    displacement: float = 0.0
    price: float = 1.0
    shock_factor: float = 1.0
    burst_factor: float = 1.0
    spread: float = 0.0
    sources: list[Source] = field(default_factory=list)


@dataclass
class Shock:
    """A row of the schedule."""

    kind: int = 0
    market: int = NONE
    source: int = NONE
    start: int = UNLIMITED
    rise: int = 1
    hold: int = 0
    recovery: int = 0
    remainder: float = 0.0
    size: float = 0.0


@dataclass
class Outside:
    """Everything outside."""

    factor: Factor
    assets: list[Asset]
    shocks: list[Shock] = field(default_factory=list)
    history: list[list[float]] = field(default_factory=list)  #: a row per step, prices before it
    given_rates: list[list[float]] = field(default_factory=list)  #: a row per step, NaN: none
    common_news: News = field(default_factory=News)
    own_news: list[News] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        return [source for asset in self.assets for source in asset.sources]


def move_spot(venue: Venue, world: Outside, t: int) -> int:
    """Move every spot price; return the first market that left the range of prices, or NONE."""
    factor = world.factor
    if world.shocks:
        strike(venue, world, t)
    if factor.kind == SpotKind.FACTOR:
        move_factor(factor, world.common_news)
    outside = []
    for m, (asset, market) in enumerate(zip(world.assets, venue.markets, strict=True)):
        if factor.reflexivity > 0.0 and market.bids and market.asks:
            mid = 0.5 * float(market.best_bid + market.best_ask) * market.tick_size
            asset.displacement = factor.reflexivity * math.log(mid / asset.fundamental)
        if factor.kind == SpotKind.FACTOR:
            asset.base *= math.exp(asset_return(factor, asset, world.own_news[m]))
        elif factor.kind == SpotKind.HISTORY:
            replay(asset, world.history[t][m], world.history[t + 1][m])
        asset.fundamental = asset.base * asset.shock_factor
        asset.price = asset.fundamental * math.exp(asset.displacement)
        if not 1.0 <= asset.price / market.tick_size <= MAX_PRICE_TICKS:
            outside.append(m)
    return outside[0] if outside else NONE


def move_factor(factor: Factor, news: News) -> None:
    """Calm may turn to stress and back; volatility moves on each of its time scales."""
    leaves = factor.leave_probability if factor.stress else factor.enter_probability
    if news.regime < leaves:
        factor.stress = 1 - factor.stress
    multiplier = factor.stress_multiplier if factor.stress else 1.0
    factor.log_volatility = factor.move_scales()
    clustered = math.exp(factor.log_sd * factor.log_volatility - factor.centre)
    sd = multiplier * clustered * factor.sd
    factor.shock = sd * news.gauss
    factor.shock_variance = sd * sd
    factor.jump_return = factor.jump(news)


def asset_return(factor: Factor, asset: Asset, news: News) -> float:
    """Common and own news, less half their variance."""
    own = asset.log_sd * asset.move_scales()
    sd = math.exp(asset.common_log_sd * factor.log_volatility + own - asset.centre) * asset.sd
    variance = asset.loading * asset.loading * factor.shock_variance + sd * sd
    burst = asset.burst_factor
    gaussian = burst * (asset.loading * factor.shock + sd * news.gauss)
    jumps = asset.loading * factor.jump_return + asset.jump(news)
    return asset.drift - 0.5 * burst * burst * variance + gaussian + jumps


def replay(asset: Asset, before: float, price: float) -> None:
    """Follow the history; what a burst of volatility added to its returns stays."""
    if asset.burst_factor != 1.0:
        asset.burst_return += (asset.burst_factor - 1.0) * math.log(price / before)
    stretched = asset.burst_return != 0.0
    asset.base = price * math.exp(asset.burst_return) if stretched else price


def strike(venue: Venue, world: Outside, t: int) -> None:
    """Set what the schedule says about a step."""
    for asset, market in zip(world.assets, venue.markets, strict=True):
        asset.shock_factor = asset.burst_factor = market.depth_factor = 1.0
    for source in world.sources:
        source.fault_factor, source.is_stale = 1.0, 0
    stable_price = 1.0
    for shock in world.shocks:
        share = share_in_force(shock, t)
        if share <= 0.0:
            continue
        if shock.kind == ShockKind.PRICE:
            factor = math.exp(share * math.log1p(shock.size))
            world.assets[shock.market].shock_factor *= factor
        elif shock.kind == ShockKind.VOLATILITY:
            world.assets[shock.market].burst_factor *= 1.0 + share * (shock.size - 1.0)
        elif shock.kind == ShockKind.DEPTH:
            venue.markets[shock.market].depth_factor *= 1.0 + share * (shock.size - 1.0)
        elif shock.kind == ShockKind.SOURCE_FACTOR:
            world.sources[shock.source].fault_factor *= shock.size
        elif shock.kind == ShockKind.SOURCE_STALE:
            world.sources[shock.source].is_stale = 1
        else:
            stable_price *= 1.0 + share * shock.size
    venue.stable_price = math.floor(stable_price * ONE + 0.5)


def share_in_force(shock: Shock, t: int) -> float:
    """How much of a shock acts: it rises, holds, and fades to what remains."""
    elapsed = t - shock.start + 1
    if elapsed <= 0:
        return 0.0
    if elapsed < shock.rise:
        return elapsed / shock.rise
    fading = elapsed - shock.rise - shock.hold
    if fading <= 0:
        return 1.0
    if fading >= shock.recovery:
        return shock.remainder
    return 1.0 - (1.0 - shock.remainder) * fading / shock.recovery


def update_index(venue: Venue, world: Outside, t: int) -> int:
    """Set the indices from what the sources print; return the first out of range, or NONE."""
    outside = []
    for m, (asset, market) in enumerate(zip(world.assets, venue.markets, strict=True)):
        for source in asset.sources:
            if t != NONE and source.deviation_sd > 0.0:
                source.deviation *= source.deviation_persistence
                source.deviation += source.deviation_sd * source.gauss
            if not source.is_stale:
                source.price = asset.price * (1.0 + source.deviation) * source.fault_factor
        prices = sorted(source.price for source in asset.sources)
        if world.factor.index_rule == IndexRule.MEDIAN:
            low, high = prices[(len(prices) - 1) // 2], prices[len(prices) // 2]
            market.index_price = low if len(prices) % 2 == 1 else 0.5 * (low + high)
        else:
            departure = 0.0
            for source in asset.sources:
                departure += source.weight * (source.price - asset.price)
            market.index_price = asset.price + departure
        asset.spread = (prices[-1] - prices[0]) / market.index_price
        ticks = market.index_price / market.tick_size
        if 1.0 <= ticks <= MAX_PRICE_TICKS:
            market.index_ticks = math.floor(ticks + 0.5)
        else:
            outside.append(m)
    return outside[0] if outside else NONE
