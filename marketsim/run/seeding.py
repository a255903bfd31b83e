"""One scenario opened again and again, with one seed after the other."""

from copy import deepcopy

import numpy as np

from marketsim.agents.base import Parameters
from marketsim.agents.callers import Callers
from marketsim.agents.desk import Desk
from marketsim.agents.own import own_class
from marketsim.agents.registry import draw_traders, undrawn_traders
from marketsim.engine.allocation import add_pools
from marketsim.engine.state import State
from marketsim.run.agenda import Interventions
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.run.warm_up import forget_causes
from marketsim.scenario.build import open_accounts
from marketsim.scenario.roster import Roster, draw_roster
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import take_snapshot
from marketsim.tape.wealth import record_wealth


class Opener:
    """Makes runs of a scenario, each as ``Simulation(scenario, seed)`` would, in less time.

    What no seed changes is worked out once: rules, prices, the outside world. Who the traders are
    is drawn anew for each run.

    Parameters
    ----------
    scenario : Scenario
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        spot = scenario.spot
        is_bridged = spot.kind == "history" and spot.history is not None
        #: Before its first step; None where prices or rules depend on the seed.
        self._first = None if is_bridged or scenario.drawn else _Unmoved(scenario, 0)

    def open(self, seed: int) -> Simulation:
        """Return a run with a seed of its own, as it stands when its record begins."""
        if self._first is None:
            return Simulation(self._scenario, seed)
        run = self._first.unseeded()
        run.reseed(seed)
        run.let_warm_up()
        return run


class _Unmoved(Simulation):
    """A run that waits before its first step, its warm-up included."""

    def _warm_up_first(self, progress: Progress | None) -> None:  # noqa: ARG002  it does not wait
        """Wait, with traders who can be drawn and have main pools only."""
        self.state = _with_main_pools(self.state)
        self.traders = undrawn_traders(self.scenario, self.state, self.roster, self._parameters())

    def unseeded(self) -> "_Unmoved":
        """Copy it, but not what `reseed` makes anew."""
        anew = (self.callers, self.interventions, self._start)
        return deepcopy(self, {id(each): each for each in anew})

    def reseed(self, seed: int) -> None:
        """Be a run with this seed."""
        scenario = self.scenario
        self.seed = seed
        self.roster = draw_roster(scenario, seed, self.roster)
        self.state = _seat_traders(self.state, scenario, self.roster)
        # a strategy of the user's own may remember something
        chosen = [deepcopy(each) if own_class(each) else each for each in self._parameters()]
        self.traders = draw_traders(self.traders, scenario, self.roster, seed, chosen)
        desk = Desk(self.market_names, scenario.step_minutes)
        self.callers = Callers(self.roster.names, chosen, self.traders, desk, seed)
        self.interventions = Interventions(scenario.interventions, self.roster.margin_mode)
        self._start = take_snapshot(self.state)
        tape = self.tape
        tape.clock["seed"] = seed
        record_wealth(self.state, tape.group, tape.wealth, tape.exposure, 0, 0)

    def _parameters(self) -> list[Parameters]:
        return [self.callers.parameters_of(g) for g in range(len(self.roster.names))]


def _with_main_pools(state: State) -> State:
    """Return the state without side pools, before its first step."""
    n = len(state.account)
    main = {name: getattr(state, name)[:n] for name in ("pool", "draw", "touched", "short")}
    if state.totals[0].record_causes:
        main["safe"] = state.safe[:n]
    state.position["pool"][:] = np.arange(n)[:, None]
    return state._replace(**main)


def _seat_traders(state: State, scenario: Scenario, roster: Roster) -> State:
    """Return the state, which has main pools only, with traders in it, before its first step."""
    if len(roster.side_pool.owner):
        state = add_pools(state, np.asarray(roster.side_pool.owner))
    open_accounts(state, scenario, roster)
    forget_causes(state)
    return state
