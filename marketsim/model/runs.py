"""A scenario run from first to last, from Python: what ``marketsim run`` does."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.model.opening import open_simulation
from marketsim.results.held import HeldRun, hold_run
from marketsim.run.progress import Progress
from marketsim.scenario.coercion import list_overrides, seed_of_run
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.loader import days_override, load_scenario
from marketsim.scenario.schema import Scenario

if TYPE_CHECKING:
    from marketsim.agents.own import OwnClass


def run_scenario(
    scenario: Scenario | str | Path,
    seed: int | None = None,
    *,
    days: float | None = None,
    overrides: Iterable[tuple[str, str]] = (),
    strategies: "Mapping[str, OwnClass] | None" = None,
    progress: Progress | None = None,
) -> HeldRun:
    """Run a scenario to its end; the same run as that of ``marketsim run``.

    Parameters
    ----------
    scenario : Scenario, str or Path
        A scenario, the name of a shipped one, or a TOML file.
    seed : int, optional
        Of all random draws; by default the scenario's.
    days : float, optional
        How many simulated days; by default the scenario's. Only with a name or a file.
    overrides : iterable of (str, str), optional
        As `load_scenario` takes them. Only with a name or a file.
    strategies : mapping, optional
        Classes of your own by the name a population's ``strategy`` calls them.
    progress : callable, optional
        Called with (steps done, steps asked) a few times a second.

    Returns
    -------
    HeldRun
        Its tables as pandas frames; `save` writes the run folder.

    Raises
    ------
    ScenarioError
        If the scenario, a strategy or a parameter is wrong.
    TypeError, ValueError
        If the seed is no whole number from 0 to 2**63 - 1, the days are no number or the overrides
        no list; if a scenario is given together with changes to it, or has no end.
    OwnTraderError
        If a trader of your own fails.
    PriceOutOfRangeError
        If an index price leaves the range of the order book.

    Examples
    --------
    >>> from marketsim import run_scenario
    >>> run = run_scenario("quickstart", seed=1, days=0.05)
    >>> run.summary["steps"], len(run.markets)
    (72, 216)
    """
    given = None if seed is None else seed_of_run("seed", seed)
    changes = [*list_overrides(overrides), *days_override(days)]
    read = InputLog()
    with read:
        if not isinstance(scenario, Scenario):
            scenario = load_scenario(scenario, changes)
        elif changes:
            raise ValueError("days, overrides: give them with a scenario's name or file")
    if scenario.is_open:
        raise ValueError(f'{scenario.name}: days = "open": it has no end; say days')
    seed = scenario.seed if given is None else given
    simulation = open_simulation(scenario, seed, strategies, progress)
    simulation.inputs.precede(read)
    simulation.run(simulation.num_steps, progress)
    return hold_run(simulation.result())
