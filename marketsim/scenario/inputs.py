"""What a run is made from: the files behind its scenario, each with the hash of its content.

A file is read whole and once by `read_input`, so that what is hashed is what is used; one that may
be large is opened by `open_input`, which hashes it first and refuses it if it changes meanwhile.
Every `InputLog` that is open notes it, and refuses it if it expects another content.

Of a strategy these are its own file and the Python files beside it that it imports. What else its
code reads, and what it imports from elsewhere, is not known here.
"""

import ast
import errno
import hashlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from marketsim.scenario.coercion import at_home
from marketsim.scenario.errors import ScenarioError

if TYPE_CHECKING:
    from marketsim.scenario.schema import Scenario

#: What an input is. Files that state something: only what they say counts, not how.
SCENARIO, BASE, DESIGN, TARGETS = "scenario", "base scenario", "design", "file of targets"
STATEMENTS = (SCENARIO, BASE, DESIGN, TARGETS)
#: Files of which every byte counts.
PRICES, STRATEGY, IMPORTED, NETWORK = "price file", "strategy", "imported module", "graph file"
RATES = "funding file"
#: What an experiment makes of its runs; they do not depend on it.
CODE = "code of an experiment"
#: Digits of a hash that are shown.
SHOWN = 12


class Input(NamedTuple):
    """A file that something was made from."""

    what: str
    name: str  #: its absolute path; of a scenario of the library, or of a Python module, its name
    sha256: str  #: of its content, hexadecimal


class InputChangedError(Exception):
    """An input is not what it has to be; the message names it and says what to do."""


