"""The built-in strategies: one tuple of classes, from which all follows that depends on them.

A new strategy is a file beside these and its name at the end of the tuple.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from marketsim.agents.base import BuiltIn, Decide, Traders
from marketsim.agents.basis import Basis
from marketsim.agents.carry import Carry
from marketsim.agents.herd import Herd
from marketsim.agents.holder import Holder
from marketsim.agents.maker import Maker
from marketsim.agents.manual import Manual
from marketsim.agents.noise import Noise
from marketsim.agents.pair import Pair
from marketsim.engine._jit import spliced
from marketsim.engine.state import State
from marketsim.scenario.errors import Problem, find_problems

#: A strategy's place here is its kind in `Traders.population`.
BUILT_IN: tuple[type[BuiltIn], ...] = (Maker, Basis, Noise, Holder, Herd, Carry, Pair, Manual)

#: By the name a population calls it.
STRATEGIES = {strategy.__name__.lower(): strategy for strategy in BUILT_IN}

#: What a population of a user's own has where it states no habit: nothing acts but its strategy.
OWN_HABITS: Mapping[str, Any] = {"buffer": 0.0, "stop_loss": "never"}

#: What `Traders.parameters` holds for each population.
PARAMETERS = np.dtype([(name, strategy.dtype()) for name, strategy in STRATEGIES.items()])


def default_habits(strategy: str) -> Mapping[str, Any]:
    """Return the habits of a population where it states none and `Population` says otherwise."""
    return STRATEGIES[strategy].DEFAULT_HABITS if strategy in STRATEGIES else OWN_HABITS


def parameter_problems(strategy: str, stated: Mapping[str, Any]) -> list[Problem]:
    """List what is wrong with the parameters of a built-in strategy; of others, nothing is known.

    The paths of the problems begin with ``parameters``, as those of a population's fields.
    """
    if strategy not in STRATEGIES:
        return []
    try:
        STRATEGIES[strategy].model_validate(dict(stated))
    except ValidationError as error:
        schema = STRATEGIES[strategy].model_json_schema()
        return [
            problem.below("parameters") for problem in find_problems(error, dict(stated), schema)
        ]
    return []


def parameter_schema(strategy: str) -> dict[str, Any] | None:
    """Return the JSON schema of a built-in strategy's parameters; of others, nothing is known."""
    return STRATEGIES[strategy].model_json_schema() if strategy in STRATEGIES else None


def _dispatch(kind: int, name: str, decide: Decide, others: Decide) -> Decide:
    """Return the kernel that lets traders of one kind decide, and leaves all others to `others`.

    A chain of them is what a kernel can have in place of a table of functions.
    """

    @spliced
    def dispatch(state: State, traders: Traders, g: int, count: int, t: int, seed: int) -> None:
        if traders.population[g].kind == kind:
            decide(state, traders, traders.parameters[g][name], g, count, t, seed)
        else:
            others(state, traders, g, count, t, seed)

    return dispatch


@spliced
def _nobody(state: State, traders: Traders, g: int, count: int, t: int, seed: int) -> None:
    """Stand at the end of the chain."""


def _decide() -> Decide:
    """Chain all strategies, the first of the tuple first."""
    chain: Decide = _nobody
    for kind, (name, strategy) in reversed(list(enumerate(STRATEGIES.items()))):
        chain = _dispatch(kind, name, strategy.decide, chain)
    return chain


#: decide(state, traders, g, count, t, seed): lets `count` traders of population `g` decide.
decide = _decide()
