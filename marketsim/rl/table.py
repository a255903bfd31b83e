"""Markets side by side at which learners sit: opened, played to the next decision, opened anew."""

from pathlib import Path
from typing import Any

import numpy as np

from marketsim.engine._jit import STACKED, compiled, stacked
from marketsim.engine.records import records
from marketsim.engine.state import ATOMS, Cause
from marketsim.rl.columns import columns_of
from marketsim.rl.play import Course, Seats, look, play
from marketsim.run.loop import DONE, run_steps
from marketsim.run.seeding import Opener
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError, one_of
from marketsim.scenario.interventions import TradeIntervention
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario
from marketsim.scenario.wording import show

#: Minutes in a unit of a span.
UNITS = {"min": 1.0, "h": 60.0, "d": 1440.0}


def read_span(span: Any, scenario: Scenario) -> int:
    """Return the steps of a span such as ``"5min"``, ``"1h"`` or a number of minutes.

    Raises
    ------
    ValueError
        If it is no whole number of steps, or more than an episode has.
    """
    text = str(span)
    unit = next((name for name in UNITS if text.endswith(name)), "")
    try:
        minutes = float(text.removesuffix(unit)) * UNITS.get(unit, 1.0)
    except ValueError:
        minutes = 0.0
    steps = minutes / scenario.step_minutes
    if not 1.0 <= steps < 2**31 or abs(steps - round(steps)) > 1e-9 * steps:
        raise ValueError(
            f"decide_every = {show(span)}: must be a whole number of steps of "
            f'{scenario.step_minutes:g} minutes, such as "{scenario.step_minutes:g}min"'
        )
    if round(steps) > scenario.num_steps:
        raise ValueError(
            f"decide_every = {show(span)}: must be at most an episode, which lasts "
            f"{scenario.num_steps:,} steps of {scenario.step_minutes:g} minutes"
        )
    return round(steps)


def check_flag(name: str, value: Any) -> None:
    """Check an argument that is true or false.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} = {value!r}: must be True or False")


def read_scenario(
    scenario: Scenario | str | Path, overrides: list[tuple[str, str]] | None
) -> Scenario:
    """Return a scenario that has an end, changed as ``--set`` does.

    Raises
    ------
    ScenarioError
    ValueError
        If overrides come with a scenario that is read already, or it has no end.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario, overrides or [])
    elif overrides:
        raise ValueError("overrides: give them with a scenario's name or path, not with a model")
    if scenario.is_open:
        raise ScenarioError(['days = "open": an episode needs an end: state a number'])
    return scenario


def learners_of(scenario: Scenario, population: str) -> list[int]:
    """List the accounts of the population that learners trade for.

    Raises
    ------
    ScenarioError
        If there is none of that name, or it decides by itself.
    TypeError
        If it is no name.
    """
    if not isinstance(population, str):
        raise TypeError(f'population = {population!r}: must be a name, such as "me"')
    path = f"populations.{population}"
    if population not in scenario.populations:
        fix = f'("{path}.strategy", "manual"), ("{path}.count", "1")'
        raise ScenarioError(
            [
                f"{path}: {one_of(population, list(scenario.populations))}; "
                f"or let one join, overrides=[{fix}]"
            ],
            scenario.name,
        )
    found = scenario.populations[population]
    if found.strategy != "manual":
        raise ScenarioError(
            [
                f'{path}.strategy = "{found.strategy}": decides by itself; a learner\'s is '
                f'"manual": overrides=[("{path}.strategy", "manual")]'
            ],
            scenario.name,
        )
    if found.turnover is not None:
        raise ScenarioError([f"{path}.turnover: a learner stays, leave it out"], scenario.name)
    first = 0
    for name, each in scenario.populations.items():
        if name == population:
            break
        first += each.count
    return list(range(first, first + found.count))