class InputLog:
    """Notes the inputs that are read while it is open; it may be opened more than once.

    Parameters
    ----------
    expected : iterable of Input, optional
        Refuse every other input, and every other content.
    when : str, optional
        When the expected ones were read, for the error: "when the sweep was planned".
    """

    def __init__(self, expected: Iterable[Input] | None = None, when: str = "") -> None:
        self._expected = None if expected is None else {each.name: each for each in expected}
        self._when = when
        self._found: dict[str, Input] = {}

    def __enter__(self) -> "InputLog":
        """Note what is read from now on, in this thread."""
        _open_logs.set((*_open_logs.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        """Note no more."""
        _open_logs.set(_open_logs.get()[:-1])

    def __iter__(self) -> Iterator[Input]:
        """Go through what was read, in the order of reading."""
        return iter(tuple(self._found.values()))

    def note(self, found: Input) -> None:
        """Take an input down.

        Raises
        ------
        InputChangedError
            If it is not as expected.
        """
        if self._expected is not None:
            known = self._expected.get(found.name)
            if known is None:
                msg = f"{found.name}: the {found.what} was no input {self._when}; start anew"
                raise InputChangedError(msg)
            if known.sha256 != found.sha256:
                self._refuse(known, f"has changed: {_hashes(known, found)}")
        self._found[found.name] = found

    def precede(self, earlier: "InputLog") -> None:
        """Put what another log has noted before what this one has."""
        self._found = {**earlier._found, **self._found}

    def miss(self, name: str, reason: str) -> None:
        """Take down that an input cannot be read.

        Raises
        ------
        InputChangedError
            If it is expected.
        """
        known = (self._expected or {}).get(name)
        if known is not None:
            self._refuse(known, f"cannot be read any more: {reason}")

    def _refuse(self, known: Input, problem: str) -> None:
        raise InputChangedError(
            f"{known.name}: the {known.what} {problem} (it was read {self._when}); put it back as "
            "it was, or start anew in another folder"
        )


_open_logs: ContextVar[tuple[InputLog, ...]] = ContextVar("_open_logs", default=())


def read_input(what: str, file: Path, name: str | None = None) -> bytes:
    """Read an input and note it.

    Parameters
    ----------
    what : str
        "price file", say.
    file : Path
    name : str, optional
        What it is noted under; by default its absolute path.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    OSError
        If it cannot be read.
    InputChangedError
        If it is not what an open log expects.
    """
    name = name or str(file.absolute())
    try:
        if not file.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        content = file.read_bytes()
    except OSError as error:
        _miss(name, error.strerror or str(error))
        raise
    note_input(what, name, content)
    return content


@contextmanager
def open_input(what: str, file: Path) -> Iterator[IO[bytes]]:
    """Open an input too large to be read whole, and note it.

    Its content is hashed before it is used, where a log is open, and must stay as it is meanwhile.

    Parameters
    ----------
    what : str
        "price file", say.
    file : Path

    Yields
    ------
    binary file
        At its beginning.

    Raises
    ------
    OSError
        If it cannot be read.
    InputChangedError
        If it is not what an open log expects, or changes while it is read.
    """
    name = str(file.absolute())
    try:
        if not file.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        stream = file.open("rb")
    except OSError as error:
        _miss(name, error.strerror or str(error))
        raise
    with stream:
        before = _version(stream)
        if _open_logs.get():
            _note_hash(what, name, hashlib.file_digest(stream, "sha256").hexdigest())
            stream.seek(0)
        yield stream
        if _version(stream) != before:
            msg = f"{name}: the {what} changed while it was read; begin again once it is complete"
            raise InputChangedError(msg)


def _version(stream: IO[bytes]) -> tuple[int, int]:
    found = os.fstat(stream.fileno())
    return found.st_mtime_ns, found.st_size


def _miss(name: str, reason: str) -> None:
    for log in _open_logs.get():
        log.miss(name, reason)


def note_input(what: str, name: str, content: bytes) -> None:
    """Note an input that was read.

    Raises
    ------
    InputChangedError
        If it is not what an open log expects.
    """
    if _open_logs.get():
        _note_hash(what, name, hashlib.sha256(content).hexdigest())


def _note_hash(what: str, name: str, sha256: str) -> None:
    for log in _open_logs.get():
        log.note(Input(what, name, sha256))


def read_strategy(file: Path, name: str | None = None) -> bytes:
    """Read the file of a user's own strategy; what it imports from beside it is noted too.

    Parameters
    ----------
    file : Path
    name : str, optional
        What it is noted under; by default its absolute path.

    Returns
    -------
    bytes
        Its source.

    Raises
    ------
    OSError
        If it cannot be read.
    InputChangedError
        If it is not what an open log expects.
    """
    source = read_input(STRATEGY, file, name)
    seen, waiting = {file}, [source]
    while waiting:
        for beside in _imported_files(waiting.pop(), file.parent):
            if beside in seen:
                continue
            seen.add(beside)
            if beside.is_file():
                waiting.append(read_input(IMPORTED, beside))
            else:
                _miss(str(beside.absolute()), "it is gone")
    return source


def scenario_inputs(
    scenario: "Scenario", known: dict[tuple[str, str], tuple[Input, ...]]
) -> list[Input]:
    """Read and hash every file that a resolved scenario names.

    Parameters
    ----------
    scenario : Scenario
    known : dict
        What was read before; what is read now is added. Scenarios of one plan share it.

    Returns
    -------
    list of Input
        In the order of the scenario.

    Raises
    ------
    ScenarioError
        If one cannot be read.
    """
    found: list[Input] = []
    for field, what, name, file in _named_files(scenario):
        if (what, name) not in known:
            with InputLog() as log:
                try:
                    if what == STRATEGY:
                        read_strategy(file, name)
                    elif what in (PRICES, RATES):
                        with open_input(what, file):
                            pass
                    else:
                        read_input(what, file, name)
                except OSError as error:
                    text = f"{field}: {name}: cannot be read: {error.strerror}"
                    raise ScenarioError([text], scenario.name) from None
            known[what, name] = tuple(log)
        found += known[what, name]
    return found


def without_paths(scenario: "Scenario", **options: Any) -> dict[str, Any]:
    """Return a scenario's fields, the names of its files left out.

    Parameters
    ----------
    scenario : Scenario
    **options
        Of pydantic's ``model_dump``.

    Returns
    -------
    dict
    """
    data = scenario.model_dump(mode="json", **options)
    if data["spot"].get("history") is not None:
        data["spot"]["history"]["path"] = ""
    rates = data["venue"]["funding"].get("history", {})
    data["venue"]["funding"]["history"] = dict.fromkeys(rates, "")
    for population in data["populations"].values():
        place, colon, name = population["strategy"].rpartition(":")
        if place.endswith(".py"):
            population["strategy"] = f":{name}"
        if not colon and "network_file" in population["parameters"]:
            population["parameters"]["network_file"] = ""
    return data


def strategy_files(scenario: "Scenario") -> dict[str, Path | None]:
    """Return the file of every strategy of the user's own, by its text in the scenario.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    dict
        None where a module is not found. Nothing is run to find it.
    """
    texts = (population.strategy for population in scenario.populations.values())
    return {text: _strategy_file(text.rpartition(":")[0]) for text in texts if ":" in text}


def module_file(name: str) -> Path | None:
    """Find the file of a Python module, on Python's path or in the current folder.

    Neither it nor a package that holds it is run.

    Parameters
    ----------
    name : str
        Dotted.

    Returns
    -------
    Path or None
        None if there is none.
    """
    places: Any = None
    spec = None
    parts = name.split(".")
    with searching(Path.cwd()):
        for depth in range(1, len(parts) + 1):
            whole = ".".join(parts[:depth])
            specs = (finder.find_spec(whole, places) for finder in sys.meta_path)
            spec = next((each for each in specs if each is not None), None)
            places = None if spec is None else spec.submodule_search_locations
            if spec is None or (places is None and depth < len(parts)):
                return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


@contextmanager
def searching(folder: Path) -> Iterator[None]:
    """Let Python find modules of a folder too, after all others."""
    entry = str(folder)
    sys.path.append(entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def read_inputs(record: Any, file: Path, error: type[Exception]) -> tuple[Input, ...]:
    """Read inputs back from a record in JSON.

    Parameters
    ----------
    record : list of dict
        As ``_asdict`` gives each of them.
    file : Path
        Where it stands, for the error.
    error : type of Exception
        Raised if it is no such list.

    Returns
    -------
    tuple of Input
    """
    try:
        return tuple(Input(**each) for each in record)
    except TypeError:
        msg = f"{file}: damaged, inputs does not list what, name and sha256 of each"
        raise error(msg) from None


def compare_inputs(then: Iterable[Input], now: Iterable[Input]) -> list[tuple[Input, str]]:
    """List the inputs that differ, and how.

    Parameters
    ----------
    then, now : iterable of Input

    Returns
    -------
    list of (Input, str)
    """
    before, after = ({each.name: each for each in inputs} for inputs in (then, now))
    found = []
    for name, each in (after | before).items():
        if name not in after:
            how = "is no input any more"
        elif name not in before:
            how = "was no input"
        elif before[name].sha256 != after[name].sha256:
            how = f"has changed: {_hashes(before[name], after[name])}"
        else:
            continue
        found.append((each, f"{name}: the {each.what} {how}"))
    return found


def _hashes(then: Input, now: Input) -> str:
    return f"sha256 {then.sha256[:SHOWN]}... then, {now.sha256[:SHOWN]}... now"


def _named_files(scenario: "Scenario") -> Iterator[tuple[str, str, str, Path]]:
    """Go through the files a scenario names: field, what it is, its name as noted, the file."""
    spot = scenario.spot
    if spot.kind == "history" and spot.history is not None:
        yield "spot.history.path", PRICES, str(spot.history.path.absolute()), spot.history.path
    for market, rates in scenario.venue.funding.history.items():
        yield f"venue.funding.history.{market}", RATES, str(rates.absolute()), rates
    for name, population in scenario.populations.items():
        place, colon, _ = population.strategy.rpartition(":")
        file = _strategy_file(place) if colon else None
        if file is not None:
            noted = str(file.absolute()) if place.endswith(".py") else place
            yield f"populations.{name}.strategy", STRATEGY, noted, file
        graph = population.parameters.get("network_file")
        if not colon and isinstance(graph, str):
            field = f"populations.{name}.parameters.network_file"
            yield field, NETWORK, str(Path(graph).absolute()), Path(graph)


def _strategy_file(place: str) -> Path | None:
    """Return the file of a strategy's place, a file or a module."""
    return at_home(place) if place.endswith(".py") else module_file(place)


def _imported_files(source: bytes, folder: Path) -> list[Path]:
    """List the files a source would import from a folder, if they are there."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # loading it will tell
        return []
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name: None for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names[str(node.module)] = None
    return list(dict.fromkeys(folder / f"{name.partition('.')[0]}.py" for name in names))
