"""What a user schedules: the ``[[shocks]]`` list, one class a kind.

A new kind is a class here and its name in the tuple `KINDS`, from which all that depends on kinds
follows. What it changes is one of the engine's `ShockKind`, or a rule of the venue.

Units: USD, hours and fractions; a name that says minutes means minutes.
"""

import math
from abc import abstractmethod
from collections.abc import Collection, Sequence
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from marketsim.engine.state import NONE, UNLIMITED
from marketsim.engine.world import ShockKind
from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import nearest
from marketsim.scenario.spot_model import Jumps, Name, NotNegative, Positive, Share, Spot

#: A relative change of a price: -0.12 is a fall by 12 %.
Change = Annotated[float, Field(gt=-1, le=100)]

#: Fields of a row of the engine's schedule, `marketsim.engine.world.SHOCK`.
Row: TypeAlias = dict[str, float]


class Rule(NamedTuple):
    """A rule of the venue and its new value."""

    field: str
    value: bool | int | float | str


class Shock(Part):
    """Base of all shocks; a class with a field `kind` must say what is asked here.

    Its fields whose names end in "minutes" are, together, how long it acts.
    """

    #: What it changes of the outside world; None: only a `rule` of the venue.
    CHANGES: ClassVar[ShockKind | None]
    #: Kinds of loss it brings about, as in the table of causes.
    LOSSES: ClassVar[tuple[str, ...]]
    #: What a summary calls it: a format of its fields and of `where` it strikes.
    TITLE: ClassVar[str]

    at: Annotated[float, Field(ge=0)]
    """Hours after the start of the run; it acts from the step on that begins then."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a kind that leaves something unsaid."""
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" not in cls.model_fields:
            return
        missing = [word for word in ("CHANGES", "LOSSES", "TITLE") if not hasattr(cls, word)]
        missing += sorted(cls.__abstractmethods__)
        if missing:
            raise TypeError(f"{cls.__name__}: a kind of shock must say its {', '.join(missing)}")
        named = {name for _, name, _, _ in Formatter().parse(cls.TITLE) if name}
        if not named <= {"where", *cls.model_fields}:
            raise TypeError(f"{cls.__name__}.TITLE = {cls.TITLE!r}: names no field of it")

    @property
    def title(self) -> str:
        """What a summary calls it."""
        where = " and ".join(self.only or ("all markets",))
        return self.TITLE.format(where=where, **dict(self))

    @property
    def duration(self) -> float:
        """Minutes in which it acts; 0 for what comes at once and stays."""
        spans = (name for name in type(self).model_fields if name.endswith("minutes"))
        return math.fsum(getattr(self, name) for name in spans)

    @property
    def only(self) -> tuple[str, ...]:
        """The markets it strikes; empty: all."""
        return ()

    @property
    def side(self) -> int:
        """-1 if it makes spot prices fall, 1 if it makes them rise, 0 if it moves none."""
        return 0

    @property
    def rule(self) -> Rule | None:
        """What it changes of the venue."""
        return None

    def rows(
        self,
        markets: Sequence[str],  # noqa: ARG002
        sources: Sequence[str],  # noqa: ARG002
        step_minutes: float,  # noqa: ARG002
    ) -> list[Row]:
        """Return what it changes of the outside world, as rows of the engine's schedule.

        Parameters
        ----------
        markets, sources : sequence of str
            Names of the markets and of the spot venues.
        step_minutes : float
        """
        return []

    @property
    def names(self) -> list[tuple[str, str]]:
        """The names it states of markets and of spot venues, each with its field."""
        return [("markets", name) for name in self.only]

    def first_step(self, step_minutes: float) -> int:
        """Return the step in which it begins to act."""
        return _steps(60.0 * self.at, step_minutes)


def _steps(minutes: float, step_minutes: float) -> int:
    """Return the nearest whole number of steps (halves up), as far as they are counted."""
    return math.floor(min(minutes / step_minutes + 0.5, UNLIMITED))


