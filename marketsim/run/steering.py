"""What is done to a run from outside: kept in the order given, done at the start of a step.

Within a step money moves first, then shocks and changes act in the order given, and orders go to
the book with everybody's.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self, overload

from marketsim.agents.base import market_order
from marketsim.agents.own import own_class
from marketsim.contagion.chance import HORIZON_HOURS
from marketsim.contagion.offspring import Generations, Reproduction, Side
from marketsim.engine.allocation import grow
from marketsim.engine.ledger import pay_in
from marketsim.engine.pools import withdrawable
from marketsim.engine.state import ATOMS, State
from marketsim.run.agenda import atoms_of
from marketsim.run.attributes import RunAttributes
from marketsim.run.branch import branch
from marketsim.run.forced import measure_reproduction
from marketsim.run.out_of_range import StatedInterventionError
from marketsim.run.progress import Progress
from marketsim.run.settings import make_change
from marketsim.scenario import shocks
from marketsim.scenario.build_world import add_shocks
from marketsim.scenario.changes import Steps, refused_changes
from marketsim.scenario.errors import nearest, one_of
from marketsim.scenario.interventions import (
    Change,
    DepositIntervention,
    Intervention,
    InterventionError,
    RetireIntervention,
    TradeIntervention,
    WithdrawIntervention,
    read_intervention,
)
from marketsim.scenario.schema import MAX_DEPOSIT_ATOMS
from marketsim.scenario.shocks import kind_of
from marketsim.scenario.wording import show


def take(run: RunAttributes, kind: Any, fields: dict[str, Any]) -> None:
    """Take an intervention for the coming step, or refuse it and change nothing.

    Raises
    ------
    InterventionError
    """
    kept, is_open = run.interventions, bool(run.tape.clock[0].is_open)
    if is_open and kind != "retire":
        raise InterventionError(f"{kind}: a step is under way: intervene between two steps")
    if "at_step" in fields:
        raise InterventionError(
            f"{kind}: at_step: it acts at the next step; a scenario states others"
        )
    entry = read_intervention(kind, {"at_step": max(run.step_count, 0) + is_open, **fields})
    for problem in entry.problems(run.scenario):
        raise InterventionError(f"{kind}: {problem.line()}")
    if isinstance(entry, RetireIntervention) and not _leaves(run, entry.account):
        return
    if isinstance(entry, TradeIntervention):
        _check_trade(run, entry)
    if isinstance(entry, DepositIntervention | WithdrawIntervention):
        waiting = kept.paid_in(entry.at_step, entry.account)
        _check_money(run, entry, waiting, kept.paid_in(entry.at_step))
    if entry.change is not None:
        _check_own_parameter(run, entry.change)
        to_come = _changes_to_come(run, entry)
        for place, error in refused_changes(run._rules, to_come, kept.changes_made):
            later = f"{place}, which comes later, would be refused: " if place else ""
            raise InterventionError(f"{later}{error}")
    kept.append(entry)


def _leaves(run: RunAttributes, account: int) -> bool:
    """Let a trader leave, whom nobody asks from now on; tell whether that is to be done again.

    It is not where traders of a user's own decide: their class does it again.
    """
    clock = run.tape.clock[0]
    if run.traders.trader[account].is_retired:
        return False
    run.leave(account)
    if run.callers.desk.is_open:
        return False
    if clock.is_open and account in run.traders.caller[: int(clock.num_callers)]:
        run.interventions.notes.append(
            f"account {account} left in the midst of step {run.step_count}, before it had decided: "
            "the scenario does not repeat that"
        )
        return False
    return True


def _check_own_parameter(run: RunAttributes, change: Change) -> None:
    """Refuse a parameter that a user's own class does not have, which only a run knows."""
    table, name, field, key, *_ = [*change.path.split("."), "", "", ""]
    if (table, field) != ("populations", "parameters") or name not in run.roster.names:
        return
    parameters = run.callers.parameters_of(run.roster.names.index(name))
    own, known = own_class(parameters), list(type(parameters).model_fields)
    if own is not None and key and key not in known:
        raise InterventionError(
            f"{change.path} = {show(change.value)}: {own.__name__} has no parameter '{key}'"
            f"{nearest(key, known)}; known: {', '.join(known) or 'none'}"
        )


