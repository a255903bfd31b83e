"""Learners act and look, as kernels: any number of markets side by side, one call for all of them.

Between two decisions of a learner a market goes on by itself; `run_steps` of the loop does that, as
in every run. What a learner decides it tells its account's manual trader.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.agents.base import Traders, position_coins, wealth_atoms
from marketsim.agents.habits import affordable_notional, usable_leverage
from marketsim.agents.manual import ASK, BID, ORDER
from marketsim.engine import orders
from marketsim.engine._jit import by_reference, call_compiled, kernel, pointed
from marketsim.engine.funding import current_rate
from marketsim.engine.ledger import holdings_value
from marketsim.engine.pools import assess_pool
from marketsim.engine.records import I8, Indices, Record, Rows
from marketsim.engine.state import ATOMS, Cause, State, widen
from marketsim.engine.world import World
from marketsim.rl.columns import OF_MARKET
from marketsim.run.loop import DONE, Tape

#: A position is left alone while it is off by no more than this share of the largest.
BAND = 0.02
#: Distances of quotes at the ends of their action, as fractions of the price.
NEAREST, FARTHEST = 0.0001, 0.01
#: Least wealth that counts in a reward, as a share of that at the start.
FLOOR = 1e-3
#: What observations are cut off at.
LARGEST = 10.0
#: `Course.outcome`, beside those of the loop: something has to be done first that Python does.
EVENT = -1

#: Columns of an observation: those of each market in its order, then the account's.
MARKET_COLUMNS = len(OF_MARKET)


class Course(Record):
    """Where the episode of one market stands; steps are those of the run's clock."""

    every: I8  #: steps between two decisions
    first: I8  #: step of the last decision
    stop: I8  #: step of the next decision
    last: I8  #: step at which the episode ends
    event: I8  #: step before which Python has something to do
    rests: I8  #: 1: not played now
    outcome: I8  #: what the loop came back with
    count: I8  #: decisions made
    num_liquidations: I8  #: rows of `State.liquidation` at the last decision


@by_reference
class Seats(NamedTuple):
    """The learners: N markets side by side, A learners in each, M perps, D decisions."""

    account: Indices  #: (A,) int64: of each learner, the same in all markets
    quotes: Indices  #: (1,) int64; 1: actions are distances of quotes, not exposures
    course: Rows[Course]  #: (N,)
    action: NDArray[np.float64]  #: (N, A, M) exposures in [-1, 1]; or (N, A, 2 M) of bids and asks
    trade: NDArray[np.float64]  #: (N, D, A, M) coins ordered at each decision
    observation: NDArray[np.float32]  #: (N, A, columns)
    reward: NDArray[np.float64]  #: (N, A) change of log wealth
    is_out: NDArray[np.int8]  #: (N, A) 1: liquidated, or nothing left
    profit: NDArray[np.float64]  #: (N, A, causes) USD since the last decision
    start: NDArray[np.int64]  #: (N, A) atoms of wealth at the start of the episode
    # as they were at the last decision
    wealth: NDArray[np.int64]  #: (N, A) atoms
    deposit: NDArray[np.int64]  #: (N, A) atoms
    held: NDArray[np.int64]  #: (N, A, 2) atoms: positions at mark, holdings
    flow: NDArray[np.int64]  #: (N, A, causes) atoms
    index_price: NDArray[np.float64]  #: (N, M) USD


@kernel
def play(
    state: State,
    world: World,
    traders: Traders,
    tape: Tape,
    stack: NDArray[np.int64],
    seats: Seats,
    run: int,
) -> None:
    """Let the learners of all markets act, run to their next decision, and see what has become.

    Where Python has something to do on the way the market stays where that is, and its outcome says
    so; its learners have not looked then. `state` to `tape` are those of any market, `stack` holds
    those of each, and `run` is `run_steps` as `compiled` gives it.
    """
    for n in range(len(seats.course)):
        course = seats.course[n]
        if course.rests != 0:
            continue
        here = pointed(state, stack[n, 0])
        there = pointed(traders, stack[n, 2])
        written = pointed(tape, stack[n, 3])
        course.first = course.stop
        course.stop = min(course.first + course.every, course.last)
        course.num_liquidations = here.totals[0].num_liquidations
        act(here, there, seats, n, course.first)
        course.count += 1
        course.outcome = EVENT
        if course.first < course.event and course.stop <= course.event:
            outside = pointed(world, stack[n, 1])
            course.outcome = call_compiled(run, here, outside, there, written, course.stop)
        if course.outcome == DONE:  # at once: what it has just worked on is near
            look(here, there, written, seats, n)


