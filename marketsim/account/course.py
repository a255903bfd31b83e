"""One account over the whole of a run: its pools' margin, and how far each is from liquidation."""

from typing import TYPE_CHECKING, Any

from marketsim.account.rerun import RemadeRun, check_tables, lay_over, open_again
from marketsim.account.statement import Account, state_account
from marketsim.results.run import Run
from marketsim.run.progress import Progress
from marketsim.tape.files import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

#: Moments looked at, about.
MOMENTS = 150
#: Tables of one account, by its number: its pools; and the moves that would take them.
POOLS, MOVES = "account_pools_{}", "account_moves_{}"


def follow_account(run: Run, account: int, progress: Progress | None = None) -> RemadeRun:
    """Make a finished run again and write down, on the way, the margin maths of one account.

    Parameters
    ----------
    run : Run
    account : int
    progress : callable, optional
        Called with (steps done, steps asked) now and then.

    Returns
    -------
    RemadeRun
        The run, with two tables more, which `read_course` returns.

    Raises
    ------
    RunFolderError
        If the folder is damaged, or a table is not what was recorded.
    InputChangedError
        If a file the run was made from has changed since.
    """
    import pandas as pd

    simulation = open_again(run)
    num_steps = int(run.summary["steps"])
    every = max(1, -(-num_steps // MOMENTS))
    pools: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    while True:
        done = simulation.step_count
        place = {"step": done, "hours": done * simulation.scenario.step_minutes / 60.0}
        statement = state_account(Account(simulation.state, account, simulation.market_names))
        for pool in statement.pools:
            if not pool.positions:
                continue
            facts = {"pool": pool.pool, "name": pool.name, "equity_usd": pool.equity_usd}
            pools.append({**place, **facts, "maintenance_usd": pool.maintenance_usd})
            held = {position.market for position in pool.positions}
            moves += [
                {**place, "market": move.market, "move": move.exhausted_by}
                for move in pool.moves
                if move.market in held
            ]
        if progress is not None:
            progress(done, num_steps)
        if done >= num_steps:
            break
        simulation.run(min(every, num_steps - done))
    check_tables(run, simulation.result())
    names = POOLS.format(account), MOVES.format(account)
    columns = (["step", "hours", "pool", "name", "equity_usd", "maintenance_usd"], ["market"])
    tables = {
        names[0]: pd.DataFrame(pools, columns=columns[0]),
        names[1]: pd.DataFrame(moves, columns=["step", "hours", *columns[1], "move"]),
    }
    tables[names[1]]["move"] = tables[names[1]]["move"].astype(float)
    return lay_over(run, tables)


def read_course(run: Run, account: int) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return what `follow_account` wrote down of an account.

    Parameters
    ----------
    run : Run
    account : int

    Returns
    -------
    pools : pandas.DataFrame
        A row per moment and pool with positions: `step` (done), `hours`, `pool`, `name`,
        `equity_usd`, `maintenance_usd`.
    moves : pandas.DataFrame
        A row per moment and position: `step`, `hours`, `market`, and `move`, the relative move of
        that mark alone that takes its pool; NaN if none does.

    Raises
    ------
    RunFolderError
        If the account was not followed.
    """
    if POOLS.format(account) not in run.tables:
        msg = f"{run.path}: account {account} was not followed; follow_account makes the run again"
        raise RunFolderError(msg)
    return run.table(POOLS.format(account)), run.table(MOVES.format(account))
