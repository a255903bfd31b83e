"""The design: which runs a sweep makes, as a user states them."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, ValidationError, model_validator

from marketsim.scenario.distributions import Part
from marketsim.scenario.errors import Problem, ScenarioError, explain, one_of, raise_problems
from marketsim.scenario.inputs import DESIGN
from marketsim.scenario.loader import read_toml
from marketsim.scenario.named_files import absolute_path, absolute_value
from marketsim.scenario.schema import Name

DesignKind: TypeAlias = Literal["grid", "latin", "sobol", "morris", "saltelli", "pairs", "table"]
Kept: TypeAlias = Literal["series", "events"]
Changes: TypeAlias = dict[str, Any]

#: Kinds that draw `size` points from ranges.
SAMPLED = ("latin", "sobol", "morris", "saltelli")
#: Kinds whose `size` is a power of two: what their sequence is balanced for.
POWERS_OF_TWO = ("sobol", "saltelli")
#: Levels of a Morris grid; four is what the method's authors use.
MORRIS_LEVELS = 4
#: Forms of one design: a look in a minute, and the whole.
FORMS = ("quick", "full")
#: In the place of a path: the value is another scenario, of the library or a file.
BASE = "base"
#: Name of the only variant of a design that states none.
ONLY_VARIANT = "base"


class DesignError(ScenarioError):
    """A design that cannot be run."""


class Parameter(Part):
    """What is varied: a list of levels, or a range from low to high."""

    levels: tuple[Any, ...] | None = Field(None, min_length=1)
    """Values, one after the other; a list alone means this."""
    low: float | None = Field(None, ge=-1e18, le=1e18)
    """Lowest value of a range."""
    high: float | None = Field(None, ge=-1e18, le=1e18)
    """Highest value of a range."""
    log: bool = False
    """Whether a range is even in the logarithm."""
    integer: bool = False
    """Whether only whole numbers are taken from a range."""
    paths: tuple[str, ...] = ()
    """Fields of the scenario that take the value; left out: the parameter's name."""
    complement: tuple[str, ...] = ()
    """Fields that take 1 - value."""

    @model_validator(mode="before")
    @classmethod
    def _list(cls, data: Any) -> Any:
        return {"levels": data} if isinstance(data, list | tuple) else data

    @model_validator(mode="after")
    def _consistent(self) -> "Parameter":
        low, high = self.low, self.high
        wrong = []
        if (self.levels is None) == (low is None and high is None):
            wrong.append(Problem("", "must be a list of levels, or a range { low = , high = }"))
        elif self.levels is None:
            if low is None or high is None or not low < high:
                wrong.append(Problem("", "a range needs low < high"))
            elif self.log and low <= 0:
                wrong.append(Problem("low", "must be above 0 where log = true", low))
            elif self.integer and not (low.is_integer() and high.is_integer()):
                wrong.append(Problem("", "low and high must be whole where integer = true"))
        elif self.log or self.integer:
            wrong.append(Problem("", "log and integer belong to a range, not to levels"))
        if self.complement and not all(map(_is_number, self.levels or ())):
            wrong.append(Problem("complement", "needs levels that are numbers"))
        raise_problems(wrong)
        return self

    def value(self, share: float) -> Any:
        """Return the value at a share, 0 to 1, of the way through the levels or the range."""
        if self.levels is not None:
            return self.levels[min(int(share * len(self.levels)), len(self.levels) - 1)]
        assert self.low is not None
        assert self.high is not None
        if self.integer and not self.log:  # each whole number the same share
            return min(int(self.low + share * (self.high - self.low + 1)), int(self.high))
        if self.log:
            found = self.low * (self.high / self.low) ** share
        else:
            found = self.low + share * (self.high - self.low)
        found = min(max(found, self.low), self.high)
        return round(found) if self.integer else found

    def ends(self) -> tuple[Any, ...]:
        """Return all levels, or the ends of the range."""
        return self.levels if self.levels is not None else (self.value(0.0), self.value(1.0))

    def changes(self, name: str, value: Any) -> list[tuple[str, Any]]:
        """Say which fields of the scenario a value sets."""
        paths = self.paths or (() if self.complement else (name,))
        return [
            *((path, value) for path in paths),
            *((path, 1 - value) for path in self.complement),
        ]


