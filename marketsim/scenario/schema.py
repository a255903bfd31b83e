"""The scenario: everything a run needs."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from marketsim.engine.state import ATOMS
from marketsim.scenario.changes import intervention_problems
from marketsim.scenario.distributions import Distribution, Part, median
from marketsim.scenario.draws import draw_problems, settle
from marketsim.scenario.errors import (
    Problem,
    ScenarioError,
    first_text,
    nearest,
    one_of,
    raise_problems,
)
from marketsim.scenario.interventions import AnyIntervention
from marketsim.scenario.live import Fixed, Label, say_reset
from marketsim.scenario.markets import Market, with_defaults
from marketsim.scenario.population import Population
from marketsim.scenario.shocks import AnyShock, Shock, contradictions
from marketsim.scenario.spot_model import Spot
from marketsim.scenario.venue import NO_OTHER_PRESET, Venue, preset_names, read_preset
from marketsim.scenario.wording import ONE_LINE

#: Deposits of all accounts stay below this, atoms, so that no sum of them overflows.
MAX_DEPOSIT_ATOMS = 2**60
#: Steps fit an int32 with room for an order's life.
MAX_STEPS = 2**30
#: Longest run.
MAX_DAYS = 36_500
#: Shortest and longest step, minutes.
STEP_MINUTES = (1e-3, 1440.0)
#: Least and largest move a contagion matrix is measured by.
CONTAGION_DELTA = (1e-5, 0.5)
#: The contagion matrices of a run are held in memory.
MAX_CONTAGION_BYTES = 2**30

#: Rules of a market that may change while it trades.
CHANGING_RULES = tuple(
    name for name, rule in Market.model_json_schema()["properties"].items() if rule["live"] is True
)

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Interval: TypeAlias = float | Literal["never"]


#: Spans of a record that may be "never".
_INTERVALS = (
    "snapshot_minutes",
    "contagion_minutes",
    "depth_minutes",
    "book_minutes",
    "heatmap_minutes",
)


class Record(Part):
    """What a run writes down."""

    warm_up: float = Field(0.0, ge=0, le=24.0 * MAX_DAYS)
    """Hours that the market runs before its record begins, a whole number of steps. Steps and hours
    of all that is stated and recorded, of shocks and interventions too, count from the record's
    first; what an account owns by then counts as its deposit. Every run takes the time it costs,
    but runs of a sweep may share it."""

    fills: bool = False
    """Whether every fill is written; off, the liquidations and the totals remain."""
    causes: bool = True
    """Whether the cause of every liquidation is written: what its pool lost, where and by what."""
    series_minutes: float = Field(1.0, gt=0, le=1e6)
    """Minutes between two rows of the market series; a whole number of steps. Left out: every
    step, at most one a minute."""
    population_minutes: float = Field(60.0, gt=0, le=1e6)
    """Minutes between two rows of the population series; a whole number of steps. Left out: as
    near above an hour as steps allow."""
    snapshot_minutes: Interval = "never"
    """Minutes between two snapshots of all accounts, a whole number of steps; "never": only the
    start and the end."""
    contagion_minutes: Interval = 60.0
    """Minutes between two contagion matrices, rounded to whole steps, or "never"."""
    contagion_delta: float = Field(0.01, ge=CONTAGION_DELTA[0], le=CONTAGION_DELTA[1])
    """Fraction by which a contagion matrix moves each mark on paper."""
    reproduction_hours: Annotated[float, Field(gt=0, le=24.0 * MAX_DAYS)] | Literal["never"] = (
        "never"
    )
    """Hour at which the reproduction number is measured once, in copies of the run that go on for
    `reproduction_horizon`; rounded to whole steps."""
    reproduction_draws: int = Field(40, ge=1, le=10_000)
    """Liquidations forced to measure it, each in a copy of its own."""
    reproduction_horizon: float = Field(0.25, gt=0, le=1000)
    """Hours in which what follows one is counted."""
    depth_minutes: Interval = "never"
    """Minutes between two rows of the depth of every book, rounded to whole steps; "never": no such
    table."""
    book_minutes: Interval = "never"
    """Minutes between two snapshots of all books, rounded to whole steps; "never": no such
    table."""
    heatmap_minutes: Interval = 60.0
    """Minutes between two liquidation heat maps, rounded to whole steps, or "never"."""
    heatmap_band: float = Field(0.01, ge=1e-4, le=1)
    """Width of the price bands of a liquidation heat map, a fraction of the price."""
    heatmap_reach: float = Field(0.5, gt=0, lt=1)
    """Move of the mark, a fraction, beyond which a liquidation heat map does not look."""

    @model_validator(mode="after")
    def _positive(self) -> "Record":
        wrong = []
        for name, value in self:
            if name in _INTERVALS and value != "never" and not 0 < value <= 1e6:
                wrong.append(Problem(name, 'must lie in (0, 1e6], or be "never"', value))
        raise_problems(wrong)
        return self


class Scenario(Part):
    """Markets, venue, spot prices, shocks and the traders; only the seed may come from outside."""

    model_config = ConfigDict(title="marketsim scenario", json_schema_extra=say_reset)

    name: Label[Name] = "scenario"
    """Short name, the default name of the run folder."""
    description: Label[str] = Field("", max_length=200, pattern=ONE_LINE)
    """One line for the list of scenarios."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of a run that is given none; a PerpMarket draws a fresh one where it is not stated."""
    step_minutes: float = Field(1.0, ge=STEP_MINUTES[0], le=STEP_MINUTES[1])
    """Minutes of one step."""
    days: Annotated[float, Field(gt=0, le=MAX_DAYS)] | Literal["open"] = 7.0
    """Days simulated unless the run says otherwise; a whole number of steps. Or "open": a run made
    from Python goes on as long as it is told to."""
    insurance_fund: float = Field(1_000_000.0, ge=0, le=1e12)
    """USD in the insurance fund at the start."""
    markets: dict[Name, Market] = Field(min_length=1, max_length=1000)
    """The perpetual contracts, by name."""
    venue: Venue = Field(default_factory=lambda: Venue.model_validate({}))
    """The rule book all markets share."""
    spot: Spot = Spot()
    """What moves spot prices."""
    shocks: Fixed[tuple[AnyShock, ...]] = ()
    """What happens at a stated time."""
    interventions: Fixed[tuple[AnyIntervention, ...]] = ()
    """What is done to the running market from outside, in the order given."""
    populations: dict[Name, Population] = Field(min_length=1)
    """The traders, by name of population."""
    record: Fixed[Record] = Record()
    """What a run writes down."""
    drawn: Fixed[dict[str, Distribution]] = Field(default_factory=dict)
    """Fields that a run draws once, by its seed: dotted path -> distribution. Runs are then
    different markets, as quarters of a real one are. A field that is stated anew, as by --set, is
    no longer drawn."""

    @property
    def is_open(self) -> bool:
        """Whether a run has no end."""
        return self.days == "open"

    @property
    def num_steps(self) -> int:
        """Steps of a run of the default length.

        Raises
        ------
        ScenarioError
            If it has no end.
        """
        if isinstance(self.days, str):
            text = "must be a number here: only a run made from Python goes on without an end"
            raise ScenarioError([Problem("days", text, self.days).line()], self.name)
        return self.steps_of(1440.0 * self.days)

    @property
    def warm_up_steps(self) -> int:
        """Steps before the record begins."""
        return round(60.0 * self.record.warm_up / self.step_minutes)

    @property
    def num_traders(self) -> int:
        """Traders of all populations."""
        return sum(population.count for population in self.populations.values())

    @property
    def funding_interval_steps(self) -> int:
        """Steps between two funding payments."""
        hours = self.venue.funding.interval_hours
        return 1 if hours == "step" else self.steps_of(60.0 * hours)

    def steps_of(self, minutes: float) -> int:
        """Return a span of minutes in steps, at least one."""
        return max(1, round(minutes / self.step_minutes))

    def span(self, interval: Interval) -> int:
        """Return the steps between two moments, 0 for never."""
        return 0 if isinstance(interval, str) else self.steps_of(interval)

    @property
    def struck_markets(self) -> tuple[str, ...]:
        """Markets whose spot price a shock moves, scheduled or not."""
        moves = [shock for shock in self.all_shocks if shock.side != 0]
        struck = {name for shock in moves for name in shock.only or self.markets}
        return tuple(name for name in self.markets if name in struck)

    @property
    def strikes(self) -> tuple[tuple[int, int], ...]:
        """The shocks: first step they act in; -1 prices fall, 1 they rise, 0 others."""
        step = self.step_minutes
        return tuple((shock.first_step(step), shock.side) for shock in self.all_shocks)

    @property
    def all_shocks(self) -> tuple[Shock, ...]:
        """The scheduled shocks, and those among the interventions."""
        found = [entry.as_shock(self.step_minutes) for entry in self.interventions]
        return (*self.shocks, *(shock for shock in found if shock is not None))

    def notices(self) -> list[str]:
        """List what can be run but has no effect, or not the one stated."""
        traded: set[str] = set()
        names = tuple(self.markets)
        for population in self.populations.values():
            weights = population.market_weights(names)
            traded |= {name for name, weight in zip(names, weights, strict=True) if weight > 0}
        idle = [name for name in names if name not in traded]
        found = [f"markets.{name}: no population trades it" for name in idle]
        lots = {name: market.lot_notice() for name, market in self.markets.items()}
        found += [f"markets.{name}.{notice}" for name, notice in lots.items() if notice]
        for name, population in self.populations.items():
            if population.groups and population.mode_weights[2] == 0:
                found.append(f"populations.{name}.groups: nobody has margin_mode partial")
        return found if isinstance(self.days, str) else [*found, *self._never(24.0 * self.days)]

    def _never(self, hours: float) -> Iterator[str]:
        """List what would happen after the end."""
        yield from (
            f"shocks.{index}: {shock.title} at {shock.at:.10g} hours never happens, "
            f"the run ends after {hours:.10g}"
            for index, shock in enumerate(self.shocks)
            if shock.first_step(self.step_minutes) >= self.num_steps
        )
        yield from (
            f"interventions.{index}: {entry.kind} at step {entry.at_step} never happens, "
            f"the run ends after {self.num_steps}"
            for index, entry in enumerate(self.interventions)
            if entry.at_step >= self.num_steps
        )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Give markets what their venue's preset says and they do not, and records whole steps."""
        return _follow_step(completed(data)) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        raise_problems(
            [
                *self._time_problems(),
                *self._price_problems(),
                *self._name_problems(),
                *self._leverage_problems(),
                *self._deposit_problems(),
                *self._rule_problems(),
                *intervention_problems(self),
                *self._record_problems(),
            ]
        )
        # apart, for each is sought in a scenario that is right
        raise_problems(list(draw_problems(self, self.drawn)))
        return self

    def _time_problems(self) -> Iterator[Problem]:
        step = self.step_minutes
        spans: list[tuple[str, float | str, float]] = [
            ("days", self.days, 1440.0),
            ("venue.funding.interval_hours", self.venue.funding.interval_hours, 60.0),
            ("record.series_minutes", self.record.series_minutes, 1.0),
            ("record.population_minutes", self.record.population_minutes, 1.0),
            ("record.snapshot_minutes", self.record.snapshot_minutes, 1.0),
            ("record.warm_up", self.record.warm_up or "none", 60.0),
        ]
        for path, span, unit in spans:
            if isinstance(span, str):
                continue
            steps = span * unit / step
            if round(steps) < 1 or abs(steps - round(steps)) > 1e-9 * steps:
                text = f"must be a whole number of steps of step_minutes = {step:g}, not {steps:g}"
                yield Problem(path, text, span)
        history = self.spot.history if self.spot.kind == "history" else None
        if self.is_open and history is not None and history.bridge == "brownian":
            text = (
                'must be a number where spot.history.bridge = "brownian": the random path between '
                "two prices follows from all that are replayed"
            )
            yield Problem("days", text, self.days)
        num_steps = self.warm_up_steps + (0 if self.is_open else self.num_steps)
        if num_steps > MAX_STEPS:
            path = "days" if self.warm_up_steps == 0 else "record.warm_up"
            text = f"{num_steps} steps, more than {MAX_STEPS}: raise step_minutes"
            yield Problem(path, text, self.days if path == "days" else self.record.warm_up)

    def _price_problems(self) -> Iterator[Problem]:
        for name, market in self.markets.items():
            if market.price is None and self.spot.kind != "history":
                path = f"markets.{name}.price"
                text = "missing; only a spot history states the first price (USD at the start)"
                yield Problem(path, text)
            elif market.price is not None:
                for problem in market.price_problems(market.price):
                    yield problem._replace(path=f"markets.{name}.{problem.path}")

    def _name_problems(self) -> Iterator[Problem]:
        for line in contradictions(self.spot, self.shocks, self.markets, self.step_minutes):
            yield Problem("", line)
        for name in self.venue.funding.history:
            if name not in self.markets:
                yield Problem(f"venue.funding.history.{name}", one_of(name, self.markets), name)
        for name, population in self.populations.items():
            stated = [("markets", market) for market in population.markets or ()]
            for group, content in population.groups.items():
                stated += [(f"groups.{group}.markets", market) for market in content.markets]
            for path, market in stated:
                if market not in self.markets:
                    yield Problem(
                        f"populations.{name}.{path}", one_of(market, self.markets), market
                    )

    def _leverage_problems(self) -> Iterator[Problem]:
        names = tuple(self.markets)
        for name, population in self.populations.items():
            if isinstance(population.markets, tuple | dict) and not (
                set(population.markets) <= set(names)
            ):
                continue
            limits = {
                market: self.markets[market].leverage_limit
                for market, weight in zip(names, population.market_weights(names), strict=True)
                if weight > 0
            }
            market = min(limits, key=limits.__getitem__)
            for path, value in population.leverage.numbers():
                if value > limits[market] * (1 + 1e-6):
                    text = (
                        f"above the limit of {market}, {limits[market]:.6g} (1 / its initial "
                        f"margin fraction): lower it, or raise markets.{market}.max_leverage"
                    )
                    whole = f"populations.{name}.leverage" + (f".{path}" if path else "")
                    yield Problem(whole, text, value)

    def _deposit_problems(self) -> Iterator[Problem]:
        total = self.insurance_fund
        for name, population in self.populations.items():
            typical = median(population.capital)
            total += population.count * typical
            if total * ATOMS >= MAX_DEPOSIT_ATOMS:
                text = (
                    f"{population.count} traders of about {typical:.4g} USD: all deposits must "
                    f"stay below {MAX_DEPOSIT_ATOMS / ATOMS:.4g} USD, or sums would overflow"
                )
                yield Problem(f"populations.{name}.capital", text)
                return

    def _rule_problems(self) -> Iterator[Problem]:
        for index, shock in enumerate(self.shocks):
            if shock.rule is not None:
                field, value = shock.rule
                try:
                    self.with_rule(field, value)
                except ValidationError as error:
                    yield Problem(f"shocks.{index}.value", first_text(error), value)
                except ValueError as error:
                    yield Problem(f"shocks.{index}.field", str(error), field)

    def _record_problems(self) -> Iterator[Problem]:
        hours, horizon = self.record.reproduction_hours, self.record.reproduction_horizon
        last = math.inf if isinstance(self.days, str) else 24.0 * self.days
        if not isinstance(hours, str) and hours + horizon > last:
            text = f"with the {horizon:g} h that follow it is beyond the end, {last:g} h"
            yield Problem("record.reproduction_hours", text, hours)
        minutes = self.record.contagion_minutes
        if isinstance(minutes, str) or self.is_open:
            return
        moments = self.num_steps // self.steps_of(minutes) + 1
        needed = moments * 4 * len(self.markets) ** 2 * 8
        if needed > MAX_CONTAGION_BYTES:
            text = (
                f"{moments:,} matrices of {len(self.markets)} markets squared take "
                f"{needed / 2**30:.1f} GiB, more than {MAX_CONTAGION_BYTES / 2**30:g}: raise it, "
                'or set "never"'
            )
            yield Problem("record.contagion_minutes", text, minutes)

    def settled(self, seed: int) -> "Scenario":
        """Return what a seed's run is of: what is drawn has the value that the seed draws."""
        return settle(self, self.drawn, seed)

    def lasting(self, num_steps: int) -> "Scenario":
        """Return the scenario with another length.

        Raises
        ------
        ValueError
            If no scenario may be as long.
        """
        longer = self.ending(num_steps)
        problems = [*longer._time_problems(), *longer._record_problems()]
        if isinstance(longer.days, float) and longer.days > MAX_DAYS:
            problems.append(Problem("days", f"must be at most {MAX_DAYS:g}", longer.days))
        raise_problems(problems)
        return longer

    def ending(self, num_steps: int) -> "Scenario":
        """Return the scenario with the length of a run that there was."""
        return self.model_copy(update={"days": num_steps * self.step_minutes / 1440.0})

    def with_rule(self, field: str, value: Any) -> "Scenario":
        """Return the scenario with one rule of the venue or of a market changed.

        Parameters
        ----------
        field : str
            Dotted path, for example ``"venue.funding.interval_hours"``.
        value : bool, int, float or str

        Raises
        ------
        ValueError
            If there is no such rule or the value is not allowed.
        """
        path = field.split(".")
        if field == "venue.preset":
            raise ValueError(NO_OTHER_PRESET)
        data = self.model_dump(
            mode="python", exclude_none=True, exclude={"shocks", "interventions"}
        )
        rules = self._changing_rules()
        if field not in rules:
            allowed = f"a field of venue, or markets.NAME. and one of {', '.join(CHANGING_RULES)}"
            raise ValueError(f"there is no such rule{nearest(field, rules)}; it must be {allowed}")
        node = data
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        if path[-1] == "max_leverage":
            node.pop("tiers", None)
        return Scenario.model_validate(data)

    def _changing_rules(self) -> list[str]:
        tables = self.venue.model_dump(exclude={"preset"})
        rules = [f"venue.{table}.{rule}" for table, rules in tables.items() for rule in rules]
        rules += [f"markets.{name}.{rule}" for name in self.markets for rule in CHANGING_RULES]
        return rules


