"""Traders come and go: money in and out of the outside world, and newcomers with habits anew."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketsim import HookError, PerpMarket, Strategy, Trader, load_market
from marketsim.agents.own import OwnTraderError
from marketsim.results.outcomes import trader_outcomes
from marketsim.results.risk import population_risk
from marketsim.results.summary import summarise
from marketsim.results.tables import CAUSE_NAMES, build_tables
from marketsim.run.simulation import Simulation
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.roster import draw_habit
from marketsim.scenario.schema import Scenario
from marketsim.streams import newcomer_key
from marketsim.tape.arrivals import Turn
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import HABITS, POPULATIONS, scenario
from tests.run.test_simulation import RISKY, eventful

TURNOVER = {"wait_hours": 0.3, "stay_hours": 2.0, "withdraw_above": 1.02, "ruin_below": 0.7}
SPREAD = {"kind": "uniform", "min": 5_000.0, "max": 50_000.0}


def lively(turnover: dict[str, Any] | None = None, **tables: Any) -> Scenario:
    """Six hours with a crash in which everybody comes and goes, or as `turnover` has it."""
    populations = {
        name: {**each, "turnover": TURNOVER if turnover is None else turnover}
        for name, each in RISKY.items()
    }
    populations["holder"] |= {"capital": SPREAD, "stable_share": 0.2}
    populations["forgetful"] = populations["holder"] | {"attention": "never", "stable_share": 0.0}
    return eventful(**{"populations": populations, **tables})


def finished(given: Scenario, seed: int = 1) -> Simulation:
    simulation = Simulation(given, seed)
    simulation.run(simulation.num_steps)
    return simulation


@pytest.fixture(scope="module")
def lived() -> Simulation:
    return finished(lively())


def kinds(result: RunResult) -> set[str]:
    return {Turn(kind).name for kind in result.arrival["kind"]}


# The books


def test_the_books_balance_with_money_from_and_to_the_outside_world(lived: Simulation) -> None:
    result = lived.result()
    assert {"ARRIVAL", "WITHDRAWAL", "RUINED", "FINISHED", "IDLE"} <= kinds(result)
    assert result.conservation_error == 0
    change = np.zeros(len(result.deposit), np.int64)
    np.add.at(change, result.arrival["account"], result.arrival["atoms"])
    profit = result.profit.sum(axis=1)
    assert (result.end.equity == result.start.equity + change + profit).all()
    paid = int(result.start.equity.sum() + change.sum())
    assert int(lived.state.totals[0].deposits) == paid


def test_a_population_s_profit_by_cause_adds_up_and_leaves_out_what_was_paid(
    lived: Simulation,
) -> None:
    table = build_tables(lived.result())["populations"]
    by_cause = sum(table[f"{name}_atoms"] for name in CAUSE_NAMES)
    assert by_cause.tolist() == table["profit_atoms"].tolist()
    after = table["deposit_usd"] - table["withdrawn_usd"] + table["profit_usd"]
    assert after == pytest.approx(table["equity_end_usd"])
    assert (table["num_traders"] > table["num_accounts"])[:-1].all()


def test_who_left_owns_nothing_and_does_nothing(lived: Simulation) -> None:
    result, traders = lived.result(), lived.traders
    vacant = np.flatnonzero(traders.stay["is_vacant"])
    assert len(vacant) > 0
    assert (result.end.equity[vacant] == 0).all()
    assert (result.end.size[vacant] == 0).all()
    assert (traders.next_turn[vacant] >= lived.num_steps).all()


def test_rows_tell_a_trader_s_arrival_before_its_departure(lived: Simulation) -> None:
    row = lived.result().arrival
    assert (np.diff(row["step"]) >= 0).all()
    for i in np.unique(row["account"]).tolist():
        mine = row[(row["account"] == i) & (row["kind"] != Turn.WITHDRAWAL)]
        expected, generation = Turn.RUINED, 0
        for each in mine:
            is_arrival = each.kind == Turn.ARRIVAL
            assert is_arrival == (expected == Turn.ARRIVAL)
            generation += is_arrival
            assert each.generation == generation
            expected = Turn.RUINED if is_arrival else Turn.ARRIVAL
        assert lived.traders.stay[i].generation == generation


# Off


def test_traders_for_whom_there_is_no_reason_to_leave_trade_as_without_turnover() -> None:
    never = {"stay_hours": "never", "withdraw_above": "never", "ruin_below": 0.0}
    one = finished(lively(never, shocks=[])).result()
    lasting = lively(shocks=[]).populations
    bare = {
        name: each.model_dump(exclude={"turnover"}, exclude_none=True)
        for name, each in lasting.items()
    }
    other = finished(lively(shocks=[], populations=bare)).result()
    assert len(other.arrival) == 0
    steps = len(one.series) if len(one.arrival) == 0 else int(one.arrival["step"][0])
    assert steps > 60
    assert np.array_equal(one.series["mark_ticks"][:steps], other.series["mark_ticks"][:steps])
    assert "arrivals" not in build_tables(other)
    assert "generation" not in build_tables(other)["accounts"]
    assert "num_traders" not in build_tables(other)["populations"]


# Newcomers


def test_newcomers_are_drawn_by_account_and_generation(lived: Simulation) -> None:
    rules, roster, traders = lived.scenario, lived.roster, lived.traders
    row = lived.result().arrival
    for name in rules.populations:
        rows = roster.rows_of(name)
        for i in range(rows.start, rows.stop):
            generation = int(traders.stay[i].generation)
            if generation == 0:
                continue
            key = newcomer_key(int(roster.keys[i]), generation)
            assert traders.trader[i].key == key
            for habit in ("leverage", "slippage", "stop_loss"):
                drawn = draw_habit(rules, name, habit, lived.seed, np.array([key]))[0]
                assert float(traders.trader[i][habit]) == drawn
            came = row[(row["account"] == i) & (row["kind"] == Turn.ARRIVAL)][-1]
            capital = draw_habit(rules, name, "capital", lived.seed, np.array([key]))[0]
            assert came.generation == generation
            assert int(came.atoms) == max(round(float(capital) * 1e6), 1)
            own = int(lived.state.account[i].deposit) - int(traders.stay[i].before)
            assert own == int(came.atoms)


def test_newcomers_change_nobody_s_luck_and_nor_do_others_change_theirs() -> None:
    """Populations in another order, and idle ones beside them: the same newcomers, the same run."""
    populations = lively().model_dump(exclude_none=True)["populations"]
    idle = {
        "strategy": "holder",
        "count": 5,
        "capital": 1_000.0,
        "attention": "never",
        "parameters": {"long_share": 0.5},
        "markets": ["TWO"],
    }
    found = []
    backwards = dict(reversed(populations.items()))
    for others in (populations, {"idle": idle} | populations, backwards | {"idle": idle}):
        simulation = Simulation(lively(populations=others), 2)
        if "idle" in others:
            simulation.traders.next_wake[simulation.roster.rows_of("idle")] = 2**62
        simulation.run(simulation.num_steps)
        result = simulation.result()
        where = {name: simulation.roster.rows_of(name).start for name in populations}
        names = np.array(simulation.roster.names)[result.population[result.arrival["account"]]]
        told = zip(names.tolist(), result.arrival.tolist(), strict=True)
        rows_told = sorted(
            (step, name, account - where[name], *rest) for name, (step, account, *rest) in told
        )
        found.append((rows_told, result.series["mark_ticks"].tolist()))
    assert found[0] == found[1] == found[2]
    assert len(found[0][0]) > 50


def test_a_market_put_first_leaves_stays_and_waits_as_they_are() -> None:
    stays = {name: {**POPULATIONS[name], "turnover": TURNOVER} for name in ("noise", "holder")}
    one = Simulation(scenario(populations=stays), 3)
    markets = dict(reversed(one.scenario.model_dump(exclude_none=True)["markets"].items()))
    other = Simulation(scenario(populations=stays, markets=markets), 3)
    for name in ("until", "generation"):
        assert (one.traders.stay[name] == other.traders.stay[name]).all()
    assert (one.traders.next_turn == other.traders.next_turn).all()


def test_a_newcomer_s_opinion_leaves_the_count_of_the_crowd_right(lived: Simulation) -> None:
    g = lived.roster.names.index("herd")
    rows = lived.roster.rows_of("herd")
    opinion = lived.traders.memory[rows, :, 0]
    assert lived.traders.stay["generation"][rows].max() > 0
    assert (np.abs(opinion) == 1.0).all()
    assert lived.traders.crowd[g].tolist() == (opinion > 0.0).sum(axis=0).tolist()


def test_margin_modes_and_what_may_be_drawn_are_a_newcomer_s_own() -> None:
    populations = {
        **POPULATIONS,
        "holder": {
            **POPULATIONS["holder"],
            "capital": SPREAD,
            "margin_mode": {"cross": 1, "isolated": 1, "partial": 1},
            "groups": {"one": {"markets": ["ONE"], "draw_limit": 0.25}},
            "turnover": {"wait_hours": 0.1, "stay_hours": 1.0},
        },
    }
    simulation = finished(scenario(populations=populations))
    state, rows = simulation.state, simulation.roster.rows_of("holder")
    modes = simulation.interventions.margin_mode[rows]
    changed = modes != simulation.roster.margin_mode[rows]
    assert changed.any()
    for i, mode in zip(range(rows.start, rows.stop), modes.tolist(), strict=True):
        pools = state.position["pool"][i].tolist()
        assert (pools[0] == i, pools[1] == i) == ((True, True), (False, False), (False, True))[mode]
        came = simulation.traders.stay[i].generation > 0
        if mode == 2 and came and not simulation.traders.stay[i].is_vacant:
            own = int(state.account[i].deposit) - int(simulation.traders.stay[i].before)
            assert int(state.draw[pools[0]].limit) == pytest.approx(0.25 * own, abs=1)
    assert simulation.result().conservation_error == 0


# Pausing, saving, branching, telling


def test_a_run_in_pieces_saved_and_branched_has_the_same_newcomers(
    lived: Simulation, tmp_path: Path
) -> None:
    whole = digest_result(lived.result())
    market = PerpMarket(lively(), rng=1)
    told: list[Any] = []
    market.on("arrival", told.append)
    market.run(130)
    market.save(tmp_path / "half.market")
    others = [market.branch(), load_market(tmp_path / "half.market")]
    for _ in range(23):
        market.run(10)
    for other in others:
        other.run(230)
    assert [each.digest() for each in (market, *others)] == [whole] * 3
    rows = np.concatenate(told)
    table = build_tables(lived.result())["arrivals"]
    for name in ("step", "hours", "account", "generation", "population", "kind", "usd"):
        assert rows[name].tolist() == table[name].tolist(), name


def test_what_a_hook_finds_holds_the_newcomer_it_is_told_of() -> None:
    market = PerpMarket(lively(), rng=1)
    held: list[bool] = []

    def come(rows: Any) -> None:
        for row in rows[rows["kind"] == "arrival"]:
            agents = {each.account: each for each in market.agents}
            held.append(agents[row["account"]].generation == row["generation"])

    market.on("arrival", come)
    market.run(200)
    assert len(held) > 20
    assert all(held)


def test_a_scenario_with_turnover_reads_as_it_was_written() -> None:
    given = lively()
    text = finished(given).result().scenario_text
    assert parse_scenario(tomllib.loads(text)) == given


# Interventions


def test_who_is_retired_is_followed_by_a_newcomer_who_can_be_retired_again() -> None:
    stays = {"wait_hours": 0.1, "stay_hours": "never", "withdraw_above": "never", "ruin_below": 0.0}
    simulation = Simulation(lively(stays, shocks=[]), 1)
    account = simulation.roster.rows_of("noise").start
    simulation.run(30)
    simulation.retire(account)
    simulation.run(170)
    row = simulation.result().arrival
    mine = row[row["account"] == account]
    assert [Turn(kind) for kind in mine["kind"]] == [Turn.RETIRED, Turn.ARRIVAL]
    assert not simulation.traders.trader[account].is_retired
    simulation.retire(account)
    simulation.run(60)
    row = simulation.result().arrival
    assert Turn.RETIRED in row[row["account"] == account]["kind"][2:]
    again = Simulation(parse_scenario(tomllib.loads(simulation.result().scenario_text)), 1)
    again.run(260)
    assert again.digest() == simulation.digest()


def test_money_paid_to_a_vacant_account_leaves_before_the_newcomer_comes() -> None:
    stays = {"wait_hours": 2.0, "stay_hours": "never", "withdraw_above": "never", "ruin_below": 0.0}
    simulation = Simulation(lively(stays, shocks=[]), 1)
    account = simulation.roster.rows_of("noise").start
    simulation.retire(account)
    while not simulation.traders.stay[account].is_vacant:
        simulation.run(1)
    simulation.deposit(account, 123.0)
    while simulation.traders.stay[account].is_vacant:
        simulation.run(1)
    result = simulation.result()
    row = result.arrival[result.arrival["account"] == account]
    assert row["atoms"].tolist()[1] == -123_000_000
    capital = int(row["atoms"][2])
    before = simulation.traders.stay[account].before
    assert int(simulation.state.account[account].deposit) - int(before) == capital
    found = trader_outcomes(result)
    mine = found.account == account
    assert found.paid_in[mine].tolist() == [int(result.deposit[account]) - capital, capital]
    assert found.got[mine][0] == -int(row["atoms"][:2].sum())
    assert result.conservation_error == 0


def test_a_habit_set_for_all_is_that_of_newcomers_too() -> None:
    simulation = Simulation(lively(shocks=[]), 1)
    simulation.run(60)
    simulation.set("populations.noise.leverage", 3.0)
    simulation.run(200)
    rows = simulation.roster.rows_of("noise")
    assert simulation.traders.stay["generation"][rows].max() > 0
    assert set(simulation.traders.trader["leverage"][rows]) == {3.0}


# Own traders and Mesa


class Counting(Trader):
    """Counts its steps and buys a little."""

    def __init__(self, model: Any, account: int) -> None:
        super().__init__(model, account)
        self.count = 0
        self.first = self.capital

    def step(self) -> None:
        self.count += 1
        self.order("ONE", 0.01 * self.equity / self.model.mid_price("ONE"))


class Patient(Strategy):
    """Notes whose turn it is."""

    def decide(self, market: Any, traders: Any) -> None:
        is_new = traders.memory[:, 0, 0] == 0.0
        traders.memory[is_new, 0, 0] = 1.0 + traders.generation[is_new]
        assert (traders.memory[:, 0, 0] == 1.0 + traders.generation).all()
        assert (traders.capital >= 5_000.0).all()
        assert (traders.capital <= 50_000.0).all()


OWN = {"counting": Counting, "patient": Patient}


def own_market() -> PerpMarket:
    own = {**HABITS, "count": 4, "capital": SPREAD, "turnover": TURNOVER}
    populations = {
        **POPULATIONS,
        "counting": {**own, "strategy": "counting"},
        "patient": {**own, "strategy": "patient"},
    }
    return PerpMarket(scenario(populations=populations), rng=1, strategies=OWN)


def test_a_newcomer_of_an_own_class_is_a_new_object(tmp_path: Path) -> None:
    market = own_market()
    first = {each.account: each for each in market.agents if isinstance(each, Counting)}
    market.run(180)
    market.save(tmp_path / "half.market")
    market.run(180)
    last = {each.account: each for each in market.agents if isinstance(each, Counting)}
    came = [i for i in last if last[i] is not first.get(i)]
    assert came
    for i in came:
        assert last[i].generation > 0
        assert first[i].is_retired
        assert last[i].first == last[i].capital != first[i].first
    assert sum(each.generation for each in market.agents if each.strategy == "patient") > 0
    other = load_market(tmp_path / "half.market", strategies=OWN)
    other.run(180)
    assert other.digest() == market.digest()
    twins = {each.account: each.count for each in other.agents if isinstance(each, Counting)}
    assert twins == {i: each.count for i, each in last.items()}


def test_agents_are_those_who_are_there_in_the_order_of_accounts() -> None:
    market = own_market()
    assert len(market.agents) == market.scenario.num_traders
    for _ in range(12):
        market.run(20)
        traders = market.simulation.traders
        here = np.flatnonzero(traders.trader["is_retired"] == 0)
        found = [each.account for each in market.agents]
        assert found == here.tolist()
        assert [each.generation for each in market.agents] == traders.stay["generation"][
            here
        ].tolist()
        assert [each.unique_id for each in market.agents] == [i + 1 for i in found]


class Failing(Counting):
    """Cannot be made a second time."""

    def __init__(self, model: Any, account: int) -> None:
        super().__init__(model, account)
        if self.generation > 0:
            raise ValueError("no room")


def test_a_newcomer_that_cannot_be_made_is_named() -> None:
    own = {**HABITS, "count": 2, "capital": 1e4, "strategy": "own", "turnover": TURNOVER}
    given = scenario(populations={**POPULATIONS, "own": own})
    market = PerpMarket(given, rng=1, strategies={"own": Failing})
    second = sum(population["count"] for population in POPULATIONS.values()) + 1
    with pytest.raises(
        OwnTraderError, match=rf"step \d+: populations.own \(Failing\), account {second}: .*no room"
    ):
        market.run(360)


def test_a_failing_hook_of_arrivals_is_named() -> None:
    market = PerpMarket(lively(), rng=1)
    market.on("arrival", lambda rows: rows["nothing"])
    with pytest.raises(HookError, match="arrival hook"):
        market.run(200)


# What it means for returns


def test_every_trader_of_an_account_counts_by_itself(lived: Simulation) -> None:
    result = lived.result()
    found = trader_outcomes(result)
    assert len(found.account) == int((result.traders_before + 1).sum())
    for values, total in (
        (found.paid_in, result.deposit),
        (found.got, result.end.equity + result.withdrawn),
    ):
        sums = np.zeros(len(total), np.int64)
        np.add.at(sums, found.account, values)
        assert sums.tolist() == total.tolist()
    share = np.mean((found.got < 0.1 * found.paid_in)[result.population[found.account] >= 0])
    assert summarise(result)["accounts_ruined_share"] == pytest.approx(share)


def test_money_that_comes_and_goes_is_no_return(lived: Simulation) -> None:
    """A population that neither trades nor pays has no return, whoever comes and goes."""
    result = lived.result()
    g = result.population_names.index("noise")
    wealth = result.wealth.copy()
    members = result.population == g
    flows = result.flows
    those = members[flows.account]
    for k in range(len(wealth)):
        done = flows.step[those] < wealth["step"][k, g]
        wealth["equity"][k, g] = wealth["equity"][0, g] + flows.atoms[those][done].sum()
    figures = population_risk(dataclasses.replace(result, wealth=wealth))[g]
    assert figures["total_return"] == pytest.approx(0.0, abs=1e-12)


# Bad input


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("wait_hours", -1.0, "populations.noise.turnover.wait_hours = -1"),
        ("stay_hours", 0.0, "populations.noise.turnover.stay_hours = 0"),
        ("withdraw_above", 0.5, "populations.noise.turnover.withdraw_above = 0.5"),
        ("ruin_below", 1.0, "populations.noise.turnover.ruin_below = 1"),
        ("stay_hours", "soon", 'populations.noise.turnover.stay_hours = "soon"'),
        ("wait", 1.0, "populations.noise.turnover.wait = 1"),
    ],
)
def test_turnover_of_less_than_nothing_is_refused(field: str, value: Any, text: str) -> None:
    noise = {**POPULATIONS["noise"], "turnover": {field: value}}
    with pytest.raises(ScenarioError) as refused:
        scenario(populations={**POPULATIONS, "noise": noise})
    assert text in str(refused.value)


def test_newcomers_whose_deposits_cannot_be_added_up_are_refused() -> None:
    rich = {**POPULATIONS["noise"], "count": 1, "capital": 5e11, "attention": "never"}
    rich["turnover"] = {"wait_hours": 0.01, "stay_hours": 0.1}
    simulation = Simulation(scenario(populations={**POPULATIONS, "rich": rich}), 1)
    with pytest.raises(
        ScenarioError, match=r"populations.rich.capital: with the newcomers of step"
    ):
        simulation.run(360)
