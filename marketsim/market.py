"""What runs a scenario: with its Mesa face if some traders need one, bare if none does."""

from typing import TYPE_CHECKING

from marketsim.scenario.schema import Scenario

if TYPE_CHECKING:
    from marketsim.model import PerpMarket
    from marketsim.simulation import Simulation


def new_market(scenario: Scenario, seed: int) -> "Simulation | PerpMarket":
    """Open a run: as a Mesa model only if some traders are plain Python.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Of all random draws.

    Returns
    -------
    Simulation or PerpMarket

    Raises
    ------
    ScenarioError
        If a strategy, a parameter or a first price is wrong.
    """
    if any(":" in population.strategy for population in scenario.populations.values()):
        from marketsim.agents.registry import needs_face

        if needs_face(scenario):
            from marketsim.model import PerpMarket  # Mesa takes seconds to load

            return PerpMarket(scenario, seed)
    from marketsim.simulation import Simulation

    return Simulation(scenario, seed)
