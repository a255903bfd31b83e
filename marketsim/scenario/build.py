"""From a scenario to the arrays of the engine, and who is who in them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from marketsim.engine.allocation import allocate
from marketsim.engine.formulas.rates import rate_cap, rate_cap_maintenance
from marketsim.engine.formulas.requirements import maintenance_amount
from marketsim.engine.state import (
    ATOMS,
    UNLIMITED,
    AverageRule,
    Cause,
    LegRule,
    LimitRule,
    MarkRule,
    RankRule,
    SettlementPrice,
    SizeRule,
    State,
)
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.markets import Market, to_fraction
from marketsim.scenario.roster import Roster, draw_roster
from marketsim.scenario.schema import MAX_DEPOSIT_ATOMS, Scenario
from marketsim.scenario.venue import Venue

#: Stands for "none" where the engine compares a rate with a cap.
NO_CAP = 1e9


def build_state(
    scenario: Scenario,
    *,
    seed: int | None = None,
    prices: Mapping[str, float] | None = None,
    num_orders: int = 1024,
    num_nodes: int = 1024,
    num_intents: int = 1024,
    num_fills: int = 1,
    atoms: int = ATOMS,
) -> tuple[State, Roster]:
    """Build a venue before its first step: rules, accounts with their deposits, empty books.

    Accounts stand population by population in the scenario's order, then the insurance fund.

    Parameters
    ----------
    scenario : Scenario
    seed : int, optional
        Of capital and habits; the scenario's own by default.
    prices : mapping of str to float, optional
        USD, by market: the first prices where the spot history states them.
    num_orders, num_nodes, num_intents, num_fills : int, optional
        Capacities at the start.
    atoms : int, optional
        In one USD: more than a run has, where finer money is counted.

    Returns
    -------
    state : State
    roster : Roster

    Raises
    ------
    ScenarioError
        If a first price does not fit its tick, or the deposits drawn are too large to add up.
    """
    first = _first_prices(scenario, prices or {})
    roster = draw_roster(scenario, scenario.seed if seed is None else seed)
    state = allocate(
        roster.num_traders,
        len(scenario.markets),
        roster.num_traders + 1 + len(roster.side_pool.owner),
        num_tiers=max(len(market.brackets) for market in scenario.markets.values()),
        num_orders=num_orders,
        num_nodes=num_nodes,
        num_intents=num_intents,
        num_fills=num_fills,
        causes=scenario.record.causes,
    )
    write_rules(state, scenario, first, atoms)
    _open_markets(state, scenario, first)
    open_accounts(state, scenario, roster, atoms)
    return state, roster


def write_rules(
    state: State, scenario: Scenario, prices: Mapping[str, float], atoms: int = ATOMS
) -> None:
    """Write the rules of the venue and its markets; prices and positions stay as they are.

    Parameters
    ----------
    state : State
        Its `venue`, `tier` and the rules in `market` are overwritten.
    scenario : Scenario
        As many brackets per market as the state has room for.
    prices : mapping of str to float
        USD, the first price of each market: they turn position limits into lots.
    atoms : int, optional
        In one USD.
    """
    _write_venue(state.venue[0], scenario.venue, scenario, atoms)
    for m, (name, market) in enumerate(scenario.markets.items()):
        row = state.market[m]
        steps = market.steps(atoms)
        row.tick_atoms = steps.tick_atoms
        row.tick_size = market.tick_size
        row.lot_size = steps.lot_size
        row.num_tiers = len(market.brackets)
        row.oi_lower_atoms = _count(market.open_interest_lower, atoms)
        row.oi_upper_atoms = _count(market.open_interest_upper, atoms)
        row.maker_fee = to_fraction(market.maker_fee)
        row.taker_fee = to_fraction(market.taker_fee)
        row.impact_atoms = _count(market.impact_notional, atoms)
        row.funding_cap = funding_cap(scenario.venue, market)
        row.liquidates = int(market.liquidations)
        row.max_position_lots = market.position_limit(prices[name], atoms)
        amount = previous = 0
        for index, bracket in enumerate(market.brackets):
            tier = state.tier[m, index]
            tier.floor_atoms = _count(bracket.notional_floor, atoms)
            tier.initial_fraction = to_fraction(bracket.initial_margin_fraction)
            tier.maintenance_fraction = to_fraction(bracket.maintenance_margin_fraction)
            if index > 0:
                amount = maintenance_amount(
                    amount, int(tier.floor_atoms), int(tier.maintenance_fraction), previous
                )
            tier.maintenance_amount = amount
            previous = int(tier.maintenance_fraction)


def _write_venue(row: Any, venue: Venue, scenario: Scenario, atoms: int) -> None:
    step = scenario.step_minutes
    row.step_hours = step / 60.0
    row.mark_rule = MarkRule[venue.mark.rule.upper()]
    row.basis_weight = _weight(step, venue.mark.basis_minutes)
    funding = venue.funding
    row.funding_interval = scenario.funding_interval_steps
    row.funding_share = row.funding_interval * row.step_hours / 8.0
    row.average_rule = AverageRule[funding.average.upper()]
    row.min_samples = min(funding.min_samples, int(row.funding_interval))
    row.interest_rate = funding.interest_rate
    row.dead_band = -1.0 if funding.dead_band == "none" else funding.dead_band
    row.premium_cap = NO_CAP if funding.premium_cap == "none" else funding.premium_cap
    row.settlement_price = SettlementPrice[funding.settlement_price.upper()]
    row.spot_haircut = to_fraction(venue.margin.spot_haircut)
    row.stable_haircut = to_fraction(venue.margin.stable_haircut)
    rules = venue.liquidation
    row.legs = LegRule[rules.legs.upper()]
    row.size_rule = SizeRule[rules.size_rule.upper()]
    row.limit_rule = LimitRule[rules.limit_rule.upper()]
    row.portion = to_fraction(rules.portion)
    row.min_notional_atoms = _count(rules.min_notional, atoms)
    row.chunk_threshold_atoms = _count(rules.chunk_threshold, atoms)
    row.chunk_cooldown = math.ceil(rules.chunk_cooldown_minutes / step - 1e-9)
    row.max_account_notional_atoms = _limit(rules.max_account_notional, atoms)
    row.max_account_loss_atoms = _limit(rules.max_account_loss, atoms)
    row.market_bound = to_fraction(rules.market_bound)
    row.bankruptcy_adjustment = to_fraction(rules.bankruptcy_adjustment)
    row.spread_ratio = to_fraction(rules.spread_ratio)
    row.liquidation_fee = to_fraction(rules.liquidation_fee)
    row.backstop_ratio = to_fraction(rules.backstop_ratio)
    row.fund_takeover = int(rules.fund_takeover)
    unwind = rules.unwind_minutes
    row.fund_unwind = 0 if unwind == "never" else to_fraction(_weight(step, unwind))
    row.max_rounds = rules.max_rounds
    row.rank_rule = RankRule[rules.rank_rule.upper()]


def funding_cap(venue: Venue, market: Market) -> float:
    """Return the largest funding rate of a market, per 8 h."""
    if market.funding_cap is not None:
        return market.funding_cap
    cap, unit = venue.funding.cap, venue.funding.cap_unit
    if cap == "none":
        return NO_CAP
    lowest = market.brackets[0]
    maintenance = lowest.maintenance_margin_fraction
    if unit == "margin_gap":
        return rate_cap(cap, lowest.initial_margin_fraction, maintenance)
    if unit == "maintenance":
        return rate_cap_maintenance(cap, maintenance)
    return cap


def _weight(step_minutes: float, time_constant: float) -> float:
    """Return the share of the way an exponential average goes in one step."""
    return -math.expm1(-step_minutes / time_constant)


def _count(usd: float, atoms: int) -> int:
    """Return an amount in atoms; what the integers cannot hold is as good as unlimited."""
    return min(round(usd * atoms), UNLIMITED)


def _limit(usd: float | str, atoms: int) -> int:
    return UNLIMITED if isinstance(usd, str) else _count(usd, atoms)


def _first_prices(scenario: Scenario, prices: Mapping[str, float]) -> dict[str, float]:
    """Return the price of every market; those the scenario states are checked already."""
    first: dict[str, float] = {}
    problems = []
    for name, market in scenario.markets.items():
        price = prices.get(name, market.price)
        if price is None:
            problems.append(f"markets.{name}.price: missing; the spot history has no first price")
            continue
        first[name] = float(price)
        if not price > 0:
            problems.append(f"markets.{name}.price = {price:g}: must be above 0")
            continue
        if name in prices:
            found = market.price_problems(first[name])
            problems += [problem.below(f"markets.{name}").line() for problem in found]
    if problems:
        raise ScenarioError(problems, scenario.name)
    return first


def _deposits(scenario: Scenario, roster: Roster, atoms: int) -> Any:
    """Return each trader's deposit in atoms; refuse more than the sums can hold."""
    total = scenario.insurance_fund
    for name, rows in zip(roster.names, roster.rows, strict=True):
        total += float(np.sum(roster.capital[rows]))
        if total * atoms >= MAX_DEPOSIT_ATOMS:
            raise ScenarioError(
                [
                    f"populations.{name}.capital: deposits of {total:.4g} USD would overflow; they "
                    f"must stay below {MAX_DEPOSIT_ATOMS / atoms:.4g} USD: state a max"
                ],
                scenario.name,
            )
    return np.maximum(np.rint(roster.capital * atoms), 1.0).astype(np.int64)


