from collections.abc import Callable

import numpy as np
import pytest

from marketsim.engine.allocation import allocate
from marketsim.engine.records import records
from marketsim.engine.state import ONE, Cause, Deleverage, Fill, Liquidation, Outcome, Stage, State
from marketsim.engine.world import allocate_world
from marketsim.tape.result import RunResult, take_snapshot
from marketsim.tape.series import Series, Settlement, Step, record_funding, record_step
from marketsim.tape.wealth import Holding, Wealth, record_wealth

STEPS = 4


def small_state() -> State:
    """Three traders and the fund (100 USD) in two markets of 0.5 and 0.001 USD ticks."""
    state = allocate(3, 2, 4)
    state.totals[0].stable_price = ONE
    for m, (tick_atoms, ticks) in enumerate(((500, 200_000), (1_000, 250))):
        market = state.market[m]
        market.tick_atoms = tick_atoms
        market.tick_size = (0.5, 0.001)[m]
        market.lot_size = (0.001, 1.0)[m]
        market.index_price = ticks * market.tick_size
        market.index_ticks = market.mark_ticks = market.last_ticks = ticks
        market.best_bid, market.best_ask = ticks - 1, ticks + 1
        market.premium = (0.0005, -0.0002)[m]
        market.premium_sum, market.premium_weight = (0.0005, -0.0008)[m], 1.0
        market.num_samples = 1
        market.funding_cap = 0.01
    state.venue[0].interest_rate = 0.0001
    state.venue[0].dead_band = 0.0005
    state.venue[0].funding_share = 0.125
    state.venue[0].funding_interval = 2
    for i, deposit in enumerate((1_000, 2_000, 3_000, 100)):
        state.account[i].deposit = deposit * 1_000_000
        state.pool[i].cash = deposit * 1_000_000
    return state


def trade(state: State) -> None:
    """Account 0 buys 10 lots of market 0 from account 1 at the mark and pays a fee."""
    cost = 10 * 200_000 * 500
    for i, sign in ((0, 1), (1, -1)):
        state.position["size"][i, 0] += 10 * sign
        state.pool[i].cash -= sign * cost
        state.flow[i, Cause.PRICE] -= sign * cost
    state.pool[0].cash -= 7
    state.flow[0, Cause.FEE] -= 7
    state.totals[0].fees += 7
    state.market[0].open_interest = 10
    state.market[0].volume = 10
    state.market[0].num_fills = 1


def liquidation_rows() -> np.recarray:
    """Give two rows: account 0, 10 lots long, 6 to the book and 4 to the fund; account 1 later."""
    rows = records(Liquidation, 2)
    first, second = rows[0], rows[1]
    first.step, first.account, first.pool, first.market = 2, 0, 0, 0
    first.stage = Stage.MARKET
    first.equity, first.maintenance = -5_000_000, 20_000_000
    first.index_ticks = first.mark_ticks = 200_000
    first.limit_ticks = 190_000
    first.bankruptcy_price = 190_000.5
    first.size_before, first.order_size, first.book_size = 10, 10, 6
    first.book_cash = 6 * 199_000 * 500
    first.takeover_size, first.takeover_cost = 4, 3_000_000
    first.fee = 1_000_000
    second.step, second.account, second.pool, second.market = 3, 1, 1, 1
    second.stage = Stage.BACKSTOP
    second.equity, second.maintenance = 1_000_000, 4_000_000
    second.index_ticks = second.mark_ticks = second.limit_ticks = 250
    second.size_before = second.order_size = second.size_after = -8
    return rows


@pytest.fixture
def make_result() -> Callable[..., RunResult]:
    def make(seed: int = 1, **changes: object) -> RunResult:
        state = small_state()
        start = take_snapshot(state)
        group = np.array([0, 0, 1, 2])
        wealth, exposure = records(Wealth, 2, 3), records(Holding, 2, 3, 2)
        record_wealth(state, group, wealth, exposure, 0, 0)
        series = records(Series, STEPS, 2)
        steps = records(Step, STEPS)
        funding = records(Settlement, 4)
        count = 0
        for t in range(STEPS):
            state.totals[0].step = t
            state.market[0].mark_ticks += 100 * seed
            state.market[0].volume = state.market[0].num_fills = 0
            if t == 1:
                trade(state)
            state.market[1].best_ask = 0 if t == 3 else 251
            record_step(state, allocate_world(2, 1), series, steps, t)
            if t % 2 == 1:
                count = record_funding(state, funding, count)
                state.totals[0].funding_since = t + 1
        deleverage = records(Deleverage, 1)
        row = deleverage[0]
        row.step, row.account, row.size, row.cash, row.cost = 2, 1, -2, 2 * 190_000 * 500, 5_000
        row.size_before = 4
        record_wealth(state, group, wealth, exposure, 1, STEPS)
        fields: dict[str, object] = {
            "scenario": "small",
            "scenario_text": 'name = "small"\n',
            "seed": seed,
            "num_steps": STEPS,
            "step_minutes": 30.0,
            "market_names": ("BTC", "DOGE"),
            "venue_names": ("outside",),
            "population_names": ("crowd", "makers"),
            "tick_size": np.array(state.market["tick_size"]),
            "lot_size": np.array(state.market["lot_size"]),
            "tick_atoms": np.array(state.market["tick_atoms"]),
            "series": series,
            "deviation": np.zeros((STEPS, 2, 1)),
            "depth_share": np.array([[0.01, np.nan], [0.03, np.nan]]),
            "wealth": wealth,
            "exposure": exposure,
            "steps": steps,
            "funding": funding[:count],
            "funding_cap": np.full(count, 0.01),
            "liquidation": liquidation_rows(),
            "deleverage": deleverage,
            "fill": records(Fill, 0),
            "population": np.array([0, 0, 1, -1]),
            "deposit": np.array(state.account["deposit"]),
            "pool": np.array(state.position["pool"], np.int64),
            "start": start,
            "end": take_snapshot(state),
            "outcome": np.zeros(len(Outcome), np.int64),
            "conservation_error": 0,
            "timings": {"wall": 0.5},
        }
        return RunResult(**(fields | changes))

    return make


@pytest.fixture
def result(make_result: Callable[..., RunResult]) -> RunResult:
    return make_result()
