"""References that keep nothing alive, so that a market is freed as soon as it is dropped.

A market keeps its run and its agents; they, and what Mesa keeps of a model in the model, know
it in return without keeping it. Copied or pickled, they know the copy.
"""

import weakref
from collections.abc import Callable
from copy import deepcopy
from typing import Any


class Weak:
    """A reference that does not keep what it refers to.

    Parameters
    ----------
    target : object
    """

    def __init__(self, target: Any) -> None:
        self._target = weakref.ref(target)

    def __call__(self) -> Any:
        """Return what is referred to.

        Raises
        ------
        ReferenceError
            If that is gone.
        """
        target = self._target()
        if target is None:
            raise ReferenceError("the market is gone: keep it as long as its run and its traders")
        return target

    @property
    def is_alive(self) -> bool:
        """Whether what is referred to is still there."""
        return self._target() is not None

    def __reduce__(self) -> tuple[type["Weak"], tuple[Any]]:
        return Weak, (self(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Weak":
        return Weak(deepcopy(self(), memo)) if self.is_alive else self


class WeakMethod:
    """A method that does not keep its object, and is otherwise like it.

    Parameters
    ----------
    method : method
    """

    def __init__(self, method: Any) -> None:
        self._object = Weak(method.__self__)
        self.__func__: Callable[..., Any] = method.__func__

    @property
    def __self__(self) -> Any:
        return self._object()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method."""
        return self.__func__(self._object(), *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return (
            getattr(other, "__func__", None) is self.__func__
            and getattr(other, "__self__", None) is self.__self__
        )

    def __hash__(self) -> int:
        return hash(self.__func__)


class KnowsModel:
    """A class whose objects know their `model` without keeping it."""

    _model: Weak

    @property
    def model(self) -> Any:
        """The model it belongs to."""
        return self._model()

    @model.setter
    def model(self, model: Any) -> None:
        self._model = Weak(model)


try:
    from mesa.time.events import EventGenerator  # from Mesa 3.5 on
except ImportError:
    EventGenerator = object


class WeakSchedule(KnowsModel, EventGenerator):
    """The schedule of a model's steps, as Mesa makes it."""


def loosen(model: Any) -> None:
    """Let what a Mesa model has of itself in itself not keep it alive."""
    for name in {"step", "_user_step"} & vars(model).keys():
        setattr(model, name, WeakMethod(getattr(model, name)))
    schedule: Any = getattr(model, "_default_schedule", None)
    if type(schedule) is EventGenerator:
        del schedule.model
        schedule.__class__ = WeakSchedule
        schedule.model = model
