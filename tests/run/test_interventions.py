"""A running market is changed from outside: exactly, at the next step, and so that it repeats."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import marketsim
from marketsim import OwnTraderError, PerpMarket
from marketsim.contagion import recorder
from marketsim.contagion.strikes import read_strikes
from marketsim.engine.ledger import conservation_error
from marketsim.engine.pools import assess_pool, free_margin, initial_margin, withdrawable
from marketsim.engine.state import ATOMS, UNLIMITED, MarkRule
from marketsim.results.folder import write_run
from marketsim.results.risk import population_risk
from marketsim.results.run import load_run
from marketsim.run import measures
from marketsim.run.loading import load_simulation
from marketsim.run.simulation import Simulation
from marketsim.run.steering import act
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.interventions import InterventionError
from marketsim.scenario.loader import parse_scenario, parse_toml, resolved_toml
from marketsim.scenario.schema import Scenario
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import POPULATIONS, equity, give, scenario
from tests.cli.conftest import marketsim as command
from tests.run.test_simulation import FEES, RISKY

__all__ = ["command"]

GROUPS = {"first": {"markets": ["ONE"], "draw_limit": 0.2}}
MODES = {"cross": 1, "isolated": 1, "partial": 1}
CROWD = {
    **{name: RISKY[name] for name in ("maker", "noise", "herd")},
    "holder": {**RISKY["holder"], "margin_mode": MODES, "groups": GROUPS, "stable_share": 0.2},
}
MAKER, NOISE, HERD, HOLDER = range(4), range(4, 24), range(24, 44), range(44, 64)


def busy(**tables: Any) -> Scenario:
    """Ninety minutes of makers, noise, a herd and holders in all margin modes, with fees."""
    data = {
        "days": 0.0625,
        "markets": FEES,
        "populations": CROWD,
        "spot": {"kind": "factor"},
        "insurance_fund": 100.0,
    }
    return scenario(**{**data, **tables})


def finish(simulation: Simulation) -> RunResult:
    simulation.run(simulation.num_steps - simulation.step_count)
    return simulation.result()


def again(result: RunResult) -> RunResult:
    """Do the run that a result tells of, from nothing but its scenario and seed."""
    text = result.scenario_text
    repeated = finish(Simulation(parse_scenario(parse_toml(text)), result.seed))
    assert repeated.scenario_text == text
    assert repeated.notes == result.notes
    assert repeated.payments == result.payments
    return repeated


def assert_repeats(result: RunResult) -> None:
    assert digest_result(again(result)) == digest_result(result)


def cash(simulation: Simulation, i: int) -> int:
    owner = simulation.state.pool["owner"]
    return int(simulation.state.pool["cash"][owner == i].sum())


# Any sequence


HABITS: dict[str, tuple[Any, ...]] = {
    "leverage": (1.0, 20.0, {"kind": "uniform", "min": 1.0, "max": 30.0}),
    "funding_sensitivity": (0.0, {"kind": "lognormal", "median": 5.0, "sigma": 1.0}),
    "attention": (0.5, 30.0, "never"),
    "buffer": (0.0, 2.0),
    "stop_loss": (0.01, "never"),
    "tranches": (1.0, 3.0),
    "spot_hedge": (0.0, 0.5),
    "slippage": (0.0, 0.05),
    "margin_mode": ("cross", "isolated", {"cross": 0.4, "isolated": 0.6}),
}
FIELDS: dict[str, tuple[Any, ...]] = {
    "venue.funding.interval_hours": (0.25, 1, 8, "step"),
    "venue.funding.cap": (0.0001, 0.01, "none"),
    "venue.mark.rule": ("index", "last", "median"),
    "venue.margin.stable_haircut": (0.0, 0.5, 1.0),
    "markets.ONE.taker_fee": (0.0005, 0.002),
    "markets.TWO.maker_fee": (-0.0005, 0.0, 0.001),
    "markets.ONE.funding_cap": (0.0, 0.01),
    "markets.TWO.max_position_notional": (50.0, 1e6),
    "spot.reflexivity": (0.0, 0.4, 1.0),
    "spot.median": (True, False),
    "spot.factor.volatility": (0.0, 0.5, 3.0),
    "spot.own.beta": (0.0, 1.5),
    "spot.markets.TWO.volatility": (0.0, 2.0),
    "spot.factor.jumps.per_day": (0.0, 100.0),
    "populations.maker.parameters.depth": (0.0, 0.3, 1.0),
    "populations.herd.parameters.independence": (0.1, 60.0),
    "populations.herd.parameters.funding_scale": (1e-5, 0.01),
    "populations.holder.groups": (
        GROUPS,
        {"first": {"markets": ["ONE"], "draw_limit": "unlimited"}},
        {"first": {"markets": ["ONE", "TWO"], "draw_limit_usd": 50.0}},
        {"first": {"markets": ["TWO"]}, "second": {"markets": ["ONE"], "draw_limit": 0.5}},
    ),
    "populations.holder.groups.first.draw_limit": (0.0, 0.9),
}
SHOCKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("jump", {"size": -0.05, "markets": ["ONE"]}),
    ("crash", {"size": -0.2, "fall_minutes": 3, "recovery_minutes": 9}),
    ("volatility", {"factor": 5.0, "minutes": 4}),
    ("depth", {"factor": 0.1, "minutes": 5}),
    ("outage", {"source": "second", "minutes": 3}),
    ("outage", {"source": "first", "minutes": 3, "mode": "wrong", "factor": 1.2}),
    ("depeg", {"size": -0.1, "fall_minutes": 2, "recovery_minutes": 5}),
    ("rule", {"field": "venue.funding.interval_hours", "value": 0.5}),
)

account = st.integers(0, 63)
money = st.sampled_from([1e-6, 0.5, 200.0, 5e3, 1e6, 1e12])
choices = st.one_of(
    st.sampled_from(SHOCKS).map(lambda shock: ("shock", *shock)),
    st.sampled_from([(path, value) for path, values in FIELDS.items() for value in values]).map(
        lambda field: ("set", {"path": field[0], "value": field[1]})
    ),
    st.tuples(
        st.sampled_from(list(CROWD)),
        st.sampled_from([(habit, value) for habit in HABITS for value in HABITS[habit]]),
        st.sampled_from([1.0, 0.5, 0.01]),
    ).map(
        lambda drawn: (
            "set",
            {
                "path": f"populations.{drawn[0]}.{drawn[1][0]}",
                "value": drawn[1][1],
                "share": drawn[2],
            },
        )
    ),
    st.builds(
        lambda i, market, size: ("trade", {"account": i, "market": market, "size": size}),
        account,
        st.sampled_from(["ONE", "TWO"]),
        st.sampled_from([0.004, 0.5, -3.0, 400.0, -1e5, 1e15]),
    ),
    st.builds(lambda i, usd: ("deposit", {"account": i, "usd": usd}), account, money),
    st.builds(lambda i, usd: ("withdraw", {"account": i, "usd": usd}), account, money),
    st.builds(lambda i: ("retire", {"account": i}), account),
)
#: Steps to wait, then what is done.
sequences = st.lists(st.tuples(st.integers(0, 9), choices), max_size=9)


def play(sequence: list[tuple[int, tuple[Any, ...]]], seed: int) -> None:
    """Do a sequence, look at the books after each step, and do the run again."""
    record = {"contagion_minutes": 10, "heatmap_minutes": 10, "snapshot_minutes": 15}
    simulation = Simulation(busy(record=record), seed)

    def one_step() -> None:
        simulation.run(1)
        assert conservation_error(simulation.state) == 0

    for wait, (verb, *arguments) in sequence:
        for _ in range(min(wait, simulation.num_steps - simulation.step_count)):
            one_step()
        before = len(simulation.interventions.entries)
        has_left = simulation.traders.trader["is_retired"][arguments[-1].get("account", 0)]
        try:
            if verb == "shock":
                simulation.shock(arguments[0], **arguments[1])
            else:
                getattr(simulation, verb)(**arguments[0])
            again = verb == "retire" and has_left
            assert len(simulation.interventions.entries) == before + 1 - again
        except InterventionError:
            assert len(simulation.interventions.entries) == before
    for _ in range(3):
        one_step()
    result = finish(simulation)
    assert result.conservation_error == 0
    end = result.end.equity
    paid = np.zeros(len(end), np.int64)
    for _, i, atoms in result.payments:
        paid[i] += atoms
    np.testing.assert_array_equal(result.profit.sum(axis=1), end - result.start.equity - paid)
    assert_repeats(result)


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": False}


@settings(max_examples=20, **QUIET)
@given(sequences, st.integers(0, 3))
def test_books_balance_and_the_written_scenario_repeats_the_run(sequence, seed):
    play(sequence, seed)


@pytest.mark.slow
@settings(max_examples=1000, **QUIET)
@given(sequences, st.integers(0, 1000))
def test_a_thousand_sequences(sequence, seed):
    play(sequence, seed)


# When they act


def test_nothing_has_changed_before_the_next_step():
    simulation = Simulation(busy(), 1)
    simulation.run(10)
    before = digest_result(simulation.result())
    simulation.deposit(50, 1000.0)
    simulation.set("populations.holder.margin_mode", "cross")
    simulation.set("markets.ONE.taker_fee", 0.01)
    simulation.trade(50, "ONE", 1.0)
    simulation.shock("jump", size=-0.1)
    assert digest_result(simulation.result()) == before
    simulation.run(1)
    assert simulation.result().payments == ((10, 50, 1000 * ATOMS),)


def test_a_run_without_them_is_the_same_in_one_go_and_in_parts():
    whole = finish(Simulation(busy(), 1))
    parts = Simulation(busy(), 1)
    for _ in range(9):
        parts.run(10)
    assert digest_result(parts.result()) == digest_result(whole)


def test_a_rule_that_changes_where_a_run_pauses_is_in_the_matrices_either_way(monkeypatch):
    seen = []

    def measure(state: Any, paper: Any, reflexivity: float, delta: float) -> Any:
        seen.append(MarkRule(int(state.venue[0].mark_rule)))
        return np.zeros((2, 2, 2))

    monkeypatch.setattr(recorder, "contagion_matrices", measure)
    rule = {"kind": "rule", "at": 1.0, "field": "venue.mark.rule", "value": "last"}
    tables = {"shocks": [rule], "record": {"contagion_minutes": 30}}
    finish(Simulation(busy(**tables), 1))
    first = MarkRule.INDEX_PLUS_BASIS
    assert seen == [first, first, MarkRule.LAST, MarkRule.LAST]
    parts = Simulation(busy(**tables), 1)
    parts.run(60)
    finish(parts)
    assert seen[4:] == seen[:4]


@pytest.mark.parametrize(("kind", "fields"), SHOCKS)
def test_a_shock_by_hand_is_the_one_that_is_scheduled(kind: str, fields: dict[str, Any]):
    simulation = Simulation(busy(), 1)
    simulation.run(25)
    simulation.shock(kind, **fields)
    by_hand = finish(simulation)
    scheduled = finish(Simulation(busy(shocks=[{"kind": kind, "at": 25 / 60, **fields}]), 1))
    assert digest_result(by_hand) == digest_result(scheduled)
    assert (by_hand.strikes, by_hand.struck) == (scheduled.strikes, scheduled.struck)
    assert digest_result(by_hand) != digest_result(finish(Simulation(busy(), 1)))


def test_what_a_scenario_states_and_what_is_added_act_in_their_order():
    stated = [
        {"at_step": 30, "kind": "set", "path": "markets.ONE.taker_fee", "value": 0.002},
        {"at_step": 20, "kind": "withdraw", "account": 50, "usd": 600.0},
    ]
    simulation = Simulation(busy(interventions=stated), 1)
    simulation.run(20)
    simulation.set("markets.ONE.taker_fee", 0.001)
    free = withdrawable(simulation.state, 50) / ATOMS
    with pytest.raises(InterventionError, match="can take out"):
        simulation.withdraw(50, free - 500.0)  # of which 600 are spoken for
    simulation.deposit(50, 100.0)
    simulation.withdraw(50, free - 500.0)
    simulation.run(1)
    assert simulation.state.market[0].taker_fee == 1_000_000
    assert withdrawable(simulation.state, 50) < free * ATOMS
    simulation.run(10)
    assert simulation.state.market[0].taker_fee == 2_000_000
    kinds = [entry.kind for entry in simulation.interventions.entries]
    assert kinds == ["set", "withdraw", "set", "deposit", "withdraw"]
    assert_repeats(finish(simulation))


def test_a_change_that_a_later_one_needs_is_not_taken_away():
    later = [{"at_step": 40, "kind": "set", "path": "populations.noise.leverage", "value": 20.0}]
    simulation = Simulation(busy(interventions=later), 1)
    with pytest.raises(InterventionError, match=r"interventions\.0, which comes later"):
        simulation.set("markets.ONE.max_leverage", 15.0)


def test_a_change_goes_with_what_a_share_of_the_traders_has():
    simulation = Simulation(busy(), 1)
    simulation.set("populations.holder.leverage", 20.0, share=0.5)
    with pytest.raises(InterventionError, match=r"max_leverage = 15: some traders have pop.*20"):
        simulation.set("markets.ONE.max_leverage", 15.0)  # asked for, and not yet done
    simulation.run(1)
    with pytest.raises(InterventionError, match=r"max_leverage = 15: some traders have pop.*20"):
        simulation.set("markets.ONE.max_leverage", 15.0)
    simulation.set("populations.holder.leverage", 5.0)
    simulation.set("markets.ONE.max_leverage", 15.0)
    partial = {"groups": GROUPS, "margin_mode": "cross"}
    holder = {**CROWD["holder"], **partial}
    simulation = Simulation(busy(populations={**CROWD, "holder": holder}), 1)
    simulation.set("populations.holder.margin_mode", "partial", share=0.5)
    simulation.run(1)
    with pytest.raises(InterventionError, match=r"groups = {}: some traders have .*margin_mode"):
        simulation.set("populations.holder.groups", {})
    simulation.set("populations.holder.margin_mode", "isolated", share=0.5)
    with pytest.raises(InterventionError, match="some traders have"):
        simulation.set("populations.holder.groups", {})
    simulation.set("populations.holder.margin_mode", "isolated")
    simulation.set("populations.holder.groups", {})
    assert_repeats(finish(simulation))


def test_a_scenario_does_not_take_what_a_share_of_the_traders_has_either():
    some = {"at_step": 3, "kind": "set", "path": "populations.holder.leverage", "value": 20.0}
    limit = {"at_step": 5, "kind": "set", "path": "markets.ONE.max_leverage", "value": 15.0}
    with pytest.raises(ScenarioError, match=r"interventions\.1.*some traders have"):
        busy(interventions=[{**some, "share": 0.5}, limit])


def test_funding_has_room_however_often_it_is_settled():
    simulation = Simulation(busy(), 1)
    simulation.run(30)
    simulation.set("venue.funding.interval_hours", "step")
    result = finish(simulation)
    assert len(result.funding) == 2 * 60
    assert_repeats(result)


# Money


def test_a_deposit_and_a_withdrawal_are_no_profit():
    plain = finish(Simulation(busy(), 1))
    simulation = Simulation(busy(), 1)
    simulation.traders.next_wake[HOLDER] = UNLIMITED
    idle = finish(simulation)
    simulation = Simulation(busy(), 1)
    simulation.traders.next_wake[HOLDER] = UNLIMITED
    simulation.run(10)
    simulation.deposit(50, 1000.0)
    simulation.run(10)
    simulation.withdraw(50, 8_999.0)
    paid = finish(simulation)
    assert paid.deposit[50] == idle.deposit[50] + 1000 * ATOMS
    assert paid.end.equity[50] == 2001 * ATOMS  # of it 2,000 in stablecoins
    assert paid.profit[50].sum() == 0
    assert population_risk(plain) != population_risk(idle)
    assert population_risk(paid) == population_risk(idle)


def test_returns_count_what_came_as_capital():
    simulation = Simulation(busy(record={"population_minutes": 30}), 1)
    simulation.run(30)
    owned = int(simulation.result().wealth["equity"][-1, 1])
    for i in NOISE:
        simulation.deposit(i, 20_000.0)
    result = finish(simulation)
    end = [int(value) for value in result.wealth["equity"][:, 1]]
    come = 20 * 20_000 * ATOMS
    expected = end[1] / end[0] * end[2] / (owned + come) * end[3] / end[2] - 1.0
    assert population_risk(result)[1]["total_return"] == pytest.approx(expected, rel=1e-12)


def test_all_that_is_free_can_be_taken_out_and_not_an_atom_more():
    simulation = Simulation(busy(), 1)
    simulation.run(60)
    state = simulation.state
    holding = [i for i in HOLDER if state.position["size"][i].any() and withdrawable(state, i) > 0]
    for i in holding:
        free = withdrawable(state, i)
        with pytest.raises(InterventionError, match=f"account {i} can take out {free / ATOMS:.6f}"):
            simulation.withdraw(i, (free + 1) / ATOMS)
        simulation.withdraw(i, free / ATOMS)
        with pytest.raises(InterventionError, match=r"can take out 0\.000000 USD"):
            simulation.withdraw(i, 1e-6)
    assert len(holding) >= 3
    act(simulation)
    for i in holding:
        assess_pool(state, i)
        assert state.pool[i].equity >= initial_margin(state, i)
        assert withdrawable(state, i) == 0
    assert_repeats(finish(simulation))


def test_profit_that_is_not_realised_stays():
    simulation = Simulation(busy(populations={**CROWD, "holder": POPULATIONS["holder"]}), 1)
    give(simulation, 50, 1.0, entry=50.0)  # a coin worth 100 USD for 50
    assert equity(simulation, 50) == 10_050.0
    assert free_margin(simulation.state, 50) == (10_050 - 25) * ATOMS
    assert withdrawable(simulation.state, 50) == 10_000 * ATOMS


def test_what_an_account_lacks_is_not_made_up_by_half():
    simulation = Simulation(busy(), 1)
    give(simulation, 50, 1.0)
    simulation.state.pool[50].cash = -2_100 * ATOMS
    lacking = -withdrawable(simulation.state, 50)
    assert lacking > 0
    simulation.deposit(50, lacking / ATOMS)
    with pytest.raises(InterventionError, match=r"can take out 0\.000000 USD"):
        simulation.withdraw(50, 1.0)
    simulation.deposit(50, 1.0)
    simulation.withdraw(50, 1.0)
    act(simulation)


def test_more_than_can_be_added_up_is_refused():
    simulation = Simulation(busy(), 1)
    simulation.deposit(0, 1e12)
    with pytest.raises(InterventionError, match="all deposits must stay below"):
        simulation.deposit(1, 1e12)


# Orders


def test_an_order_is_beside_what_the_account_orders_itself():
    simulation = Simulation(busy(record={"fills": True}), 1)
    simulation.run(30)
    simulation.trade(4, "ONE", 1.239)
    simulation.traders.next_wake[4] = 30
    simulation.run(1)
    fills = simulation.result().fill
    mine = fills[(fills["step"] == 30) & (fills["taker"] == 4) & (fills["market"] == 0)]
    bought = mine["size"][mine["size"] > 0]
    assert bought.sum() >= 123  # and its own, whichever side
    assert len(mine) > 1


def test_an_order_is_rounded_to_lots_toward_zero():
    simulation = Simulation(busy(record={"fills": True}), 1)
    simulation.traders.next_wake[NOISE] = UNLIMITED
    simulation.run(30)
    simulation.trade(4, "ONE", -1.239)
    simulation.run(1)
    assert simulation.state.position[4, 0].size == -123


def test_orders_fit_however_many_there_are():
    simulation = Simulation(busy(), 1)
    simulation.run(5)
    for n in range(3000):
        simulation.trade(4 + n % 20, "ONE", 0.01 if n % 2 else -0.01)
    assert_repeats(finish(simulation))


# Whom a share means


def test_a_share_is_so_many_traders_drawn_anew_each_time_whoever_else_is_there():
    def chosen(populations: dict[str, Any]) -> list[set[int]]:
        simulation = Simulation(busy(populations=populations), 1)
        rows = simulation.roster.rows_of("noise")
        found = []
        for n in range(3):
            simulation.set("populations.noise.buffer", 2.0 + n, share=0.3)
            act(simulation)
            changed = simulation.traders.trader["buffer"][rows] == 2.0 + n
            found.append(set(np.flatnonzero(changed).tolist()))
        return found

    sets = chosen(CROWD)
    assert [len(each) for each in sets] == [6, 6, 6]
    assert len({frozenset(each) for each in sets}) == 3
    assert chosen({"herd": CROWD["herd"], "noise": CROWD["noise"]}) == sets


@pytest.mark.parametrize("habit", [habit for habit in HABITS if habit != "margin_mode"])
def test_a_habit_is_what_the_scenario_would_have_drawn(habit: str):
    for value in HABITS[habit]:
        simulation = Simulation(busy(), 1)
        simulation.set(f"populations.herd.{habit}", value)
        act(simulation)
        herd = {**CROWD["herd"], habit: value}
        stated = Simulation(busy(populations={**CROWD, "herd": herd}), 1)
        mine, theirs = simulation.traders.trader[habit], stated.traders.trader[habit]
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(simulation.state.own_fraction, stated.state.own_fraction)


def test_who_never_looked_looks_again_and_the_reverse():
    never = {**CROWD["herd"], "attention": "never"}
    simulation = Simulation(busy(populations={**CROWD, "herd": never}), 1)
    simulation.traders.next_wake[HERD] = UNLIMITED
    simulation.run(30)
    simulation.set("populations.herd.attention", 2.0)
    simulation.run(30)
    assert (simulation.traders.trader["last_wake"][HERD] >= 30).all()
    simulation.set("populations.herd.attention", "never")
    simulation.run(10)
    assert (simulation.traders.next_wake[HERD] == UNLIMITED).all()


# Margin modes


def test_positions_move_to_the_pools_of_the_mode_and_who_cannot_is_counted():
    simulation = Simulation(busy(), 1)
    simulation.run(60)
    state = simulation.state
    i = next(i for i in HOLDER if state.position["size"][i].any())
    simulation.deposit(i, 1e5)
    simulation.set("populations.holder.margin_mode", "isolated")
    before = cash(simulation, i)
    act(simulation)
    state = simulation.state
    pools = state.position["pool"][i].tolist()
    assert i not in pools
    assert len(set(pools)) == 2
    for p in pools:
        assess_pool(state, p)
        assert state.pool[p].owner == i
        assert state.pool[p].equity == initial_margin(state, p)
    assert cash(simulation, i) == before + 10**5 * ATOMS
    assert conservation_error(state) == 0
    modes = simulation.interventions.margin_mode[HOLDER]
    kept = int((modes != 1).sum())
    assert 0 < kept < 20
    (note,) = simulation.interventions.notes
    assert f"{kept} of 20 traders keep the pools they have" in note
    result = finish(simulation)
    assert note in result.notes
    assert_repeats(result)


def test_the_mode_one_has_moves_nothing():
    simulation = Simulation(busy(), 1)
    simulation.run(40)
    pool, held = simulation.state.pool.copy(), simulation.state.position["pool"].copy()
    limit = simulation.state.draw["limit"].copy()
    simulation.set("populations.holder.groups", GROUPS)
    act(simulation)
    np.testing.assert_array_equal(simulation.state.position["pool"], held)
    np.testing.assert_array_equal(simulation.state.pool["cash"], pool["cash"])
    np.testing.assert_array_equal(simulation.state.draw["limit"], limit)
    assert simulation.interventions.notes == []


def test_a_cross_share_changes_what_a_side_pool_may_draw():
    simulation = Simulation(busy(), 1)
    simulation.run(40)
    partial = [i for i in HOLDER if simulation.roster.margin_mode[i] == 2]
    pools = simulation.state.position["pool"][partial, 0]
    assert (simulation.state.draw["limit"][pools] == 2000 * ATOMS).all()
    simulation.set("populations.holder.groups.first.draw_limit", 0.5)
    act(simulation)
    assert (simulation.state.draw["limit"][pools] == 5000 * ATOMS).all()
    np.testing.assert_array_equal(simulation.state.position["pool"][partial, 0], pools)


# The outside world and the makers


def test_volatility_and_correlation_act_from_the_next_step():
    simulation = Simulation(busy(spot={"kind": "factor", "factor": {"volatility": 0.5}}), 1)
    simulation.run(20)
    sd = float(simulation.world.factor[0].sd)
    simulation.set("spot.factor.volatility", 1.0)
    simulation.set("spot.own.beta", 0.5)
    act(simulation)
    assert simulation.world.factor[0].sd == pytest.approx(2.0 * sd)
    assert simulation.world.asset["loading"].tolist() == [0.5, 0.5]


def test_clustering_acts_on_volatility_as_it_stands():
    still = {"kind": "factor", "factor": {"clustering": 0.0}, "own": {"clustering": 0.0}}
    simulation = Simulation(busy(spot=still), 1)
    simulation.run(1)
    world = simulation.world
    began = world.scale["value"].copy()
    assert began.all()
    simulation.run(20)
    assert (world.scale["value"] == began).all()  # nobody reads them yet
    simulation.set("spot.own.clustering", 0.9)
    act(simulation)
    assert (world.asset["log_sd"] > 0.0).all()
    assert world.factor[0].log_sd == 0.0
    simulation.run(1)
    moved = world.scale["value"] - began
    assert (moved != 0.0).all()
    assert np.abs(moved).max() < 1.0
    simulation.set("spot.own.clustering", 0.0)
    simulation.run(1)
    stood = world.scale["value"].copy()
    simulation.run(20)
    assert (world.scale["value"] == stood).all()


def test_reflexivity_acts_on_spot_and_on_the_matrices(monkeypatch):
    seen = []

    def measure(state: Any, paper: Any, reflexivity: float, delta: float) -> Any:
        seen.append(reflexivity)
        return np.zeros((2, 2, 2))

    monkeypatch.setattr(recorder, "contagion_matrices", measure)
    simulation = Simulation(busy(record={"contagion_minutes": 20}), 1)
    simulation.run(40)  # the matrix of its end is measured before what acts then
    simulation.set("spot.reflexivity", 0.8)
    simulation.run(20)
    assert (simulation.world.asset["displacement"] != 0.0).all()
    assert seen == [0.0, 0.0, 0.0, 0.8]
    simulation.set("spot.reflexivity", 0.0)
    act(simulation)
    assert (simulation.world.asset["displacement"] == 0.0).all()


def test_makers_show_the_share_of_their_depth_that_is_asked_for():
    simulation = Simulation(busy(spot={"kind": "constant"}), 1)
    makers = slice(MAKER.start, MAKER.stop)

    def shown() -> int:
        order = simulation.state.order
        return int(order["size"][(order["size"] > 0) & (order["account"] < makers.stop)].sum())

    simulation.traders.next_wake[makers.stop :] = UNLIMITED
    simulation.run(10)
    full = shown()
    simulation.set("populations.maker.parameters.depth", 0.5)
    simulation.run(10)
    assert shown() == pytest.approx(0.5 * full, rel=0.01)


# Own traders, and a step under way


class Dealer(marketsim.Trader):
    coins: float = 0.5
    fails: ClassVar[bool] = False

    def step(self) -> None:
        if Dealer.fails:
            Dealer.fails = False
            raise RuntimeError("not now")
        self.buy("ONE", self.coins)


class Meddler(marketsim.Trader):
    def step(self) -> None:
        self.model.deposit(self.account, 1.0)


OWN = {"strategy": "mine", "count": 2, "capital": 1e4, "attention": 1.0}


def with_own(own: type, **tables: Any) -> PerpMarket:
    given = busy(populations={**CROWD, "mine": OWN}, **tables)
    return PerpMarket(given, rng=1, strategies={"mine": own})


def test_an_order_of_an_own_trader_s_account_comes_after_its_own_also_if_it_failed_first():
    market = with_own(Dealer)
    market.run(30)
    market.trade(64, "ONE", -2.0)
    market.simulation.traders.next_wake[64] = 30
    Dealer.fails = True
    with pytest.raises(OwnTraderError, match="not now"):
        market.run(5)
    with pytest.raises(InterventionError, match="a step is under way"):
        market.deposit(64, 1.0)
    market.run(60)
    assert market.step_count == 90
    given = parse_scenario(parse_toml(market.result().scenario_text))
    repeated = PerpMarket(given, rng=1, strategies={"mine": Dealer})
    repeated.run(30)
    repeated.simulation.traders.next_wake[64] = 30
    repeated.run(60)
    assert digest_result(repeated.result()) == digest_result(market.result())


def test_a_trader_cannot_intervene_in_its_own_step():
    with pytest.raises(OwnTraderError, match="a step is under way"):
        with_own(Meddler).run(3)


def test_parameters_of_an_own_class_are_not_changed():
    with pytest.raises(InterventionError, match="acts only when a market starts"):
        with_own(Dealer).set("populations.mine.parameters.coins", 3)


def test_a_trader_who_left_orders_nothing():
    simulation = Simulation(busy(), 1)
    simulation.retire(50)
    with pytest.raises(InterventionError, match="account = 50: has left the market"):
        simulation.trade(50, "ONE", 1.0)


# Who leaves


def test_a_run_that_traders_were_taken_out_of_is_repeated():
    simulation = Simulation(busy(), 1)
    simulation.run(20)
    for i in (0, 10, 30, 50):  # a maker, noise, herd, a holder
        simulation.retire(i)
        simulation.retire(i)
    simulation.run(40)
    simulation.retire(51)
    result = finish(simulation)
    kept = [
        (entry.at_step, entry.kind, entry.account) for entry in simulation.interventions.entries
    ]
    assert kept == [(20, "retire", i) for i in (0, 10, 30, 50)] + [(60, "retire", 51)]
    assert not simulation.state.position["size"][[0, 10, 30, 50, 51]].any()
    assert digest_result(result) != digest_result(finish(Simulation(busy(), 1)))
    assert_repeats(result)


@pytest.mark.parametrize("trades_first", [True, False])
def test_an_order_given_for_who_has_left_by_then_is_not_put_in(trades_first):
    simulation = Simulation(busy(), 1)
    simulation.run(20)
    if trades_first:
        simulation.trade(50, "ONE", 1.0)
        simulation.retire(50)
    else:
        later = {"at_step": 40, "kind": "trade", "account": 50, "market": "ONE", "size": 1.0}
        simulation = Simulation(busy(interventions=[later]), 1)
        simulation.run(20)
        simulation.retire(50)
    result = finish(simulation)
    assert not simulation.state.position["size"][50].any()
    step = 20 if trades_first else 40
    assert f"account 50 had left the market before its order in ONE at step {step}" in result.notes
    assert_repeats(result)


def test_agents_removed_between_steps_are_removed_where_the_run_is_repeated():
    market = with_own(Dealer)
    market.run(30)
    assert len(market.agents) == 66
    gone = [agent for agent in market.agents if agent.account in (5, 50, 65)]
    for agent in gone:
        agent.remove()
    assert (len(market.agents), [agent.is_retired for agent in gone]) == (63, [True] * 3)
    market.run(60)
    given = parse_scenario(parse_toml(market.result().scenario_text))
    repeated = PerpMarket(given, rng=1, strategies={"mine": Dealer})
    repeated.run(30)
    assert len(repeated.agents) == 66
    repeated.run(1)
    assert {agent.account for agent in repeated.agents} == {
        agent.account for agent in market.agents
    }
    repeated.run(59)
    assert repeated.digest() == market.digest()
    assert repeated.result().scenario_text == market.result().scenario_text


def test_mesa_s_agents_lose_who_is_taken_out_by_account_at_once():
    market = with_own(Dealer)
    market.intervene("retire", account=64)
    market.simulation.retire(7)
    assert {7, 64}.isdisjoint(agent.account for agent in market.agents)
    market.simulation.retire(8)
    assert 8 not in {agent.account for agent in market.agents}
    twin = market.branch()
    assert len(twin.agents) == len(market.agents) == 63


class Quits(marketsim.Trader):
    """The first one leaves in its step, and takes somebody along."""

    def step(self) -> None:
        self.buy("ONE", 0.5)
        if self.account == 64 and self.model.step_count >= 12:
            self.remove()
            self.model.simulation.retire(50)


def test_who_leaves_in_a_step_does_so_again_for_its_class_is_the_same():
    market = with_own(Quits)
    market.run(90)
    assert market.simulation.interventions.entries == []
    left = market.simulation.traders.trader["is_retired"]
    assert np.flatnonzero(left).tolist() == [50, 64]
    given = parse_scenario(parse_toml(market.result().scenario_text))
    repeated = PerpMarket(given, rng=1, strategies={"mine": Quits})
    repeated.run(90)
    assert repeated.digest() == market.digest()


@pytest.mark.parametrize("account", [5, 50])
def test_who_is_taken_out_of_a_step_that_failed_leaves_in_the_next(account: int):
    market = with_own(Dealer)
    market.run(30)
    market.simulation.traders.next_wake[64] = 30
    Dealer.fails = True
    with pytest.raises(OwnTraderError, match="not now"):
        market.run(5)
    market.simulation.retire(account)
    market.run(60)
    (entry,) = market.simulation.interventions.entries
    assert (entry.at_step, entry.account) == (31, account)
    given = parse_scenario(parse_toml(market.result().scenario_text))
    repeated = PerpMarket(given, rng=1, strategies={"mine": Dealer})
    repeated.run(30)
    repeated.simulation.traders.next_wake[64] = 30
    repeated.run(60)
    assert repeated.digest() == market.digest()


def test_a_run_says_that_it_cannot_be_repeated_without_who_failed():
    market = with_own(Dealer)
    market.run(30)
    market.simulation.traders.next_wake[64] = 30
    Dealer.fails = True
    with pytest.raises(OwnTraderError, match="not now"):
        market.run(5)
    market.simulation.retire(64)
    Dealer.fails = False
    market.run(60)
    assert market.simulation.interventions.entries == []
    assert any("account 64 left in the midst of step 30" in note for note in market.result().notes)


def test_an_intervention_states_no_step_of_its_own():
    simulation = Simulation(busy(), 1)
    with pytest.raises(InterventionError, match="deposit: at_step: it acts at the next step"):
        simulation.intervene("deposit", at_step=50, account=1, usd=1.0)
    with pytest.raises(InterventionError, match=r"retire: account = 64: there is no such account"):
        simulation.retire(64)


# Saved, branched and extended runs


def disturb(simulation: Simulation) -> None:
    simulation.shock("crash", size=-0.15, fall_minutes=3)
    simulation.set("populations.holder.margin_mode", "isolated", share=0.5)
    simulation.set("spot.reflexivity", 0.3)
    simulation.deposit(50, 500.0)
    simulation.trade(51, "ONE", 2.0)


def test_a_run_is_saved_and_branched_with_what_was_done_and_what_waits(tmp_path):
    later = [{"at_step": 60, "kind": "set", "path": "markets.ONE.taker_fee", "value": 0.002}]
    whole = Simulation(busy(interventions=later), 1)
    whole.run(20)
    disturb(whole)
    whole.run(20)
    whole.set("populations.holder.margin_mode", "cross")
    whole.trade(52, "TWO", -1.0)
    whole.save(tmp_path / "half")
    branch = whole.branch()
    loaded = load_simulation(tmp_path / "half")
    for each in (branch, loaded, whole):
        each.run(10)
        disturb(each)
    digests = {digest_result(finish(each)) for each in (branch, loaded, whole)}
    assert len(digests) == 1
    assert_repeats(loaded.result())


def test_what_is_done_to_a_branch_is_not_done_to_the_run():
    whole = Simulation(busy(), 1)
    whole.run(20)
    other = whole.branch(change={"venue.funding.interval_hours": 0.25})
    disturb(other)
    assert whole.interventions.entries == []
    assert digest_result(finish(whole)) == digest_result(finish(Simulation(busy(), 1)))
    assert_repeats(finish(other))


def test_what_is_done_at_the_end_acts_where_the_run_goes_on():
    simulation = Simulation(busy(), 1)
    simulation.run(90)
    simulation.set("venue.funding.interval_hours", "step")
    disturb(simulation)
    simulation.run(30, extend=True)
    result = simulation.result()
    assert len(result.funding) == 2 * (1 + 30)
    assert_repeats(result)


# The folder


def test_the_run_folder_s_scenario_repeats_the_run(tmp_path, monkeypatch, command: Callable):
    monkeypatch.chdir(tmp_path)
    market = PerpMarket(busy(), rng=7)
    market.run(20)
    market.shock("crash", size=-0.1)
    market.set("populations.herd.leverage", {"kind": "lognormal", "median": 8.0, "sigma": 0.5})
    market.run(20)
    market.deposit(50, 1000)
    market.trade(50, "TWO", -3.0)
    market.run(50)
    write_run(market.result(), tmp_path / "first")
    done = command("run", "first/scenario.toml", "--seed", "7", "--out", "second", "--quiet")
    assert done.exit_code == 0, done.stderr
    first, second = load_run(tmp_path / "first"), load_run(tmp_path / "second")
    assert first.digest == second.digest
    assert first.summary | {"wall_s": 0} == second.summary | {"wall_s": 0}
    (strike,) = read_strikes(first.scenario_text)
    assert (strike.name, round(strike.start)) == ("crash of all markets -10.0%", 20)


def test_a_command_names_the_entry_that_a_run_refuses(tmp_path, monkeypatch, command: Callable):
    monkeypatch.chdir(tmp_path)
    stated = [{"at_step": 5, "kind": "withdraw", "account": 50, "usd": 1e6}]
    (tmp_path / "greedy.toml").write_text(resolved_toml(busy(interventions=stated)))
    done = command("run", "greedy.toml", "--quiet", "--out", "kept")
    assert done.exit_code == 1
    refused = "step 5: interventions.0: withdraw: usd = 1000000: account 50 can take out"
    assert done.stderr.startswith(f"failed: {refused}")
    assert f"; the steps before it are in {tmp_path / 'kept'}" in done.stderr
    run = load_run(tmp_path / "kept")
    assert (run.steps.step.max(), run.summary["steps"]) == (4, 5)
    assert f"ended early at {refused}" in run.notes[-1]
    stated[0]["at_step"] = 0
    (tmp_path / "greedy.toml").write_text(resolved_toml(busy(interventions=stated)))
    done = command("run", "greedy.toml", "--quiet", "--out", "none")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: step 0: interventions.0: withdraw: usd = 1000000")
    assert not (tmp_path / "none").exists()


# What is refused


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("shock", {"kind": "crsh", "size": -0.1}, "did you mean 'crash'"),
        ("shock", {"kind": "deposit"}, "must be one of jump"),
        ("shock", {"kind": 3}, "must be one of jump"),
        ("shock", {"kind": "jump"}, "size: missing"),
        ("shock", {"kind": "jump", "size": -0.1, "at": 3.0}, "unknown field"),
        ("shock", {"kind": "jump", "size": -2}, "must be greater than -1"),
        ("shock", {"kind": "jump", "size": math.nan}, "size = nan: must be a finite number"),
        ("shock", {"kind": "jump", "size": True}, "size = true: must be a number"),
        ("shock", {"kind": "jump", "size": -0.1, "markets": ["OEN"]}, "did you mean 'ONE'"),
        ("shock", {"kind": "outage", "source": "frist", "minutes": 3}, "did you mean 'first'"),
        ("shock", {"kind": "rule", "field": "days", "value": 3}, "there is no such rule"),
        ("set", {"path": "venue.funding.intervl", "value": 1}, "did you mean 'interval_hours'"),
        ("set", {"path": "venu.funding", "value": 1}, "did you mean 'venue'"),
        ("set", {"path": "markets.OEN.taker_fee", "value": 0}, "did you mean 'ONE'"),
        ("set", {"path": "markets.ONE.tick_size", "value": 1.0}, "acts only when a market starts"),
        ("set", {"path": "populations.herd.count", "value": 3}, "acts only when a market starts"),
        ("set", {"path": "populations.herd.capital", "value": 3}, "start anew"),
        ("set", {"path": "populations.herd.parameters.degree", "value": 3}, "start anew"),
        ("set", {"path": "populations.herd.parameters.trnd", "value": 3}, "did you mean 'trend'"),
        ("set", {"path": "populations.herd.parameters", "value": {}}, "set one of its fields"),
        ("set", {"path": "markets.ONE", "value": {}}, "set one of its fields"),
        ("set", {"path": "days", "value": 3}, "acts only when a market starts"),
        ("set", {"path": "name", "value": "x"}, "acts on no market"),
        ("set", {"path": "record.fills", "value": True}, "acts only when a market starts"),
        ("set", {"path": "spot.kind", "value": "constant"}, "acts only when a market starts"),
        ("set", {"path": "spot.reflexivity", "value": True}, "must be a number"),
        ("set", {"path": "spot.reflexivity", "value": math.inf}, "must be a finite number"),
        ("set", {"path": "spot.reflexivity", "value": 1.5}, "less than or equal to 1"),
        ("set", {"path": "spot.reflexivity", "value": None}, "must be a number, a text"),
        ("set", {"path": "spot.reflexivity", "value": 0.5, "share": 0.5}, "only habits"),
        ("set", {"path": "venue.funding.interval_hours", "value": 0.701}, "whole number of steps"),
        ("set", {"path": "populations.herd.leverage", "value": 1e6}, "must lie in"),
        ("set", {"path": "populations.herd.leverage", "value": {"kind": "unform"}}, "uniform"),
        ("set", {"path": "populations.herd.leverage", "value": 3, "share": 0}, "greater than 0"),
        ("set", {"path": "populations.herd.margin_mode", "value": "partial"}, "at least one group"),
        ("set", {"path": "populations.herd.margin_mode", "value": "crss"}, "did you mean 'cross'"),
        ("set", {"path": 3, "value": 3}, "path = 3: must be text"),
        ("set", {"path": None, "value": 3}, "path = None: must be text"),
        ("set", {"path": "populations.herd.leverage", "value": 3, "share": 0.01}, "is none of"),
        (
            "set",
            {"path": "populations.herd.leverage", "value": {"kind": "uniform"}},
            "in the value",
        ),
        ("intervene", {"kind": "deposit", "usd": 1.0}, "account: missing; give it as account="),
        ("trade", {"account": 64, "market": "ONE", "size": 1.0}, "traders are 0 to 63"),
        ("trade", {"account": -1, "market": "ONE", "size": 1.0}, "account = -1"),
        ("trade", {"account": True, "market": "ONE", "size": 1.0}, "must be a whole number"),
        ("trade", {"account": 1.5, "market": "ONE", "size": 1.0}, "must be a whole number"),
        ("trade", {"account": 1, "market": "OEN", "size": 1.0}, "did you mean 'ONE'"),
        ("trade", {"account": 1, "market": "ONE", "size": 0.0}, "less than one lot"),
        ("trade", {"account": 1, "market": "ONE", "size": 0.0099}, "less than one lot"),
        ("trade", {"account": 1, "market": "ONE", "size": math.nan}, "must be a finite number"),
        ("trade", {"account": 1, "market": "ONE", "size": -1e30}, "at most"),
        ("deposit", {"account": 1, "usd": 0.0}, "usd = 0"),
        ("deposit", {"account": 1, "usd": -5}, "usd = -5"),
        ("deposit", {"account": 1, "usd": math.nan}, "must be a finite number"),
        ("deposit", {"account": 1, "usd": True}, "must be a number"),
        ("deposit", {"account": "x", "usd": 1}, "must be a whole number"),
        ("deposit", {"account": 1, "usd": 1e13}, "less than or equal to"),
        ("withdraw", {"account": 64, "usd": 1.0}, "no such account"),
        ("withdraw", {"account": 50, "usd": 1e9}, "its initial margin must stay"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(verb, arguments, said):
    simulation = Simulation(busy(), 1)
    with pytest.raises(InterventionError) as refused:
        getattr(simulation, verb)(**arguments)
    assert said in str(refused.value)
    assert isinstance(refused.value, ValueError)
    assert simulation.interventions.entries == []


def test_numbers_of_numpy_are_numbers():
    simulation = Simulation(busy(), 1)
    simulation.trade(np.int64(4), "ONE", np.float64(1.0))
    simulation.set("populations.noise.buffer", np.float32(0.5))
    simulation.deposit(np.int32(4), np.int64(3))
    assert_repeats(finish(simulation))


def test_the_largest_position_that_a_rule_allows_now_is_the_limit_of_an_order():
    simulation = Simulation(busy(), 1)
    simulation.set("markets.ONE.max_position_notional", 1000.0)
    simulation.run(1)
    simulation.trade(4, "ONE", 10.0)
    with pytest.raises(InterventionError, match="the largest position in ONE is 10 coins"):
        simulation.trade(4, "ONE", 10.01)


@pytest.mark.parametrize("base", [marketsim.Trader, marketsim.Strategy])
def test_parameters_of_a_class_of_one_s_own_act_when_it_is_made(base: Any):
    class Mine(base):
        share: float = 0.5

        def step(self) -> None:
            """Wait."""

        def decide(self, market: Any, traders: Any) -> None:
            """Wait."""

    mine = {**CROWD["holder"], "strategy": "mine", "parameters": {"share": 0.2}}
    given = busy(populations={**CROWD, "holder": mine})
    market = PerpMarket(given, rng=1, strategies={"mine": Mine})
    for path in ("share", "share.more"):
        with pytest.raises(InterventionError, match="a class of your own has read its parameters"):
            market.set(f"populations.holder.parameters.{path}", 0.9)
    with pytest.raises(InterventionError, match=r"Mine has no parameter 'shar' .*'share'.*known:"):
        market.set("populations.holder.parameters.shar", 0.9)
    with pytest.raises(InterventionError, match="a class of your own has read its parameters"):
        market.set("populations.holder.parameters", {"share": 0.9})


def test_what_only_a_run_can_know_is_refused_naming_the_entry():
    stated = [{"at_step": 5, "kind": "withdraw", "account": 50, "usd": 1e6}]
    simulation = Simulation(busy(interventions=stated), 1)
    with pytest.raises(InterventionError, match=r"interventions\.0: withdraw: usd = 1000000"):
        simulation.run(10)
    assert simulation.step_count == 5


def test_a_scenario_s_interventions_are_checked_when_it_is_read():
    stated = [
        {"at_step": 5, "kind": "trade", "account": 99, "market": "OEN", "size": 1.0},
        {"at_step": 5, "kind": "set", "path": "populations.herd.count", "value": 3},
        {"at_step": -1, "kind": "deposit", "account": 1, "usd": 1.0},
    ]
    with pytest.raises(ScenarioError) as caught:
        busy(interventions=stated)
    text = str(caught.value)
    for line in ("interventions.2.at_step = -1",):
        assert line in text
    with pytest.raises(ScenarioError) as caught:
        busy(interventions=stated[:2])
    text = str(caught.value)
    assert "interventions.0.account = 99: there is no such account; traders are 0 to 63" in text
    assert "interventions.0.market: there is no 'OEN' (did you mean 'ONE'?)" in text
    assert "interventions.1: populations.herd.count = 3: acts only when a market starts" in text


def test_contagion_is_measured_with_the_reflexivity_there_is_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulation = Simulation(scenario(), 1)
    simulation.set("spot.reflexivity", 0.7)
    simulation.run(1)
    asked: dict[str, Any] = {}
    monkeypatch.setattr(measures, "measure_contagion", lambda *_, **given: asked.update(given))
    simulation.contagion()
    assert asked["reflexivity"] == 0.7
