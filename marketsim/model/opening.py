"""Opens a run from a scenario; loads Mesa only for a scenario whose traders need it."""

from typing import TYPE_CHECKING

from marketsim.scenario.schema import Scenario

if TYPE_CHECKING:
    from marketsim.run.simulation import Simulation


def open_simulation(scenario: Scenario, seed: int) -> "Simulation":
    """Open a run; traders in plain Python, who are Mesa agents, get their model.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Of all random draws.

    Returns
    -------
    Simulation

    Raises
    ------
    ScenarioError
        If a strategy, a parameter or a first price is wrong.
    """
    if any(":" in population.strategy for population in scenario.populations.values()):
        from marketsim.agents.registry import needs_face

        if needs_face(scenario):
            from marketsim.model.market import PerpMarket  # Mesa takes seconds to load

            return PerpMarket(scenario, seed).give_away()
    from marketsim.run.simulation import Simulation

    return Simulation(scenario, seed)
