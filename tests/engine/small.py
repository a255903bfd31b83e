"""Small venues with round numbers, for tests that work by hand.

A lot is one coin, a tick one cent: at the opening price of 100 USD (10,000 ticks) a lot is worth
100 USD. Initial margin is 10 %, maintenance 5 %; there are no fees, no interest and no funding cap.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from marketsim.engine import clearing, funding
from marketsim.engine.allocation import allocate
from marketsim.engine.state import ATOMS, ONE, UNLIMITED, IntentKind, LimitRule, Outcome, State

PRICE = 10_000  # ticks
LOT = 100 * ATOMS  # one lot at PRICE

VENUE: Mapping[str, float] = {
    "step_hours": 1 / 60,
    "basis_weight": 0.5,
    "funding_interval": 4,
    "funding_share": 1.0,
    "dead_band": -1.0,
    "premium_cap": 1.0,
    "spot_haircut": ONE,
    "limit_rule": LimitRule.BANKRUPTCY,
    "portion": ONE,
    "max_account_notional_atoms": UNLIMITED,
    "max_account_loss_atoms": UNLIMITED,
    "market_bound": ONE // 20,
    "bankruptcy_adjustment": ONE,
    "spread_ratio": ONE,
    "fund_takeover": 1,
    "max_rounds": 5,
}


def usd(amount: float) -> int:
    """Atoms of an amount."""
    return round(amount * ATOMS)


def open_venue(
    cash: Sequence[float] = (1000.0, 1000.0, 1000.0, 1000.0),
    *,
    num_markets: int = 1,
    fund: float = 0.0,
    side_pools: Iterable[tuple[int, float, Sequence[int]]] = (),
    tiers: Sequence[tuple[float, float, float, float]] = ((0, 0.1, 0.05, 0),),
    market: Mapping[str, float] | None = None,
    causes: bool = False,
    **venue: float,
) -> State:
    """Open a venue with one trader per entry of `cash` (USD).

    Parameters
    ----------
    cash : sequence of float
    num_markets : int
    fund : float
        USD in the insurance fund.
    side_pools : iterable of (owner, draw limit in USD, markets)
        Empty pools that hold the owner's positions in these markets.
    tiers : sequence of (floor in USD, initial fraction, maintenance fraction, amount in USD)
    market : mapping
        Fields of every market.
    causes : bool
        Make room to record causes.
    **venue
        Fields of the venue.
    """
    num_accounts = len(cash)
    pools = list(side_pools)
    state = allocate(
        num_accounts,
        num_markets,
        num_accounts + 1 + len(pools),
        num_tiers=len(tiers),
        causes=causes,
    )
    rules = state.venue[0]
    for name, value in {**VENUE, **venue}.items():
        setattr(rules, name, value)
    for row in state.market:
        row.tick_atoms = 10_000
        row.tick_size = 0.01
        row.lot_size = 1.0
        row.num_tiers = len(tiers)
        row.funding_cap = np.inf
        row.max_position_lots = 10**6
        for name, value in (market or {}).items():
            setattr(row, name, value)
    for number, (floor, initial, maintenance, amount) in enumerate(tiers):
        state.tier["floor_atoms"][:, number] = usd(floor)
        state.tier["initial_fraction"][:, number] = round(initial * ONE)
        state.tier["maintenance_fraction"][:, number] = round(maintenance * ONE)
        state.tier["maintenance_amount"][:, number] = usd(amount)
    for m in range(num_markets):
        set_price(state, PRICE, m)
    deposit = [usd(amount) for amount in (*cash, fund)]
    state.account["deposit"] = deposit
    state.account["priority"] = np.arange(num_accounts + 1)
    state.pool["cash"][: num_accounts + 1] = deposit
    state.totals[0].deposits = sum(deposit)
    for p, (owner, draw_limit, markets) in enumerate(pools, num_accounts + 1):
        state.pool[p].owner = owner
        state.draw[p].limit = usd(draw_limit)
        state.position["pool"][owner, list(markets)] = p
    return state


def set_price(state: State, ticks: int, m: int = 0, *, mark: int | None = None) -> None:
    """Put the index at `ticks`, and the mark with it unless stated."""
    market = state.market[m]
    market.index_ticks = ticks
    market.index_price = ticks * float(market.tick_size)
    market.mark_ticks = ticks if mark is None else mark


def hold(state: State, i: int, size: int, price: int = PRICE, m: int = 0) -> None:
    """Give account `i` a position bought at `price` ticks; the sizes of a market must cancel."""
    cost = size * price * int(state.market[m].tick_atoms)
    position = state.position[i, m]
    position.size += size
    position.entry_cost += cost
    state.pool[position.pool].cash -= cost
    state.flow[i, 0] -= cost
    state.market[m].open_interest = np.maximum(state.position["size"][:, m], 0).sum()


def give_holdings(state: State, i: int, *, stable: float = 0.0, coins: int = 0, m: int = 0) -> None:
    """Turn an account's deposit into stablecoins (USD) and coins (lots, at the index)."""
    cost = usd(stable) + coins * int(state.market[m].index_ticks * state.market[m].tick_atoms)
    state.stable[i] += usd(stable)
    state.spot[i, m] += coins
    state.pool[i].cash -= cost
    state.flow[i, 8] -= cost
    state.totals[0].outside_cash += cost


def send(
    state: State,
    i: int,
    size: int,
    price: int = 0,
    m: int = 0,
    *,
    kind: IntentKind = IntentKind.ORDER,
    flags: int = 0,
    expiry: int = 0,
) -> Outcome:
    """Carry out one intent and return what became of it."""
    write_intent(state, 0, i, size, price, m, kind=kind, flags=flags, expiry=expiry)
    clearing.clear_intent(state, 0)
    return Outcome(int(state.intent[0].outcome))


def write_intent(
    state: State,
    n: int,
    i: int,
    size: int,
    price: int = 0,
    m: int = 0,
    *,
    kind: IntentKind = IntentKind.ORDER,
    flags: int = 0,
    expiry: int = 0,
) -> None:
    """Fill in row `n` of the step's intents."""
    intent: Any = state.intent[n]
    intent.account = i
    intent.market = m
    intent.size = size
    intent.price = price
    intent.kind = kind
    intent.flags = flags
    intent.expiry = expiry


def sizes(state: State, m: int = 0) -> list[int]:
    """Positions of all accounts, the insurance fund last."""
    found: list[int] = state.position["size"][:, m].tolist()
    return found


def cash(state: State) -> list[int]:
    """Cash of all pools in whole USD; the caller's numbers leave no remainder."""
    assert not (state.pool["cash"] % ATOMS).any()
    found: list[int] = (state.pool["cash"] // ATOMS).tolist()
    return found


def settle_interval(state):
    """Settle funding as if a whole interval had passed since the last time."""
    state.totals[0].funding_since = state.totals[0].step + 1 - state.venue[0].funding_interval
    funding.settle_funding(state)
