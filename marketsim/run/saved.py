"""A run saved in a file: what the file holds, what it must fit, and how a run is made of it.

The file is data (`marketsim.run.data`): loading it runs no code but that of the users' own classes,
which the caller names or the scenario does, and whose text must be the one that was saved.
"""

import contextlib
import hashlib
import inspect
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

from marketsim.agents.base import Parameters
from marketsim.agents.callers import Callers, FindTrader
from marketsim.agents.desk import Desk
from marketsim.agents.own import OwnClass, Strategy, own_class
from marketsim.agents.registry import check_strategies
from marketsim.engine._sources import kernel_digest
from marketsim.run.attributes import SAVED, RunAttributes
from marketsim.run.codecs import CODECS
from marketsim.run.data import (
    NoDataError,
    SavedMarketError,
    check_nesting,
    complete,
    pack,
    read_arrays,
    read_header,
    unpack,
    write_data,
)
from marketsim.run.hooks import Hooks
from marketsim.run.version import code_version
from marketsim.scenario.coercion import at_home, path_of
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.inputs import (
    IMPORTED,
    NETWORK,
    PRICES,
    RATES,
    SHOWN,
    STRATEGY,
    InputLog,
    compare_inputs,
    scenario_inputs,
)
from marketsim.scenario.schema import Scenario
from marketsim.scenario.wording import show

#: Inputs that must be as they were: what a scenario names. What it was read from may change.
NAMED = (PRICES, RATES, STRATEGY, IMPORTED, NETWORK)

#: Where the bases of a user's class come from that are not the user's.
LIBRARIES = {*sys.stdlib_module_names, "marketsim", "mesa", "pydantic"}


class Saved(NamedTuple):
    """A saved file, open."""

    file: Path
    stream: IO[bytes]
    header: dict[str, Any]

    @property
    def scenario(self) -> Scenario:
        """What it runs."""
        with complete(self.file):
            found: Scenario = unpack(self.header["parts"]["scenario"], [], CODECS)
        return found

    @property
    def seed(self) -> int:
        """Of all random draws."""
        with complete(self.file):
            return int(self.header["parts"]["seed"])

    @property
    def is_market(self) -> bool:
        """Whether it is of a `marketsim.PerpMarket`."""
        with complete(self.file):
            return self.header["model"] is not None


def save_run(
    run: RunAttributes,
    path: str | Path,
    model: Mapping[str, Any] | None = None,
    *,
    is_checkpoint: bool = False,
) -> None:
    """Save a run, completely or not at all.

    Parameters
    ----------
    run : RunAttributes
    path : str or Path
        An existing file is replaced.
    model : mapping, optional
        What its Mesa model remembers, as data.
    is_checkpoint : bool, optional
        Whether the run saves itself on its way, to replace and remove the file later.

    Raises
    ------
    SavedMarketError
        If a trader of a user's own remembers what is no data.
    FolderError
        If the file cannot be written.
    """
    run.check_between_steps("save()")
    arrays: list[Any] = []
    parts = {name: pack(getattr(run, name), arrays, CODECS, name) for name in SAVED}
    memory = {g: data_of(own, own.__pydantic_private__ or {}) for g, own in _strategies(run)}
    header = _here() | {
        "strategies": _sources(run.scenario, _chosen(run), run.inputs),
        "parts": parts,
        "memory": pack(memory, arrays, {}),
        "wall_seconds": time.perf_counter() - run._started,
        "model": None if model is None else pack(dict(model), arrays, {}),
        "checkpoint": is_checkpoint,
    }
    write_data(path_of("path", path), header, arrays)


@contextlib.contextmanager
def open_saved(path: str | Path) -> Iterator[Saved]:
    """Open a saved file that fits what is here.

    Raises
    ------
    SavedMarketError
        If it cannot be read, is no such file or damaged, or another version wrote it.
    TypeError, ValueError
        If the path is none, or empty.
    """
    file = path_of("path", path)
    with _opened(file) as stream:
        header = read_header(file, stream)
        differences = [
            f"{what} {header.get(what, 'not stated')} then, {now} here"
            for what, now in _here().items()
            if header.get(what) != now
        ]
        _refuse(file, differences)
        yield Saved(file, stream, header)


def is_checkpoint(file: Path) -> bool:
    """Tell whether a saved file, of whatever version, is one that a run wrote on its way.

    Raises
    ------
    SavedMarketError
        If it cannot be read, is no saved file or damaged.
    """
    with _opened(file) as stream:
        return read_header(file, stream).get("checkpoint") is True


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise SavedMarketError(f"{file}: cannot be read: {error.strerror or error}") from None


