"""What a calibration has found: for a terminal, and for JSON."""

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from marketsim.report.layout import records, to_rich
from marketsim.report.numbers import number
from marketsim.study.calibrate import BEST_FILE, Calibration

if TYPE_CHECKING:
    import pandas as pd


def calibration_record(found: Calibration) -> dict[str, Any]:
    """Return the best trial and how near it came to each target, ready for JSON.

    Parameters
    ----------
    found : Calibration

    Returns
    -------
    dict
    """
    return {
        "name": found.search.name,
        "trials": len(found.trials),
        "best_trial": found.best.number,
        "distance": found.best.distance,
        "dials": found.best.dials,
        "targets": records(_targets(found)),
        "scenario": str(found.folder / BEST_FILE),
    }


def render_calibration(found: Calibration) -> Group:
    """Lay the best trial out: its dials within their ranges, its targets.

    Parameters
    ----------
    found : Calibration

    Returns
    -------
    rich.console.Group
    """
    search, best = found.search, found.best
    runs = "a run" if search.replicates == 1 else f"{search.replicates} runs"
    head = (
        f"{search.name}: {len(found.trials)} trials of {runs} each; the best is trial "
        f"{best.number}, at a distance of {number(best.distance)}"
    )
    dials = to_rich(_dials(found), "dials", names=("dial",))
    targets = to_rich(_targets(found).map(number), "targets", names=("target",))
    return Group(Text(head), Text(), dials, Text(), targets, Text())


def _dials(found: Calibration) -> "pd.DataFrame":
    import pandas as pd

    dials = found.search.dials
    ends = [dial.ends() for dial in dials.values()]
    return pd.DataFrame(
        {
            "dial": list(dials),
            "from": [number(each[0]) for each in ends],
            "to": [number(each[-1]) for each in ends],
            "best": [number(value) for value in found.best.dials.values()],
        }
    )


def _targets(found: Calibration) -> "pd.DataFrame":
    import pandas as pd

    targets = found.search.targets
    return pd.DataFrame(
        {
            "target": list(targets),
            "wanted": [target.wanted() for target in targets.values()],
            "found": list(found.best.found.values()),
            "distance": [
                target.distance(found.best.found[name]) for name, target in targets.items()
            ],
        }
    )
