"""Why an account was liquidated: its margin maths as it was seized, and what was done to it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketsim.account.rerun import read_columns, rerun
from marketsim.account.statement import Account, Statement, state_account
from marketsim.engine import liquidation, margin, pools
from marketsim.engine.state import ATOMS
from marketsim.results import by_report
from marketsim.results.run import Run, load_run
from marketsim.run.progress import Progress
from marketsim.run.simulation import Simulation
from marketsim.scenario.population import MODES
from marketsim.tape.files import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

#: Accounts named where one does not exist.
MAX_NAMED = 8
#: What the table of accounts says of profit and loss, and its columns.
PROFIT = {
    "price": ("price_usd", "spot_usd", "rounding_usd"),
    "slippage": ("slippage_usd",),
    "fees": ("fee_usd",),
    "funding": ("funding_usd",),
    "liquidation fees": ("liquidation_fee_usd",),
    "paid by the fund": ("takeover_usd",),
    "deleveraging": ("adl_usd",),
    "socialised losses": ("socialised_usd",),
}


@dataclass(frozen=True)
class Deleveraging:
    """Someone made to close against a liquidation."""

    account: int
    population: str
    size: float  #: coins, change of that account's position
    price: float | None  #: USD
    cost_usd: float  #: against the mark


@dataclass(frozen=True)
class CauseOfLiquidation:
    """Part of why a pool fell below its maintenance margin."""

    kind: str
    market: str  #: where the loss arose; empty for what belongs to no market
    loss_usd: float
    weight: float  #: share of all that was lost
    parent: int | None  #: the liquidation to blame, a row of the table of liquidations
    parent_name: str  #: in words


@dataclass(frozen=True)
class LiquidationOrder:
    """One liquidation order of the account: what was closed where, and who paid."""

    number: int  #: row of the table of liquidations
    step: int
    round: int
    pool: int
    market: str
    side: str
    stage: str
    equity_usd: float  #: of the pool
    maintenance_usd: float
    index_price: float
    mark_price: float
    limit_price: float | None
    bankruptcy_price: float | None
    size_before: float
    book_size: float  #: coins sold (bought) in the book
    average_price: float | None  #: there
    takeover_size: float  #: taken by the insurance fund
    adl_size: float  #: closed by deleveraging
    size_after: float
    rest_taken_by: str  #: who took what the book did not: none, fund, adl, fund+adl, later
    notional_usd: float
    book_cost_usd: float  #: paid to the book beyond the mark
    fee_usd: float
    fund_paid_usd: float
    takeover_cost_usd: float
    adl_cost_usd: float
    socialised_usd: float
    deleveragings: tuple[Deleveraging, ...]
    causes: tuple[CauseOfLiquidation, ...]


@dataclass(frozen=True)
class Explanation:
    """An account at one moment of a run, and all its liquidations."""

    run: str
    scenario: str
    seed: int
    account: int
    population: str
    strategy: str
    margin_mode: str
    step: int
    hours: float  #: since the start, at the end of the step
    seized_round: int | None  #: of liquidation, just before it; None: the end of the step
    seizure_equity_usd: float | None  #: of the pool, as recorded
    seizure_maintenance_usd: float | None
    is_exact: bool  #: False if others, seized first in the same round, changed what is shown
    statement: Statement
    before: Statement | None  #: at the end of the step before the seizure
    marks_before: dict[str, float]
    marks: dict[str, float]
    num_steps: int  #: of the run
    deposit_usd: float
    equity_end_usd: float
    profit_usd: dict[str, float]  #: over the whole run, by cause
    liquidations: tuple[LiquidationOrder, ...]

    def _repr_html_(self) -> str:
        return by_report.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, for JSON."""
        return asdict(self)