def revive(
    run: RunAttributes,
    saved: Saved,
    strategies: Mapping[str, OwnClass] | None,
    find_trader: FindTrader | None = None,
) -> Any:
    """Give a bare run all that it consists of.

    Parameters
    ----------
    run : RunAttributes
        Without attributes yet.
    saved : Saved
    strategies : mapping, optional
        Users' own classes by the name a population's ``strategy`` calls them.
    find_trader : callable, optional
        As for `marketsim.Simulation`.

    Returns
    -------
    object
        What its Mesa model remembers; None if it had none.

    Raises
    ------
    SavedMarketError
        If inputs or classes are not those it was saved with, or the file is damaged.
    ScenarioError
        If a class is missing.
    """
    header, scenario = saved.header, saved.scenario
    with complete(saved.file):
        inputs = unpack(header["parts"]["inputs"], [], CODECS)
        known = dict(header["strategies"])
        missing = _missing(scenario, known, strategies or {})
    then = [each for each in inputs if each.what in NAMED]
    _refuse(saved.file, [text for _, text in compare_inputs(then, scenario_inputs(scenario, {}))])
    if missing:
        raise ScenarioError(missing, str(saved.file))
    with InputLog(then, "when the market was saved"):
        chosen = check_strategies(scenario, strategies)
    found = _sources(scenario, chosen, inputs)
    changed = [name for name in found if known.get(name) != found[name]]
    _refuse(saved.file, [_change(name, known.get(name), found[name]) for name in changed])
    arrays = read_arrays(saved.file, saved.stream, header)
    with complete(saved.file):
        for name in SAVED:
            setattr(run, name, unpack(header["parts"][name], arrays, CODECS))
        memory = dict(unpack(header["memory"], arrays, {}))
        run._started = time.perf_counter() - header["wall_seconds"]
        model = None if header["model"] is None else unpack(header["model"], arrays, {})
    run.market_names = tuple(run.scenario.markets)
    run.num_steps = run.step_count if run.scenario.is_open else run.scenario.num_steps
    desk = Desk(run.market_names, run.scenario.step_minutes)
    run.callers = Callers(run.roster.names, chosen, run.traders, desk, run.seed, find_trader)
    for g, own in _strategies(run):
        give_back(saved.file, own, memory.get(g), own.__pydantic_private__)
    run.hooks, run.is_stopped = Hooks(), False
    return model


def data_of(own: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an object of a user's class remembers: what its `state` says, or attributes.

    Raises
    ------
    SavedMarketError
        If that is no data, or `state` fails.
    """
    name = type(own).__name__
    if _keeps_itself(own):
        prefix = f"{name}.state(): "
        with _named(f"{name}.state()"):
            found = {"state": own.state()}
    else:
        found, prefix = dict(attributes), f"{name}."
    for where, value in found.items():
        try:
            check_nesting(value, where)
            pack(value, [], {}, where)
        except NoDataError as error:
            raise SavedMarketError(
                f"{prefix}{error}: only numbers, texts, True, False, None, arrays, and lists, "
                f"tuples and dicts of these are saved; or give {name} state() and restore(state)"
            ) from None
    return found


def give_back(file: Path, own: Any, remembered: Any, attributes: dict[str, Any] | None) -> None:
    """Give an object what `data_of` returned.

    Parameters
    ----------
    file : Path
        Where it was saved.
    own : object
    remembered : mapping
    attributes : dict, optional
        Those to overwrite.

    Raises
    ------
    SavedMarketError
        If its `restore` fails, or the file is damaged.
    """
    with complete(file):
        found = dict(remembered)
        state = found["state"] if _keeps_itself(own) else None
    if _keeps_itself(own):
        with _named(f"{file}: {type(own).__name__}.restore(state)"):
            own.restore(state)
    elif attributes is not None:
        attributes.clear()
        attributes.update(found)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Run code of a user's own; what it raises says where."""
    try:
        yield
    except Exception as error:
        raise SavedMarketError(f"{what} failed: {type(error).__name__}: {error}") from error


def _keeps_itself(own: Any) -> bool:
    return all(callable(getattr(type(own), name, None)) for name in ("state", "restore"))


def _here() -> dict[str, str]:
    return {
        "marketsim": version("marketsim-perps"),
        "kernels": kernel_digest(),
        "code": code_version(),
    }


def _refuse(file: Path, differences: list[str]) -> None:
    if differences:
        raise SavedMarketError(f"{file}: does not fit what is here: {'; '.join(differences)}")


def _chosen(run: RunAttributes) -> list[Parameters]:
    return [run.callers.parameters_of(g) for g in range(len(run.roster.names))]


def _strategies(run: RunAttributes) -> list[tuple[int, Strategy]]:
    """List the vectorised strategies of users' own."""
    return [(g, own) for g, own in enumerate(_chosen(run)) if isinstance(own, Strategy)]


def _sources(
    scenario: Scenario, chosen: list[Parameters], inputs: InputLog
) -> dict[str, list[str | None]]:
    """Return name and hash of the classes that were given and not read from a file, by population.

    The hash is None of a class typed in where Python keeps no text.
    """
    read = {each.name for each in inputs if each.what == STRATEGY}
    found: dict[str, list[str | None]] = {}
    for (name, population), values in zip(scenario.populations.items(), chosen, strict=True):
        own, place = own_class(values), population.strategy.rpartition(":")[0]
        if own is not None and not {place, str(at_home(place).absolute())} & read:
            found[name] = [own.__name__, _hash_source(own)]
    return found


def _missing(
    scenario: Scenario,
    known: Mapping[str, list[str | None]],
    strategies: Mapping[str, OwnClass],
) -> list[str]:
    """Name the classes that a run was made with and that are not given now."""
    strategy = {name: scenario.populations[name].strategy for name in known}
    return [
        f"populations.{name}.strategy = {show(strategy[name])}: it was saved with a class "
        f"{own} of your own: give it, in Python, as strategies={{{show(strategy[name])}: {own}}}"
        for name, (own, _) in known.items()
        if ":" not in strategy[name] and strategy[name] not in strategies
    ]


def _hash_source(own: type) -> str | None:
    """Hash the text of a class and of its bases among the user's."""
    classes = [each for each in own.__mro__ if each.__module__.partition(".")[0] not in LIBRARIES]
    try:
        text = "\0".join(inspect.cleandoc(inspect.getsource(each)) for each in classes)
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def _change(population: str, then: Any, now: Any) -> str:
    """Say of what text a population's class was, and is."""
    was, is_now = (
        f"{name} (sha256 {sha[:SHOWN]}...)" if sha else f"{name} (its text is not known)"
        for name, sha in (then or ("read from a file", None), now)
    )
    return f"populations.{population}: its class was {was}, now it is {is_now}"
