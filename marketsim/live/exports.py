"""What can be taken away from a running market: its series, its scenario, a replay, its digest."""

from collections.abc import Iterator, Sequence

import numpy as np

from marketsim.report.replay_again import file_name, replay_again
from marketsim.report.wire import Message
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
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
        page = replay_again(runs[:MOST_REPLAYED], labels, progress)
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


def _file(name: str, mime: str, text: str) -> Message:
    data = np.frombuffer(text.encode(), np.uint8)
    return Message({"kind": "file", "name": name, "mime": mime}, {"bytes": data})