class Table:
    """Markets of one scenario side by side, each with its own seed, and the learners in them.

    Parameters
    ----------
    scenario : Scenario
    accounts : list of int
        Of the learners, the same in each market.
    every : int
        Steps between two decisions.
    size : int, optional
        Markets.
    quotes : bool, optional
        Whether actions are distances of quotes and not exposures.

    Attributes
    ----------
    seats : Seats
        Where actions are written and what became of them is read.
    """

    def __init__(
        self,
        scenario: Scenario,
        accounts: list[int],
        every: int,
        *,
        size: int = 1,
        quotes: bool = False,
    ) -> None:
        self.scenario = scenario
        self.columns = columns_of(tuple(scenario.markets))
        self._opener = Opener(scenario)
        self._runs: list[Simulation | None] = [None] * size
        self._stack = np.empty((size, 4), STACKED)
        self._kept: list[Any] = [None] * size
        self._noted = [0] * size  # decisions whose orders are among the interventions
        self._run: Any = None
        num_learners, num_markets = len(accounts), len(scenario.markets)
        decisions = -(-scenario.num_steps // every)
        shape = (size, num_learners)
        self.seats = Seats(
            account=np.array(accounts, np.int64),
            quotes=np.array([int(quotes)], np.int64),
            course=records(Course, size),
            action=np.zeros((*shape, num_markets * (2 if quotes else 1))),
            trade=np.zeros((size, decisions, num_learners, num_markets)),
            observation=np.zeros((*shape, len(self.columns)), np.float32),
            reward=np.zeros(shape),
            is_out=np.zeros(shape, np.int8),
            profit=np.zeros((*shape, len(Cause))),
            start=np.zeros(shape, np.int64),
            wealth=np.zeros(shape, np.int64),
            deposit=np.zeros(shape, np.int64),
            held=np.zeros((*shape, 2), np.int64),
            flow=np.zeros((*shape, len(Cause)), np.int64),
            index_price=np.zeros((size, num_markets)),
        )
        course = self.seats.course
        course["every"] = every
        course["last"] = scenario.warm_up_steps + scenario.num_steps
        course["rests"] = 1

    def open(self, n: int, seed: int) -> None:
        """Begin a new episode at market `n`."""
        run = self._opener.open(seed)
        self._runs[n] = run
        self._keep(n)
        seats, course = self.seats, self.seats.course
        seats.trade[n, : int(course["count"][n])] = 0.0
        now = int(run.tape.clock[0].step)
        for field in ("first", "stop", "event"):
            course[field][n] = now
        course["count"][n] = course["rests"][n] = self._noted[n] = 0
        course["num_liquidations"][n] = run.state.totals[0].num_liquidations
        seats.is_out[n] = 1
        self._look(n)  # what is there now is what the next look compares with
        seats.start[n] = seats.wealth[n]
        seats.is_out[n] = 0
        self._look(n)
        if self._run is None:
            arguments = (run.state, run.world, run.traders, run.tape, now)
            run_steps(*arguments)  # to a step that is done: it is only compiled
            self._run = compiled(run_steps, *arguments)

    def play(self) -> None:
        """Carry out the actions in the seats, and run every market to its next decision."""
        run = self._any
        structs = (run.state, run.world, run.traders, run.tape)
        play(*structs, self._stack, self.seats, self._run)
        course = self.seats.course
        stopped = (course["outcome"] != DONE) & (course["rests"] == 0)
        if stopped.any():
            for n in np.flatnonzero(stopped).tolist():
                self._finish(n)
                self._look(n)

    def run_of(self, n: int) -> Simulation:
        """Return the run at market `n`, as far as it is, with what the learners ordered in it.

        Their orders are among its interventions: its scenario repeats it without them. What is done
        to it from outside acts with the next decision.

        Raises
        ------
        RuntimeError
            If no episode has begun.
        """
        run = self._runs[n]
        if run is None:
            raise RuntimeError("no episode has begun: call reset() first")
        run.run(0)  # what is measured at this moment
        seats, course = self.seats, self.seats.course
        first, stop = self._noted[n], int(course["count"][n])
        for k, a, m in np.argwhere(seats.trade[n, first:stop]).tolist():
            order = TradeIntervention(
                kind="trade",
                at_step=(first + k) * int(course["every"][n]),
                account=int(seats.account[a]),
                market=run.market_names[m],
                size=float(seats.trade[n, first + k, a, m]),
            )
            run.interventions.entries.append(order)
        self._noted[n] = stop
        course["event"][n] = 0  # whoever has the run may do something to it
        self._keep(n)
        return run

    def profit_of(self, n: int, a: int) -> dict[str, float]:
        """Return what a learner won since its last decision by cause, USD."""
        return dict(zip(CAUSES, self.seats.profit[n, a].tolist(), strict=True))

    def wealth_of(self, n: int, a: int) -> float:
        """Return what a learner owns, USD."""
        return int(self.seats.wealth[n, a]) / ATOMS

    @property
    def _any(self) -> Simulation:
        return next(run for run in self._runs if run is not None)

    def _look(self, n: int) -> None:
        run = self._runs[n]
        assert run is not None
        look(run.state, run.traders, run.tape, self.seats, n)

    def _keep(self, n: int) -> None:
        """Note where the arrays of market `n` are."""
        run = self._runs[n]
        assert run is not None
        self._kept[n] = (run.state, run.world, run.traders, run.tape)
        for k, struct in enumerate(self._kept[n]):
            self._stack[n, k] = stacked(struct)

    def _finish(self, n: int) -> None:
        """Let Python bring market `n` to its next decision, with what it has to do on the way."""
        run, course = self._runs[n], self.seats.course
        assert run is not None
        stop, event = int(course["stop"][n]), run.next_event() + run.warm_up
        run.run(stop - int(run.tape.clock[0].step))
        # What is due at the next decision itself is done as that begins.
        course["event"][n] = event if event > stop else stop
        self._keep(n)


#: What moved a learner's money, in the order of `marketsim.engine.state.Cause`.
CAUSES = tuple(cause.name.lower() for cause in Cause)
