"""The venue: the rule book all markets share, from a preset and what a scenario overrides."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import FieldError, Problem, one_of, raise_problems
from marketsim.scenario.live import Fixed, Live

#: Tables of a preset that hold a venue's rules; ``[market]`` holds defaults of its markets.
TABLES = ("mark", "funding", "margin", "liquidation")

#: Why a running market keeps its preset.
NO_OTHER_PRESET = (
    "acts only when a market starts, where it brings margin tiers and fees as well as rules: set "
    "fields such as venue.mark.rule and markets.NAME.taker_fee one by one, or start anew"
)


def _all_optional(schema: dict[str, Any]) -> None:
    # The preset supplies what a scenario leaves out, so nothing is required of the user.
    schema.pop("required", None)


class Rules(Part):
    """A table of venue rules; a rule that is left out is the preset's."""

    model_config = ConfigDict(json_schema_extra=_all_optional)


class Mark(Rules):
    """Where the mark price, which margin and liquidation use, comes from."""

    rule: Literal["index", "last", "index_plus_basis", "median"]
    """index: the spot index. last: the last fill. index_plus_basis: index + moving average of
    mid - index. median: of the index carried by funding, index plus basis, and the last fill."""
    basis_minutes: float = Field(gt=0, le=1e6)
    """Minutes: time constant of the moving average of mid - index."""


class Funding(Rules):
    """What longs pay shorts, when, and how it is found from premium samples."""

    interval_hours: float | Literal["step"] = Field(
        json_schema_extra={"examples": [1, 4, 8, "step"]}
    )
    """Hours between payments, a whole number of steps; "step" pays at every step. They fall on its
    multiples from midnight UTC where a run has a calendar (from 1970 if it divides no day), else
    from the start, and are for the time since the last: less than an interval for the first of a
    run that starts within one, the hours that passed where the interval was changed."""
    average: Literal["plain", "weighted"]
    """Average of an interval's premium samples; weighted: 1, 2, ... n, the newest heaviest."""
    min_samples: int = Field(ge=0, le=1_000_000)
    """Fewer samples than this (at most one per step) are padded with zeros."""
    interest_rate: float = Field(ge=-1, le=1)
    """Fraction of notional per 8 h."""
    dead_band: float | Literal["none"]
    """Fraction per 8 h: rate = P + clamp(interest - P, -band, band); "none": P + interest."""
    cap: float | Literal["none"]
    """Largest rate of either sign, in `cap_unit`; a market's own `funding_cap` comes first."""
    cap_unit: Literal["rate", "margin_gap", "maintenance"]
    """rate: fraction of notional per 8 h. margin_gap: times the initial less the maintenance
    fraction of the market's lowest bracket. maintenance: times its maintenance fraction."""
    premium_cap: float | Literal["none"]
    """Largest premium sample, fraction of the index, of either sign."""
    settlement_price: Literal["index", "mark"]
    """Price at which a payment values the position."""
    history: Fixed[dict[str, Path]] = Field(default_factory=dict)
    """Market -> file of the rates a real venue charged, paid instead of those the rules above give.
    A run with a calendar pays at each time what the file has for it, another from its first row."""

    @model_validator(mode="after")
    def _positive(self) -> "Funding":
        wrong = []
        if self.interval_hours != "step" and not 0 < self.interval_hours <= 8760:
            text = 'must lie in (0, 8760], or be "step"'
            wrong.append(Problem("interval_hours", text, self.interval_hours))
        for name in ("dead_band", "cap", "premium_cap"):
            value = getattr(self, name)
            if value != "none" and not 0 <= value <= 100:
                wrong.append(Problem(name, 'must lie in [0, 100], or be "none"', value))
        raise_problems(wrong)
        return self


class Margin(Rules):
    """What counts as collateral besides cash."""

    spot_haircut: float = Field(ge=0, le=1)
    """Share of the value of spot coins that does not count as collateral; 1: they do not count."""
    stable_haircut: float = Field(ge=0, le=1)
    """Share of the value of stablecoins that does not count as collateral."""