def _changes_to_come(run: RunAttributes, entry: Intervention) -> Steps:
    """List all changes to come, this one with an empty place."""
    kept = run.interventions
    found: Steps = [
        (step, f"the rule change at step {step}", Change(field, value, is_rule=True))
        for step, field, value in run._changes
    ]
    numbers = sorted(number for _, _, number in kept.waiting)
    others = [(kept.entries[number], f"interventions.{number}") for number in numbers]
    for other, place in (*others, (entry, "")):
        if other.change is not None:
            found.append((other.at_step, place, other.change))
    return found


def _check_trade(run: RunAttributes, entry: TradeIntervention) -> None:
    m = run.market_names.index(entry.market)
    market = run.state.market[m]
    most = int(market.max_position_lots) * float(market.lot_size)
    if abs(entry.size) > most:
        raise InterventionError(
            f"trade: size = {show(entry.size)}: the largest position in {entry.market} is "
            f"{most:.10g} coins"
        )
    if run.traders.trader[entry.account].is_retired:
        raise InterventionError(f"trade: account = {entry.account}: has left the market")


def _check_money(
    run: RunAttributes,
    entry: DepositIntervention | WithdrawIntervention,
    waiting: int,
    waiting_of_all: int,
) -> None:
    """Refuse a withdrawal that margin does not allow, and more deposits than can be added up."""
    amount, state = atoms_of(entry), run.state
    if amount > 0 and int(state.totals[0].deposits) + waiting_of_all + amount >= MAX_DEPOSIT_ATOMS:
        raise InterventionError(
            f"deposit: usd = {show(entry.usd)}: all deposits must stay below "
            f"{MAX_DEPOSIT_ATOMS / ATOMS:.4g} USD"
        )
    if amount < 0:
        free = withdrawable(state, entry.account) + waiting
        if -amount > free:
            raise InterventionError(
                f"withdraw: usd = {show(entry.usd)}: account {entry.account} can take out "
                f"{max(free, 0) / ATOMS:.6f} USD: its initial margin must stay, and profit that is "
                "not realised"
            )


def act(run: RunAttributes) -> None:
    """Do what is due at the start of the coming step; orders wait until it opens.

    Raises
    ------
    StatedInterventionError
        If what a scenario states is refused: naming the entry.
    """
    kept = run.interventions
    while kept.waiting and kept.waiting[0][0] <= run.step_count:
        number = kept.waiting[0][2]
        try:
            _do(run, number, kept.entries[number])
        except InterventionError as error:
            raise StatedInterventionError(run.step_count, number, error) from None
        del kept.waiting[0]


def _do(run: RunAttributes, number: int, entry: Intervention) -> None:
    kept = run.interventions
    if isinstance(entry, TradeIntervention):
        kept.orders.append(entry)
    elif isinstance(entry, DepositIntervention | WithdrawIntervention):
        _check_money(run, entry, 0, 0)
        pay_in(run.state, entry.account, atoms_of(entry))
        kept.payments.append((run.step_count, entry.account, atoms_of(entry)))
    elif isinstance(entry, RetireIntervention):
        run.leave(entry.account)
    elif entry.change is not None:
        note = make_change(run, number, entry.change)
        if note is not None:
            kept.notes.append(f"interventions.{number}: {note}")
    else:
        step_minutes = run.scenario.step_minutes
        shock = entry.as_shock(step_minutes)
        assert shock is not None
        sources = tuple(run.scenario.spot.sources)
        rows = shock.rows(run.market_names, sources, step_minutes)
        run.world = add_shocks(run.world, rows, run.warm_up)


def put_orders(run: RunAttributes) -> State:
    """Put the orders that wait in as intents of the step just opened; return the state with them.

    They come after what their accounts order themselves. Who has left the market orders nothing.
    """
    kept, traders = run.interventions, run.traders
    needed = int(run.state.totals[0].num_intents) + len(kept.orders)
    state = grow(run.state, num_intents=needed)
    for entry in kept.orders:
        if traders.trader[entry.account].is_retired:
            kept.notes.append(
                f"account {entry.account} had left the market before its order in {entry.market} "
                f"at step {entry.at_step}"
            )
            continue
        m = run.market_names.index(entry.market)
        slippage = float(traders.trader[entry.account].slippage)
        market_order(state, traders, entry.account, m, entry.size, slippage, 0)
    kept.orders.clear()
    return state


