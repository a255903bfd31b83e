"""A market: one perpetual contract on one spot index."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from pydantic import ConfigDict, Field, model_validator

from marketsim.engine.state import ATOMS, MAX_PRICE_TICKS, ONE
from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import Problem, raise_problems
from marketsim.scenario.live import Live, say_reset
from marketsim.scenario.venue import overlay

#: A price may rise this many times above the initial one before it leaves the price tree.
PRICE_HEADROOM = 16
#: Bound of size x price x tick, atoms: the products of the engine stay below int64.
MAX_POSITION_ATOMS = 2**62
#: USD: a lot that had to be made larger, so that money comes out whole, is not worth more.
MAX_LOT_NOTIONAL = 10_000.0


class Steps(NamedTuple):
    """The steps a market is counted in where an atom is the smallest amount of money."""

    lot_size: float  #: coins: the smallest multiple of the stated lot that makes `tick_atoms` whole
    tick_atoms: int  #: atoms in one tick of one such lot

    @property
    def max_lots(self) -> int:
        """Largest position the engine's integers hold, lots."""
        return (MAX_POSITION_ATOMS - 1) // (MAX_PRICE_TICKS * self.tick_atoms)


class Tier(Part):
    """A bracket of notional and the margin asked of it."""

    notional_floor: float = Field(ge=0, le=1e11)
    """USD: the bracket begins at this position notional."""
    initial_margin_fraction: float = Field(gt=0, le=1)
    """Share of notional needed to open; 1 / largest leverage."""
    maintenance_margin_fraction: float = Field(gt=0, le=1)
    """Share of notional below which the position is liquidated."""

    @model_validator(mode="after")
    def _ordered(self) -> "Tier":
        if self.maintenance_margin_fraction > self.initial_margin_fraction:
            text = f"must not exceed initial_margin_fraction = {self.initial_margin_fraction:g}"
            value = self.maintenance_margin_fraction
            raise_problems([Problem("maintenance_margin_fraction", text, value)])
        return self


def _say_what_to_state(schema: dict[str, Any]) -> None:
    schema["required"] = ["tick_size", "lot_size"]
    say_reset(schema)


