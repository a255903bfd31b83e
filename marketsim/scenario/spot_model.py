"""What a user states about the outside world: the ``[spot]`` table.

Units: USD, hours and fractions; volatilities a year; a name that says minutes means minutes.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, field_validator, model_validator

from marketsim.engine.world import SCALES
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


class Scale(Part):
    """A time scale of volatility."""

    half_life: Positive
    """Hours in which half of what it adds to the logarithm of volatility is forgotten."""
    share: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Of the variance of that logarithm; only ratios matter."""


Clustering = Annotated[float, Field(ge=0, lt=1)]
Scales = Annotated[tuple[Scale, ...], Field(min_length=1, max_length=SCALES)]


def _four_scales(*shares: float) -> tuple[Scale, ...]:
    """Return scales of minutes, hours, days and weeks."""
    half_lives = (0.2, 4.0, 60.0, 300.0)
    return tuple(Scale(half_life=h, share=w) for h, w in zip(half_lives, shares, strict=True))


class Factor(Part):
    r"""The common factor: volatility of several time scales, a calm and a stress regime, jumps.

    In a step of length D, apart from jumps,

    .. math::
        r = m \, \sigma \sqrt{D} \, e^{S x - S^2 \mathrm{Var}(x)} z, \quad
        x = \sum_k \sqrt{w_k} \, x_k, \quad S^2 = -\tfrac{1}{4} \ln(1 - \mathrm{clustering})

    with m the multiplier of stress or 1, z standard normal, and for every one of `scales` an
    Ornstein-Uhlenbeck process of unit variance, half-life and share w_k as stated, read in the
    middle of the step and started from its stationary law.
    """

    volatility: Volatility = 0.50
    """A year, in calm: root of the mean square return, jumps apart."""
    clustering: Clustering = 0.85
    """How strongly volatility comes in bursts; 0: it is constant. The kurtosis of the return of a
    short step is 3 / (1 - clustering), stress and jumps apart."""
    scales: Scales = _four_scales(0.40, 0.20, 0.15, 0.25)
    """Time scales of volatility, up to four."""
    stress_per_day: NotNegative = 0.15
    """How often calm turns into stress."""
    stress_hours: Positive = 18.0
    """Mean length of stress."""
    stress_multiplier: Annotated[float, Field(ge=1, le=100)] = 2.2
    """Of the factor's volatility, in stress."""
    jumps: Jumps = Jumps(per_day=0.2, law="double_exponential", up_mean=0.011, down_mean=0.015)
    """Common jumps; an asset makes `beta` times the jump."""


class Own(Part):
    """What moves one asset: its share of the factor and news of its own."""

    beta: Beta = 1.0
    """Return per return of the factor."""
    drift: Drift = 0.0
    """Expected growth of the price a year (its logarithm), jumps apart."""
    volatility: Volatility = 0.43
    """A year, of the own part."""
    clustering: Clustering = 0.88
    """As for the factor."""
    common_share: Share = 0.15
    """Share of the variance of the logarithm of volatility that comes from the factor's: 1 lets the
    own part be quiet and wild when the factor is."""
    scales: Scales = _four_scales(0.70, 0.15, 0.08, 0.07)
    """Time scales of what volatility has of its own, up to four."""
    jumps: Jumps = Jumps(per_day=0.2, law="double_exponential", up_mean=0.016, down_mean=0.016)
    """Jumps of this asset alone."""


class MarketSpot(Part):
    """Fields of `spot.own` that differ for one market."""

    beta: Beta | None = None
    """As in `spot.own`."""
    drift: Drift | None = None
    """As in `spot.own`."""
    volatility: Volatility | None = None
    """As in `spot.own`."""
    clustering: Clustering | None = None
    """As in `spot.own`."""
    common_share: Share | None = None
    """As in `spot.own`."""
    scales: Scales | None = None
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
