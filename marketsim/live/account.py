"""One account, its margin sum spelled out, for the page."""

from typing import Any

from marketsim.account.statement import Account, PoolStatement, Statement, state_account
from marketsim.run.simulation import Simulation


def account_facts(run: Simulation, account: int) -> dict[str, Any]:
    """Return the statement of an account as it stands now.

    Parameters
    ----------
    run : Simulation
    account : int
        There must be such a trader.
    """
    statement = state_account(Account(run.state, account, run.market_names))
    maintenance = sum(pool.maintenance_usd for pool in statement.pools)
    return {
        "kind": "account",
        "account": account,
        "population": run.roster.names[int(run.roster.population[account])],
        "step": run.step_count,
        "equity": statement.equity_usd,
        "maintenance": maintenance,
        "buffer": statement.equity_usd - maintenance,
        "lines": _lines(statement.pools),
        "pools": [_pool(pool) for pool in statement.pools],
        "positions": [
            {
                "market": position.market,
                "size": position.size,
                "entry": position.entry_price,
                "mark": position.mark_price,
                "notional": position.notional_usd,
                "profit": position.profit_usd,
                "maintenance": position.maintenance_usd,
                "liquidation": position.liquidation_price,
            }
            for position in statement.positions
        ],
        "distance": _distances(run, statement),
    }


def _pool(pool: PoolStatement) -> dict[str, Any]:
    return {
        "name": pool.name,
        "equity": pool.equity_usd,
        "maintenance": pool.maintenance_usd,
        "buffer": pool.buffer_usd,
        "cash": pool.cash_usd,
        "profit": pool.profit_usd,
        "holdings": pool.holdings_usd,
        "lines": _lines((pool,)),
    }


def _lines(pools: tuple[PoolStatement, ...]) -> list[dict[str, Any]]:
    """Spell the margin sum of some pools out: what they have, less what they must have."""
    lines = [("cash", sum(pool.cash_usd for pool in pools), "+")]
    holdings = sum(pool.holdings_usd for pool in pools)
    if holdings:
        lines.append(("coins and stablecoins after haircut", holdings, "+"))
    lines += [
        (f"profit of {position.market}", position.profit_usd, "+")
        for pool in pools
        for position in pool.positions
    ]
    lines.append(("equity", sum(pool.equity_usd for pool in pools), "="))
    lines += [
        (f"maintenance of {position.market}", position.maintenance_usd, "-")
        for pool in pools
        for position in pool.positions
    ]
    lines.append(("left above maintenance", sum(pool.buffer_usd for pool in pools), "="))
    return [{"label": label, "usd": usd, "sign": sign} for label, usd, sign in lines]


def _distances(run: Simulation, statement: Statement) -> dict[str, float | None]:
    """Return by market the relative move that seizes the pool of the account's position."""
    moves = {move.market: move.exhausted_by for pool in statement.pools for move in pool.moves}
    return {name: moves.get(name) for name in run.market_names}
