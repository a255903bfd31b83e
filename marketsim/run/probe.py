"""R measured once in a run, at the hour its scenario asks for, beside what a small move does."""

from typing import Any

import numpy as np

from marketsim.contagion.matrix import measure_contagion
from marketsim.contagion.recorder import SIDES
from marketsim.run.attributes import RunAttributes
from marketsim.run.branch import branch
from marketsim.run.forced import measure_reproduction

#: Fall of all indices whose consequences are looked at.
NUDGE = 0.01


def keep_probe(run: RunAttributes) -> None:
    """Measure a run on copies of it if its scenario asks for that now."""
    probe = run._probe
    if not probe.take_turn(run.step_count):
        return
    side = SIDES[0]
    found = measure_reproduction(run, probe.draws, probe.horizon, side="falls")
    matrix = measure_contagion(
        run.state,
        run.market_names,
        step=run.step_count,
        delta=run.scenario.record.contagion_delta,
        reflexivity=run._rules.spot.reflexivity,
    )
    computed = matrix.reproduction_number(side), matrix.reproduction_on_paper(side)
    nudged = measure_nudge(run, NUDGE, probe.horizon)
    probe.values = np.array([*found.estimate, found.n, *computed, *nudged])


def measure_nudge(original: Any, fall: float, horizon: float) -> tuple[float, float]:
    """Let all indices fall a little in a copy, and compare it with one without, of the same luck.

    Parameters
    ----------
    original : Simulation or PerpMarket
    fall : float
        Fraction of the price.
    horizon : float
        Hours in which they are compared.

    Returns
    -------
    further : float
        How much further the marks are down when they are so most, a share of the fall: mean over
        the markets.
    share : float
        What was liquidated more, a share of open interest at the start.
    """
    run: RunAttributes = getattr(original, "simulation", original)
    steps = max(round(60.0 * horizon / run.scenario.step_minutes), 1)
    open_interest = _in_atoms(run, run.state.market["open_interest"])
    ways = []
    for is_nudged in (False, True):
        copy = branch(original, None, None)
        if is_nudged:
            copy.shock("jump", size=-fall)
        own: RunAttributes = getattr(copy, "simulation", copy)
        first = int(own.state.totals[0].num_liquidations)
        mark = np.zeros((steps, len(own.market_names)))
        for row in mark:
            copy.run(1)
            row[:] = own.state.market["mark_ticks"]
        rows = own.state.liquidation[first : int(own.state.totals[0].num_liquidations)]
        atoms = own.state.market["tick_atoms"][rows["market"]] * rows["mark_ticks"]
        lots = np.abs(rows["size_after"] - rows["size_before"])
        ways.append((mark, int((lots * atoms).sum())))
    (mark, before), (nudged, after) = ways
    further = float(((1.0 - nudged / mark) / fall).mean(axis=1).max()) - 1.0
    return further, (after - before) / open_interest if open_interest else np.nan


def _in_atoms(run: RunAttributes, lots: Any) -> int:
    market = run.state.market
    return int((lots * market["mark_ticks"] * market["tick_atoms"]).sum())
