"""Shocks that the page gives: what each button means, and what was done so far in words."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from marketsim.live.commands import RefusedError
from marketsim.run.simulation import Simulation
from marketsim.scenario.interventions import Intervention
from marketsim.scenario.wording import show

#: Relative moves where the page states none.
FALL, DEPEG, WRONG_PRINT = -0.1, -0.03, -0.1
#: Share of the depth that is taken away where the page states none.
TAKEN = 0.6


def as_shock(
    run: Simulation,
    kind: str,
    market: str | None,
    venue: str | None,
    size: float | None,
    share: float | None,
    minutes: float,
) -> dict[str, Any]:
    """Return the fields of a shock as a scenario states them, without its kind and time.

    A crash falls within `minutes` and stays; so does a depeg. Of depth the `share` is taken away
    for `minutes`; a spot venue prints a price that is wrong by `size`.

    Raises
    ------
    RefusedError
        If there is no such market or venue.
    """
    if market is not None and market not in run.market_names:
        raise RefusedError("shock", f"market: must be one of {', '.join(run.market_names)}, or all")
    where = {} if market is None else {"markets": [market]}
    lasting = {"fall_minutes": minutes, "recovery_minutes": 0.0, "recovered": 0.0}
    sources = list(run.scenario.spot.sources)
    if venue is not None and venue not in sources:
        raise RefusedError("shock", f"venue: must be one of {', '.join(sources)}")
    match kind:
        case "jump":
            return {"size": FALL if size is None else size, **where}
        case "crash":
            return {"size": FALL if size is None else size, **lasting, **where}
        case "depeg":
            return {"size": DEPEG if size is None else size, **lasting}
        case "depth":
            taken = TAKEN if share is None else share
            return {"factor": 1.0 - taken, "minutes": _positive(minutes), **where}
    wrong = 1.0 + (WRONG_PRINT if size is None else size)
    fields = {"source": venue or sources[0], "minutes": _positive(minutes), **where}
    return fields | ({"mode": "wrong", "factor": wrong} if wrong != 1.0 else {})


def _positive(minutes: float) -> float:
    if minutes <= 0.0:
        raise RefusedError("shock", "minutes: must be above 0")
    return minutes


def tell(runs: Sequence[Simulation]) -> list[dict[str, Any]]:
    """List what was done from outside to any of some runs, in words; what was done to all, once."""
    found: dict[tuple[int, str], None] = {}
    for run in runs:
        for entry in run.interventions.entries[len(run.scenario.interventions) :]:
            found[entry.at_step, _words(entry, run.scenario.step_minutes)] = None
    return [{"at_step": step, "text": text} for step, text in sorted(found, key=itemgetter(0))]


def _words(entry: Intervention, step_minutes: float) -> str:
    shock = entry.as_shock(step_minutes)
    if shock is not None:
        return shock.title
    if entry.change is not None:
        return f"{entry.change.path} = {show(entry.change.value)}"
    return entry.kind
