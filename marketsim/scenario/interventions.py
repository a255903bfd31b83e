"""What is done to a running market from outside: the ``[[interventions]]`` list, one class a kind.

An intervention acts at the start of a step. It may stand in a scenario, or be made on a run, which
then writes it into the scenario it leaves behind: so the run can be done again. Every kind of shock
is one, beside those here.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from marketsim.scenario import shocks
from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import IN_A_CALL, Problem, explain, first_text, one_of
from marketsim.scenario.markets import Market
from marketsim.scenario.shocks import OfItsKind, Shock, does_nothing, kind_of, no_such
from marketsim.scenario.spot_model import Name, Spot
from marketsim.scenario.wording import shortened, show, visible

#: Money from or to the outside world: at least what is counted, at most what a trader may have.
Dollars = Annotated[float, Field(ge=1e-6, le=1e12)]


class InterventionError(ValueError):
    """An intervention that is refused: it changes nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(shortened(visible(text)))


class Change(NamedTuple):
    """A field of the scenario and its new value."""

    path: str
    value: Any
    share: float = 1.0  #: of the population, for whom it changes
    is_rule: bool = False  #: only a rule of the venue or of a market is meant


class Stated(Protocol):
    """A scenario as far as interventions name what is in it."""

    @property
    def step_minutes(self) -> float:
        """Minutes of one step."""

    @property
    def num_traders(self) -> int:
        """Traders of all populations."""

    @property
    def markets(self) -> Mapping[str, Market]:
        """The perpetual contracts, by name."""

    @property
    def spot(self) -> Spot:
        """What moves spot prices."""


class Intervention(Part):
    """Base of all interventions."""

    #: Whether it moves money: what does acts before all else of its step.
    IS_MONEY: ClassVar[bool] = False

    at_step: int = Field(ge=0, lt=2**31)
    """Step at whose start it acts; the first step of a run is 0."""
    kind: str

    def problems(self, scenario: Stated) -> Iterator[Problem]:  # noqa: ARG002
        """List the names and numbers it states that the scenario does not have."""
        yield from ()

    def as_shock(self, step_minutes: float) -> Shock | None:  # noqa: ARG002
        """Return it as the shock of a schedule, if it is one."""
        return None

    @property
    def change(self) -> Change | None:
        """What it changes of the scenario."""
        return None


