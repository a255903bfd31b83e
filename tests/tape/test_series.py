from marketsim.engine.allocation import allocate
from marketsim.engine.funding import settle_funding
from marketsim.engine.records import records
from marketsim.engine.state import SettlementPrice
from marketsim.engine.world import allocate_world
from marketsim.results.tables import CROWD_COLUMNS
from marketsim.tape.series import Series, Settlement, Step, record_funding, record_step


def test_the_fund_is_worth_its_cash_and_its_positions_at_mark() -> None:
    state = allocate(1, 1, 2)
    state.market[0].tick_atoms = 10
    state.market[0].mark_ticks = 300
    state.pool[1].cash = 5_000
    state.position[1, 0].size = -2
    series, steps = records(Series, 1, 1), records(Step, 1)
    record_step(state, allocate_world(1, 1), series, steps, 0)
    assert steps[0].fund_cash == 5_000
    assert steps[0].fund_equity == 5_000 - 2 * 300 * 10


def test_a_row_repeats_the_state_and_what_the_caller_adds() -> None:
    state = allocate(1, 2, 2)
    state.totals[0].step = 8
    state.venue[0].funding_interval = 1
    for m in range(2):
        for name in state.market.dtype.names:
            state.market[m][name] = 3 + m
    series, steps = records(Series, 3, 2), records(Step, 3)
    world = allocate_world(2, 1)
    world.asset["spread"] = 0.3, 0.4
    record_step(state, world, series, steps, 1)
    assert steps[1].step == 8
    assert not series[0].tobytes().strip(b"\0")
    assert not series[2].tobytes().strip(b"\0")
    assert tuple(series[1]["spot_spread"]) == (0.3, 0.4)
    for name in set(Series.names) - {"spot_spread", "predicted_rate", *CROWD_COLUMNS}:
        assert tuple(series[1][name]) == (3, 4), name


def test_the_predicted_rate_is_the_running_one_and_a_settlement_s_own_rate() -> None:
    state = allocate(1, 1, 2)
    state.venue[0].funding_interval = 1
    state.venue[0].interest_rate, state.venue[0].dead_band = 0.0001, 0.0005
    market = state.market[0]
    market.funding_cap, market.funding_rate = 1.0, 0.002
    series, steps = records(Series, 2, 1), records(Step, 2)
    record_step(state, allocate_world(1, 1), series, steps, 0)
    market.num_samples, market.premium_sum, market.premium_weight = 1, 0.003, 1.0
    record_step(state, allocate_world(1, 1), series, steps, 1)
    assert series["predicted_rate"][:, 0].tolist() == [0.002, 0.0025]


def test_funding_is_valued_at_the_venue_s_settlement_price() -> None:
    state = allocate(1, 1, 2)
    state.totals[0].step = 7
    venue = state.venue[0]
    venue.funding_interval = 8
    venue.funding_share, venue.interest_rate, venue.dead_band = 0.5, 0.0001, 0.0005
    market = state.market[0]
    market.tick_atoms, market.index_ticks, market.mark_ticks = 1, 1_000, 2_000
    market.open_interest, market.funding_cap = 100, 0.01
    market.num_samples, market.premium_sum, market.premium_weight = 1, -0.5, 1.0
    funding = records(Settlement, 2)
    assert record_funding(state, funding, 0) == 1
    venue.settlement_price = SettlementPrice.MARK
    assert record_funding(state, funding, 1) == 2
    assert funding["rate"].tolist() == [-0.01, -0.01]
    assert funding["average_premium"].tolist() == [-0.5, -0.5]
    assert funding["paid_atoms"].tolist() == [500, 1_000]
    assert funding["step"].tolist() == [7, 7]


def test_the_recorded_rate_is_the_one_settled_next() -> None:
    state = allocate(1, 1, 2)
    state.venue[0].funding_interval = 1
    state.venue[0].interest_rate, state.venue[0].dead_band = 0.0001, 0.0005
    market = state.market[0]
    market.funding_cap, market.num_samples = 1.0, 3
    market.premium_sum, market.premium_weight = 0.006, 3.0
    funding = records(Settlement, 1)
    record_funding(state, funding, 0)
    settle_funding(state)
    assert market.funding_rate == funding[0].rate == 0.0015


def test_funding_rows_beyond_the_end_are_not_written() -> None:
    state = allocate(1, 2, 2)
    state.venue[0].funding_interval = 1
    assert record_funding(state, records(Settlement, 3), 2) == 3


def test_steps_that_share_a_row_add_up_what_is_counted_and_keep_the_last_price() -> None:
    state = allocate(1, 1, 2)
    series, steps = records(Series, 1, 1), records(Step, 1)
    for t in range(3):
        state.market[0].mark_ticks = 100 + t
        state.market[0].volume = state.market[0].liquidated_atoms = 10
        record_step(state, allocate_world(1, 1), series, steps, 0)
    assert series[0, 0].mark_ticks == 102
    assert series[0, 0].volume == series[0, 0].liquidated_atoms == 30
