"""Opens a run from a scenario or a saved file; loads Mesa only where its traders need it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.scenario.schema import Scenario

if TYPE_CHECKING:
    from marketsim.agents.own import OwnClass
    from marketsim.model.market import PerpMarket
    from marketsim.run.progress import Progress
    from marketsim.run.simulation import Simulation


def open_simulation(
    scenario: Scenario,
    seed: int,
    strategies: "Mapping[str, OwnClass] | None" = None,
    progress: "Progress | None" = None,
) -> "Simulation":
    """Open a run; traders in plain Python, who are Mesa agents, get their model.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Of all random draws.
    strategies : mapping, optional
        Users' own classes by the name a population's ``strategy`` calls them.
    progress : callable, optional
        Called with (steps done, steps asked) while a scenario's warm-up lasts.

    Returns
    -------
    Simulation

    Raises
    ------
    ScenarioError
        If a strategy, a parameter or a first price is wrong.
    """
    own = any(":" in population.strategy for population in scenario.populations.values())
    if own or strategies:
        from marketsim.agents.registry import needs_face

        if needs_face(scenario, strategies):
            from marketsim.model.market import PerpMarket  # Mesa takes seconds to load

            market = PerpMarket(scenario, seed, strategies=strategies, progress=progress)
            return market.give_away()
    from marketsim.run.simulation import Simulation

    return Simulation(scenario, seed, strategies, progress=progress)


def load_market(
    path: str | Path, strategies: "Mapping[str, OwnClass] | None" = None
) -> "PerpMarket":
    """Open a market that was saved with `PerpMarket.save`, to go on as if it had never stopped.

    Parameters
    ----------
    path : str or Path
    strategies : mapping, optional
        The users' own classes it was made with, by the name a population's ``strategy`` calls them.

    Returns
    -------
    PerpMarket

    Raises
    ------
    SavedMarketError
        If the file is damaged, or does not fit what is here; the message says how.
    ScenarioError
        If a class is missing.
    """
    from marketsim.model.market import PerpMarket
    from marketsim.run.saved import open_saved

    with open_saved(path) as saved:
        return PerpMarket.revived(saved, strategies)


def reopen_simulation(path: str | Path) -> "Simulation":
    """Open a saved run; one that was a market's gets its model."""
    from marketsim.run.loading import load_simulation
    from marketsim.run.saved import open_saved

    with open_saved(path) as saved:
        is_market = saved.is_market
    return load_market(path).give_away() if is_market else load_simulation(path)
