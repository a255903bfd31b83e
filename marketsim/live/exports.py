"""What can be taken away from a running market: its series, its scenario, a replay, its digest."""

import tomllib
from collections.abc import Iterator, Sequence

import numpy as np

from marketsim.model.opening import open_simulation
from marketsim.report.drawn import choose_drawn
from marketsim.report.replay import Source, replay_page, series_minutes, watch
from marketsim.report.wire import Message
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import change_tables, parse_scenario
from marketsim.tape.digest import digest_result
from marketsim.tape.events import quotes

#: A replay shows at most so many markets.
MOST_REPLAYED = 2


def digest_message(run: Simulation, lane: int) -> Message:
    """Return what a run's record adds up to, and the scenario and command that repeat it."""
    result = run.result()
    return Message(
        {
            "kind": "digest",
            "lane": lane,
            "step": run.step_count,
            "digest": digest_result(result),
            "command": f"marketsim run {file_name(run, lane, 'toml')} --seed {run.seed}",
            "scenario_toml": result.scenario_text,
        }
    )


def file_name(run: Simulation, lane: int, kind: str) -> str:
    """Name a file of a run, lane by lane."""
    which = f"-{lane + 1}" if lane else ""
    return f"{run.scenario.name}-{run.seed}{which}.{kind}"


def make(
    what: str, runs: Sequence[Simulation], labels: Sequence[str], progress: Progress
) -> Iterator[Message]:
    """Make the files of one kind: "csv", "toml" or "replay".

    Parameters
    ----------
    what : str
    runs : sequence of Simulation
        The markets that are shown.
    labels : sequence of str
    progress : callable
        Called with (steps done, steps asked) while a replay is made.
    """
    if what == "replay":
        page = _replay(runs[:MOST_REPLAYED], labels, progress)
        yield _file(file_name(runs[0], 0, "html"), "text/html", page)
        return
    for lane, run in enumerate(runs):
        name = file_name(run, lane, what)
        if what == "toml":
            yield _file(name, "application/toml", run.result().scenario_text)
        else:
            yield _file(name, "text/csv", _series(run))


def _series(run: Simulation) -> str:
    import pandas as pd

    return str(pd.DataFrame(quotes(run.result())).to_csv(index=False))


def _replay(runs: Sequence[Simulation], labels: Sequence[str], progress: Progress) -> str:
    """Make runs again, watched from their first step on, as one page."""
    drawn = choose_drawn(runs[0].roster, _liquidated(runs[0]))
    recorded = []
    for lane, run in enumerate(runs):
        steps = max(run.step_count, 1)
        tables = tomllib.loads(run.result().scenario_text)
        minutes = series_minutes(steps, run.scenario.step_minutes)
        scenario = parse_scenario(change_tables(tables, [("record.series_minutes", minutes)]))
        again = open_simulation(scenario, run.seed)
        command = f"marketsim run {file_name(run, lane, 'toml')} --seed {run.seed}"
        source = Source(labels[lane], run.digest(), command, run.result().scenario_text)
        recorded.append(watch(again, steps, drawn, source, lane, progress))
    return replay_page(recorded)


def _liquidated(run: Simulation) -> list[int]:
    rows = run.state.liquidation[: int(run.state.totals[0].num_liquidations)]
    return list(dict.fromkeys(rows["account"].tolist()))


def _file(name: str, mime: str, text: str) -> Message:
    data = np.frombuffer(text.encode(), np.uint8)
    return Message({"kind": "file", "name": name, "mime": mime}, {"bytes": data})
