"""Room for what a run records: how long its arrays are, and how much of them is in use."""

import math
from collections.abc import Sequence
from fractions import Fraction
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any

import numpy as np

from marketsim.engine.records import CACHE_LINE, zeroed
from marketsim.engine.state import State
from marketsim.run.attributes import RunAttributes
from marketsim.run.loop import Tape, new_tape, record_row
from marketsim.scenario.build_world import RuleChange
from marketsim.scenario.coercion import whole_number
from marketsim.scenario.funding_file import load_given_rates
from marketsim.scenario.history import HistoryError, HistoryPath, load_history
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.schema import Scenario
from marketsim.tape.wealth import record_wealth

#: Hours over which traders average what is public: the basis, which makers quote around, the
#: volatility, what stirs noise traders, the trend the herd follows and the funding carry traders
#: expect.
AVERAGE_HOURS = {"basis": 4.0, "variance": 2.0, "stir": 0.25, "trend": 72.0, "funding": 72.0}

#: From so many bytes on, memory that is not used yet is left to the system.
LAZY_BYTES = 2**18


def as_bytes(array: Any) -> Any:
    """Return the bytes of a contiguous array, to be read or written in place."""
    return array.reshape(-1).view(np.uint8)


def blank(dtype: np.dtype[Any], *shape: int) -> Any:
    """Allocate a zeroed array, records as `zeroed` lays them."""
    return zeroed(dtype, *shape) if dtype.names else np.zeros(shape, dtype)


