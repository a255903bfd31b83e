"""Steps of a market as steps of a Mesa model: its counters keep pace in every version of Mesa.

Mesa 3.3 counts `steps`, 3.4 `time` too, 3.5 steps by a schedule of events, and 4 has `time` alone.
"""

import math
import time
from abc import abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self, cast

import mesa

from marketsim.agents.callers import FindTrader
from marketsim.agents.own import OwnClass
from marketsim.model.weak import Weak
from marketsim.run.progress import Progress
from marketsim.run.saved import Saved, revive
from marketsim.run.simulation import CHUNK_SECONDS, Simulation
from marketsim.scenario.schema import Scenario


class ModelSimulation(Simulation):
    """A run whose steps are those of its Mesa model, whoever asks for them."""

    def __init__(
        self,
        model: "SteppedModel",
        scenario: Scenario,
        seed: int,
        strategies: Mapping[str, OwnClass] | None,
        find_trader: FindTrader,
    ) -> None:
        self._model = Weak(model)
        self._kept: SteppedModel | None = None
        self._runs_ahead = False  # of Mesa's counters
        super().__init__(scenario, seed, strategies, find_trader)

    def _warm_up_first(self, progress: Progress | None) -> None:
        """Wait until the traders of users' own are there; the model sees to it."""

    @classmethod
    def revived(
        cls,
        model: "SteppedModel",
        saved: Saved,
        strategies: Mapping[str, OwnClass] | None,
        find_trader: FindTrader,
    ) -> tuple[Self, Any]:
        """Return a saved run, and what its model remembered."""
        simulation = cls.__new__(cls)
        simulation._model, simulation._kept = Weak(model), None
        simulation._runs_ahead = False
        return simulation, revive(simulation, saved, strategies, find_trader)

    def keep(self, model: "SteppedModel | None") -> None:
        """Keep the model alive, for whoever holds the run alone; None: no longer."""
        self._kept = model

    def run(self, num_steps: int, progress: Progress | None = None, extend: bool = False) -> None:
        """Advance by a number of the model's steps; see `SteppedModel.run`."""
        if self._model.is_alive:
            self._model().run(num_steps, progress, extend)
        else:
            super().run(num_steps, progress, extend)

    def run_alone(self, num_steps: int, progress: Progress | None = None) -> None:
        """Advance as a run without a model does; Mesa is not told."""
        super().run(num_steps, progress)

    def save(self, path: str | Path, *, is_checkpoint: bool = False) -> None:
        """Save the run with its model; see `marketsim.PerpMarket.save`."""
        self._model().save(path, is_checkpoint=is_checkpoint)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the run with its model, which the copy keeps alive if nothing else does."""
        if self._model.is_alive and id(self._model()) not in memo:
            model = deepcopy(self._model(), memo)
            return cast(Self, model.give_away())
        copy = super().__deepcopy__(memo)
        copy._runs_ahead = False
        return copy

    def run_ahead(self, num_steps: int, progress: Progress) -> None:
        """Advance in one go as long as nobody could tell; Mesa is told before somebody looks."""
        self._runs_ahead = True
        try:
            self.run_alone(num_steps, progress)
        finally:
            self._runs_ahead = False

    def leave(self, account: int) -> None:
        """Let a trader leave the market, and Mesa's agents."""
        super().leave(account)
        if self._model.is_alive:
            self._model().lose(account)

    def welcome(self, account: int) -> None:
        """Note that a newcomer has taken an account over; a user's own class makes its object."""
        if self._model.is_alive:
            with self.callers.blamed(account, self.step_count), self.callers.fence():
                self._model().gain(account)

    def _ask(self, step: int) -> None:
        if self._runs_ahead:
            self._model().count_up_to(step + 1)
        super()._ask(step)

    def _tell(self) -> None:
        if self._runs_ahead:
            self._model().count_up_to(self.step_count)
        if self._model.is_alive:
            self._model().note_end()
        super()._tell()

    def _pauses(self) -> bool:
        return self.is_stopped or (self._runs_ahead and self._model().is_watched())

    def stop_before_liquidation(self, rounds: int = 0) -> None:
        """Take the coming step up to its liquidation; traders find it counted, as in any step."""
        if self._model.is_alive:
            self._model().count_steps(1)
        super().stop_before_liquidation(rounds)


