"""A saved run, opened again."""

from collections.abc import Mapping
from pathlib import Path

from marketsim.agents.own import OwnClass
from marketsim.run.saved import open_saved, revive
from marketsim.run.simulation import Simulation


def load_simulation(
    path: str | Path, strategies: Mapping[str, OwnClass] | None = None
) -> Simulation:
    """Open a run that was saved with `Simulation.save`, to go on as if it had never stopped.

    Parameters
    ----------
    path : str or Path
    strategies : mapping, optional
        The users' own classes it was made with, by the name a population's ``strategy`` calls them.

    Returns
    -------
    Simulation

    Raises
    ------
    SavedMarketError
        If the file is damaged, or does not fit what is here; the message says how.
    ScenarioError
        If a class is missing.
    """
    simulation = object.__new__(Simulation)
    with open_saved(path) as saved:
        revive(simulation, saved, strategies)
    return simulation
