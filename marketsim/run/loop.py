"""Many steps in one call: spot, index, decide, clear, record, over and over.

The kernel comes back early only when Python has something to do, or when an array is too short for
the step ahead; `make_room` lengthens it and the kernel goes on where it stopped, so results do not
depend on the lengths.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketsim.agents import habits, strategies, turnover
from marketsim.agents.base import OWN, Averaging, Traders, observe
from marketsim.agents.desk import hand_in
from marketsim.agents.margins import assess_accounts
from marketsim.engine import causes, funding, step
from marketsim.engine._jit import by_reference, kernel
from marketsim.engine.allocation import grow
from marketsim.engine.records import I8, Block, Grid, Indices, Rows, records
from marketsim.engine.state import (
    MAX_ROWS_PER_STEP,
    NONE,
    TREE_LEVELS,
    UNLIMITED,
    Flag,
    IntentKind,
    State,
    widen,
)
from marketsim.engine.world import World
from marketsim.streams import Stream, draw_news, uniform
from marketsim.tape.arrivals import Arrival
from marketsim.tape.crowd import record_crowd
from marketsim.tape.depth import record_depth_share
from marketsim.tape.series import (
    Series,
    Settlement,
    Step,
    record_deviation,
    record_funding,
    record_step,
)
from marketsim.tape.wealth import Holding, Wealth, record_wealth

#: What `run_steps` came back with.
DONE = 0
TOO_SHORT = 1
OUT_OF_RANGE = 2
ASK = 3
TURN = 4


class News(IntEnum):
    """What may have happened in a step, as bits of `Clock.heard`."""

    STEP = 1
    FILL = 2
    LIQUIDATION = 4
    ADL = 8
    FUNDING = 16
    ARRIVAL = 32


class Clock(Averaging):
    """Where a run stands."""

    seed: I8
    step: I8  #: the next step
    warm_up: I8  #: steps before the record begins
    is_open: I8  #: 1: the step's intents are there, it has to be cleared
    series_every: I8  #: steps per row of the series
    wealth_every: I8  #: steps per row of the population series
    depth_every: I8  #: steps per row of the depth share: an hour of them
    num_funding: I8  #: rows of the funding tape used
    num_callers: I8  #: traders whose decision Python makes in this step
    num_decided: I8  #: intents of the step before Python is asked
    num_requests: I8  #: rows of `Traders.request` that are no intents yet
    lost_market: I8  #: the market whose price left the range
    heard: I8  #: News, added up: what the run pauses for after a step
    num_turning: I8  #: accounts whose traders come and go
    num_arrivals: I8  #: rows of the tape of arrivals used
    next_arrival: I8  #: step at which the next newcomer takes over an account


@by_reference
class Tape(NamedTuple):
    """What the loop writes as it goes."""

    clock: Rows[Clock]  #: (1,)
    series: Grid[Series]  #: (rows, M)
    steps: Rows[Step]  #: (rows,)
    funding: Rows[Settlement]  #: (rows,)
    deviation: NDArray[np.float64]  #: (rows, M, venues) spot venue price / index price - 1
    wealth: Grid[Wealth]  #: (rows, G + 1) row 0 is the start
    exposure: Block[Holding]  #: (rows, G + 1, M)
    depth_share: NDArray[np.float64]  #: (hours, M) see `marketsim.tape.depth`
    arrival: Rows[Arrival]  #: (rows,)
    group: Indices  #: (N + 1,) int64: population of each account, G of the fund
    herd_size: NDArray[np.float64]  #: (M,) herd traders who trade each market


def new_tape(
    num_steps: int,
    group: Indices,
    herd_size: NDArray[np.float64],
    *,
    num_venues: int,
    num_settlements: int,
    series_every: int,
    wealth_every: int,
    depth_every: int,
    num_turning: int,
    seed: int,
) -> Tape:
    """Allocate the tape of a run that settles funding so many times."""
    rows = -(-num_steps // series_every)
    moments = -(-num_steps // wealth_every) + 1
    num_markets, num_groups = len(herd_size), int(group[-1]) + 1
    tape = Tape(
        clock=records(Clock, 1),
        series=records(Series, rows, num_markets),
        steps=records(Step, rows),
        funding=records(Settlement, num_settlements * num_markets),
        deviation=np.zeros((rows, num_markets, num_venues)),
        wealth=records(Wealth, moments, num_groups),
        exposure=records(Holding, moments, num_groups, num_markets),
        depth_share=np.zeros((num_steps // depth_every, num_markets)),
        arrival=records(Arrival, 2 * num_turning),
        group=group,
        herd_size=herd_size,
    )
    clock = tape.clock[0]
    clock.seed = seed
    clock.series_every = series_every
    clock.wealth_every = wealth_every
    clock.depth_every = depth_every
    clock.num_turning = num_turning
    clock.next_arrival = UNLIMITED
    return tape


@kernel
def decide(state: State, traders: Traders, t: int, seed: int) -> int:
    """Stage 3: the traders who wake form intents, population by population.

    Returns how many decide in Python; overwrites `traders.caller` with them, population by
    population, and `num_asked` with how many of each.
    """
    callers = 0
    for g in range(len(traders.population)):
        traders.population[g].num_asked = 0
        i = traders.population[g].start
        while i < traders.population[g].stop:
            count, i = habits.wake(state, traders, g, i, t, seed)
            count = habits.check_positions(state, traders, g, count)
            if traders.population[g].kind == OWN:
                for n in range(count):
                    traders.caller[callers + n] = traders.awake[n]
                traders.population[g].num_asked += count
                callers += count
            else:
                strategies.decide(state, traders, g, count, t, seed)
    return callers


@kernel
def sort_draws(draws: NDArray[np.float64]) -> Indices:
    """Return the stable order of numbers spread over [-1, 1), as ``argsort`` would.

    Each goes to one of as many buckets as there are numbers, and is put in its place there: the
    time is in proportion to their count.
    """
    count = len(draws)
    stop = np.zeros(count + 1, np.int64)
    bucket = np.empty(count, np.int32)
    for n in range(count):
        bucket[n] = min(int(0.5 * (draws[n] + 1.0) * count), count - 1)
        stop[bucket[n] + 1] += 1
    for n in range(count):
        stop[n + 1] += stop[n]
    order = np.empty(count, np.int64)
    for n in range(count):
        order[stop[bucket[n]]] = n
        stop[bucket[n]] += 1
    for n in range(1, count):
        moved = order[n]
        place = n
        while place > 0 and draws[order[place - 1]] > draws[moved]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = moved
    return order


@kernel
def order_of_action(state: State, traders: Traders, t: int, seed: int) -> Indices:
    """Put the step's intents in random order: cancels and post-only orders, then the rest.

    Whether one trader acts before another in a market depends on the two and the market alone, and
    a trader's intents in one market keep their order. Cancels and post-only orders go first, as on
    Hyperliquid ("HyperBFT", order of actions in a block): with steps of a minute, makers would
    otherwise be run over by quotes that no venue would leave standing so long.
    """
    num_intents = state.totals[0].num_intents
    # Neighbours with the same draw are one trader's in one market: a run that moves as a whole.
    draws = np.empty(num_intents, np.float64)
    start = np.empty(num_intents + 1, np.int64)
    runs = 0
    last = where = NONE
    own = 0.0
    for n in range(num_intents):
        intent = state.intent[n]
        i = widen(intent.account)
        m = widen(intent.market)
        if i != last or m != where:
            key = traders.trader[i].key ^ traders.public[m].key
            own = uniform(seed, Stream.ORDER.value, key, t, 0)
            last = i
            where = m
        is_first = intent.kind == IntentKind.CANCEL or intent.flags & Flag.POST_ONLY != 0
        here = own - 1.0 if is_first else own
        if runs == 0 or here != draws[runs - 1]:
            draws[runs] = here
            start[runs] = n
            runs += 1
    start[runs] = num_intents
    sequence = np.empty(num_intents, np.int64)
    place = 0
    for run in sort_draws(draws[:runs]):
        for n in range(start[run], start[run + 1]):
            sequence[place] = n
            place += 1
    return sequence


@kernel
def has_room(state: State, num_requests: int) -> bool:
    """Tell whether the arrays are long enough to clear the step's intents and requests."""
    totals = state.totals[0]
    intents = totals.num_intents + num_requests
    orders = totals.num_orders + intents
    return (
        intents <= len(state.intent)
        and orders < len(state.order)
        and totals.num_nodes + (TREE_LEVELS - 1) * intents < len(state.node)
        and totals.num_liquidations + MAX_ROWS_PER_STEP <= len(state.liquidation)
        and totals.num_deleverages + MAX_ROWS_PER_STEP <= len(state.deleverage)
        and totals.num_losses + causes.losses_per_step(state) <= len(state.loss)
        and (
            totals.record_fills == 0
            or totals.num_fills + orders + MAX_ROWS_PER_STEP < len(state.fill)
        )
    )