class _WorldShock(Shock):
    @abstractmethod
    def envelope(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes and goes, in steps."""

    @property
    def side(self) -> int:
        """-1 if it makes spot prices fall, 1 if it makes them rise, 0 if it moves none."""
        if self.CHANGES != ShockKind.PRICE:
            return 0
        return -1 if self.envelope(1.0)["size"] < 0 else 1

    def places(self, markets: Sequence[str], sources: Sequence[str]) -> list[Row]:  # noqa: ARG002
        """Return where it strikes: the market's number, the spot venue's, none of them."""
        return [{"market": NONE}]

    def rows(
        self, markets: Sequence[str], sources: Sequence[str], step_minutes: float
    ) -> list[Row]:
        """Return a row for each place it strikes."""
        assert self.CHANGES is not None
        row: Row = {"kind": self.CHANGES, "start": self.first_step(step_minutes)}
        row |= self.envelope(step_minutes)
        return [row | place for place in self.places(markets, sources)]


class _MarketShock(_WorldShock):
    markets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Left out: all markets."""

    @property
    def only(self) -> tuple[str, ...]:
        """The markets it strikes; empty: all."""
        return self.markets or ()

    def places(self, markets: Sequence[str], sources: Sequence[str]) -> list[Row]:  # noqa: ARG002
        """Return the numbers of the markets it strikes."""
        struck = self.only or markets
        return [{"market": m} for m, name in enumerate(markets) if name in struck]


class _Fading(Part):
    size: Change
    """Relative change at the worst moment: -0.12 is a fall by 12 %."""
    fall_minutes: NotNegative = 10.0
    """Time to the worst moment; 0: at once."""
    hold_minutes: NotNegative = 0.0
    """Time it stays there."""
    recovery_minutes: NotNegative = 60.0
    """Time in which it recovers."""
    recovered: Share = 1.0
    """Share of the move that is undone in the end."""

    def fading(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes and goes; what lasts at all lasts a step."""
        return {
            "size": self.size,
            "rise": max(1, _steps(self.fall_minutes, step_minutes)),
            "hold": _steps(self.hold_minutes, step_minutes),
            "recovery": _steps(self.recovery_minutes, step_minutes),
            "remainder": 1.0 - self.recovered,
        }


def _in_full(factor: float, minutes: float, step_minutes: float) -> Row:
    """Return what acts in full from its first step on: `rise` counts as the first of its steps."""
    return {"size": factor, "rise": 1, "hold": max(1, _steps(minutes, step_minutes)) - 1}


class JumpShock(_MarketShock):
    """Spot prices jump at once and stay."""

    CHANGES = ShockKind.PRICE
    LOSSES = ("index", "collateral")
    TITLE = "jump of {where} {size:+.1%}"

    kind: Literal["jump"]
    size: Change
    """Relative change: -0.12 is a fall by 12 %."""

    def envelope(self, step_minutes: float) -> Row:  # noqa: ARG002
        """Return how strong it is; it stays for good."""
        return {"size": self.size, "rise": 1, "hold": UNLIMITED}


class CrashShock(_MarketShock, _Fading):
    """Spot prices crash (or rally) over minutes and recover, straight in log price."""

    CHANGES = ShockKind.PRICE
    LOSSES = ("index", "collateral")
    TITLE = "crash of {where} {size:+.1%}"

    kind: Literal["crash"]

    def envelope(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes and goes, in steps."""
        return self.fading(step_minutes)


class VolatilityShock(_MarketShock):
    """Spot returns other than jumps grow by a factor for a while; a history's, all of them."""

    CHANGES = ShockKind.VOLATILITY
    LOSSES = ("index",)
    TITLE = "volatility of {where} x {factor:g}"

    kind: Literal["volatility"]
    factor: Annotated[float, Field(ge=0, le=100)]
    """Size of a return over what it would have been."""
    minutes: Positive
    """Time for which it acts in full."""
    fade_minutes: NotNegative = 0.0
    """Time in which it fades after that."""

    def envelope(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes and goes, in steps."""
        fade = _steps(self.fade_minutes, step_minutes)
        return _in_full(self.factor, self.minutes, step_minutes) | {"recovery": fade}


class DepthShock(_MarketShock):
    """Makers show only a share of their usual depth for a while."""

    CHANGES = ShockKind.DEPTH
    LOSSES = ("other",)
    TITLE = "depth of {where} x {factor:g}"

    kind: Literal["depth"]
    factor: Share
    """Depth that is left, as a share."""
    minutes: Positive
    """Time for which it acts in full."""
    fade_minutes: NotNegative = 0.0
    """Time in which it fades after that."""

    def envelope(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes and goes, in steps."""
        fade = _steps(self.fade_minutes, step_minutes)
        return _in_full(self.factor, self.minutes, step_minutes) | {"recovery": fade}


class OutageShock(_MarketShock):
    """One spot venue prints its last price, or a wrong one, for a while."""

    CHANGES = ShockKind.SOURCE_STALE
    LOSSES = ("index",)
    TITLE = "outage of {where} x {factor:g}"

    kind: Literal["outage"]
    source: Name
    """Name of the spot venue."""
    minutes: Positive
    """Time until it prints true prices again."""
    mode: Literal["stale", "wrong"] = "stale"
    """stale: it prints its last price; wrong: `factor` times the true one."""
    factor: Annotated[float, Field(ge=1e-9, le=1e9)] = 1.0
    """For mode "wrong": the price printed over the true one."""

    @model_validator(mode="after")
    def _check_factor(self) -> "OutageShock":
        if (self.mode == "wrong") != (self.factor != 1.0):
            raise ValueError(
                "mode = 'wrong' needs a factor other than 1, mode = 'stale' takes none"
            )
        return self

    def envelope(self, step_minutes: float) -> Row:
        """Return how wrong the venue is and for how long; a wrong price is not a stale one."""
        row = _in_full(self.factor, self.minutes, step_minutes)
        return row | {"kind": ShockKind.SOURCE_FACTOR} if self.mode == "wrong" else row

    def places(self, markets: Sequence[str], sources: Sequence[str]) -> list[Row]:
        """Return the numbers of the spot venue in the markets it strikes."""
        venue = sources.index(self.source)
        struck = [int(place["market"]) for place in super().places(markets, sources)]
        return [{"market": m, "source": m * len(sources) + venue} for m in struck]

    @property
    def names(self) -> list[tuple[str, str]]:
        """The names it states of markets and of spot venues, each with its field."""
        return [*super().names, ("source", self.source)]


class DepegShock(_WorldShock, _Fading):
    """The stablecoin leaves its dollar and recovers."""

    CHANGES = ShockKind.STABLE
    LOSSES = ("collateral",)
    TITLE = "depeg {size:+.1%}"

    kind: Literal["depeg"]

    def envelope(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes and goes, in steps."""
        return self.fading(step_minutes)


class RuleShock(Shock):
    """The venue changes one of its rules for good."""

    CHANGES = None
    LOSSES = ("requirement",)
    TITLE = "rule {field} = {value}"

    kind: Literal["rule"]
    field: Name
    """Dotted path in the scenario, for example "venue.funding.interval_hours"."""
    value: bool | int | float | str
    """What it is from then on."""

    @property
    def rule(self) -> Rule:
        """What it changes of the venue."""
        return Rule(self.field, self.value)


#: What a scenario may schedule.
KINDS: tuple[type[Shock], ...] = (
    JumpShock,
    CrashShock,
    VolatilityShock,
    DepthShock,
    OutageShock,
    DepegShock,
    RuleShock,
)


def kind_of(table: type[Part]) -> str:
    """Return what the field `kind` of such a table says."""
    kind: str = get_args(table.model_fields["kind"].annotation)[0]
    return kind


class OfItsKind:
    """Reads a table as that of some classes which its `kind` says."""

    def __init__(self, kinds: Sequence[type[Part]]) -> None:
        self._kinds = kinds

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {kind_of(kind): handler.generate_schema(kind) for kind in self._kinds}
        return core_schema.tagged_union_schema(choices, discriminator="kind")


AnyShock: TypeAlias = Annotated[Shock, OfItsKind(KINDS)]

NO_BURST = "a volatility shock does nothing where spot.kind = 'constant'"

#: More expected jumps in a step than this would be cut by the limit of one.
MAX_JUMPS_PER_STEP = 0.2


def contradictions(
    spot: Spot, shocks: Sequence[Shock], markets: Collection[str], step_minutes: float
) -> list[str]:
    """List what does not go together in what is stated about the outside world.

    Returns
    -------
    list of str
        One message per field.
    """
    found = unknown_names(spot, shocks, markets)
    if any(does_nothing(shock, spot) for shock in shocks):
        found.append(f"shocks: {NO_BURST}")
    most = MAX_JUMPS_PER_STEP * 1440.0 / step_minutes
    stated: list[tuple[str, Jumps]] = [("factor", spot.factor.jumps), ("own", spot.own.jumps)]
    stated += [(f"markets.{name}", own.jumps) for name, own in spot.markets.items() if own.jumps]
    found += [
        f"spot.{field}.jumps.per_day = {jumps.per_day:g}: too often for steps of "
        f"{step_minutes:g} minutes, at most {most:g}"
        for field, jumps in stated
        if jumps.per_day > most
    ]
    return found


def does_nothing(shock: Shock, spot: Spot) -> bool:
    """Tell whether a shock is a burst of the volatility of constant prices."""
    return spot.kind == "constant" and shock.CHANGES == ShockKind.VOLATILITY


def no_such(name: str, known: Collection[str]) -> str:
    """Say that there is nothing of a name, and what there is."""
    return f"there is no '{name}'{nearest(name, known)}; known: {', '.join(known)}"


def unknown_names(spot: Spot, shocks: Sequence[Shock], markets: Collection[str]) -> list[str]:
    """List what names a market or spot venue that the scenario does not have.

    Returns
    -------
    list of str
        One message per name: field, value and the nearest valid name.
    """
    named = [(f"spot.markets.{name}", name, markets) for name in spot.markets]
    history = spot.history
    if history is not None:
        named += [(f"spot.history.columns.{name}", name, markets) for name in history.columns]
        named += [(f"spot.history.symbols.{name}", name, markets) for name in history.symbols]
    for j, shock in enumerate(shocks):
        for field, name in shock.names:
            known = spot.sources if field == "source" else markets
            named.append((f"shocks.{j}.{field}", name, known))
    return [f"{field}: {no_such(name, known)}" for field, name, known in named if name not in known]