@kernel
def act(state: State, traders: Traders, seats: Seats, n: int, t: int) -> None:
    """Tell the manual traders of market `n` what its learners have decided, for step `t`.

    Who is to trade looks at the market in that step; overwrites its memory and `seats.trade`.
    """
    for a in range(len(seats.account)):
        if seats.is_out[n, a] != 0:
            continue
        i = seats.account[a]
        if seats.quotes[0] != 0:
            if set_quotes(traders, seats.action[n, a], i):
                traders.next_wake[i] = t
            continue
        wealth = max(wealth_atoms(state, i), 0) / ATOMS
        for m in range(len(state.market)):
            coins = order_size(state, traders, i, m, wealth, seats.action[n, a, m])
            seats.trade[n, seats.course[n].count, a, m] = coins
            if coins != 0.0:
                traders.memory[i, m, ORDER] = coins
                traders.next_wake[i] = t


@kernel
def set_quotes(traders: Traders, action: NDArray[np.float64], i: int) -> bool:
    """Tell a manual trader how far from fair value it quotes; return whether it is to look.

    It is while it quotes, so that its quotes are renewed, and to withdraw them.
    """
    is_asked = False
    for m in range(len(traders.public)):
        for side in range(2):
            distance = quote_distance(action[2 * m + side])
            place = BID if side == 0 else ASK
            is_asked = is_asked or distance > 0.0 or traders.memory[i, m, place] > 0.0
            traders.memory[i, m, place] = distance
    return is_asked


@kernel
def quote_distance(action: float) -> float:
    """Return how far from fair value a quote stands, 0 for no quote.

    Examples
    --------
    >>> quote_distance(-1.0), round(quote_distance(0.0), 6), quote_distance(1.0)
    (0.0001, 0.001, 0.0)
    """
    if action >= 1.0:
        return 0.0
    reach = math.log(FARTHEST / NEAREST)
    return NEAREST * math.exp(0.5 * (max(action, -1.0) + 1.0) * reach)


@kernel
def order_size(
    state: State, traders: Traders, i: int, m: int, wealth: float, target: float
) -> float:
    """Return the coins that bring a position to a target exposure, 0 if it is near enough.

    A position that has become larger than the largest counts as 1: nobody is made to cut it.
    """
    price = mark_price(state, m)
    position = position_coins(state, i, m) * price
    exposure = exposure_of(state, traders, i, m, wealth, position)
    if target != 0.0 and abs(target - min(max(exposure, -1.0), 1.0)) <= BAND:
        return 0.0
    wanted = target * largest_notional(state, traders, i, m, wealth, target)
    coins = (wanted - position) / price
    return float(orders.round_size(state, m, coins)) * state.market[m].lot_size


@kernel
def exposure_of(
    state: State, traders: Traders, i: int, m: int, wealth: float, position: float
) -> float:
    """Return a position, USD, as actions count it: in largest ones of its side."""
    largest = largest_notional(state, traders, i, m, wealth, position)
    return position / largest if largest > 0.0 else 0.0


@kernel
def largest_notional(
    state: State, traders: Traders, i: int, m: int, wealth: float, side: float
) -> float:
    """Return the notional, USD, of exposure 1 (or -1): what the account's leverage bears.

    It is of the market's share of the account's wealth; who holds coins against a short has that
    much less for margin.
    """
    trader = traders.trader[i]
    share = wealth * traders.weight[trader.population, m]
    largest = affordable_notional(state, traders, i, m, share)
    if side < 0.0:
        largest /= 1.0 + trader.spot_hedge * usable_leverage(state, traders, i, m, share)
    return largest


@kernel
def mark_price(state: State, m: int) -> float:
    """Return a market's mark, USD."""
    return state.market[m].mark_ticks * state.market[m].tick_size


@kernel
def look(state: State, traders: Traders, tape: Tape, seats: Seats, n: int) -> None:
    """Let the learners of market `n` see what has become."""
    settle(state, seats, n)
    observe(state, traders, tape, seats, n)


