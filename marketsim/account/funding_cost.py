"""What holding a portfolio costs in funding, and when funding alone would have it liquidated.

Prices stay where they are; the venue's own rounding and margin pass decide. Rates are given, those
of a finished run, or those a real venue charged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from marketsim.account.portfolio import NEUTRAL, OWNER, Portfolio, open_portfolio
from marketsim.account.rerun import read_columns
from marketsim.engine import ledger, margin
from marketsim.engine.formulas.rates import funding_payment
from marketsim.engine.state import Cause, SettlementPrice, State
from marketsim.results.run import Run
from marketsim.scenario.errors import ScenarioError, one_of
from marketsim.scenario.funding_file import RateFile
from marketsim.scenario.population import Mode
from marketsim.scenario.written_dates import HOUR
from marketsim.tape.files import RunFolderError

#: Rates are quoted for so many hours.
QUOTED_HOURS = 8.0
#: More settlements than this are refused.
MAX_SETTLEMENTS = 1_000_000


class Settlement(NamedTuple):
    """One payment of funding in one market."""

    hours: float  #: from now
    market: str
    rate: float  #: per 8 h
    share: float  #: interval over 8 h: the part of the rate paid now


@dataclass(frozen=True)
class FundingCost:
    """What a portfolio pays under one margin mode."""

    mode: Mode
    days: float
    num_settlements: int  #: that were paid
    mean_rate: dict[str, float]  #: per 8 h, of all settlements
    paid_usd: dict[str, float]  #: by market; negative: received
    buffer_end_usd: float  #: equity less maintenance margin of all pools, after the last payment
    liquidated_hours: float | None  #: when a pool falls below maintenance margin: paying ends
    liquidated_markets: tuple[str, ...]  #: whose positions that pool holds

    @property
    def total_usd(self) -> float:
        """Sum of all markets."""
        return sum(self.paid_usd.values())

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self) | {"total_usd": self.total_usd}


def given_rates(
    portfolio: Portfolio, rates: Mapping[str, float], days: float
) -> Sequence[Settlement]:
    """List the settlements of constant rates, at the intervals of the portfolio's venue.

    Parameters
    ----------
    portfolio : Portfolio
    rates : mapping of str to float
        Per 8 h, by market; the rest pays nothing.
    days : float

    Returns
    -------
    sequence of Settlement

    Raises
    ------
    ScenarioError
        If a market does not exist, or rates or days are out of bounds.
    """
    problems = [
        f"funding {name}: no such market; {one_of(name, portfolio.markets)}"
        for name in rates
        if name not in portfolio.markets
    ]
    problems += [
        f"funding {name} = {rate:g}: must lie between -1 and 1 (a fraction, per 8 h)"
        for name, rate in rates.items()
        if not -1.0 <= rate <= 1.0
    ]
    stated = portfolio.venue.funding.interval_hours
    interval = 1.0 / 60.0 if stated == "step" else float(stated)
    count = int(days * 24.0 / interval + 1e-9)
    if not 0 < days <= 3650:
        problems.append(f"days {days:g}: must lie above 0 and up to 3,650")
    elif count * len(rates) > MAX_SETTLEMENTS:
        problems.append(f"days {days:g}: more than {MAX_SETTLEMENTS:,} settlements; fewer days")
    if problems:
        raise ScenarioError(problems, portfolio.name)
    return [
        Settlement((n + 1) * interval, name, rate, interval / QUOTED_HOURS)
        for n in range(count)
        for name, rate in rates.items()
    ]


def filed_rates(
    portfolio: Portfolio, files: Mapping[str, RateFile], days: float | None = None
) -> tuple[list[Settlement], float]:
    """List the settlements of real funding rates, from the first that all files have.

    Parameters
    ----------
    portfolio : Portfolio
    files : mapping of str to RateFile
        By market.
    days : float, optional
        As many from there; by default as many as all files have.

    Returns
    -------
    settlements : list of Settlement
        In the order of time.
    days : float

    Raises
    ------
    ScenarioError
        If a market does not exist, or the files have fewer days.
    """
    problems = [
        f"funding {name}: no such market; {one_of(name, portfolio.markets)}"
        for name in files
        if name not in portfolio.markets
    ]
    begin = max(file.time[0] / HOUR - file.hours[0] for file in files.values())
    length = (min(file.time[-1] for file in files.values()) / HOUR - begin) / 24.0
    if length <= 0:
        problems.append(f"funding of {', '.join(files)}: the files have no time in common")
    if days is not None and not 0 < days <= length * 1.000001:
        problems.append(f"days {days:g}: the funding files have {length:g}")
    if problems:
        raise ScenarioError(problems, portfolio.name)
    days = length if days is None else days
    found = [
        Settlement(ends, name, float(rate), float(hours) / QUOTED_HOURS)
        for name, file in files.items()
        for ends, rate, hours in zip(file.time / HOUR - begin, file.rate, file.hours, strict=True)
        if 1e-9 < ends <= days * 24.0 + 1e-9
    ]
    return sorted(found, key=lambda settlement: settlement.hours), days


def recorded_rates(
    portfolio: Portfolio, run: Run, days: float | None = None
) -> Sequence[Settlement]:
    """List the settlements of a finished run in the markets of the portfolio.

    Parameters
    ----------
    portfolio : Portfolio
    run : Run
    days : float, optional
        The run's first days; all of them if left out.

    Returns
    -------
    sequence of Settlement

    Raises
    ------
    RunFolderError
        If the run is shorter, or lacks a market the portfolio holds.
    """
    length = float(run.summary["steps"]) * float(run.summary["step_minutes"]) / 1440.0
    days = length if days is None else days
    if not 0 < days <= length * 1.000001:
        msg = f"{run.path}: {days:g} days of funding: the run has {length:g}"
        raise RunFolderError(msg)
    table = read_columns(run, "funding", ["hours", "market", "funding_rate"])
    found = []
    for name in portfolio.positions:
        own = table[table["market"] == name]
        if not len(own):
            known = ", ".join(map(str, table["market"].drop_duplicates())) or "none"
            msg = f"{run.path}: no funding of {name} was settled; it has {known}"
            raise RunFolderError(msg)
        ends = own["hours"].to_numpy(np.float64)
        shares = np.diff(ends, prepend=0.0) / QUOTED_HOURS
        rates = own["funding_rate"].to_numpy(np.float64)
        for hours, rate, share in zip(ends, rates, shares, strict=True):
            if hours <= days * 24.0 + 1e-9:
                found.append(Settlement(float(hours), name, float(rate), float(share)))
    return sorted(found, key=lambda settlement: settlement.hours)


def cost_funding(
    portfolio: Portfolio, mode: Mode, settlements: Sequence[Settlement], days: float
) -> FundingCost:
    """Pay funding, one settlement after the other, until a pool is liquidatable.

    Parameters
    ----------
    portfolio : Portfolio
    mode : str
        cross, isolated or partial.
    settlements : sequence of Settlement
        In the order of time.
    days : float
        What they stand for.

    Returns
    -------
    FundingCost

    Examples
    --------
    >>> from marketsim.account.portfolio import parse_portfolio
    >>> btc = {"price": 100.0, "tick_size": 0.01, "lot_size": 0.01}
    >>> portfolio = parse_portfolio(
    ...     {
    ...         "markets": {"BTC": btc},
    ...         "collateral": {"cash": 20.0},
    ...         "positions": {"BTC": {"size": 1.0}},
    ...     }
    ... )
    >>> month = given_rates(portfolio, {"BTC": 0.0001}, days=30)
    >>> cost_funding(portfolio, "cross", month, days=30).paid_usd  # 90 x 0.01 % of 100 USD
    {'BTC': 0.9}
    """
    state = open_portfolio(portfolio, mode)
    names = tuple(portfolio.markets)
    paid = dict.fromkeys(portfolio.positions, 0)
    count, seized = 0, None
    for n, settlement in enumerate(settlements):
        m = names.index(settlement.market)
        amount = _settle(state, m, settlement)
        if settlement.market in paid:
            paid[settlement.market] -= amount
        count += 1
        is_last = n + 1 == len(settlements) or settlements[n + 1].hours > settlement.hours
        if is_last and amount and margin.assess_pools(state):
            seized = settlement.hours
            break
    margin.assess_pools(state)
    rate: dict[str, list[float]] = {}
    for settlement in settlements:
        rate.setdefault(settlement.market, []).append(settlement.rate)
    held = [int(p) for p in np.flatnonzero(np.asarray(state.pool["owner"]) == OWNER)]
    short = {p for p in held if margin.is_short(state.pool[p].equity, state.pool[p].maintenance)}
    return FundingCost(
        mode=mode,
        days=days,
        num_settlements=count,
        mean_rate={name: float(np.mean(rates)) for name, rates in rate.items()},
        paid_usd={name: atoms / portfolio.atoms for name, atoms in paid.items()},
        buffer_end_usd=sum(
            int(state.pool[p].equity - state.pool[p].maintenance)
            for p in held
            if state.pool[p].maintenance
        )
        / portfolio.atoms,
        liquidated_hours=seized,
        liquidated_markets=tuple(
            name
            for name in portfolio.positions
            if int(state.position[OWNER, names.index(name)].pool) in short
        ),
    )


def _settle(state: State, m: int, settlement: Settlement) -> int:
    """Pay one settlement to the owner and from the other side; return what the owner got, atoms."""
    market = state.market[m]
    by_index = state.venue[0].settlement_price == SettlementPrice.INDEX
    price = int(market.index_ticks if by_index else market.mark_ticks)
    notional = int(state.position[OWNER, m].size) * price * int(market.tick_atoms)
    amount = int(funding_payment(notional, settlement.rate, settlement.share))
    ledger.post(state, int(state.position[OWNER, m].pool), int(Cause.FUNDING), amount)
    ledger.post(state, NEUTRAL, int(Cause.FUNDING), -amount)
    return amount