class SteppedModel(mesa.Model):
    """A Mesa model that is advanced by a simulation.

    Attributes
    ----------
    simulation : Simulation
    running : bool
        Mesa's; False once the scenario's last step is done, if it has one.
    """

    _counted: int  #: steps that Mesa's counters were told of in a run in one go
    _own_step: Any = None  #: `step` as it was when it was last found to be nobody else's
    _own_user_step: Any = None
    _simulation: Weak
    _kept: ModelSimulation | None

    @property
    def simulation(self) -> ModelSimulation:
        """The run behind the face."""
        found: ModelSimulation = self._kept or self._simulation()
        return found

    @simulation.setter
    def simulation(self, simulation: ModelSimulation) -> None:
        self._simulation = Weak(simulation)
        self._kept = simulation

    def give_away(self) -> ModelSimulation:
        """Return the run, which from now on keeps the model instead of being kept by it."""
        simulation = self.simulation
        simulation.keep(self)
        self._kept = None
        return simulation

    @abstractmethod
    def lose(self, account: int) -> None:
        """Let Mesa's agents lose a trader who leaves the market."""

    @abstractmethod
    def gain(self, account: int) -> None:
        """Make the object of a newcomer of a user's own class."""

    def step(self) -> None:
        """Advance one step.

        Raises
        ------
        ValueError
            If the scenario has none left.
        """
        done = self.simulation.step_count
        try:
            self.simulation.run_alone(1)
        finally:
            self.count_steps(self.simulation.step_count - done - 1)  # Mesa has counted one
            self.note_end()

    def run(self, num_steps: int, progress: Progress | None = None, extend: bool = False) -> None:
        """Advance many steps, with the same result as as many calls of `step`.

        They are made in one go unless somebody could tell the difference: a `step` of a subclass,
        an event or an observer of Mesa's.

        Parameters
        ----------
        num_steps : int
        progress : callable, optional
            Called with (steps done, steps asked) now and then.
        extend : bool, optional
            Where the scenario ends before, lengthen it (`days`), and all that is recorded. One
            whose days are "open" need not be told.

        Raises
        ------
        ValueError
            If fewer steps are left in the scenario, or no scenario may be as long.
        HistoryError
            If it would go beyond a replayed history.
        """
        has_ended = self.simulation.has_ended
        self.simulation.ensure_steps_left(num_steps, extend)
        if has_ended and num_steps > 0:
            self.running = True
        first = self.simulation.step_count
        self.simulation.is_stopped = False
        if not self.is_watched():
            self._run_in_one_go(num_steps, progress)
        # All of them, or those left where a trader has begun to watch.
        self._run_one_by_one(first, num_steps, progress)

    def count_up_to(self, num_steps: int) -> None:
        """Let Mesa's counters say so many steps of the simulation, done or under way."""
        if num_steps != self._counted:
            self.count_steps(num_steps - self._counted)
            self._counted = num_steps

    def count_steps(self, num_steps: int) -> None:
        """Move Mesa's counters by steps that its own `step` did not count (negative: back)."""
        if num_steps == 0:
            return
        if hasattr(self, "steps"):
            self.steps += num_steps
        if hasattr(self, "time"):
            self.time += num_steps
        schedule = getattr(self, "_default_schedule", None)
        if schedule is not None:  # the next step is due one after the time as it is now
            schedule.pause()
            schedule.resume()

    def is_watched(self) -> bool:
        """Tell whether anybody could see that steps are made in one go."""
        if self.step is not self._own_step or self._user_step is not self._own_user_step:
            step_is_own = getattr(self._user_step, "__func__", None) is _OWN_STEP
            if not step_is_own or self.step != self._wrapped_step:
                return True
            self._own_step, self._own_user_step = self.step, self._user_step
        if len(getattr(self, "_event_list", ())) > 1:  # one is Mesa's own: the next step
            return True
        if getattr(self, "time", 0.0) % 1.0 != 0.0:  # which is due when a whole time is reached
            return True
        # Where versions of Mesa keep who drives or observes a model, or all models of its class.
        return bool(
            getattr(self, "_simulator", None)
            or getattr(self, "subscribers", None)
            or getattr(self, "_class_subscribers", None)
        )

    def _run_one_by_one(self, first: int, num_steps: int, progress: Progress | None) -> None:
        """Make what is left of a run that began at step `first`."""
        shown = time.perf_counter()
        done = self.simulation.step_count - first
        while done < num_steps and not self.simulation.is_stopped:
            self.step()
            done = self.simulation.step_count - first
            now = time.perf_counter()
            if progress is not None and (done == num_steps or now - shown > CHUNK_SECONDS):
                progress(done, num_steps)
                shown = now

    def _run_in_one_go(self, num_steps: int, progress: Progress | None) -> None:
        self._counted = self.simulation.step_count

        def show(done: int, asked: int) -> None:
            self.count_up_to(self.simulation.step_count)
            if progress is not None:
                progress(done, asked)

        try:
            self.simulation.run_ahead(num_steps, show)
        finally:
            self.count_up_to(self.simulation.step_count)
            self.note_end()

    def note_end(self) -> None:
        """End Mesa's loops with the scenario."""
        if self.simulation.has_ended:
            self.running = False

    def _wrapped_step(self, *args: Any, **kwargs: Any) -> None:
        """Refuse a step beyond the end before Mesa, which calls this for `step`, counts it."""
        self.simulation.ensure_steps_left(1)
        super()._wrapped_step(*args, **kwargs)

    def _advance_time(self, until: float) -> None:
        """Let time pass, no further than the scenario's end; all of Mesa's ways from 3.5 on."""
        self.simulation.check_may_run()
        while self.time < until and not self.simulation.has_ended:
            super()._advance_time(min(until, math.floor(self.time) + 1.0))


#: `step` as it is written here, whatever takes its place later.
_OWN_STEP = SteppedModel.step

__all__ = ["ModelSimulation", "SteppedModel"]