def explain(
    run: Run | str | Path,
    account: int,
    step: int | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Explain an account of a finished run.

    The run is done again up to that step, and checked against what was recorded.

    Parameters
    ----------
    run : Run, str or Path
        A run, or its folder.
    account : int
    step : int, optional
        Show the end of this step, from 0. Left out: the moment before the account's first
        liquidation, or the end of the run if it never was.
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Returns
    -------
    Explanation

    Raises
    ------
    RunFolderError
        If the folder is damaged or of another version, or has no such account or step.
    ScenarioError
        If its scenario cannot be run any more.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    row = _account_row(run, account)
    rows = _rows_of(run, account)
    num_steps = int(run.summary["steps"])
    if step is not None and not 0 <= step < num_steps:
        msg = f"{run.path}: step {step}: the run has steps 0 to {num_steps - 1}"
        raise RunFolderError(msg)
    seized = rows.iloc[0] if step is None and len(rows) else None
    if seized is not None:
        shown, done = int(seized["step"]), int(seized["step"])
    else:
        shown = num_steps - 1 if step is None else step
        done = shown + 1
    simulation = rerun(run, done, progress)
    before, marks_before, exact = None, {}, True
    if seized is not None:
        before = _statement(simulation, account)
        marks_before = _marks(simulation)
        exact = _seize(simulation, seized)
    roster = simulation.roster
    group = int(roster.population[account])
    return Explanation(
        run=str(run.path),
        scenario=run.scenario,
        seed=run.seed,
        account=account,
        population=roster.names[group],
        strategy=roster.strategies[group],
        margin_mode=MODES[int(simulation.interventions.margin_mode[account])],
        step=shown,
        hours=(shown + 1) * simulation.scenario.step_minutes / 60.0,
        seized_round=None if seized is None else int(seized["round"]),
        seizure_equity_usd=None if seized is None else float(seized["equity_usd"]),
        seizure_maintenance_usd=None if seized is None else float(seized["maintenance_usd"]),
        is_exact=exact,
        statement=_statement(simulation, account),
        before=before,
        marks_before=marks_before,
        marks=_marks(simulation),
        num_steps=num_steps,
        deposit_usd=float(row["deposit_usd"]),
        equity_end_usd=float(row["equity_end_usd"]),
        profit_usd={
            name: float(sum(row[column] for column in columns)) for name, columns in PROFIT.items()
        },
        liquidations=tuple(_orders(run, rows)),
    )


def liquidated_first(run: Run) -> str:
    """Name the first accounts that were liquidated, in a phrase."""
    found = run.liquidations["account"].drop_duplicates().tolist()
    named = ", ".join(map(str, found[:MAX_NAMED])) + (" ..." if len(found) > MAX_NAMED else "")
    return f"first liquidated were {named}" if found else "nobody was liquidated"


def _account_row(run: Run, account: int) -> "pd.Series":
    columns = {"deposit_usd", "equity_end_usd"}.union(*PROFIT.values())
    accounts = read_columns(run, "accounts", sorted(columns))
    fund = len(accounts) - 1
    if account == fund:
        msg = f"{run.path}: account {account} is the insurance fund; traders are 0 to {fund - 1}"
        raise RunFolderError(msg)
    if not 0 <= account < fund:
        hint = liquidated_first(run)
        msg = f"{run.path}: there is no account {account}, only 0 to {fund - 1}; {hint}"
        raise RunFolderError(msg)
    return accounts.iloc[account]


def _rows_of(run: Run, account: int) -> "pd.DataFrame":
    own = LiquidationOrder.__dataclass_fields__.keys() - {"number", "deleveragings", "causes"}
    rows = read_columns(run, "liquidations", ["account", *own])
    return rows[rows["account"] == account]


def _statement(simulation: Simulation, account: int) -> Statement:
    return state_account(Account(simulation.state, account, simulation.market_names))


def _marks(simulation: Simulation) -> dict[str, float]:
    market = simulation.state.market
    marks = market["mark_ticks"] * market["tick_size"]
    return dict(zip(simulation.market_names, marks.tolist(), strict=True))


def _seize(simulation: Simulation, row: "pd.Series") -> bool:
    """Bring a run to where a pool is seized; return whether the pool is what the row recorded."""
    simulation.stop_before_liquidation(int(row["round"]))
    state, p = simulation.state, int(row["pool"])
    margin.assess_pools(state)
    liquidation.draw_loss(state, p)
    pools.assess_pool(state, p)
    recorded = [round(float(row[name]) * ATOMS) for name in ("equity_usd", "maintenance_usd")]
    return [int(state.pool[p].equity), int(state.pool[p].maintenance)] == recorded


def _orders(run: Run, rows: "pd.DataFrame") -> Sequence[LiquidationOrder]:
    if not len(rows):
        return []
    wanted = ["liquidation", *Deleveraging.__dataclass_fields__]
    others = read_columns(run, "deleveragings", wanted)
    causes = read_columns(
        run, "causes", ["liquidation", "kind", "market", "loss_usd", "weight", "parent"]
    )
    found = []
    for number, row in rows.iterrows():
        mine = others[others["liquidation"] == number]
        found.append(
            LiquidationOrder(
                number=int(number),  # type: ignore[call-overload]
                **{
                    name: _plain(row[name])
                    for name in LiquidationOrder.__dataclass_fields__
                    if name not in {"number", "deleveragings", "causes"}
                },
                deleveragings=tuple(
                    Deleveraging(
                        *(_plain(other[name]) for name in Deleveraging.__dataclass_fields__)
                    )
                    for _, other in mine.iterrows()
                ),
                causes=tuple(_causes(run, causes[causes["liquidation"] == number])),
            )
        )
    return found


def _causes(run: Run, rows: "pd.DataFrame") -> Sequence[CauseOfLiquidation]:
    """List why one liquidation came, the largest loss first, with its parents by name."""
    found = []
    for _, row in rows.sort_values("loss_usd", ascending=False).iterrows():
        parent = int(row["parent"])
        name = ""
        if parent >= 0:
            other = run.liquidations.iloc[parent]
            name = (
                f"{other['population']} {other['account']}, {other['side']} {other['market']}, "
                f"step {other['step']}"
            )
        found.append(
            CauseOfLiquidation(
                kind=str(row["kind"]),
                market=str(row["market"]),
                loss_usd=float(row["loss_usd"]),
                weight=float(row["weight"]),
                parent=parent if parent >= 0 else None,
                parent_name=name,
            )
        )
    return found


def _plain(value: Any) -> Any:
    """Return a cell of a table as a Python value, without NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value
