"""What a user states about the outside world: the ``[spot]`` table.

Units: USD, hours and fractions; volatilities a year; a name that says minutes means minutes.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, field_validator, model_validator

from marketsim.scenario.distributions import Part
from marketsim.scenario.live import Fixed, Live, say_reset

#: Bounded so that no sum or product of them leaves what a number can hold.
Positive = Annotated[float, Field(gt=0, le=1e9)]
NotNegative = Annotated[float, Field(ge=0, le=1e9)]
#: At 100 a year, a price moves by 14 % in a minute.
Volatility = Annotated[float, Field(ge=0, le=100)]
LogReturn = Annotated[float, Field(ge=-10, le=10)]
Size = Annotated[float, Field(ge=0, le=10)]
PerDay = Annotated[float, Field(ge=0, le=1e5)]
Beta = Annotated[float, Field(ge=-1000, le=1000)]
Drift = Annotated[float, Field(ge=-1000, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]


class Jumps(Part):
    """Sudden moves of a price: at most one a step, their number Poisson."""

    per_day: PerDay = 0.0
    """Expected number a day."""
    law: Literal["normal", "double_exponential"] = "normal"
    """Law of the log return of a jump."""
    mean: LogReturn = 0.0
    """Of the normal law."""
    sd: Size = 0.02
    """Of the normal law."""
    up_share: Share = 0.5
    """Of the double exponential law: probability that a jump goes up."""
    up_mean: Size = 0.02
    """Of the double exponential law: mean log return of jumps up."""
    down_mean: Size = 0.02
    """Of the double exponential law: mean log return of jumps down, stated positive."""


class Factor(Part):
    """The common factor: GARCH volatility, a calm and a stress regime, jumps.

    The defaults here and in `Own` were set so that hourly returns of the simulated index look
    like those of large coins in 2020-2025 (volatility .8, Hill exponent 2.5, autocorrelation of
    absolute returns .26 after an hour, correlation .67); what they miss is the memory of
    volatility beyond four days.
    """

    volatility: Volatility = 0.48
    """A year, in calm."""
    half_life: Positive = 72.0
    """Hours in which half of a burst of volatility is forgotten."""
    clustering: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """0: constant volatility; the kurtosis of one step's return is 3 / (1 - clustering)."""
    stress_per_day: NotNegative = 0.12
    """How often calm turns into stress."""
    stress_hours: Positive = 14.0
    """Mean length of stress."""
    stress_multiplier: Annotated[float, Field(ge=1, le=100)] = 4.0
    """Of the factor's volatility, in stress."""
    jumps: Jumps = Jumps(per_day=0.05, mean=-0.005, sd=0.03)
    """Common jumps; an asset makes `beta` times the jump."""


class Own(Part):
    """What moves one asset: its share of the factor and news of its own."""

    beta: Beta = 1.0
    """Return per return of the factor."""
    drift: Drift = 0.0
    """Expected growth of the price a year (its logarithm), jumps apart."""
    volatility: Volatility = 0.45
    """A year, of the own part."""
    half_life: Positive = 36.0
    """Hours in which half of a burst of volatility is forgotten."""
    clustering: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """As for the factor."""
    jumps: Jumps = Jumps(per_day=0.1, sd=0.03)
    """Jumps of this asset alone."""


class MarketSpot(Part):
    """Fields of `spot.own` that differ for one market."""

    beta: Beta | None = None
    """As in `spot.own`."""
    drift: Drift | None = None
    """As in `spot.own`."""
    volatility: Volatility | None = None
    """As in `spot.own`."""
    half_life: Positive | None = None
    """As in `spot.own`."""
    clustering: Annotated[float, Field(ge=0, lt=1)] | None = None
    """As in `spot.own`."""
    jumps: Jumps | None = None
    """As in `spot.own`."""


class Source(Part):
    """One spot venue whose price enters every index."""

    weight: Positive = 1.0
    """Its traded volume; only ratios matter."""
    deviation: Annotated[float, Field(ge=0, le=0.1)] | None = None
    """Standard deviation of the fraction by which it prints off the asset's price; left out it is
    0.0001, and 0 where spot is constant."""
    half_life_minutes: Positive = 10.0
    """Of a deviation."""


def _three_sources() -> dict[str, Source]:
    return {"first": Source(weight=0.5), "second": Source(weight=0.3), "third": Source(weight=0.2)}


class Bar(Part):
    """Columns of one market in a wide file."""

    close: Name
    """Column of the price at the end of the bar."""
    high: Name | None = None
    """Column of the bar's highest price; with `low`, bars pass their extremes."""
    low: Name | None = None
    """Column of the bar's lowest price."""

    @model_validator(mode="after")
    def _check_extremes(self) -> "Bar":
        return _with_both_extremes(self)


