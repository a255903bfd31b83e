"""Hooks: who wants to be told what happened in a step, once the step is done.

A run pauses after a step only where it has news that somebody listens to, and comes out the same
byte for byte whether anybody listens or not. Listeners belong to whoever runs the market: copies
of it and files it is saved in have none.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.own import blame
from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.strikes import list_strikes
from marketsim.contagion.ties import link_liquidations
from marketsim.engine.records import Rows, records
from marketsim.engine.state import State
from marketsim.engine.world import World
from marketsim.run.loop import News, Tape
from marketsim.scenario.errors import nearest
from marketsim.scenario.schema import Scenario
from marketsim.tape.events import (
    Table,
    arrivals,
    as_rows,
    deleveragings,
    fills,
    funding,
    liquidations,
    quotes,
)
from marketsim.tape.result import RunResult, since_warm_up
from marketsim.tape.series import Series, Settlement, Step, record_step

#: What is called with the rows of an event.
Hook: TypeAlias = Callable[[NDArray[Any]], object]


class HookError(Exception):
    """A hook failed; names step, event and hook. What was done stays, the step included.

    Attributes
    ----------
    step : int
        The step that it was told of.
    event : str
    """

    def __init__(self, step: int, event: str, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.event = event


class Moment(NamedTuple):
    """A run right after a step."""

    run: RunResult  #: by which rows are named and priced
    state: State
    world: World
    tape: Tape
    scenario: Scenario  #: with what has been done from outside so far

    def since_start(self, rows: Any) -> Any:
        """Return rows whose steps count from the record's first."""
        return since_warm_up(rows, int(self.tape.clock[0].warm_up))


def _fills(at: Moment) -> Table:
    stop = int(at.state.totals[0].num_fills)
    count = int(at.state.market["num_fills"].sum())
    rows = at.since_start(at.state.fill[stop - count : stop])
    return fills(dataclasses.replace(at.run, fill=rows))


def _liquidations(at: Moment) -> Table:
    totals = at.state.totals[0]
    rows = at.since_start(at.state.liquidation[totals.step_liquidations : totals.num_liquidations])
    return liquidations(dataclasses.replace(at.run, liquidation=rows))


def _deleveragings(at: Moment) -> Table:
    totals = at.state.totals[0]
    rows = at.since_start(at.state.deleverage[totals.step_deleverages : totals.num_deleverages])
    return deleveragings(dataclasses.replace(at.run, deleverage=rows))


def _funding(at: Moment) -> Table:
    stop = int(at.tape.clock[0].num_funding)
    rows: Rows[Settlement] = at.tape.funding[max(stop - len(at.state.market), 0) : stop]
    rows = rows[rows["step"] == at.state.totals[0].step]
    return funding(dataclasses.replace(at.run, funding=at.since_start(rows)))


def _arrivals(at: Moment) -> Table:
    rows = at.tape.arrival[: int(at.tape.clock[0].num_arrivals)]
    first = np.searchsorted(rows["step"], at.state.totals[0].step)
    return arrivals(dataclasses.replace(at.run, arrival=at.since_start(rows[first:])))


def _quotes(at: Moment) -> Table:
    series, steps = records(Series, 1, len(at.state.market)), records(Step, 1)
    record_step(at.state, at.world, series, steps, 0)
    return quotes(dataclasses.replace(at.run, series=series, steps=at.since_start(steps)))


def _cascades(at: Moment) -> Table:
    """List the liquidations of the cascades that grew in the step, of two accounts or more."""
    totals = at.state.totals[0]
    count = int(totals.num_liquidations)
    run = dataclasses.replace(
        at.run,
        liquidation=at.since_start(at.state.liquidation[:count]),
        impact=at.state.impact[:count],
        seizure=at.state.seizure[: int(totals.num_seizures)],
        loss=at.state.loss[: int(totals.num_losses)],
    )
    row = run.liquidation
    strikes = list_strikes(at.scenario.all_shocks, at.scenario.step_minutes)
    links = link_liquidations(tabulate_causes(run), row["step"], run.impact["seizure"], strikes)
    pairs = np.unique(np.stack([links.cascade, row["account"]]), axis=1)
    accounts = np.bincount(pairs[0], minlength=count)
    has_grown = np.isin(links.cascade, links.cascade[int(totals.step_liquidations) :])
    members = np.flatnonzero(has_grown & (accounts[links.cascade] > 1))
    table = liquidations(dataclasses.replace(run, liquidation=row[members]))
    for name in ("cascade", "generation", "parent"):
        table[name] = getattr(links, name)[members]
    return table | {"liquidation": members}


