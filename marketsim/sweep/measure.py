"""Figures of a run that a design measures itself, by a function in a file of its own."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marketsim.agents.own import blame
from marketsim.results.held import hold_run
from marketsim.scenario.inputs import Input, InputLog, read_input
from marketsim.tape.result import RunResult

if TYPE_CHECKING:
    from marketsim.results.run import Run

#: What the file is as an input, and the function it has to define.
MEASURE, FUNCTION = "measuring code", "measure"


class MeasureError(ValueError):
    """A measuring function that cannot be loaded, or fails."""


def load_measure(file: Path) -> "Callable[[Run], dict[str, float]]":
    """Load the function ``measure`` of a file and note the file as an input.

    Raises
    ------
    MeasureError
        If there is no such file, it cannot be run, or it does not define the function.
    """
    try:
        source = read_input(MEASURE, file)
    except OSError as error:
        raise MeasureError(f"{file} cannot be read: {error.strerror}") from None
    names: dict[str, Any] = {"__name__": f"marketsim_measure_{file.stem}", "__file__": str(file)}
    try:
        exec(compile(source, str(file), "exec"), names)  # noqa: S102
    except Exception as error:
        raise MeasureError(f"{file} cannot be loaded: {blame(error, str(file))}") from error
    if not callable(names.get(FUNCTION)):
        raise MeasureError(f"{file} defines no function {FUNCTION}(run)")
    found: Callable[[Run], dict[str, float]] = names[FUNCTION]
    return found


def measured_figures(
    file: str, result: RunResult, summary: dict[str, float], inputs: Iterable[Input]
) -> dict[str, float]:
    """Measure a run by a file's function.

    Parameters
    ----------
    file : str
    result : RunResult
    summary : dict
        The figures that every run has; those measured may not bear their names.
    inputs : iterable of Input
        The files the sweep is made from; the file has to be as it was then.

    Returns
    -------
    dict of float

    Raises
    ------
    MeasureError
        If the function fails, or returns anything but numbers by names of their own.
    """
    with InputLog(inputs, "when the sweep was planned"):
        measure = load_measure(Path(file))
    try:
        found = measure(hold_run(result))
    except Exception as error:
        raise MeasureError(f"{file}: {blame(error, file)}") from error
    if not isinstance(found, dict):
        raise MeasureError(f"{file}: {FUNCTION} must return a dict of numbers by name")
    for name, value in found.items():
        if not isinstance(value, int | float | np.number):
            raise MeasureError(f"{file}: {name} = {value!r}: must be a number")
        if name in summary:
            raise MeasureError(f"{file}: {name} is a figure of every run: choose another name")
    return {name: float(value) for name, value in found.items()}
