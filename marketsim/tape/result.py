"""What a finished run leaves in memory, before anything is written or summed up."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from marketsim.engine.cause_records import Impact, Loss, Seizure
from marketsim.engine.ledger import account_equity
from marketsim.engine.records import Block, Grid, Rows, records
from marketsim.engine.state import NONE, Cause, Deleverage, Fill, Liquidation, State
from marketsim.tape.arrivals import Arrival
from marketsim.tape.depth import BookLevel, Depth
from marketsim.tape.series import Series, Settlement, Step
from marketsim.tape.wealth import Holding, Wealth

#: Name of the insurance fund where accounts are listed by population.
FUND_NAME = "insurance_fund"

Array = TypeVar("Array", bound=Any)
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Snapshot(NamedTuple):
    """What every account owned at one moment; the insurance fund is the last row."""

    equity: Integers  #: (N + 1,) atoms, nothing haircut: cash, positions, holdings
    cash: Integers  #: (N + 1,) atoms in all pools of the account
    position_value: Integers  #: (N + 1,) atoms: size x mark, signed
    size: Integers  #: (N + 1, M) lots
    spot: Integers  #: (N + 1, M) lots
    stable: Integers  #: (N + 1,) stablecoin atoms
    flow: Integers  #: (N + 1, causes) atoms booked so far


def take_snapshot(state: State) -> Snapshot:
    """Copy what every account owns.

    Parameters
    ----------
    state : State

    Returns
    -------
    Snapshot
    """
    cash = np.zeros(len(state.account), np.int64)
    np.add.at(cash, np.asarray(state.pool["owner"]), np.asarray(state.pool["cash"]))
    size = np.array(state.position["size"], np.int64)
    mark = np.asarray(state.market["mark_ticks"] * state.market["tick_atoms"])
    position_value = np.zeros(len(state.account), np.int64)
    for m in range(len(mark)):
        position_value += size[:, m] * mark[m]
    return Snapshot(
        equity=account_equity(state),
        cash=cash,
        position_value=position_value,
        size=size,
        spot=np.array(state.spot, np.int64),
        stable=np.array(state.stable, np.int64),
        flow=np.array(state.flow, np.int64),
    )


def profit_by_cause(start: Snapshot, end: Snapshot) -> Integers:
    """Split every account's change of equity into its causes, exactly.

    The ledger books a purchase as cash paid; what is still held at the end is worth something, so
    open positions close the column PRICE and coins and stablecoins the column SPOT.

    Parameters
    ----------
    start, end : Snapshot

    Returns
    -------
    ndarray
        (N + 1, causes) atoms; a row adds up to ``end.equity - start.equity``.
    """
    profit = end.flow - start.flow
    held = [moment.equity - moment.cash - moment.position_value for moment in (start, end)]
    profit[:, Cause.PRICE] += end.position_value - start.position_value
    profit[:, Cause.SPOT] += held[1] - held[0]
    return profit


#: Key of a field's metadata: why the field is left out of the digest.
LEFT_OUT = "left out of the digest"
_WORDING = {LEFT_OUT: "names and text"}
_CLOCK = {LEFT_OUT: "time on the wall"}
_STATED = {LEFT_OUT: "what the run was given, in no table"}
#: Key of a field's metadata: why an empty one is left out of the digest.
ABSENT = "left out of the digest while empty"
_CHOSEN = {ABSENT: "recorded by choice, and later than the first digests"}


def since_warm_up(rows: Array, warm_up: int) -> Array:
    """Return rows whose steps count from the record's first."""
    if warm_up == 0:
        return rows
    found: Array = rows.copy()
    found["step"] -= warm_up
    return found


class Flows(NamedTuple):
    """Money from the outside world; negative: to it."""

    step: Integers  #: in or before which
    account: Integers
    atoms: Integers