class Event(NamedTuple):
    """What a hook may be told of."""

    news: News  #: what it is part of
    table: Callable[[Moment], Table]


#: In the order in which they are told of a step.
EVENTS = {
    "fill": Event(News.FILL, _fills),
    "liquidation": Event(News.LIQUIDATION, _liquidations),
    "cascade": Event(News.LIQUIDATION, _cascades),
    "adl": Event(News.ADL, _deleveragings),
    "funding": Event(News.FUNDING, _funding),
    "arrival": Event(News.ARRIVAL, _arrivals),
    "step": Event(News.STEP, _quotes),
}


class Listener:
    """A hook in its place; `off` takes it off again."""

    def __init__(self, hooks: "Hooks", event: str, call: Hook) -> None:
        self._hooks = hooks
        self.event = event
        self.call = call

    def off(self) -> None:
        """Stop listening; to do so again does nothing."""
        self._hooks.remove(self)


class Hooks:
    """The listeners of a run.

    Attributes
    ----------
    heard : int
        The news that somebody listens to, added up; 0: nobody does.
    is_telling : bool
        Whether somebody is told at this moment.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._run: RunResult | None = None  # what rows are named and priced by
        self.heard = 0
        self.is_telling = False

    def add(self, event: str, call: Hook, record_fills: bool, record_causes: bool) -> Listener:
        """Let `call` be told of an event; see `marketsim.Simulation.on`."""
        if not (isinstance(event, str) and event in EVENTS):
            hint = nearest(event, EVENTS) if isinstance(event, str) else ""
            raise ValueError(f"event {event!r}: must be one of {', '.join(EVENTS)}{hint}")
        if not callable(call):
            raise TypeError(f"the hook of {event!r} must be callable, not {call!r}")
        if event == "fill" and not record_fills:
            raise ValueError("fills are not recorded: set record.fills = true to listen to them")
        if event == "cascade" and not record_causes:
            raise ValueError("causes are not recorded: set record.causes = true to see cascades")
        listener = Listener(self, event, call)
        self._listeners = [*self._listeners, listener]
        self._count()
        return listener

    def remove(self, listener: Listener) -> None:
        """Take a listener off."""
        self._listeners = [each for each in self._listeners if each is not listener]
        self._count()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Hooks":
        """Give a copied run no listeners: they are the caller's."""
        return Hooks()

    def _count(self) -> None:
        self.heard = 0
        for listener in self._listeners:
            self.heard |= EVENTS[listener.event].news.value

    def gather(
        self,
        state: State,
        world: World,
        tape: Tape,
        scenario: Scenario,
        so_far: Callable[[], RunResult],
    ) -> list[tuple[Listener, NDArray[Any]]]:
        """Collect what happened in the step just done, by the rules it was made by.

        Returns
        -------
        list of (listener, rows)
            Whom to tell what, in order.
        """
        if self._run is None:
            self._run = so_far()
        at = Moment(self._run, state, world, tape, scenario)
        news = []
        for name, event in EVENTS.items():
            listening = [each for each in self._listeners if each.event == name]
            if not listening:
                continue
            rows = as_rows(event.table(at))
            news += [(listener, rows) for listener in listening if len(rows)]
        return news

    def tell(self, news: list[tuple[Listener, NDArray[Any]]], step: int) -> None:
        """Tell those who listen what `gather` collected of a step.

        Raises
        ------
        HookError
            If a hook fails; those after it are not told.
        """
        self.is_telling = True
        try:
            for listener, rows in news:
                self._call(listener, rows, step)
        finally:
            self.is_telling = False

    def _call(self, listener: Listener, rows: NDArray[Any], step: int) -> None:
        try:
            listener.call(rows)
        except Exception as error:
            name = getattr(listener.call, "__qualname__", type(listener.call).__name__)
            file = getattr(getattr(listener.call, "__code__", None), "co_filename", None)
            text = f"step {step}: {listener.event} hook {name}: {blame(error, file)}"
            raise HookError(step, listener.event, text) from error
