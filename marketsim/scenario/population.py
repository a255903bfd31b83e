"""A population: traders of one strategy, their capital and their habits."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from marketsim.scenario import by_strategy
from marketsim.scenario.distributions import (
    Choice,
    Constant,
    Distribution,
    LogNormal,
    Pareto,
    Part,
)
from marketsim.scenario.errors import Problem, raise_problems
from marketsim.scenario.live import Live, say_reset


class Range(NamedTuple):
    """Values a habit may take."""

    low: float
    high: float
    allows_never: bool = False
    above_low: bool = False  #: the lower end itself is excluded

    def text(self) -> str:
        """Say which values are allowed."""
        bracket = "(" if self.above_low else "["
        return f"must lie in {bracket}{self.low:g}, {self.high:g}]" + (
            ', or be "never"' if self.allows_never else ""
        )

    def holds(self, value: float) -> bool:
        """Tell whether a value is allowed."""
        if math.isinf(value):
            return self.allows_never
        return self.low <= value <= self.high and not (self.above_low and value == self.low)

    def problems(self, habit: Any) -> Iterator[Problem]:
        """List the numbers of a distribution that are not allowed."""
        for name, value in habit.numbers():
            if not self.holds(value):
                yield Problem(name, self.text(), "never" if math.isinf(value) else value)


def _within(allowed: Range) -> AfterValidator:
    def check(habit: Any) -> Any:
        raise_problems(list(allowed.problems(habit)))
        return habit

    return AfterValidator(check)


#: What each habit may be.
RANGES = {
    "capital": Range(0.0, 1e12, above_low=True),
    "leverage": Range(0.1, 1000.0),
    "funding_sensitivity": Range(-1e9, 1e9),
    "attention": Range(0.0, 1e9, allows_never=True, above_low=True),
    "buffer": Range(0.0, 1000.0),
    "stop_loss": Range(0.0, 1.0, allows_never=True, above_low=True),
    "tranches": Range(1.0, 1000.0),
    "stable_share": Range(0.0, 1.0),
    "spot_hedge": Range(0.0, 10.0),
    "slippage": Range(0.0, 1.0),
}

Capital: TypeAlias = Annotated[Distribution, _within(RANGES["capital"])]
Leverage: TypeAlias = Annotated[Distribution, _within(RANGES["leverage"])]
Sensitivity: TypeAlias = Annotated[Distribution, _within(RANGES["funding_sensitivity"])]
Attention: TypeAlias = Annotated[Distribution, _within(RANGES["attention"])]
Buffer: TypeAlias = Annotated[Distribution, _within(RANGES["buffer"])]
StopLoss: TypeAlias = Annotated[Distribution, _within(RANGES["stop_loss"])]
Tranches: TypeAlias = Annotated[Distribution, _within(RANGES["tranches"])]
Share: TypeAlias = Annotated[Distribution, _within(Range(0.0, 1.0))]
SpotHedge: TypeAlias = Annotated[Distribution, _within(RANGES["spot_hedge"])]
Amount: TypeAlias = Annotated[Distribution, _within(Range(0.0, 1e12))]

Mode: TypeAlias = Literal["cross", "isolated", "partial"]
Weight: TypeAlias = Annotated[float, Field(ge=0, le=1e9)]


class Group(Part):
    """Markets that share one pool beside the main pool, for traders in partial mode."""

    markets: tuple[str, ...] = Field(min_length=1)
    """Names of the markets; a market is in one group at most, the rest stay in the main pool."""
    draw_limit: Share | Literal["unlimited"] | None = None
    """Share of the trader's capital the pool may draw from the main pool when short; 0, which is
    isolated, if left out; "unlimited" is cross."""
    draw_limit_usd: Amount | None = None
    """USD, instead of `draw_limit`."""

    @model_validator(mode="after")
    def _one_limit(self) -> "Group":
        wrong = []
        if self.draw_limit_usd is not None and self.draw_limit is not None:
            wrong.append(Problem("draw_limit", "state draw_limit or draw_limit_usd, not both"))
        if len(set(self.markets)) < len(self.markets):
            wrong.append(Problem("markets", "names a market twice", self.markets))
        raise_problems(wrong)
        return self


#: A span of time, or a multiple, that may never be reached.
Hours: TypeAlias = Annotated[float, Field(gt=0, le=1e9)]
Multiple: TypeAlias = Annotated[float, Field(ge=1, le=1e9)]
Never: TypeAlias = Literal["never"]


class Turnover(Part):
    """Traders come and go: who leaves takes its money along, and a newcomer has the account.

    A trader who leaves withdraws its orders, closes its positions at the market, over as many steps
    as the book needs, sells its coins and takes all of its money out. Then, after a random wait,
    a newcomer has the account: it pays in capital of its own, and all of its habits are drawn anew.
    Whether it leaves or takes profit, a trader considers once an hour. Besides those described
    here, who is retired leaves for good, and who holds nothing and would never look at the market
    again ("never" in `attention`).
    """

    wait_hours: Hours = 24.0
    """Mean hours until a newcomer has an account that was left; waits are exponential."""
    stay_hours: Hours | Never = 720.0
    """Mean hours a trader stays, whatever it holds, before it leaves of its own accord; stays are
    exponential. "never": until it is ruined."""
    withdraw_above: Multiple | Never = 2.0
    """Multiple of its deposit above which a trader takes profit out: the excess, as far as margin
    allows and where it is a twentieth of the deposit or more; "never": it leaves all in."""
    ruin_below: float = Field(0.1, ge=0, lt=1)
    """Share of its deposit below which a trader gives up and leaves."""


class Population(Part):
    """Traders of one strategy; each habit is a constant or a distribution over traders."""

    model_config = ConfigDict(protected_namespaces=(), json_schema_extra=say_reset)

    #: Habits in the order of their random draws: `k` of a draw is the place here, so a new habit
    #: goes to the end. Capital comes first.
    HABITS: ClassVar[tuple[str, ...]] = tuple(RANGES)

    strategy: str = Field(min_length=1)
    """Name of a built-in strategy; or a class of your own, "module:Class" or
    "path/to/file.py:Class"."""
    count: int = Field(ge=1, le=100_000_000)
    """Number of traders."""
    capital: Capital = Pareto(kind="pareto", min=2_000.0, alpha=1.5, max=5_000_000.0)
    """USD each trader deposits at the start."""
    leverage: Live[Leverage] = LogNormal(kind="lognormal", median=5.0, sigma=0.8, min=1.0)
    """Notional / equity the trader aims at; never above what the margin bracket of its position
    allows."""
    margin_mode: Live[Mode | dict[Mode, Weight]] = "cross"
    """cross, isolated or partial, or the share of traders in each."""
    groups: Live[dict[str, Group]] = Field(default_factory=dict)
    """Pools of traders in partial mode."""
    markets: tuple[str, ...] | dict[str, Weight] | None = None
    """Markets traded, as a list or with weights; left out: all, equally."""
    funding_sensitivity: Live[Sensitivity] = LogNormal(
        kind="lognormal", median=1.0, sigma=1.0, max=100.0
    )
    """How strongly funding repels the trader; 0 ignores it, 1 is ordinary."""
    attention: Live[Attention] = Choice(
        kind="choice", values=(5.0, 60.0, 480.0, 1440.0), weights=(0.2, 0.4, 0.3, 0.1)
    )
    """Mean minutes between two looks at the market; "never": only at the start."""
    buffer: Live[Buffer] = Choice(kind="choice", values=(0.0, 0.5, 1.0), weights=(0.6, 0.25, 0.15))
    """Deleverages or tops up when equity / maintenance margin - 1 is below this; 0: does not."""
    stop_loss: Live[StopLoss] = Choice(
        kind="choice", values=("never", 0.05, 0.1), weights=(0.7, 0.15, 0.15)
    )
    """Closes at this loss, as a fraction of the entry price; "never": does not."""
    tranches: Live[Tranches] = Constant(1.0)
    """Orders an entry is spread over; rounded to a whole number."""
    stable_share: Share = Constant(0.0)
    """Share of capital held in stablecoins."""
    spot_hedge: Live[SpotHedge] = Constant(0.0)
    """Spot coins held against a perp position, as a share of its size."""
    slippage: Live[Share] = LogNormal(
        kind="lognormal", median=0.005, sigma=0.7, min=0.0005, max=0.1
    )
    """Fraction of mid a market order may move away from it at most."""
    parameters: Live[dict[str, Any]] = Field(default_factory=dict)
    """The strategy's own parameters; its class in `marketsim.agents` checks them."""
    turnover: Turnover | None = None
    """Traders come and go; left out: all stay to the end, whatever becomes of them. An empty table
    is one with its defaults."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Give a population its strategy's habits where it states none."""
        strategy = data.get("strategy") if isinstance(data, dict) else None
        if not isinstance(strategy, str):
            return data
        return {**by_strategy.default_habits(strategy), **data}

    @property
    def mode_weights(self) -> tuple[float, float, float]:
        """Shares of cross, isolated and partial, in any unit."""
        if isinstance(self.margin_mode, str):
            return tuple(float(self.margin_mode == mode) for mode in MODES)  # type: ignore[return-value]
        return tuple(self.margin_mode.get(mode, 0.0) for mode in MODES)  # type: ignore[return-value]

    def market_weights(self, markets: tuple[str, ...]) -> tuple[float, ...]:
        """Return a weight per market, summing to one; 0 for those not traded."""
        if self.markets is None:
            weights = [1.0] * len(markets)
        elif isinstance(self.markets, dict):
            weights = [self.markets.get(name, 0.0) for name in markets]
        else:
            weights = [float(name in self.markets) for name in markets]
        total = math.fsum(weights)
        return tuple(weight / total for weight in weights)

    @model_validator(mode="after")
    def _consistent(self) -> "Population":
        wrong = by_strategy.parameter_problems(self.strategy, self.parameters)
        for name in ("margin_mode", "markets"):
            value = getattr(self, name)
            if isinstance(value, dict) and value and sum(value.values()) <= 0:
                wrong.append(Problem(name, "the weights sum to zero; one must be above 0", value))
        if self.markets is not None and not self.markets:
            wrong.append(Problem("markets", "names no market; leave it out to trade all", []))
        if isinstance(self.markets, tuple) and len(set(self.markets)) < len(self.markets):
            wrong.append(Problem("markets", "names a market twice", self.markets))
        if self.mode_weights[2] > 0 and not self.groups:
            wrong.append(Problem("groups", 'margin_mode "partial" needs at least one group'))
        grouped: dict[str, str] = {}
        for group, content in self.groups.items():
            for market in content.markets:
                if grouped.setdefault(market, group) != group:
                    text = f"{market} is already in group {grouped[market]}"
                    wrong.append(Problem(f"groups.{group}.markets", text, content.markets))
        raise_problems(wrong)
        return self


#: Margin modes in the order of their numbers in a roster.
MODES: tuple[Mode, ...] = ("cross", "isolated", "partial")