def duplicate(array: Any, used: int | None = None, length: int | None = None) -> Any:
    """Copy the first `used` rows of an array (all by default) into one of `length` rows.

    The rows beyond are zero, and many of them take no memory before they are written: the system
    hands it out page by page, where NumPy may have to zero it at once.
    """
    used = len(array) if used is None else used
    shape = len(array) if length is None else length, *array.shape[1:]
    num_bytes = math.prod(shape) * array.dtype.itemsize
    if num_bytes - array[:used].nbytes < LAZY_BYTES:
        copy = blank(array.dtype, *shape)
    else:
        memory = mmap(-1, num_bytes, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        copy = np.frombuffer(memory, array.dtype).reshape(shape)
    as_bytes(copy[:used])[:] = as_bytes(array[:used])
    return copy


def duplicate_all(arrays: Sequence[Any], used: Sequence[int | None]) -> list[tuple[Any, int]]:
    """Copy arrays as `duplicate` does, each into as many rows; small ones lie in one memory.

    To ask for memory takes longer than to copy them, and so does to ask where they lie: the
    addresses of the copies are returned with them.
    """
    sizes = [array.nbytes for array in arrays]
    needed = sum(size + CACHE_LINE for size in sizes if size < LAZY_BYTES)
    memory = np.empty(needed + CACHE_LINE, np.uint8)
    address: int = memory.ctypes.data
    start = -address % CACHE_LINE
    copies = []
    for array, rows, size in zip(arrays, used, sizes, strict=True):
        if size >= LAZY_BYTES:
            copy = duplicate(array, rows, len(array))
            copies.append((copy, copy.ctypes.data))
            continue
        filled = as_bytes(array if rows is None else array[:rows])
        end, stop = start + len(filled), start + size
        memory[start:end] = filled
        if end < stop:
            memory[end:stop] = 0
        copies.append((np.ndarray(array.shape, array.dtype, memory, start), address + start))
        start += size + -size % CACHE_LINE
    return copies


def state_rows(state: State) -> dict[str, int]:
    """Count the rows in use of the arrays that are longer than what they hold."""
    totals = state.totals[0]
    return {
        "intent": int(totals.num_intents),
        "fill": int(totals.num_fills),
        "liquidation": int(totals.num_liquidations),
        "deleverage": int(totals.num_deleverages),
        "shortfall": int(totals.num_shortfalls),
        "impact": int(totals.num_liquidations * totals.record_causes),
        "seizure": int(totals.num_seizures),
        "loss": int(totals.num_losses),
    }


def tape_rows(tape: Tape) -> dict[str, int]:
    """Count the rows in use of the arrays that are longer than what they hold."""
    clock = tape.clock[0]
    done = max(int(clock.step - clock.warm_up), 0)
    rows = -(-done // int(clock.series_every))
    moments = done // int(clock.wealth_every) + 1
    return {
        **dict.fromkeys(("series", "deviation", "steps"), rows),
        **dict.fromkeys(("wealth", "exposure"), moments),
        "depth_share": done // int(clock.depth_every),
        "funding": int(clock.num_funding),
        "arrival": int(clock.num_arrivals),
    }


def open_tape(run: RunAttributes) -> Tape:
    """Make the tape of a run that stands before its first step, long enough for all of them."""
    scenario, roster = run.scenario, run.roster
    counted = run.traders.population["has_opinions"]
    heads = np.bincount(roster.population, minlength=len(roster.names)) * counted
    warm_up = scenario.warm_up_steps
    phase = int(run.state.venue[0].funding_phase) + warm_up
    tape = new_tape(
        run.num_steps,
        np.append(roster.population, len(roster.names)).astype(np.int64),
        (heads[:, None] * (roster.market_weight > 0)).sum(axis=0).astype(np.float64),
        num_venues=len(scenario.spot.sources),
        num_settlements=count_settlements(scenario, run._changes, phase, 0, run.num_steps),
        series_every=scenario.steps_of(scenario.record.series_minutes),
        wealth_every=scenario.steps_of(scenario.record.population_minutes),
        depth_every=scenario.steps_of(60.0),
        num_turning=sum(p.count for p in scenario.populations.values() if p.turnover is not None),
        seed=run.seed,
    )
    record_wealth(run.state, tape.group, tape.wealth, tape.exposure, 0, 0)
    tape.clock["warm_up"] = warm_up
    hours = scenario.step_minutes / 60.0
    for name, span in AVERAGE_HOURS.items():
        tape.clock[f"{name}_weight"] = min(hours / span, 1.0)
    return tape


def complete_rows(run: RunAttributes, row: int, moment: int) -> None:
    """Write the last rows of the tape if the run stands between two of them."""
    tape, done = run.tape, run.step_count
    if done % int(tape.clock[0].series_every) != 0:
        record_row(run.state, run.world, run.traders, tape, row)
    if done % int(tape.clock[0].wealth_every) != 0:
        record_wealth(run.state, tape.group, tape.wealth, tape.exposure, moment, done)


def funding_phase(start_time: np.datetime64 | None, step_minutes: float) -> int:
    """Return the steps from 1970-01-01 00:00 UTC to the first; 0 without a calendar.

    So settlements fall on multiples of the interval from midnight UTC, and on multiples from
    that day where the interval does not divide a day. Of a start between two such steps the
    earlier counts: funding is settled at the first step that ends on or after its time.
    """
    if start_time is None:
        return 0
    since = start_time.astype("datetime64[us]").astype(int)
    # Exactly, and a third of a minute is one however many digits it is written with.
    step = Fraction(step_minutes).limit_denominator(1_000_000)
    return math.floor(Fraction(int(since), 60_000_000) / step)


def count_settlements(
    rules: Scenario, changes: Sequence[RuleChange], phase: int, start: int, stop: int
) -> int:
    """Count the settlements of funding between two steps.

    Parameters
    ----------
    rules : Scenario
        In force at `start`.
    changes : sequence of RuleChange
        Those to come, earliest first.
    phase : int
        `Venue.funding_phase`.
    start, stop : int
        Steps.

    Returns
    -------
    int
    """
    count = 0
    for change in (*changes, None):
        end = stop if change is None else min(change.step, stop)
        interval = rules.funding_interval_steps
        count += (end + phase) // interval - (start + phase) // interval
        start = end
        if change is not None:
            rules = rules.with_rule(change.field, change.value)
    return count


def allow_steps(run: RunAttributes, num_steps: int, extend: bool) -> None:
    """See to it that a run can go on for more steps; see `Simulation.ensure_steps_left`.

    Raises
    ------
    ValueError
        If they are fewer than 0, or its scenario has fewer left and may not be lengthened.
    TypeError
        If the number of steps is no whole one.
    RuntimeError
        If its traders decide, or hooks are told, at this moment.
    """
    run.check_may_run()
    num_steps = whole_number("num_steps", num_steps)
    if num_steps < 0:
        raise ValueError(f"run({num_steps}): must be 0 or more steps")
    left = run.num_steps - run.step_count
    if num_steps > left and (extend or run.scenario.is_open):
        lengthen(run, run.step_count + num_steps)
    elif num_steps > left:
        raise ValueError(
            f"run({num_steps}): {left} of the scenario's {run.num_steps} steps are left; "
            "raise the scenario's days, or say extend=True"
        )


def lengthen(run: RunAttributes, num_steps: int) -> None:
    """Lengthen a run to so many steps in all: it is then as if its scenario had asked for them.

    One that is left open stays so.

    Raises
    ------
    ValueError
        If no scenario may be as long.
    HistoryError
        If a replayed history has no more prices, or more of them would change those that were.
    InputChangedError
        If its file is not the one that was read.
    """
    longer = run.scenario.lasting(num_steps)
    history = _longer_history(run, longer)
    given_rate, said = _longer_rates(run, longer)
    tape = longer_tape(run, num_steps)
    if history is not None:
        run.world = run.world._replace(history=history.price)
        run._history_notes = (*history.notes, *said)
    if given_rate is not None:
        run.world = run.world._replace(given_rate=given_rate)
    if not run.scenario.is_open:
        run.scenario = longer
    run.num_steps, run.tape = num_steps, tape


def _longer_rates(run: RunAttributes, longer: Scenario) -> tuple[Any, list[str]]:
    """Read more of the funding rates that are given."""
    if len(run.world.given_rate) == 0:
        return None, []
    if run.scenario.is_open:  # they have been read to their end
        if longer.num_steps > len(run.world.given_rate):
            raise HistoryError(
                f"venue.funding.history: too short for {longer.num_steps} steps: it has rates for "
                f"{len(run.world.given_rate)}; run no further"
            )
        return None, []
    with InputLog(run.inputs, "when the run began"):
        return load_given_rates(longer, longer.num_steps, run._start_time)


def longer_tape(run: RunAttributes, num_steps: int) -> Tape:
    """Return the tape with room for so many steps, and for their settlements by today's rules."""
    clock, tape = run.tape.clock[0], run.tape
    phase, step = int(run.state.venue[0].funding_phase) + run.warm_up, run.step_count
    settlements = count_settlements(run._rules, run._changes, phase, step, num_steps)
    rows = -(-num_steps // int(clock.series_every))
    moments = -(-num_steps // int(clock.wealth_every)) + 1
    return tape._replace(
        series=_longer(tape.series, rows),
        deviation=_longer(tape.deviation, rows),
        steps=_longer(tape.steps, rows),
        funding=_longer(tape.funding, int(clock.num_funding) + settlements * len(run.market_names)),
        wealth=_longer(tape.wealth, moments),
        exposure=_longer(tape.exposure, moments),
        depth_share=_longer(tape.depth_share, num_steps // int(clock.depth_every)),
    )


def _longer(array: Any, length: int) -> Any:
    """Return an array of this length at least, and half as much to spare if it has to grow."""
    return array if length <= len(array) else duplicate(array, length=length + length // 2)


def _longer_history(run: RunAttributes, longer: Scenario) -> HistoryPath | None:
    """Read more of a replayed history; what has been replayed must stay as it was."""
    if run._start_time is None or longer.spot.history is None:
        return None
    known = run.world.history
    if run.scenario.is_open:  # it has been read to its end
        left = len(known) - 1 - run.warm_up
        if longer.num_steps > left:
            raise HistoryError(
                f"{longer.spot.history.path}: too short for {longer.num_steps} steps: it has "
                f"{left}; run no further"
            )
        return None
    with InputLog(run.inputs, "when the run began"):
        history = load_history(
            longer.spot.history,
            run.market_names,
            longer.step_minutes,
            longer.num_steps + run.warm_up,
            run.seed,
            run.warm_up,
        )
    if not np.array_equal(history.price[: len(known)], known):
        raise HistoryError(
            f"{longer.spot.history.path}: the path between known prices follows from all prices "
            "replayed, more of them would change what has been; raise the scenario's days"
        )
    return history