class Design(Part):
    """A set of runs: a base scenario, what is varied, and how often each cell is repeated.

    A cell is one combination of the parameters' values, a variant a named set of changes on top of
    every cell, and a replicate repeats both with the next seed: the same seeds in every cell and
    variant.
    """

    model_config = ConfigDict(title="marketsim design")

    name: Name = "sweep"
    """Short name."""
    description: str = Field("", max_length=500)
    """What the sweep is to show."""
    base: str
    """Name of a scenario of the library, or path of a TOML file. As the path of a parameter, or in
    a variant or a row of the table, "base" stands for another."""
    kind: DesignKind = "grid"
    """How the cells are chosen."""
    size: int | None = Field(None, ge=1, le=10_000_000)
    """Points drawn (latin, sobol), trajectories (morris), base samples (saltelli)."""
    replicates: int = Field(1, ge=1, le=1_000_000)
    """Runs of each cell and variant."""
    seed: int = Field(0, ge=0, lt=2**62)
    """Seed of the first replicate, the next has seed + 1; also of a drawn design."""
    days: float | None = Field(None, gt=0, le=36_500)
    """Days simulated, if not the scenario's."""
    metrics: tuple[str, ...] = Field(("*",), min_length=1)
    """Figures kept of every run: names or patterns such as "markets.*.liquidated_usd"."""
    measure: str | None = None
    """Python file whose function `measure(run)` returns further figures of a run, by name, for
    `metrics` to choose from; its path is relative to the design's."""
    keep: tuple[Kept, ...] = ()
    """Kept beside the figures: "series" (market series), "events" (liquidations)."""
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    """What is varied, by the path of a field of the scenario."""
    variants: dict[Name, Changes] = Field(default_factory=dict)
    """Changes of the scenario by path, applied to every cell; an empty one is the base itself."""
    set: Changes = Field(default_factory=dict)
    """Changes of the base scenario by path, before everything else."""
    table: tuple[Changes, ...] = ()
    """The cells, for kind "table": values by path."""

    @model_validator(mode="after")
    def _consistent(self) -> "Design":
        wrong = [*self._kind_problems(), *self._path_problems()]
        raise_problems(wrong)
        return self

    def _kind_problems(self) -> list[Problem]:
        kind, wrong = self.kind, []
        drawn = kind in SAMPLED
        if drawn and not self.parameters:
            wrong.append(Problem("parameters", f'kind "{kind}" needs at least one'))
        if drawn and self.size is None:
            wrong.append(Problem("size", f'missing; kind "{kind}" draws that many points'))
        if not drawn and self.size is not None:
            wrong.append(Problem("size", f"belongs to kind {', '.join(SAMPLED)}", self.size))
        if kind in POWERS_OF_TWO and self.size is not None and self.size & (self.size - 1):
            power = 2 ** (self.size.bit_length() - 1)
            text = f'must be a power of two for kind "{kind}": {power} or {2 * power}'
            wrong.append(Problem("size", text, self.size))
        if not drawn:
            ranges = [name for name, each in self.parameters.items() if each.levels is None]
            for name in ranges:
                text = f'kind "{kind}" needs levels; a range is for {", ".join(SAMPLED)}'
                wrong.append(Problem(f"parameters.{name}", text))
        if (kind == "table") != bool(self.table):
            wrong.append(Problem("table", 'lists the cells of kind "table", and only of it'))
        if kind == "table" and self.parameters:
            wrong.append(Problem("parameters", 'kind "table" takes them from its table'))
        if kind == "pairs" and len(self.variants) < 2:
            wrong.append(Problem("variants", 'kind "pairs" compares at least two'))
        return wrong

    def _path_problems(self) -> list[Problem]:
        wrong = []
        tables: list[tuple[str, Changes]] = [("set", self.set)]
        tables += [(f"variants.{name}", changes) for name, changes in self.variants.items()]
        tables += [(f"table.{row}", changes) for row, changes in enumerate(self.table)]
        for place, changes in tables:
            for path, value in changes.items():
                if "." not in path and isinstance(value, dict):
                    text = f'write the path in quotes: "{_first_path(path, value)}" = ...'
                    wrong.append(Problem(f"{place}.{path}", text))
        reserved = {"cell", "variant", "replicate", "seed", "key", "digest", "status", "error"}
        for name in self.parameter_names:
            if name in reserved or name == "wall_s":
                wrong.append(Problem(f"parameters.{name}", "is a column of every sweep"))
        return wrong

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of what is varied, in order."""
        if self.kind == "table":
            return tuple(dict.fromkeys(path for row in self.table for path in row))
        return tuple(self.parameters)

    @property
    def variant_names(self) -> tuple[str, ...]:
        """Names of the variants, in order."""
        return tuple(self.variants) or (ONLY_VARIANT,)


def load_design(
    path: str | Path,
    form: str | None = None,
    keep: tuple[str, ...] | None = None,
    replicates: int | None = None,
) -> Design:
    """Read and check a design file.

    Parameters
    ----------
    path : str or Path
        TOML. A path it gives as `base` is relative to it.
    form : {"quick", "full"}, optional
        The table of that name in the file is put on top of the rest.
    keep : tuple of {"series", "events"}, optional
        Instead of what the file says.
    replicates : int, optional
        Instead of what the file says.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        If it cannot be read, or fields are wrong: all of them at once.
    """
    data = read_stated(path, DESIGN)
    instead = {"keep": keep if keep is None else list(keep), "replicates": replicates}
    for table in (data, *(data[name] for name in FORMS if isinstance(data.get(name), dict))):
        table |= {field: value for field, value in instead.items() if value is not None}
    return parse_design(data, str(path), form)


def read_stated(path: str | Path, what: str) -> dict[str, Any]:
    """Read a file with a `base` and changes of it; what it names is relative to it.

    Parameters
    ----------
    path : str or Path
        TOML.
    what : str
        What it is as an input, see `marketsim.scenario.inputs`.

    Returns
    -------
    dict

    Raises
    ------
    DesignError
        If it cannot be read.
    """
    file = absolute_path(str(path), Path.cwd())
    data = read_toml(file, str(path), what, DesignError)
    folder = file.parent
    if BASE in data:
        data[BASE] = _absolute(BASE, data[BASE], folder)
    for part in (data, *(data[name] for name in FORMS if isinstance(data.get(name), dict))):
        _make_absolute(part, folder)
    return data


def parse_design(data: dict[str, Any], source: str = "design", form: str | None = None) -> Design:
    """Check a design given as nested dictionaries.

    Parameters
    ----------
    data : dict
        As in a design file.
    source : str, optional
        Where it came from, for the error.
    form : {"quick", "full"}, optional

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        Listing every wrong field.
    """
    forms = {name: data[name] for name in FORMS if name in data}
    data = {key: value for key, value in data.items() if key not in FORMS}
    for name, over in forms.items():
        if not isinstance(over, dict):
            raise DesignError([f"{name}: must be a table of what differs in that form"], source)
    if form is not None and form not in FORMS:
        raise DesignError([f"form: {one_of(form, FORMS)}"], source)
    if form in forms:
        data = _on_top(data, forms[form])
    try:
        return Design.model_validate(data)
    except ValidationError as error:
        found = explain(error, data, Design.model_json_schema())
        raise DesignError([line for _, lines in found for line in lines], source) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _make_absolute(data: dict[str, Any], folder: Path) -> None:
    """Make the files a design names absolute; they are relative to the design's own."""
    if isinstance(data.get("measure"), str):
        data["measure"] = str(absolute_path(data["measure"], folder))
    variants, parameters = data.get("variants"), data.get("parameters")
    stated = list(data["table"]) if isinstance(data.get("table"), list) else []
    stated += list(variants.values()) if isinstance(variants, dict) else []
    for changes in (data.get("set"), *stated):
        if isinstance(changes, dict):
            for path, value in changes.items():
                changes[path] = _absolute(path, value, folder)
    if isinstance(parameters, dict):
        for name, each in parameters.items():
            if isinstance(each, list):
                parameters[name] = [_absolute(name, value, folder) for value in each]
            elif isinstance(each, dict) and isinstance(each.get("levels"), list):
                paths = each.get("paths")
                for path in map(str, paths if isinstance(paths, list) else [name]):
                    each["levels"] = [_absolute(path, value, folder) for value in each["levels"]]


def _absolute(path: str, value: Any, folder: Path) -> Any:
    """Make the files that a field's value names absolute; a base may be a name of the library."""
    if path != BASE or not isinstance(value, str):
        return absolute_value(path, value, folder)
    file = absolute_path(value, folder)
    return str(file) if _is_file(file) else value


def _on_top(data: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Replace fields; of the tables of changes and variants entries, of a parameter its fields."""
    merged = dict(data)
    for key, value in over.items():
        below = merged.get(key)
        if key in ("parameters", "set", "variants") and isinstance(value, dict):
            merged[key] = {**(below if isinstance(below, dict) else {}), **value}
        else:
            merged[key] = value
    if isinstance(data.get("parameters"), dict) and isinstance(over.get("parameters"), dict):
        for name, value in over["parameters"].items():
            below = data["parameters"].get(name)
            if isinstance(below, dict):  # what it sets stays, unless that is stated anew
                fields = value if isinstance(value, dict) else {"levels": value}
                merged["parameters"][name] = {**below, **fields}
    return merged


def _first_path(path: str, value: Any) -> str:
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        path = f"{path}.{key}"
    return path


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
