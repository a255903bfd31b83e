"""The replay of markets that still run: made again from their scenarios, watched from the start."""

import tomllib
from collections.abc import Sequence

from marketsim.model.opening import open_simulation
from marketsim.report.drawn import choose_drawn
from marketsim.report.replay import Source, replay_page, series_minutes, watch
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import change_tables, parse_scenario


def replay_again(
    runs: Sequence[Simulation], labels: Sequence[str], progress: Progress | None = None
) -> str:
    """Make runs again as far as they have come, watched from their first step on, as one page.

    Parameters
    ----------
    runs : sequence of Simulation
        One, or one and the one drawn behind it; interventions are made again, too.
    labels : sequence of str
    progress : callable, optional
        Called with (steps done, steps asked) now and then.
    """
    drawn = choose_drawn(runs[0].roster, _liquidated(runs[0]))
    recorded = []
    for lane, (run, label) in enumerate(zip(runs, labels, strict=False)):
        steps = max(run.step_count, 1)
        text = run.result().scenario_text
        minutes = series_minutes(steps, run.scenario.step_minutes)
        tables = change_tables(tomllib.loads(text), [("record.series_minutes", minutes)])
        again = open_simulation(parse_scenario(tables), run.seed)
        command = f"marketsim run {file_name(run, lane, 'toml')} --seed {run.seed}"
        source = Source(label, run.digest(), command, text)
        recorded.append(watch(again, steps, drawn, source, lane, progress))
    return replay_page(recorded)


def file_name(run: Simulation, lane: int, kind: str) -> str:
    """Name a file of a run, lane by lane."""
    which = f"-{lane + 1}" if lane else ""
    return f"{run.scenario.name}-{run.seed}{which}.{kind}"


def _liquidated(run: Simulation) -> list[int]:
    """List the accounts that were liquidated, those first who fell first."""
    rows = run.state.liquidation[: int(run.state.totals[0].num_liquidations)]
    return list(dict.fromkeys(rows["account"].tolist()))
