"""What a calibration aims at: statistics of the runs, and the dials that may be turned for them."""

import math
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import Problem, explain, raise_problems
from marketsim.scenario.inputs import TARGETS
from marketsim.scenario.schema import Name
from marketsim.sweep.design import Changes, DesignError, Parameter, read_stated

#: Trials whose dials are drawn at random before the search learns from them.
STARTUP_TRIALS = 16


class Target(Part):
    """A statistic the runs should have: a value, or a band from low to high."""

    value: float | None = Field(None, ge=-1e18, le=1e18)
    """What it should be; a number alone means this."""
    low: float | None = Field(None, ge=-1e18, le=1e18)
    """Lower end of a band."""
    high: float | None = Field(None, ge=-1e18, le=1e18)
    """Upper end of a band."""
    scale: float | None = Field(None, ge=1e-18, le=1e18)
    """What counts as a distance of one. Left out: the value itself, or half the band."""
    weight: float = Field(1.0, gt=0, le=1e9)
    """Of the squared distance."""

    @model_validator(mode="before")
    @classmethod
    def _number(cls, data: Any) -> Any:
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        return {"value": data} if is_number else data

    @model_validator(mode="after")
    def _consistent(self) -> "Target":
        wrong = []
        has_band = self.low is not None or self.high is not None
        if (self.value is None) != has_band:
            text = "must be a value, or a band { low = , high = } with one end or both"
            wrong.append(Problem("", text))
        elif self.low is not None and self.high is not None and self.low > self.high:
            wrong.append(Problem("low", f"must not be above high = {self.high:g}", self.low))
        elif self.scale is None and not self._own_scale() > 0.0:
            text = "state it: what counts as a distance of one; the target has no size of its own"
            wrong.append(Problem("scale", text))
        raise_problems(wrong)
        return self

    def _own_scale(self) -> float:
        if self.value is not None:
            return abs(self.value)
        if self.low is None or self.high is None:
            return 0.0
        return 0.5 * (self.high - self.low)

    def distance(self, found: float) -> float:
        """Return how far a figure is off, in scales: above 0 too high, 0 in the band.

        Examples
        --------
        >>> Target(value=4.0).distance(5.0), Target(low=1.0, high=3.0).distance(0.5)
        (0.25, -0.5)
        """
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if self.value is not None:
            low = high = self.value
        nearest = min(max(found, low), high)
        return (found - nearest) / (self.scale or self._own_scale())

    def wanted(self) -> str:
        """Write what it should be."""
        if self.value is not None:
            return f"{self.value:g}"
        low = "" if self.low is None else f"{self.low:g}"
        high = "" if self.high is None else f"{self.high:g}"
        return f"{low} .. {high}"


class Search(Part):
    """A calibration: dials of a base scenario, turned until its runs have the target statistics."""

    model_config = ConfigDict(title="marketsim targets")

    name: Name = "calibrated"
    """Short name, also of the scenario that is found."""
    description: str = Field("", max_length=500)
    """What it is for."""
    base: str
    """Name of a scenario of the library, or path of a TOML file."""
    days: float | None = Field(None, gt=0, le=36_500)
    """Days simulated, if not the scenario's."""
    set: Changes = Field(default_factory=dict)
    """Changes of the base scenario by path."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of the first replicate, the next has seed + 1; also of the search."""
    replicates: int = Field(1, ge=1, le=10_000)
    """Runs of each trial, over which its statistics are averaged."""
    trials: int = Field(64, ge=1, le=100_000)
    """Settings of the dials that are tried, rounded up to whole batches."""
    batch: int = Field(8, ge=1, le=10_000)
    """Trials chosen at once, from what all earlier batches have found."""
    dials: dict[str, Parameter] = Field(min_length=1)
    """What may be turned, by the path of a field of the scenario."""
    targets: dict[str, Target] = Field(min_length=1)
    """Statistics aimed at, by the name of a metric."""

    @property
    def num_trials(self) -> int:
        """Trials in whole batches."""
        return -(-self.trials // self.batch) * self.batch


def load_targets(path: str | Path) -> Search:
    """Read and check a file of targets.

    Parameters
    ----------
    path : str or Path
        TOML. A path it gives as `base` is relative to it.

    Returns
    -------
    Search

    Raises
    ------
    DesignError
        If it cannot be read, or fields are wrong: all of them at once.
    """
    return parse_targets(read_stated(path, TARGETS), str(path))


def parse_targets(data: dict[str, Any], source: str = "targets") -> Search:
    """Check targets given as nested dictionaries.

    Parameters
    ----------
    data : dict
        As in a file of targets.
    source : str, optional
        Where they came from, for the error.

    Returns
    -------
    Search

    Raises
    ------
    DesignError
        Listing every wrong field.
    """
    try:
        return Search.model_validate(data)
    except ValidationError as error:
        found = explain(error, data, Search.model_json_schema())
        raise DesignError([line for _, lines in found for line in lines], source) from None