@dataclass(frozen=True, eq=False)
class RunResult:
    """Everything a finished run leaves; N accounts and the fund, M markets, T rows of the series.

    A row covers one step, or several where the scenario's `record.series_minutes` says so.

    Money is atoms, prices ticks, sizes lots, as in `marketsim.engine.state`. Every field is part of
    the run's digest (`marketsim.tape.digest`) unless its metadata say why not.
    """

    scenario: str = field(metadata=_WORDING)  #: name
    scenario_text: str = field(metadata=_WORDING)  #: resolved TOML
    seed: int = field(metadata=_STATED)
    num_steps: int
    step_minutes: float
    market_names: tuple[str, ...] = field(metadata=_WORDING)
    venue_names: tuple[str, ...] = field(metadata=_WORDING)  #: of the spot venues
    population_names: tuple[str, ...] = field(metadata=_WORDING)
    tick_size: Floats  #: (M,) USD
    lot_size: Floats  #: (M,) coins
    tick_atoms: Integers  #: (M,) atoms in one tick of one lot
    series: Grid[Series]  #: (T, M)
    deviation: Floats  #: (T, M, venues) spot venue price / index price - 1
    depth_share: Floats  #: (hours, M) what rested near the mids over open interest, as each ended
    steps: Rows[Step]  #: (T,)
    funding: Rows[Settlement]  #: (rows,)
    funding_cap: Floats  #: (rows,) per 8 h, largest rate of either sign that each could have
    liquidation: Rows[Liquidation]  #: (rows,)
    deleverage: Rows[Deleverage]  #: (rows,)
    fill: Rows[Fill]  #: (rows,) empty unless the scenario asks for fills
    wealth: Grid[Wealth]  #: (moments, G + 1) of each population and the fund, from start to end
    exposure: Block[Holding]  #: (moments, G + 1, M)
    population: Integers  #: (N + 1,) index into `population_names`; the fund's is NONE
    deposit: Integers  #: (N + 1,) atoms that all traders of the account paid in
    pool: Integers  #: (N + 1, M) number of the pool that holds each position
    start: Snapshot
    end: Snapshot
    outcome: Integers  #: (outcomes,) intents by what became of them
    conservation_error: int  #: atoms, largest seen
    #: markets whose spot price a scheduled shock moves
    struck: tuple[str, ...] = field(default=(), metadata=_STATED)
    # why liquidations came; empty unless the scenario records causes
    impact: Rows[Impact] = field(default_factory=lambda: records(Impact, 0))  #: (liquidations,)
    seizure: Rows[Seizure] = field(default_factory=lambda: records(Seizure, 0))  #: (rows,)
    loss: Rows[Loss] = field(default_factory=lambda: records(Loss, 0))  #: (rows,)
    # how close the venue was to running away, see `marketsim.contagion.recorder`
    #: scheduled shocks: step, side of their price move
    strikes: tuple[tuple[int, int], ...] = field(default=(), metadata=_STATED)
    contagion_steps: Integers = field(default_factory=lambda: np.zeros(0, np.int64))  #: (moments,)
    contagion: Floats = field(default_factory=lambda: np.zeros((0, 2, 0, 0)))  #: moments, 2, M, M
    #: the same with books that never refill
    contagion_on_paper: Floats = field(default_factory=lambda: np.zeros((0, 2, 0, 0)))
    #: R as measured, see `marketsim.contagion.measured`; empty unless the scenario asks for it
    reproduction_measured: Floats = field(default_factory=lambda: np.zeros(0))
    recovery: Floats = field(default_factory=lambda: np.zeros((0, 0)))  #: (moments, M)
    heat: Any = ()  #: (rows,) `Heat` of the liquidation heat map
    snapshots: tuple[tuple[int, Snapshot], ...] = ()  #: (step, accounts), between start and end
    #: (rows,) traders who came, took profit and left
    arrival: Rows[Arrival] = field(default_factory=lambda: records(Arrival, 0), metadata=_CHOSEN)
    #: (N + 1,) traders who had the account before the last one; empty if none comes or goes
    generation: Integers = field(default_factory=lambda: np.zeros(0, np.int64), metadata=_CHOSEN)
    #: (rows,) what rested near the mids
    depth: Rows[Depth] = field(default_factory=lambda: records(Depth, 0), metadata=_CHOSEN)
    #: (rows,) whole books
    book: Rows[BookLevel] = field(default_factory=lambda: records(BookLevel, 0), metadata=_CHOSEN)
    start_time: np.datetime64 | None = None  #: UTC at which step 0 begins; None without a calendar
    #: what the user must know: how gaps were bridged, say
    notes: tuple[str, ...] = field(default=(), metadata=_WORDING)
    #: files the run was made from: what it is, name, SHA-256, as `marketsim.scenario.inputs` has it
    inputs: tuple[tuple[str, str, str], ...] = field(default=(), metadata=_STATED)
    #: money that interventions brought (negative: took): step before which, account, atoms
    payments: tuple[tuple[int, int, int], ...] = field(default=(), metadata=_STATED)
    #: seconds by phase; "wall" in all
    timings: dict[str, float] = field(default_factory=dict, metadata=_CLOCK)

    @property
    def has_causes(self) -> bool:
        """Whether it is known why every liquidation came; without liquidations it is."""
        return len(self.impact) == len(self.liquidation)

    @property
    def profit(self) -> Integers:
        """(N + 1, causes) atoms: every account's profit and loss by cause."""
        return profit_by_cause(self.start, self.end)

    @property
    def flows(self) -> Flows:
        """All money from and to the outside world since the start, in the order of steps."""
        step, account, atoms = np.array(self.payments, np.int64).reshape(-1, 3).T
        row = self.arrival
        found = Flows(
            np.concatenate([step, row["step"]]),
            np.concatenate([account, row["account"]]),
            np.concatenate([atoms, row["atoms"]]),
        )
        order = np.argsort(found.step, kind="stable")
        return Flows(*(column[order] for column in found))

    @property
    def traders_before(self) -> Integers:
        """(N + 1,) traders who had each account before the last one."""
        none = np.zeros(len(self.deposit), np.int64)
        return self.generation if len(self.generation) else none

    @property
    def withdrawn(self) -> Integers:
        """(N + 1,) atoms taken out of each account by traders who left or took profit."""
        taken = np.zeros(len(self.deposit), np.int64)
        np.add.at(taken, self.arrival["account"], np.maximum(-self.arrival["atoms"], 0))
        return taken

    def account_population(self) -> list[str]:
        """Name every account's population, the fund's included."""
        names = (*self.population_names, FUND_NAME)
        return [names[index] if index != NONE else FUND_NAME for index in self.population]