def _open_markets(state: State, scenario: Scenario, prices: Mapping[str, float]) -> None:
    for m, (name, market) in enumerate(scenario.markets.items()):
        row = state.market[m]
        row.index_price = prices[name]
        row.index_ticks = max(1, math.floor(prices[name] / market.tick_size + 0.5))
        row.mark_ticks = row.index_ticks


def open_accounts(state: State, scenario: Scenario, roster: Roster, atoms: int = ATOMS) -> None:
    """Pay in what the traders have, and put their positions into the pools they are to lie in.

    Parameters
    ----------
    state : State
        Before its first step, with as many pools as the roster asks for.
    scenario : Scenario
    roster : Roster
    atoms : int, optional
        In one USD.

    Raises
    ------
    ScenarioError
        If the deposits drawn are too large to add up.
    """
    n = roster.num_traders
    deposit = _deposits(scenario, roster, atoms)
    state.account["priority"][:n] = roster.priority
    state.account["deposit"][:n] = deposit
    stable = np.rint(deposit * roster.stable_share).astype(np.int64)
    state.stable[:n] = stable
    state.pool["cash"][:n] = deposit - stable
    fund = _count(scenario.insurance_fund, atoms)
    state.account["deposit"][n] = fund
    state.pool["cash"][n] = fund
    state.totals[0].deposits = int(deposit.sum()) + fund
    # Stablecoins were bought outside, one for one, before the run.
    state.totals[0].outside_cash = int(stable.sum())
    state.flow[:n, Cause.SPOT] = -stable

    write_own_fractions(state, np.arange(n), roster.leverage)
    side = roster.side_pool
    state.pool["owner"][n + 1 :] = side.owner
    write_draw_limits(state, slice(n + 1, None), side.draw_limit, atoms)
    state.position["pool"][side.account, side.market] = n + 1 + side.number


def write_own_fractions(state: State, accounts: Any, leverage: Any) -> None:
    """Write the initial margin that accounts' own leverage asks for, 1e-9 of notional."""
    own = np.rint(1e9 / leverage).astype(np.int64)
    for m in range(len(state.market)):
        tiers = state.tier["initial_fraction"][m, : state.market[m].num_tiers]
        state.own_fraction[accounts, m] = np.maximum(own, tiers.min())


def write_draw_limits(state: State, pools: Any, usd: Any, atoms: int = ATOMS) -> None:
    """Write what side pools may draw from their main pools."""
    state.draw["limit"][pools] = np.rint(np.minimum(usd * atoms, UNLIMITED)).astype(np.int64)