@kernel
def settle(state: State, seats: Seats, n: int) -> None:
    """Work out what the learners of market `n` have won since their last decision, and why.

    Overwrites their reward, their profit by cause, whether they are out, and what is kept of now.
    """
    for a in range(len(seats.account)):
        i = seats.account[a]
        wealth = wealth_atoms(state, i)
        value = 0
        for m in range(len(state.market)):
            market = state.market[m]
            value += state.position[i, m].size * market.mark_ticks * market.tick_atoms
        holdings = holdings_value(state, i)
        for cause in range(seats.flow.shape[2]):
            seats.profit[n, a, cause] = (state.flow[i, cause] - seats.flow[n, a, cause]) / ATOMS
            seats.flow[n, a, cause] = state.flow[i, cause]
        seats.profit[n, a, Cause.PRICE] += (value - seats.held[n, a, 0]) / ATOMS
        seats.profit[n, a, Cause.SPOT] += (holdings - seats.held[n, a, 1]) / ATOMS
        least = FLOOR * seats.start[n, a]
        before = seats.wealth[n, a] + state.account[i].deposit - seats.deposit[n, a]
        seats.reward[n, a] = 0.0
        if seats.is_out[n, a] == 0:
            seats.reward[n, a] = math.log(max(wealth, least) / max(before, least))
            if wealth <= 0 or was_liquidated(state, i, seats.course[n].num_liquidations):
                seats.is_out[n, a] = 1
        seats.held[n, a, 0] = value
        seats.held[n, a, 1] = holdings
        seats.wealth[n, a] = wealth
        seats.deposit[n, a] = state.account[i].deposit


@kernel
def was_liquidated(state: State, i: int, first: int) -> bool:
    """Tell whether a liquidation from row `first` on was of account `i`."""
    for row in range(first, state.totals[0].num_liquidations):
        if state.liquidation[row].account == i:
            return True
    return False


@kernel
def observe(state: State, traders: Traders, tape: Tape, seats: Seats, n: int) -> None:
    """Write what the learners of market `n` see: `marketsim.rl.columns` says what and in what unit.

    Overwrites their observations, and the index prices kept of now.
    """
    course = seats.course[n]
    num_markets = len(state.market)
    elapsed = tape.clock[0].step - course.first
    for a in range(len(seats.account)):
        i = seats.account[a]
        seen = seats.observation[n, a]
        wealth = max(seats.wealth[n, a], 0) / ATOMS
        for m in range(num_markets):
            place = m * MARKET_COLUMNS
            before = seats.index_price[n, m]
            show_market(state, traders, m, before, elapsed, seen[place : place + MARKET_COLUMNS])
            position = position_coins(state, i, m) * mark_price(state, m)
            cost = state.position[i, m].entry_cost / ATOMS
            exposure = exposure_of(state, traders, i, m, wealth, position)
            seen[place + MARKET_COLUMNS - 2] = exposure
            seen[place + MARKET_COLUMNS - 1] = (position - cost) / max(wealth, 1.0)
        place = num_markets * MARKET_COLUMNS
        least = FLOOR * seats.start[n, a]
        seen[place] = margin_used(state, i)
        seen[place + 1] = math.log(max(seats.wealth[n, a], least) / max(seats.start[n, a], 1))
        whole = course.last - tape.clock[0].warm_up
        seen[place + 2] = (course.last - tape.clock[0].step) / whole
        for k in range(len(seen)):
            seen[k] = min(max(seen[k], -LARGEST), LARGEST)
    for m in range(num_markets):
        seats.index_price[n, m] = state.market[m].index_price


@kernel
def show_market(
    state: State,
    traders: Traders,
    m: int,
    before: float,
    elapsed: int,
    seen: NDArray[np.float32],
) -> None:
    """Write what everybody sees of a market whose index was at `before` some steps ago."""
    market = state.market[m]
    view = traders.public[m]
    venue = state.venue[0]
    usual = math.sqrt(max(view.variance * elapsed, 1e-18))
    seen[0] = math.log(market.index_price / before) / usual if elapsed > 0 else 0.0
    seen[1] = view.momentum
    seen[2] = math.sqrt(view.variance * 8760.0 / venue.step_hours)
    seen[3] = market.premium * 1e3
    seen[4] = view.basis * 1e3
    seen[5] = market.funding_rate * 1e4
    seen[6] = view.funding * 1e4
    seen[7] = current_rate(state, m) * 1e4
    gone = (state.totals[0].step + 1 + venue.funding_phase) % venue.funding_interval
    seen[8] = 1.0 - gone / venue.funding_interval
    seen[9] = LARGEST
    if market.best_bid > 0 and market.best_ask > 0:
        width = 2.0 * (market.best_ask - market.best_bid) / (market.best_ask + market.best_bid)
        seen[9] = width * 1e3


@kernel
def margin_used(state: State, i: int) -> float:
    """Return maintenance margin over equity of that pool of an account which is nearest to its end.

    A pool is seized at 1.
    """
    most = 0.0
    for m in range(len(state.market)):
        p = widen(state.position[i, m].pool)
        assess_pool(state, p)
        if state.pool[p].maintenance > 0:
            equity = float(state.pool[p].equity)
            used = state.pool[p].maintenance / equity if equity > 0.0 else LARGEST
            most = max(most, used)
    return most