class Steered:
    """The verbs by which something that runs is branched and changed from outside."""

    @abstractmethod
    def intervene(self, kind: str, **fields: Any) -> None:
        """Do something to the run at the start of the next step.

        Parameters
        ----------
        kind : str
            As ``[[interventions]]`` of a scenario has it.
        **fields
            Those of the kind.

        Raises
        ------
        InterventionError
            If it is refused; then nothing has changed.
        """

    @overload
    def branch(self, n: None = None, change: Mapping[str, Any] | None = None) -> Self: ...
    @overload
    def branch(self, n: int, change: Mapping[str, Any] | None = None) -> list[Self]: ...
    def branch(self, n: int | None = None, change: Mapping[str, Any] | None = None) -> Any:
        """Copy it as it stands; each copy goes its own way from here.

        A copy without a change goes on byte for byte as the original does.

        Parameters
        ----------
        n : int, optional
            How many copies.
        change : mapping, optional
            Fields to set in each copy, by path: ``{"venue.funding.interval_hours": 1.0}``.

        Returns
        -------
        Simulation or PerpMarket, or list of them if `n` is given
        """
        return branch(self, n, change)

    def reproduction(
        self,
        n: int = 50,
        horizon: float = HORIZON_HOURS,
        key: int = 0,
        *,
        side: Side | None = None,
        generations: Generations = "first",
        progress: Progress | None = None,
    ) -> Reproduction:
        """Measure R: force liquidations near the edge, each in a copy, and count what follows.

        It stays as it is; see `marketsim.run.forced.measure_reproduction`.

        Parameters
        ----------
        n : int, optional
            Liquidations, each in a copy of its own.
        horizon : float, optional
            Hours in which what follows is counted.
        key : int, optional
            Another one draws other accounts.
        side : {"falls", "rises"}, optional
            Only pools that sell, or only those that buy.
        generations : {"first", "all"}, optional
            Count what the liquidation causes itself, or what those cause in turn as well.
        progress : callable, optional
            Called with (copies done, copies asked).

        Returns
        -------
        Reproduction
        """
        return measure_reproduction(
            self,
            n,
            horizon,
            key,
            side=side,
            generations=generations,
            progress=progress,
        )

    def shock(self, kind: str, **fields: Any) -> None:
        """Let a shock begin at the start of the next step.

        Parameters
        ----------
        kind : str
            Of a scheduled shock, such as ``"crash"``.
        **fields
            As in a scenario's ``[[shocks]]``, without `at`.

        Raises
        ------
        InterventionError
            If there is no such kind, or a field is wrong.
        """
        names = [kind_of(each) for each in shocks.KINDS]
        if kind not in names:
            raise InterventionError(f"shock {show(kind)}: {one_of(str(kind), names)}")
        self.intervene(kind, **fields)

    def set(self, path: str, value: Any, share: float = 1.0) -> None:
        """Change a field of the scenario from the next step on.

        Parameters
        ----------
        path : str
            Dotted, such as ``"venue.funding.interval_hours"``; ``marketsim schema`` says which
            fields act on a running market (``live``).
        value : number, str, bool, list or dict
            As the scenario would state it.
        share : float, optional
            Of a population's traders, for whom a habit or the margin mode changes.

        Raises
        ------
        InterventionError
            Saying why it cannot be changed now, and what to do.
        """
        self.intervene("set", path=path, value=value, share=share)

    def trade(self, account: int, market: str, size: float) -> None:
        """Let an account bring a market order in the next step, beside what it orders itself.

        Parameters
        ----------
        account : int
        market : str
        size : float
            Coins, buy > 0; rounded to whole lots, toward zero.

        Raises
        ------
        InterventionError
            If there is no such account or market, or no order of such a size.
        """
        self.intervene("trade", account=account, market=market, size=size)

    def deposit(self, account: int, usd: float) -> None:
        """Pay money from outside into an account's main pool at the start of the next step.

        Parameters
        ----------
        account : int
        usd : float

        Raises
        ------
        InterventionError
        """
        self.intervene("deposit", account=account, usd=usd)

    def withdraw(self, account: int, usd: float) -> None:
        """Take cash out of an account's main pool at the start of the next step.

        Parameters
        ----------
        account : int
        usd : float

        Raises
        ------
        InterventionError
            If its initial margin would not stay, or what it takes is profit not realised.
        """
        self.intervene("withdraw", account=account, usd=usd)
