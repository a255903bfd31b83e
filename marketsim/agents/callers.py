"""The users' own traders of a run: who wakes is asked, what fails is named."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from marketsim.agents.base import OWN, Parameters, Traders
from marketsim.agents.batch import Batch
from marketsim.agents.desk import Desk, PlainTrader
from marketsim.agents.fence import fenced
from marketsim.agents.own import (
    OwnTraderError,
    RefusedError,
    Strategy,
    blame,
    own_class,
    source_file,
)
from marketsim.agents.view import MarketView
from marketsim.engine.state import State
from marketsim.scenario.errors import ScenarioError

#: Given an account, returns its trader in plain Python, a Mesa agent.
FindTrader = Callable[[int], PlainTrader]


class Callers:
    """Asks the users' own traders of a run for their orders.

    Parameters
    ----------
    names : tuple of str
        Of the populations.
    chosen : list of Parameters
        One per population.
    traders : Traders
    desk : Desk
    seed : int
    find_trader : callable, optional
        Given an account, returns its trader in plain Python.

    Attributes
    ----------
    desk : Desk
    has_lost_some : bool
        Whether a trader may have been retired since they were asked last.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        chosen: list[Parameters],
        traders: Traders,
        desk: Desk,
        seed: int,
        find_trader: FindTrader | None = None,
    ) -> None:
        self.desk = desk
        self._find_trader = find_trader
        self._names = names
        self._chosen = chosen
        self._traders = traders
        self._seed = seed
        kinds = np.asarray(traders.population["kind"])
        own = map(int, np.flatnonzero(kinds == OWN))
        #: the populations that are users' own, and whether each is vectorised
        self._populations = [(g, isinstance(chosen[g], Strategy)) for g in own]
        spans = zip(traders.population["start"], traders.population["stop"], strict=True)
        self._rows = [(int(start), int(stop)) for start, stop in spans]  # of each population
        self.has_lost_some = True  # nobody knows: the run may be one that was saved

    @property
    def has_any(self) -> bool:
        """Whether a population is the user's own."""
        return bool(self._populations)

    def plain_accounts(self) -> list[int]:
        """List the accounts whose traders are plain Python."""
        return [
            i
            for g, is_vectorised in self._populations
            if not is_vectorised
            for i in range(*self._rows[g])
        ]

    def parameters_of(self, g: int) -> Parameters:
        """Return the checked parameters of a population."""
        return self._chosen[g]

    def note_loss(self) -> None:
        """Note that a trader was retired, perhaps the one who is asked now."""
        self.has_lost_some = True
        self.desk.asked = None

    def fence(self) -> AbstractContextManager[None]:
        """Return what to ask within: it keeps what users' code does to the process away from it."""
        return fenced() if self.has_any else nullcontext()

    def ask(self, state: State, step: int) -> State:
        """Let the traders who wake in a step decide; return the state, perhaps in longer arrays.

        What those in plain Python ask for waits at the desk to be handed in.

        To be called within `fence`, which is put up for many steps because it takes as long as a
        trader.

        Raises
        ------
        OwnTraderError
            If one fails.
        """
        traders, desk = self._traders, self.desk
        num_asked = traders.population["num_asked"]
        desk.open(state, traders)
        try:
            stop = 0
            for g, is_vectorised in self._populations:
                start, stop = stop, stop + num_asked.item(g)
                if start == stop:
                    continue
                ask = self._ask_strategy if is_vectorised else self._ask_plain
                ask(g, start, stop, step)
            state = desk.state
        finally:
            desk.shut()
        self.has_lost_some = False
        return state

    def _ask_strategy(self, g: int, start: int, stop: int, step: int) -> None:
        """Let a vectorised population decide, who are these of the callers."""
        awake: Any = self._traders.caller[start:stop]
        margin = self._traders.margin[start:stop]
        if self.has_lost_some:  # one who decided before them may have retired them
            stays = self._traders.trader["is_retired"][awake] == 0
            awake, margin = awake[stays], margin[stays]
            if len(awake) == 0:
                return
        strategy: Any = self._chosen[g]
        state = self.desk.state
        market = MarketView(state, self._traders, self.desk, step)
        batch = Batch(state, self._traders, self.desk, g, awake, margin, step, self._seed)
        try:
            strategy.decide(market, batch)
        except (ScenarioError, OwnTraderError):
            raise
        except (Exception, SystemExit) as error:
            raise self._named(error, g, step) from error
        batch.save_memory()

    def _ask_plain(self, g: int, start: int, stop: int, step: int) -> None:
        """Let the plain traders of a population decide, one after the other of the callers.

        Numbers are read one by one: after a step of the kernels, what NumPy needs to list them has
        to come from memory first, and takes longer.
        """
        find_trader = self._find_trader
        if find_trader is None:
            name = self._names[g]
            raise ScenarioError(
                [
                    f"populations.{name}.strategy: its traders are plain Python and Mesa agents; "
                    "run them with marketsim.PerpMarket"
                ]
            )
        desk = self.desk
        account: Any = self._traders.caller
        i = None
        try:
            for row in range(start, stop):
                i = account.item(row)
                # one who decided before it may have retired it
                if self.has_lost_some and self._traders.trader["is_retired"].item(i):
                    continue
                trader = find_trader(i)
                desk.asked, desk.row = trader, row
                trader.step()
        except (ScenarioError, OwnTraderError):
            raise
        except (Exception, SystemExit) as error:
            raise self._named(error, g, step, i) from error

    @contextmanager
    def blamed(self, account: int, step: int) -> Iterator[None]:
        """Run a user's code for one account's trader; what it raises is named.

        Raises
        ------
        OwnTraderError
        """
        try:
            yield
        except (ScenarioError, OwnTraderError):
            raise
        except (Exception, SystemExit) as error:
            g = int(self._traders.trader[account].population)
            raise self._named(error, g, step, account) from error

    def _named(
        self, error: BaseException, g: int, step: int, account: int | None = None
    ) -> OwnTraderError:
        """Say of what a user's code raised whose it is."""
        own = own_class(self._chosen[g])
        who = f"populations.{self._names[g]} ({own.__name__ if own else ''})"
        if account is not None:
            who += f", account {account}"
        refused = isinstance(error, RefusedError)
        what = str(error) if refused else blame(error, source_file(own))
        joint = ", " if what.startswith("account ") else ": "
        return OwnTraderError(step, self._names[g], f"step {step}: {who}{joint}{what}")
