"""What a run has left so far, in one object: the arrays behind all tables."""

import time

import numpy as np

from marketsim.engine.records import Rows
from marketsim.engine.state import NONE
from marketsim.run.attributes import RunAttributes
from marketsim.run.newcomers import generations
from marketsim.run.room import complete_rows
from marketsim.scenario.writer import resolved_toml
from marketsim.tape.result import Floats, RunResult, since_warm_up, take_snapshot
from marketsim.tape.series import Settlement


def collect_result(run: RunAttributes) -> RunResult:
    """Collect what the steps done so far have left.

    Parameters
    ----------
    run : RunAttributes

    Returns
    -------
    RunResult
    """
    state, tape = run.state, run.tape
    totals = state.totals[0]
    warm_up = run.warm_up
    funding = since_warm_up(tape.funding[: int(tape.clock[0].num_funding)], warm_up)
    rows = -(-run.step_count // int(tape.clock[0].series_every))
    moments = -(-run.step_count // int(tape.clock[0].wealth_every)) + 1
    complete_rows(run, rows - 1, moments - 1)
    steered = run.steered
    return RunResult(
        scenario=run.scenario.name,
        scenario_text=resolved_toml(steered),
        seed=run.seed,
        num_steps=run.step_count,
        step_minutes=run.scenario.step_minutes,
        market_names=run.market_names,
        venue_names=tuple(run.scenario.spot.sources),
        population_names=run.roster.names,
        tick_size=np.array(state.market["tick_size"]),
        lot_size=np.array(state.market["lot_size"]),
        tick_atoms=np.array(state.market["tick_atoms"]),
        series=tape.series[:rows],
        deviation=tape.deviation[:rows],
        steps=since_warm_up(tape.steps[:rows], warm_up),
        funding=funding,
        funding_cap=_funding_cap(run, funding),
        liquidation=since_warm_up(state.liquidation[: int(totals.num_liquidations)], warm_up),
        impact=state.impact[: int(totals.num_liquidations) * int(totals.record_causes)],
        seizure=state.seizure[: int(totals.num_seizures)],
        loss=state.loss[: int(totals.num_losses)],
        deleverage=since_warm_up(state.deleverage[: int(totals.num_deleverages)], warm_up),
        fill=since_warm_up(state.fill[: int(totals.num_fills)], warm_up),
        wealth=tape.wealth[:moments],
        exposure=tape.exposure[:moments],
        depth_share=tape.depth_share[: run.step_count // int(tape.clock[0].depth_every)],
        population=np.append(run.roster.population, NONE).astype(np.int64),
        deposit=state.account["deposit"] - run._paid_before,
        pool=np.array(state.position["pool"], np.int64),
        start=run._start,
        end=take_snapshot(state),
        outcome=np.array(totals.outcome),
        conservation_error=int(totals.conservation_error),
        struck=steered.struck_markets,
        strikes=steered.strikes,
        arrival=since_warm_up(tape.arrival[: int(tape.clock[0].num_arrivals)], warm_up),
        generation=generations(run),
        contagion_steps=run._contagion.steps,
        contagion=run._contagion.matrices(len(run.market_names)),
        contagion_on_paper=run._contagion.on_paper(len(run.market_names)),
        reproduction_measured=run._probe.values,
        recovery=run._contagion.recovery(len(run.market_names)),
        heat=run._contagion.heat,
        depth=run._depth.depth,
        book=run._depth.book,
        snapshots=tuple(run._snapshots),
        start_time=run._start_time,
        notes=(*run.notes, *run.interventions.notes),
        inputs=tuple(run.inputs),
        payments=tuple(run.interventions.payments),
        timings={
            "build": run._build_seconds,
            "run": run._run_seconds,
            "wall": time.perf_counter() - run._started,
        },
    )


def _funding_cap(run: RunAttributes, funding: Rows[Settlement]) -> Floats:
    """Return the cap in force at each settlement."""
    first = [step for step, _ in run._caps]
    place = np.searchsorted(first, funding["step"], side="right") - 1
    caps: Floats = np.array([cap for _, cap in run._caps])[place, funding["market"]]
    return caps