class Reading(Part):
    """How a file is to be read; what is left out is told from the file, and said in a note."""

    names: tuple[Name, ...] | None = Field(None, min_length=1)
    """Names of all columns in their order, for a file without a header line or in place of it."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Character between the fields of a text."""
    skip_lines: int | None = Field(None, ge=0, le=1000)
    """Lines above the header of a text, or above its first row, that are not part of the table."""
    decimal: Literal[".", ","] | None = None
    """Decimal point of the prices; the other sign may stand between thousands."""
    time_format: Name | None = None
    """How times are written, as "%d/%m/%Y %H:%M" (the directives of Python's strptime)."""
    timezone: Name = "UTC"
    """Zone of times without an offset, in the file and here; times with one are converted."""

    @field_validator("timezone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("not a time zone; write for example 'UTC' or 'Asia/Tokyo'") from None
        return zone


class History(Reading):
    """A file of prices to replay; `marketsim inspect FILE` prints this table for a file."""

    path: Path
    """CSV, JSON, Parquet or Arrow (feather) file, also packed by gzip, zip, bzip2, xz or zstd."""
    format: Literal["long", "wide"] | None = None
    """long: a row per time and asset, or one asset; wide: a row per time, columns per market."""
    time: Name | Annotated[tuple[Name, ...], Field(min_length=2, max_length=2)] | None = None
    """Column of the times, or the two of the date and the time of day."""
    time_marks: Literal["open", "close", "moment"] | None = None
    """Which end of its bar a time marks; moment: each row is a price at that time, of no bar."""
    asset: Name | None = None
    """Long format: column of the asset's name."""
    close: Name | None = None
    """Long format: column of the price at the end of the bar."""
    high: Name | None = None
    """Long format: column of the bar's highest price; with `low`, bars pass their extremes."""
    low: Name | None = None
    """Long format: column of the bar's lowest price."""
    columns: dict[str, Name | Bar] = Field(default_factory=dict)
    """Wide format: market -> column of its price, or a table of close, high and low columns."""
    symbols: dict[str, Name] = Field(default_factory=dict)
    """Long format: market -> its name in the file, where that differs."""
    start: datetime | None = None
    """Left out: the first moment at which all markets have a price."""
    end: datetime | None = None
    """Left out: the last such moment."""
    bar_minutes: Annotated[float, Field(ge=0.001, le=1e6)] | None = None
    """Length of a bar; left out: the most common distance of two rows."""
    bridge: Literal["linear", "hold", "brownian"] = "linear"
    """Between known prices: straight in log price, the last price held, or a random path."""
    max_gap: NotNegative = 6.0
    """Hours; a longer hole in the file is an error."""

    @field_validator("start", "end", mode="before")
    @classmethod
    def _is_date(cls, moment: Any) -> Any:
        if isinstance(moment, bool | int | float):
            raise ValueError("must be a time, for example 2025-10-10T21:15:00Z")
        return moment

    @model_validator(mode="after")
    def _check_columns(self) -> "History":
        if self.format == "wide" and not self.columns:
            raise ValueError("format = 'wide' needs 'columns': a table market -> column")
        return _with_both_extremes(self)


def _with_both_extremes(bar: "BarOrHistory") -> "BarOrHistory":
    if (bar.high is None) != (bar.low is None):
        raise ValueError("name both a high and a low column, or neither")
    return bar


BarOrHistory = TypeVar("BarOrHistory", Bar, History)


class Spot(Part):
    """The outside world: what moves spot prices and how spot venues make an index."""

    model_config = ConfigDict(json_schema_extra=say_reset)

    kind: Literal["factor", "history", "constant"] = "factor"
    """A random factor model, a replayed file, or prices that only shocks move."""
    factor: Live[Factor] = Factor()
    """What all assets share."""
    own: Live[Own] = Own()
    """What each asset has of its own."""
    markets: Live[dict[str, MarketSpot]] = Field(default_factory=dict)
    """By market: what differs from `own`."""
    sources: Fixed[dict[str, Source]] = Field(
        default_factory=_three_sources, min_length=1, max_length=64
    )
    """The spot venues, by name; every market's index is made of all of them."""
    median: Live[bool] = False
    """The index is the median of the sources, each counting once, not their weighted mean."""
    reflexivity: Live[Share] = 0.0
    """Share of the perp's price impact that becomes spot return a step later."""
    history: Fixed[History | None] = None
    """The file to replay, for kind = "history"."""

    @model_validator(mode="after")
    def _check_history(self) -> "Spot":
        if self.kind == "history" and self.history is None:
            raise ValueError("kind = 'history' needs a table [spot.history] with a path")
        return self

    def market(self, name: str) -> Own:
        """Return what moves one market's asset, its overrides applied."""
        override = self.markets.get(name, MarketSpot())
        fields = {field: getattr(override, field) for field in override.model_fields_set}
        return self.own.model_copy(update={k: v for k, v in fields.items() if v is not None})