class Market(Part):
    """One perpetual contract; what is left out is the venue preset's."""

    model_config = ConfigDict(json_schema_extra=_say_what_to_state)

    price: float | None = Field(None, ge=1e-15, le=1e12)
    """USD: price at the start; left out where the spot history states it."""
    tick_size: float = Field(ge=1e-15, le=1e9)
    """USD: smallest price step."""
    lot_size: float = Field(ge=1e-15, le=1e9)
    """Coins: smallest size. A run trades in the smallest multiple of it whose tick is worth a whole
    number of 1e-6 USD, and says so in a note."""
    maker_fee: Live[float] = Field(ge=-0.1, le=0.1)
    """Fraction of notional paid by the resting order; negative is a rebate."""
    taker_fee: Live[float] = Field(ge=0, le=0.1)
    """Fraction of notional paid by the incoming order; not below the maker's rebate."""
    impact_notional: Live[float] = Field(ge=0, le=1e12)
    """USD: notional of the impact bid and ask of the premium sample; 0: the best prices."""
    max_leverage: Live[float | None] = Field(None, ge=1, le=1000)
    """Largest leverage of a market without brackets, instead of `tiers`."""
    maintenance_margin_fraction: Live[float | None] = Field(None, gt=0, le=1)
    """Share of notional, with `max_leverage`; half of the initial fraction if left out."""
    tiers: tuple[Tier, ...] | None = Field(None, min_length=1)
    """Margin brackets, lowest first; the first begins at 0."""
    funding_cap: Live[float | None] = Field(None, ge=0, le=100)
    """Fraction of notional per 8 h: largest funding rate; left out: by the venue's rule."""
    open_interest_lower: Live[float] = Field(0.0, ge=0, le=1e12)
    """USD: one-sided open interest at which the initial fraction starts to rise."""
    open_interest_upper: Live[float] = Field(0.0, ge=0, le=1e12)
    """USD: open interest at which the initial fraction reaches 1; 0: no such rule."""
    max_position_notional: Live[float | None] = Field(None, gt=0, le=1e12)
    """USD at the initial price: largest position of an account; left out: as large as fits."""

    liquidations: bool = True
    """Whether positions in this market are ever liquidated; off, to see what liquidations do."""

    @property
    def brackets(self) -> tuple[Tier, ...]:
        """The margin brackets, whichever way they were stated."""
        if self.tiers is not None:
            return self.tiers
        initial = 1.0 / (self.max_leverage or 1.0)
        maintenance = self.maintenance_margin_fraction or initial / 2
        return (
            Tier(
                notional_floor=0.0,
                initial_margin_fraction=initial,
                maintenance_margin_fraction=maintenance,
            ),
        )

    @property
    def leverage_limit(self) -> float:
        """Largest leverage a small position may have."""
        return 1.0 / min(tier.initial_margin_fraction for tier in self.brackets)

    def bracket(self, notional: float) -> Tier:
        """Return the bracket of a position's notional in USD: the last whose floor it reaches."""
        return [tier for tier in self.brackets if notional >= tier.notional_floor][-1]

    def steps(self, atoms: int = ATOMS) -> Steps:
        """Return the steps it is counted in where one USD has so many atoms."""
        exact = atoms_per_tick(self.tick_size, self.lot_size, atoms)
        lot = Decimal(str(self.lot_size)) * exact.denominator
        return Steps(float(lot), exact.numerator)

    @property
    def tick_atoms(self) -> int:
        """Atoms in one tick of one lot of a run."""
        return self.steps().tick_atoms

    @property
    def max_lots(self) -> int:
        """Largest position the engine's integers hold in a run, lots."""
        return self.steps().max_lots

    def position_limit(self, price: float, atoms: int = ATOMS) -> int:
        """Return the largest position of an account, lots, at an initial price in USD."""
        steps = self.steps(atoms)
        if self.max_position_notional is None:
            return steps.max_lots
        return min(steps.max_lots, int(self.max_position_notional / (price * steps.lot_size)))

    def price_problems(self, price: float) -> list[Problem]:
        """Say what is wrong with the first price of a run in USD, if anything."""
        return [*self.tick_problems(price, PRICE_HEADROOM), *self._lot_problems(price)]

    def tick_problems(self, price: float, headroom: int = 1) -> list[Problem]:
        """Say whether the ticks of a price in USD, and of one so many times higher, exist."""
        ticks = price / self.tick_size
        limit = MAX_PRICE_TICKS // headroom
        if ticks < 1:
            text = f"less than one tick of {self.tick_size:g}: lower tick_size"
        elif ticks > limit:
            text = (
                f"{ticks:.4g} ticks of {self.tick_size:g}, more than {limit}: raise tick_size to "
                f"at least {_rounded_up(price / limit):g}"
            )
        else:
            return []
        return [Problem("price", text, price)]

    def _lot_problems(self, price: float) -> list[Problem]:
        """Say whether the lots of a run are too large to trade at a price in USD."""
        lot = self.steps().lot_size
        if lot <= self.lot_size or lot * price <= MAX_LOT_NOTIONAL:
            return []
        text = (
            f"with tick_size = {self.tick_size:g}, only lots of {lot:g} coins, worth "
            f"{lot * price:,.0f} USD, have ticks of a whole number of 1e-6 USD: state a rounder "
            "tick_size or lot_size"
        )
        return [Problem("lot_size", text, self.lot_size)]

    def lot_notice(self) -> str | None:
        """Say in which lots a run trades if they are not those stated."""
        lot = self.steps().lot_size
        if lot == self.lot_size:
            return None
        return (
            f"lot_size = {self.lot_size:g} coins: traded in lots of {lot:g}, the smallest multiple "
            f"whose ticks of {self.tick_size:g} USD are a whole number of 1e-6 USD"
        )

    @model_validator(mode="after")
    def _consistent(self) -> "Market":
        wrong = [*self._integer_problems(), *self._margin_problems()]
        if -self.maker_fee > self.taker_fee:
            text = f"the rebate exceeds taker_fee = {self.taker_fee:g}"
            wrong.append(Problem("maker_fee", text, self.maker_fee))
        if self.open_interest_upper and self.open_interest_lower >= self.open_interest_upper:
            text = f"must be below open_interest_upper = {self.open_interest_upper:g}"
            wrong.append(Problem("open_interest_lower", text, self.open_interest_lower))
        raise_problems(wrong)
        return self

    def _integer_problems(self) -> list[Problem]:
        steps = self.steps()
        if steps.tick_atoms * MAX_PRICE_TICKS >= MAX_POSITION_ATOMS:
            largest = MAX_POSITION_ATOMS / MAX_PRICE_TICKS / ATOMS
            text = f"would overflow: tick_size x lot_size must stay below {largest:.4g} USD"
            if steps.lot_size > self.lot_size:
                text = (
                    f"would overflow: tick_size x lot_size = {self.tick_size:g} x "
                    f"{self.lot_size:g} USD is no whole number of 1e-6 USD, and only a multiple of "
                    f"{steps.lot_size / self.lot_size:.4g} lots is: state a rounder tick_size or "
                    "lot_size"
                )
            return [Problem("lot_size", text, self.lot_size)]
        if self.price is None or self.max_position_notional is None:
            return []
        largest = steps.max_lots * steps.lot_size * self.price
        if self.max_position_notional <= largest:
            return []
        text = f"would overflow: at most {largest:.4g} USD with this tick_size and lot_size"
        return [Problem("max_position_notional", text, self.max_position_notional)]

    def _margin_problems(self) -> list[Problem]:
        fraction = self.maintenance_margin_fraction
        if self.tiers is not None:
            if self.max_leverage is not None or fraction is not None:
                return [Problem("tiers", "state tiers or max_leverage, not both")]
            return _tier_problems(self.tiers)
        if self.max_leverage is None:
            return [Problem("max_leverage", "missing; state it, or tiers")]
        if fraction is not None and fraction > 1.0 / self.max_leverage:
            text = f"must not exceed 1 / max_leverage = {1.0 / self.max_leverage:g}"
            return [Problem("maintenance_margin_fraction", text, fraction)]
        return []