def completed(data: dict[str, Any]) -> dict[str, Any]:
    """Return a scenario's tables with each market completed from the venue's preset."""
    venue = data.get("venue", {})
    name = venue.get("preset", "default") if isinstance(venue, dict) else None
    markets = data.get("markets")
    if not isinstance(markets, dict):
        return data
    # An unknown preset is the venue's error; the markets then need no errors of their own.
    known = name if isinstance(name, str) and name in preset_names() else "default"
    defaults = read_preset(known)["market"]
    return {
        **data,
        "markets": {
            key: with_defaults(market, defaults) if isinstance(market, dict) else market
            for key, market in markets.items()
        },
    }


def _follow_step(data: dict[str, Any]) -> dict[str, Any]:
    """Let the spans of records that are not stated follow the length of a step.

    A step that is not allowed is refused later, by its own name.
    """
    step, record = data.get("step_minutes", 1.0), data.get("record", {})
    is_number = isinstance(step, int | float) and not isinstance(step, bool)
    if not is_number or not STEP_MINUTES[0] <= step <= STEP_MINUTES[1]:
        return data
    if not isinstance(record, dict):
        return data
    spans = {
        name: step * math.ceil(Record.model_fields[name].default / step - 1e-9)
        for name in ("series_minutes", "population_minutes")
        if name not in record
    }
    return data | {"record": {**record, **spans}}
