"""How a run ends that cannot go on."""

import numpy as np

from marketsim.engine.state import MAX_PRICE_TICKS, State
from marketsim.engine.world import World
from marketsim.scenario.interventions import InterventionError
from marketsim.tape.result import RunResult


class PriceOutOfRangeError(ArithmeticError):
    """A price left the range of prices its book can hold; names market, step and cure.

    Attributes
    ----------
    step : int
        The step that was not finished.
    market : str
    result : RunResult or None
        The steps before it, where the command line kept them.
    """

    def __init__(self, step: int, market: str, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.market = market
        self.result: RunResult | None = None


class StatedInterventionError(InterventionError):
    """An intervention that the scenario states is refused when its step comes.

    Attributes
    ----------
    step : int
        The step that was not finished.
    result : RunResult or None
        The steps before it, where the command line kept them.
    """

    def __init__(self, step: int, number: int, error: InterventionError) -> None:
        super().__init__(f"step {step}: interventions.{number}: {error}")
        self.step = step
        self.result: RunResult | None = None


def price_out_of_range(
    state: State, world: World, m: int, name: str, step: int
) -> PriceOutOfRangeError:
    """Return the error of a market whose index price left the range of its book."""
    tick = float(state.market[m].tick_size)
    spot = float(world.asset[m].price)
    prices = [spot]
    if 1.0 <= spot / tick <= MAX_PRICE_TICKS:  # then it is the index that is outside
        first = int(world.asset[m].first_source)
        last = first + int(world.asset[m].num_sources)
        prices = np.asarray(world.source["price"][first:last]).tolist()
    shown = " and ".join(f"{price:g}" for price in sorted(set(prices)))
    cure = f"choose another markets.{name}.tick_size, or less violent shocks or spot moves"
    return PriceOutOfRangeError(
        step,
        name,
        f"step {step}: the index price of {name} left the range of its book, 1 to "
        f"2**30 - 1 ticks of {tick:g} USD: its spot price is {shown} USD; {cure}",
    )