class SetIntervention(Intervention):
    """A field of the scenario gets another value."""

    kind: Literal["set"]
    path: Annotated[str, Field(min_length=1)]
    """Dotted path of the field, such as venue.funding.interval_hours."""
    value: Any
    """As a scenario would state it. A habit may be a distribution: everyone then has the value a
    scenario with it would have drawn."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of the population for whom a habit or the margin mode changes: so many traders of it,
    drawn anew for each intervention."""

    @field_validator("value", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return _as_toml(value)

    @property
    def change(self) -> Change:
        """What it changes of the scenario."""
        return Change(self.path, self.value, self.share)


class _OfAccount(Intervention):
    account: int = Field(ge=0, lt=2**31)
    """Number of the account: traders are counted population by population, from 0."""

    def problems(self, scenario: Stated) -> Iterator[Problem]:
        """Say if there is no such account."""
        if self.account >= scenario.num_traders:
            text = f"there is no such account; traders are 0 to {scenario.num_traders - 1}"
            yield Problem("account", text, self.account)


class TradeIntervention(_OfAccount):
    """An account brings a market order, beside what it orders itself and after that.

    It goes no further from mid than the trader's slippage, and is taken if its margin allows.
    """

    kind: Literal["trade"]
    market: Name
    """Market traded."""
    size: float
    """Coins, buy > 0; rounded to whole lots, toward zero."""

    def problems(self, scenario: Stated) -> Iterator[Problem]:
        """Say if there is no such account or market, or no order of such a size."""
        yield from super().problems(scenario)
        if self.market not in scenario.markets:
            yield Problem("market", no_such(self.market, scenario.markets))
            return
        steps = scenario.markets[self.market].steps()
        lots = abs(self.size) / steps.lot_size
        if lots + 1e-6 < 1:
            yield Problem("size", f"is less than one lot of {steps.lot_size:g} coins", self.size)
        elif lots > steps.max_lots:
            most = steps.max_lots * steps.lot_size
            yield Problem("size", f"must be at most {most:.6g} coins of either sign", self.size)


class DepositIntervention(_OfAccount):
    """Money comes from outside into an account's main pool."""

    IS_MONEY = True

    kind: Literal["deposit"]
    usd: Dollars
    """Amount that comes."""


class WithdrawIntervention(_OfAccount):
    """Cash of an account's main pool leaves; its initial margin must stay."""

    IS_MONEY = True

    kind: Literal["withdraw"]
    usd: Dollars
    """Amount that leaves."""


class RetireIntervention(_OfAccount):
    """A trader leaves the market for good.

    Its orders are withdrawn, its positions closed at the market and then its coins sold, over as
    many steps as the book needs; its cash and stablecoins stay.
    """

    kind: Literal["retire"]


class ShockIntervention(Intervention):
    """A shock that is not scheduled, but strikes at a step."""

    #: Kind of shock.
    SHOCK: ClassVar[type[Shock]]

    @model_validator(mode="after")
    def _check(self) -> "ShockIntervention":
        try:
            self.as_shock(1.0)
        except ValidationError as error:
            raise ValueError(first_text(error)) from None
        return self

    def as_shock(self, step_minutes: float) -> Shock:
        """Return it as the shock of a schedule."""
        fields = self.model_dump(exclude={"at_step"}, exclude_none=True)
        return self.SHOCK.model_validate({**fields, "at": self.at_step * step_minutes / 60.0})

    def problems(self, scenario: Stated) -> Iterator[Problem]:
        """Say which market or spot venue there is not, or that nothing would happen."""
        spot = scenario.spot
        shock = self.as_shock(scenario.step_minutes)
        for field, name in shock.names:
            known = spot.sources if field == "source" else scenario.markets
            if name not in known:
                yield Problem(field, no_such(name, known))
        if does_nothing(shock, spot):
            yield Problem("kind", shocks.NO_BURST)

    @property
    def change(self) -> Change | None:
        """What it changes of the venue's rules."""
        rule = self.as_shock(1.0).rule
        return None if rule is None else Change(rule.field, rule.value, is_rule=True)


def _striking(shock: type[Shock]) -> type[ShockIntervention]:
    """Return a kind of shock as an intervention: it states its step instead of its hour."""
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation(), field)
        for name, field in shock.model_fields.items()
        if name != "at"
    }
    name = shock.__name__.replace("Shock", "") + "Intervention"
    made = create_model(name, __base__=ShockIntervention, __doc__=shock.__doc__, **fields)
    made.SHOCK = shock
    return made


#: What can be done to a running market.
KINDS: tuple[type[Intervention], ...] = (
    SetIntervention,
    TradeIntervention,
    DepositIntervention,
    WithdrawIntervention,
    RetireIntervention,
    *map(_striking, shocks.KINDS),
)

BY_NAME = {kind_of(kind): kind for kind in KINDS}

AnyIntervention: TypeAlias = Annotated[Intervention, OfItsKind(KINDS)]


def read_intervention(kind: Any, fields: dict[str, Any]) -> Intervention:
    """Read what was stated in Python.

    Parameters
    ----------
    kind : str
    fields : dict
        Those of the kind; numbers and arrays may be NumPy's.

    Raises
    ------
    InterventionError
        Naming every wrong field.
    """
    if not isinstance(kind, str) or kind not in BY_NAME:
        raise InterventionError(f"kind = {show(kind)}: {one_of(str(kind), BY_NAME)}")
    found = BY_NAME[kind]
    data = {"kind": kind}
    for name, value in fields.items():
        try:
            data[name] = _as_toml(value)
        except ValueError:
            data[name] = value  # what its field must be is said below
    try:
        return found.model_validate(data)
    except ValidationError as error:
        lines = explain(error, data, found.model_json_schema(), IN_A_CALL)
        told = [line for _, several in lines for line in several]
        raise InterventionError(f"{kind}: {'; '.join(told)}") from None


def _as_toml(value: Any) -> Any:
    """Return a value as TOML has it: numbers, texts, booleans, lists and tables of these.

    Raises
    ------
    ValueError
        If it is something else, or a number that is none.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Part):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return {str(key): _as_toml(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_toml(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError("must be a finite number")
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be a number, a text, true or false, a list or a table")
    return value
