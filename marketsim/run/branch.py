"""Exact copies of a running market in memory, which go their own ways from here."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from marketsim.run.attributes import RunAttributes
from marketsim.run.room import duplicate_all, state_rows, tape_rows
from marketsim.scenario.coercion import whole_number

R = TypeVar("R", bound=RunAttributes)


def branch(original: Any, n: int | None, change: Mapping[str, Any] | None) -> Any:
    """Copy a run or a market.

    Parameters
    ----------
    original : Simulation or PerpMarket
    n : int or None
    change : mapping or None
        Fields to set in each copy.

    Returns
    -------
    object, or list of them if `n` is a number

    Raises
    ------
    ValueError
        If `n` is below 0.
    TypeError
        If `n` is no whole number or `change` no mapping.
    """
    if n is not None and whole_number("n", n) < 0:
        raise ValueError(f"branch({n}): must be 0 or more")
    if change is not None and not isinstance(change, Mapping):
        raise TypeError(
            f"change = {change!r}: must be a dict of values by path, such as "
            '{"venue.funding.interval_hours": 1.0}'
        )
    copies = [deepcopy(original) for _ in range(1 if n is None else n)]
    for copy in copies:
        for path, value in (change or {}).items():
            copy.set(path, value)
    return copies[0] if n is None else copies


def copy_run(run: R, memo: dict[int, Any]) -> R:
    """Copy a run, as `copy.deepcopy` would, but not what never changes nor what holds nothing.

    Parameters
    ----------
    run : RunAttributes
    memo : dict
        Of `copy.deepcopy`: the copies so far, by the ids of what they are copies of.

    Returns
    -------
    RunAttributes
    """
    run.check_between_steps("branch()")
    copy = object.__new__(type(run))
    memo[id(run)] = copy
    snapshots = [snapshot for _, snapshot in run._snapshots]
    outside = (run.world.history, run.world.given_rate)
    for each in (run.scenario, run._rules, run.roster, run._start, *outside, *snapshots):
        memo[id(each)] = each
    used = state_rows(run.state) | tape_rows(run.tape)
    groups: tuple[Any, ...] = (run.state, run.world, run.traders, run.tape)
    places = _copy_arrays(groups, used, memo)
    for group in groups:
        made: Any = type(group)(*(memo[id(array)] for array in group))
        made.places = [places.get(id(array)) or array.ctypes.data for array in group]
        memo[id(group)] = made
    for name, value in vars(run).items():
        setattr(copy, name, deepcopy(value, memo))
    return copy


def _copy_arrays(
    groups: Sequence[Any], used: Mapping[str, int], memo: dict[int, Any]
) -> dict[int, int]:
    """Copy the arrays of structs into `memo`; return where each copy lies, by the array's id."""
    named = {
        id(array): (array, used.get(name))
        for group in groups
        for name, array in group._asdict().items()
        if id(array) not in memo
    }
    arrays, rows = zip(*named.values(), strict=True)
    places = {}
    for place, (copy, address) in zip(named, duplicate_all(arrays, rows), strict=True):
        memo[place] = copy
        places[place] = address
    return places
