"""Users' own strategies: the classes they start from, and how a scenario's text becomes one."""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeAlias, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, create_model, model_validator

from marketsim.agents.base import Parameters
from marketsim.agents.fence import fenced
from marketsim.scenario.coercion import at_home
from marketsim.scenario.errors import nearest
from marketsim.scenario.inputs import (
    IMPORTED,
    Input,
    InputChangedError,
    InputLog,
    module_file,
    read_strategy,
    searching,
)


class OwnTraderError(Exception):
    """A user's own trader failed; names step, population, class and account.

    Attributes
    ----------
    step : int
        The step that was not finished.
    population : str
    result : RunResult or None
        The steps before it, where the command line kept them.
    """

    def __init__(self, step: int, population: str, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.population = population
        self.result: Any = None


class RefusedError(ValueError):
    """An order or a name that means nothing; the text is for the user as it is."""


def unknown_market(name: object, names: Sequence[str]) -> RefusedError:
    """Return the error of a market that is not one of `names`."""
    hint = nearest(name, names) if isinstance(name, str) else ""
    return RefusedError(f"market {name!r}: must be one of {', '.join(names)}{hint}")


class Strategy(Parameters):
    """Base of a vectorised strategy: parameters as fields, one `decide` for all of its traders.

    Fields are declared as in any pydantic model; a population's ``parameters`` set them.

    Examples
    --------
    >>> import numpy as np
    >>> class Contrarian(Strategy):
    ...     share: float = 0.1
    ...     def decide(self, market, traders):
    ...         dollars = self.share * traders.equity[:, None]
    ...         traders.market_order(np.where(market.premium > 0, -dollars, dollars) / market.mid)
    >>> Contrarian(share=0.2)
    Contrarian(share=0.2)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def decide(self, market: Any, traders: Any) -> None:
        """Place the orders of the traders who wake in this step.

        Parameters
        ----------
        market : MarketView
            What everybody sees, see `marketsim.agents.view.MarketView`.
        traders : Batch
            The traders, their memory and their orders, see `marketsim.agents.batch.Batch`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no decide(self, market, traders)")


class Plain:
    """What makes a class a trader in plain Python; its users' base is `marketsim.Trader`."""

    def step(self) -> None:
        """Look at the market and place orders; called when the trader wakes."""
        raise NotImplementedError(f"{type(self).__name__} has no step(self)")


#: Hash of every module that strategies came from, or have imported from beside them.
_imported: dict[str, str] = {}

OwnClass: TypeAlias = type[Strategy] | type[Plain]


class PlainParameters(Parameters):
    """Base of the parameters of a `Plain` trader: the annotated attributes of its class."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    #: The class they belong to.
    TRADER: ClassVar[type[Plain]] = Plain

    @model_validator(mode="before")
    @classmethod
    def _annotated(cls, data: Any) -> Any:
        for name in data if isinstance(data, dict) else ():
            if name not in cls.model_fields and name in vars(cls.TRADER):
                raise ValueError(not_annotated(cls.TRADER.__name__, name))
        return data


def not_annotated(owner: str, name: str) -> str:
    """Say that an attribute of a class is no parameter yet."""
    return f"{owner}.{name}: has no annotation; write {name}: float = ... to make it a parameter"


def parameters_class(own: OwnClass) -> type[Parameters]:
    """Return the class that checks an own strategy's parameters."""
    return own if issubclass(own, Strategy) else _attributes_class(own)  # type: ignore[arg-type]


@cache
def _attributes_class(own: type[Plain]) -> type[PlainParameters]:
    """Make a model of the annotated attributes of a class and of its bases among the user's."""
    fields: dict[str, Any] = {}
    for base in reversed(own.__mro__):
        if not issubclass(base, Plain) or base.__module__.startswith("marketsim."):
            continue
        hints = get_type_hints(base)
        for name in inspect.get_annotations(base):
            if not name.startswith("_") and get_origin(hints[name]) is not ClassVar:
                fields[name] = (hints[name], getattr(base, name, ...))
    model = create_model(own.__name__, __base__=PlainParameters, **fields)
    model.TRADER = own
    return model


def own_class(parameters: Parameters) -> OwnClass | None:
    """Return the user's class behind checked parameters, or None for a built-in strategy."""
    if isinstance(parameters, PlainParameters):
        return parameters.TRADER
    return type(parameters) if isinstance(parameters, Strategy) else None


def check_class(own: Any) -> OwnClass:
    """Return a class that is a strategy.

    Raises
    ------
    ValueError
        Saying what it should be.
    """
    if not (isinstance(own, type) and issubclass(own, Strategy | Plain)):
        name = getattr(own, "__name__", repr(own))
        raise ValueError(f"{name} must be a class made from marketsim.Strategy or marketsim.Trader")
    method = "decide" if issubclass(own, Strategy) else "step"
    if getattr(own, method) in (Strategy.decide, Plain.step):
        arguments = "self, market, traders" if method == "decide" else "self"
        raise ValueError(f"{own.__name__} has no method {method}({arguments})")
    taken = [name for name in inspect.get_annotations(own) if _is_taken(own, name)]
    if taken:
        raise ValueError(f"{own.__name__}.{taken[0]}: marketsim.Trader has one, choose another")
    return own


def _is_taken(own: type, name: str) -> bool:
    """Tell whether a name means something to the base class of plain traders."""
    bases = (base for base in own.__mro__ if base.__module__.startswith("marketsim."))
    return issubclass(own, Plain) and any(hasattr(base, name) for base in bases)


def find_strategy(text: str, given: Mapping[str, Any]) -> OwnClass:
    """Return the class a population names: one given from Python, or one to be loaded.

    Raises
    ------
    ValueError
        Saying what is wrong with it.
    """
    return check_class(given[text]) if text in given else load_strategy(text)


def load_strategy(text: str) -> OwnClass:
    """Load a class by ``"module:Class"`` or ``"path/to/file.py:Class"``.

    A module is searched on ``sys.path`` and in the current folder. What a file imports may lie
    beside it. The file, and those beside it that it imports, are inputs of the run.

    Parameters
    ----------
    text : str

    Returns
    -------
    type
        Derived from `Strategy` or `marketsim.Trader`.

    Raises
    ------
    ValueError
        If there is no such file, module or class, or it is no strategy.
    InputChangedError
        If a file was edited since this process has imported it, or is not the one expected.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ValueError('must read "module:Class" or "path/to/file.py:Class"')
    try:
        with fenced():
            module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    except (RefusedError, InputChangedError):
        raise
    except PydanticUserError as error:
        attribute = re.search(r"detected: `(\w+)", str(error))
        if error.code != "model-field-missing-annotation" or attribute is None:
            raise ValueError(f"{place} cannot be loaded: {blame(error, place)}") from error
        raise ValueError(not_annotated(place, attribute[1])) from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place} cannot be loaded: {blame(error, place)}") from error
    if not hasattr(module, name):
        names = [key for key, value in vars(module).items() if _is_candidate(value, module)]
        known = f"; it has {', '.join(names)}" if names else ""
        raise ValueError(f"there is no class {name} in {place}{nearest(name, names)}{known}")
    return check_class(getattr(module, name))


def _is_candidate(value: Any, module: ModuleType) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


def _load_module(name: str) -> ModuleType:
    file = module_file(name)
    with InputLog() as read:
        if file is not None:
            read_strategy(file, name)
    with searching(Path.cwd()):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = str(error.name)
            if name != missing and not name.startswith(f"{missing}."):
                raise  # the module is there, one that it imports is not
            raise RefusedError(
                f"there is no module {name} on Python's path or in {Path.cwd()}; "
                "write a file as path/to/file.py:Class"
            ) from None
    for each in read:
        if _imported.setdefault(each.name, each.sha256) != each.sha256:
            raise InputChangedError(
                f"{each.name}: was edited after this process had imported it, and Python goes on "
                "with the old text: start a new process"
            )
    return module


def _load_file(path: Path) -> ModuleType:
    """Run a file as a module; the same text is not run twice, so that its classes stay the same.

    What it imports from beside it counts as part of the text.
    """
    path = at_home(path).absolute()
    try:
        with InputLog() as read:
            source = read_strategy(path)
    except OSError:
        folder = path.parent
        there = [entry.name for entry in folder.glob("*.py")] if folder.is_dir() else []
        raise RefusedError(f"there is no file {path}{nearest(path.name, there)}") from None
    text = "\0".join([str(path), *(each.sha256 for each in read)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    name = f"marketsim_own_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    beside = [each for each in read if each.what == IMPORTED]
    _forget_others(beside)
    sys.modules[name] = module  # annotations are looked up there
    try:
        with searching(path.parent):
            exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise
    _imported.update((each.name, each.sha256) for each in beside)
    return module


def _forget_others(beside: Sequence[Input]) -> None:
    """Let Python import modules beside a strategy afresh if it has others of these names.

    Others are earlier texts of theirs, and those beside a strategy in another folder.
    """
    now = {each.name: each.sha256 for each in beside}
    loaded = (sys.modules.get(Path(name).stem) for name in now)
    ours = [each for each in loaded if getattr(each, "__file__", None) in _imported]
    files = [str(each.__file__) for each in ours if each is not None]
    if any(now.get(file) != _imported[file] for file in files):
        for file in files:
            del sys.modules[Path(file).stem]


def blame(error: BaseException, file: str | None = None) -> str:
    """Say what an exception is and which line of the user's file raised it.

    Parameters
    ----------
    error : BaseException
    file : str, optional
        The user's file; the innermost line there is named, or the innermost of all.

    Returns
    -------
    str
        Type, text and ``(file:line)``.
    """
    frames = traceback.extract_tb(error.__traceback__)
    name = Path(file).name if file else ""
    own = [frame for frame in frames if Path(frame.filename).name == name] or list(frames)
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    if isinstance(error, SyntaxError):
        where = f" ({Path(str(error.filename)).name}:{error.lineno})"
        return f"{type(error).__name__}: {error.msg}{where}"
    text = str(error)
    return type(error).__name__ + (f": {text}" if text else "") + where


def source_file(own: type | None) -> str | None:
    """Return the file a class was written in, or None where there is none."""
    module = sys.modules.get(own.__module__) if own is not None else None
    return getattr(module, "__file__", None)
