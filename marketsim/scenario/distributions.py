"""Distributions of capital and habits: a constant, or a table with a ``kind``.

A value is found from one uniform number by the quantile function, so a trader's draw does not
depend on how many other traders or habits are drawn. A value beyond ``min`` or ``max`` is set to
that bound.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    RootModel,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema

from marketsim.scenario.coercion import without_coercion
from marketsim.streams import lognormal_quantiles, pareto_quantiles

Floats: TypeAlias = NDArray[np.float64]
Number: TypeAlias = FiniteFloat | Literal["never"]

#: Distributions that are tables.
KINDS = ("lognormal", "pareto", "uniform", "choice", "mixture")
#: Uniform draws stay off 0 and 1, where a quantile may be infinite.
SMALLEST = 2.0**-53


class Part(BaseModel):
    """A table of a scenario: frozen, without unknown fields, without NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers only for what they are."""
        return without_coercion(handler(source))


def _number(value: Number) -> float:
    return math.inf if value == "never" else float(value)


class Constant(RootModel[Number]):
    """The same value for everyone; "never" where a time may be infinite."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers only for what they are."""
        return without_coercion(handler(source))

    def quantile(self, uniform: Floats) -> Floats:
        """Return the value once per draw."""
        return np.full(len(uniform), _number(self.root))

    def numbers(self) -> Iterator[tuple[str, float]]:
        """List the values this may take at its ends, each with the field that states it."""
        yield "", _number(self.root)


class Bounded(Part):
    """A distribution cut at two optional ends."""

    def clip(self, value: Floats) -> Floats:
        """Set what lies beyond a bound to the bound."""
        low = getattr(self, "min", None)
        high = getattr(self, "max", None)
        if low is not None:
            value = np.maximum(value, low)
        return value if high is None else np.minimum(value, high)

    def numbers(self) -> Iterator[tuple[str, float]]:
        """List the bounds that are stated."""
        for name in ("min", "median", "max"):
            value = getattr(self, name, None)
            if value is not None:
                yield name, float(value)

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "Bounded":
        low = getattr(self, "min", None)
        high = getattr(self, "max", None)
        if low is not None and high is not None and low > high:
            raise ValueError(f"min must not exceed max, but {low:g} > {high:g}")
        return self


class LogNormal(Bounded):
    """exp of a normal variable: many small, few large."""

    kind: Literal["lognormal"]
    median: float = Field(gt=0)
    """Half of the values lie below."""
    sigma: float = Field(ge=0, le=10)
    """Standard deviation of the logarithm."""
    min: float | None = Field(None, ge=0)
    """Smaller values are set to this."""
    max: float | None = Field(None, gt=0)
    """Larger values are set to this."""

    def quantile(self, uniform: Floats) -> Floats:
        """Turn uniform draws into values."""
        value = np.empty(len(uniform))
        lognormal_quantiles(np.ascontiguousarray(uniform), self.median, self.sigma, value)
        return self.clip(value)


class Pareto(Bounded):
    """A power-law tail: the share of values above x falls as x**-alpha."""

    kind: Literal["pareto"]
    min: float = Field(gt=0)
    """Smallest value."""
    alpha: float = Field(ge=0.1, le=100)
    """Tail exponent; wealth has about 1.2 to 2."""
    max: float | None = Field(None, gt=0)
    """Larger values are set to this."""

    def quantile(self, uniform: Floats) -> Floats:
        """Turn uniform draws into values."""
        value = np.empty(len(uniform))
        pareto_quantiles(np.ascontiguousarray(uniform), self.min, self.alpha, value)
        return self.clip(value)


class Uniform(Bounded):
    """All values between two ends equally likely."""

    kind: Literal["uniform"]
    min: float
    """Lower end."""
    max: float
    """Upper end."""

    def quantile(self, uniform: Floats) -> Floats:
        """Turn uniform draws into values."""
        return self.min + (self.max - self.min) * uniform


class Choice(Part):
    """One of a list of values."""

    kind: Literal["choice"]
    values: tuple[Number, ...] = Field(min_length=1)
    """The values."""
    weights: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] | None = None
    """How often each occurs, in any unit; equally often if left out."""

    def quantile(self, uniform: Floats) -> Floats:
        """Turn uniform draws into values."""
        which = choose(self.weights or (1.0,) * len(self.values), uniform)
        return np.array([_number(value) for value in self.values])[which]

    def numbers(self) -> Iterator[tuple[str, float]]:
        """List the values."""
        for index, value in enumerate(self.values):
            yield f"values.{index}", _number(value)

    @model_validator(mode="after")
    def _weights_fit(self) -> "Choice":
        check_weights(self.weights, len(self.values), "values")
        return self


class Mixture(Part):
    """Several distributions, each with its share of the traders."""

    kind: Literal["mixture"]
    parts: tuple["Distribution", ...] = Field(min_length=1)
    """The distributions, or constants."""
    weights: tuple[Annotated[float, Field(ge=0, le=1e9)], ...] | None = None
    """Share of each, in any unit; equal if left out."""

    def quantile(self, uniform: Floats) -> Floats:
        """Turn uniform draws into values: the draw picks a part, its remainder the value there."""
        which, rest = pick(self.weights or (1.0,) * len(self.parts), uniform)
        value = np.empty(len(uniform))
        for index, part in enumerate(self.parts):
            mine = which == index
            value[mine] = part.quantile(rest[mine])
        return value

    def numbers(self) -> Iterator[tuple[str, float]]:
        """List the values and bounds of all parts."""
        for index, part in enumerate(self.parts):
            for name, value in part.numbers():
                yield f"parts.{index}" + (f".{name}" if name else ""), value

    @model_validator(mode="after")
    def _weights_fit(self) -> "Mixture":
        check_weights(self.weights, len(self.parts), "parts")
        return self


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        kind = value.get("kind")
        return kind if isinstance(kind, str) else None
    return str(getattr(value, "kind", "constant"))


Distribution: TypeAlias = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[LogNormal, Tag("lognormal")]
    | Annotated[Pareto, Tag("pareto")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[Mixture, Tag("mixture")],
    Discriminator(_kind),
]

Mixture.model_rebuild()


def median(distribution: Distribution) -> float:
    """Return the value half of the draws stay below."""
    return float(distribution.quantile(np.array([0.5]))[0])


def check_weights(weights: tuple[float, ...] | None, length: int, what: str) -> None:
    """Raise if weights do not match what they weigh, or are all zero."""
    if weights is None:
        return
    if len(weights) != length:
        raise ValueError(f"{len(weights)} weights for {length} {what}: state one weight for each")
    if sum(weights) <= 0:
        raise ValueError("weights are all zero: at least one must be greater than 0")


def choose(weights: tuple[float, ...], uniform: Floats) -> NDArray[np.int64]:
    """Choose an entry per draw, by weights in any unit."""
    return _entries(np.array(weights) / math.fsum(weights), uniform)


def pick(weights: tuple[float, ...], uniform: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Choose an entry per draw; also return what is left of the draw, uniform again.

    Returns
    -------
    which : array of int64
    rest : array of float64
        In (0, 1).
    """
    share = np.array(weights) / math.fsum(weights)
    which = _entries(share, uniform)
    rest = (uniform - (np.cumsum(share) - share)[which]) / share[which]
    return which, np.clip(rest, SMALLEST, 1.0 - SMALLEST)


def _entries(share: Floats, uniform: Floats) -> NDArray[np.int64]:
    """Return the entry in whose part of the unit interval each draw lies."""
    last = int(share.nonzero()[0][-1])
    return np.minimum(share.cumsum().searchsorted(uniform, side="right"), last)