@kernel
def record(state: State, world: World, traders: Traders, tape: Tape, t: int) -> None:
    """Write what step `t` leaves behind; what a row shows as it ended is written with its end."""
    clock = tape.clock[0]
    if t < clock.warm_up:
        return
    done = t - clock.warm_up + 1
    row = (done - 1) // clock.series_every
    record_step(state, world, tape.series, tape.steps, row)
    if done % clock.series_every == 0:
        record_row(state, world, traders, tape, row)
    if done % clock.wealth_every == 0:
        moment = done // clock.wealth_every
        record_wealth(state, tape.group, tape.wealth, tape.exposure, moment, done)
    if done % clock.depth_every == 0:
        record_depth_share(state, tape.depth_share, done // clock.depth_every - 1)


@kernel
def record_row(state: State, world: World, traders: Traders, tape: Tape, row: int) -> None:
    """Write what passes over all accounts and venues, once per row of the series."""
    record_crowd(state, traders.crowd, tape.herd_size, tape.series, row)
    record_deviation(state, world, tape.deviation, row)


@kernel
def open_step(state: State, world: World, traders: Traders, tape: Tape, t: int) -> int:
    """Stages 1 to 3: prices move, traders decide; return DONE, OUT_OF_RANGE or ASK."""
    clock = tape.clock[0]
    draw_news(clock.seed, t, world)
    lost = step.open_step(state, world, t)
    if lost != NONE:
        clock.lost_market = lost
        return OUT_OF_RANGE
    observe(state, traders, clock)
    if clock.num_turning > 0:
        turn_over(state, traders, tape, t)
    clock.num_callers = decide(state, traders, t, clock.seed)
    clock.is_open = 1
    if clock.num_callers == 0:
        return DONE
    clock.num_decided = state.totals[0].num_intents
    assess_accounts(state, traders.caller, clock.num_callers, traders.margin)
    return ASK


@kernel
def take_requests(state: State, traders: Traders, tape: Tape) -> None:
    """Make intents of what traders in plain Python ask for."""
    clock = tape.clock[0]
    hand_in(state, traders, clock.num_requests)
    clock.num_requests = 0


@kernel
def turn_over(state: State, traders: Traders, tape: Tape, t: int) -> None:
    """Let leavers leave and the others take profit; overwrites the tape of arrivals."""
    clock = tape.clock[0]
    clock.num_arrivals, first = turnover.turn_over(
        state, traders, tape.arrival, clock.num_arrivals, t, clock.seed
    )
    clock.next_arrival = min(clock.next_arrival, first)


@kernel
def has_newcomers(tape: Tape) -> bool:
    """Tell whether Python has to see to arrivals first: newcomers are due, or no room is left."""
    clock = tape.clock[0]
    if clock.num_turning == 0:
        return False
    room = len(tape.arrival) - clock.num_arrivals
    return clock.next_arrival <= clock.step or room < clock.num_turning


@kernel
def news_of(state: State, tape: Tape, has_settled: bool) -> int:
    """Add up what has happened in the step just done, as `News`."""
    totals = state.totals[0]
    news = News.STEP.value
    for m in range(len(state.market)):
        if state.market[m].num_fills > 0:
            news |= News.FILL.value
    if totals.num_liquidations > totals.step_liquidations:
        news |= News.LIQUIDATION.value
    if totals.num_deleverages > totals.step_deleverages:
        news |= News.ADL.value
    if has_settled:
        news |= News.FUNDING.value
    last = tape.clock[0].num_arrivals - 1
    if last >= 0 and tape.arrival[last].step == totals.step:
        news |= News.ARRIVAL.value
    return news


@kernel
def run_steps(state: State, world: World, traders: Traders, tape: Tape, stop: int) -> int:
    """Run to step `stop`; return DONE, TOO_SHORT, OUT_OF_RANGE, ASK or TURN.

    ASK means that traders of `traders.caller` decide in Python now; call again when they have.
    TURN, between two steps, that newcomers take over accounts.
    DONE comes before step `stop` where there are news of what is heard.
    """
    clock = tape.clock[0]
    while clock.step < stop:
        t = clock.step
        if clock.is_open == 0:
            if has_newcomers(tape):
                return TURN
            outcome = open_step(state, world, traders, tape, t)
            if outcome != DONE:
                return outcome
        if not has_room(state, clock.num_requests):
            return TOO_SHORT
        take_requests(state, traders, tape)
        step.clear_step(state, order_of_action(state, traders, t, clock.seed))
        has_settled = funding.is_due(state)
        if has_settled:
            clock.num_funding = record_funding(state, tape.funding, clock.num_funding)
        step.settle_step(state)
        record(state, world, traders, tape, t)
        clock.is_open = 0
        clock.step = t + 1
        if clock.heard != 0 and clock.heard & news_of(state, tape, has_settled) != 0:
            return DONE
    return DONE


def make_room(state: State, num_requests: int = 0) -> State:
    """Return the state with arrays long enough for the step ahead, and some to spare."""
    totals = state.totals[0]
    intents = int(totals.num_intents) + num_requests
    orders = int(totals.num_orders) + intents + 1
    nodes = int(totals.num_nodes) + (TREE_LEVELS - 1) * intents + 1
    fills = int(totals.num_fills) + orders + MAX_ROWS_PER_STEP if totals.record_fills else 0
    return grow(
        state,
        num_orders=_spare(orders, len(state.order)),
        num_nodes=_spare(nodes, len(state.node)),
        num_intents=_spare(intents, len(state.intent)),
        num_fills=_spare(fills, len(state.fill)),
        num_liquidations=_spare(
            int(totals.num_liquidations) + MAX_ROWS_PER_STEP, len(state.liquidation)
        ),
        num_deleverages=_spare(
            int(totals.num_deleverages) + MAX_ROWS_PER_STEP, len(state.deleverage)
        ),
        num_losses=_spare(
            int(totals.num_losses) + int(causes.losses_per_step(state)), len(state.loss)
        ),
    )


def _spare(needed: int, length: int) -> int:
    """Return the length to grow to: half as much again as needed, or as it is."""
    return needed + needed // 2 if needed > length else length