def _tier_problems(tiers: tuple[Tier, ...]) -> list[Problem]:
    wrong = []
    if tiers[0].notional_floor != 0:
        wrong.append(Problem("tiers.0.notional_floor", "must be 0", tiers[0].notional_floor))
    for index in range(1, len(tiers)):
        for name in ("notional_floor", "initial_margin_fraction", "maintenance_margin_fraction"):
            below, above = getattr(tiers[index - 1], name), getattr(tiers[index], name)
            if above < below or (name == "notional_floor" and above == below):
                text = f"must rise from bracket to bracket, but is {below:g} in the one before"
                wrong.append(Problem(f"tiers.{index}.{name}", text, above))
    return wrong


def atoms_per_tick(tick_size: float, lot_size: float, atoms: int = ATOMS) -> Fraction:
    """Return the atoms in one tick of one lot, exactly as the decimals were written."""
    return Fraction(Decimal(str(tick_size))) * Fraction(Decimal(str(lot_size))) * atoms


def _rounded_up(value: float) -> float:
    """Round a positive number up to two digits, so that who follows an advice is within it."""
    step = Decimal(1).scaleb(Decimal(str(value)).adjusted() - 1)
    return float((Decimal(str(value)) / step).to_integral_value(ROUND_CEILING) * step)


def to_fraction(value: float) -> int:
    """Convert a fraction to the engine's 1e-9 units."""
    return round(value * ONE)


def with_defaults(market: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a market's table from a preset; margin is either all its own or all the preset's."""
    base = dict(defaults)
    if "max_leverage" in market or "maintenance_margin_fraction" in market:
        base.pop("tiers", None)
    return overlay(base, dict(market))