class Liquidation(Rules):
    """Who closes a pool below maintenance, how much at a time, at what price, and who pays."""

    legs: Literal["until_safe", "all"]
    """until_safe: leg by leg until margin is met again. all: every leg of a seized pool."""
    size_rule: Literal["whole", "portion", "just_enough", "tier", "chunk"]
    """whole: all. portion: a share per order. just_enough: until margin is met. tier: down to a
    lower bracket. chunk: a share of a large leg, then all of it during a cooldown."""
    portion: float = Field(gt=0, le=1)
    """Share of the leg one order closes, for portion and chunk."""
    min_notional: float = Field(ge=0, le=1e12)
    """USD: portion closes at least this much."""
    chunk_threshold: float = Field(ge=0, le=1e12)
    """USD: chunk closes smaller legs whole."""
    chunk_cooldown_minutes: float = Field(ge=0, le=1e6)
    """Minutes after a chunk in which the leg is closed whole; rounded up to steps."""
    max_account_notional: float | Literal["none"]
    """USD liquidated per account and step."""
    max_account_loss: float | Literal["none"]
    """USD the insurance fund pays for fills in the book, per account and step."""
    limit_rule: Literal["market", "bankruptcy", "fillable"]
    """Worst price of the order: a bound around the mark, the bankruptcy price, or dYdX's fillable
    price."""
    market_bound: float = Field(ge=0, lt=1)
    """Fraction of the mark within which a market order may fill."""
    bankruptcy_adjustment: float = Field(ge=0, le=1e4)
    """Of the fillable price: how fast the spread widens as equity falls below maintenance."""
    spread_ratio: float = Field(ge=0, le=100)
    """Of the fillable price: widest spread, as a multiple of the maintenance fraction."""
    liquidation_fee: float = Field(ge=0, le=1)
    """Fraction of the fill, at most, from the account to the insurance fund."""
    backstop_ratio: float = Field(ge=0, le=1)
    """Fraction of maintenance: with less equity the fund takes over at once."""
    fund_takeover: bool
    """Whether the fund takes over what a bankrupt pool has left, as far as its equity covers the
    initial margin of all it then holds. With no equity left it is deleveraged itself."""
    unwind_minutes: float | Literal["never"]
    """Minutes: time constant of the fund's selling of what it took over."""
    max_rounds: int = Field(ge=1, le=1000)
    """Rounds of liquidation within one step; what is left goes on in the next step."""
    rank_rule: Literal["bitmex", "binance", "hyperliquid", "random", "pro_rata", "pro_rata_profit"]
    """Who is deleveraged first. pro_rata: all, each by its contracts. pro_rata_profit: all who have
    a profit, each by it, then the others by their contracts."""

    @model_validator(mode="after")
    def _positive(self) -> "Liquidation":
        wrong = []
        for name in ("max_account_notional", "max_account_loss"):
            value = getattr(self, name)
            if value != "none" and not 0 < value <= 1e12:
                wrong.append(Problem(name, 'must lie in (0, 1e12], or be "none"', value))
        if self.unwind_minutes != "never" and not 0 < self.unwind_minutes <= 1e9:
            text = 'must lie in (0, 1e9], or be "never"'
            wrong.append(Problem("unwind_minutes", text, self.unwind_minutes))
        raise_problems(wrong)
        return self


class Venue(Rules):
    """The rule book: a preset, and any rule stated beside it."""

    preset: Fixed[str] = "default"
    """default, dydx, binance, bitmex or hyperliquid."""
    mark: Live[Mark]
    """The mark price."""
    funding: Live[Funding]
    """The funding rate."""
    margin: Live[Margin]
    """Collateral."""
    liquidation: Live[Liquidation]
    """The liquidation waterfall."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        name = data.get("preset", "default") if isinstance(data, dict) else None
        if not isinstance(name, str):
            return data
        if name not in preset_names():
            raise FieldError([Problem("preset", one_of(name, preset_names()), name)])
        base = {table: read_preset(name)[table] for table in TABLES}
        return overlay(base, data)


@cache
def preset_names() -> tuple[str, ...]:
    """List the venue presets."""
    folder = files("marketsim.engine.venues")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def read_preset(name: str) -> dict[str, Any]:
    """Return a preset's tables: `TABLES` and ``market``; they are shared, not to be changed."""
    text = files("marketsim.engine.venues").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the entries of `over` put on top, table by table."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            result[key] = overlay(below, value)
        else:
            result[key] = value
    return result
