"""The face: a market as a Mesa model, its traders as Mesa agents that read the arrays."""

import gc
import math
import weakref

import mesa
import numpy as np
import pytest

import marketsim
from marketsim.engine.state import ATOMS
from marketsim.model.market import PerpMarket, TraderView
from marketsim.run.simulation import Simulation
from marketsim.scenario.writer import resolved_toml
from marketsim.tape.digest import digest_result
from tests.agents.small import MARKETS, POPULATIONS, scenario

COUNT = sum(population["count"] for population in POPULATIONS.values())
FEES = {name: {**market, "taker_fee": 0.0005} for name, market in MARKETS.items()}


def market(steps: int = 0, **tables) -> PerpMarket:
    """Everybody in two markets on a moving spot, some steps on."""
    data = {"spot": {"kind": "factor"}, "markets": FEES, "insurance_fund": 5_000.0}
    model = PerpMarket(scenario(**{**data, **tables}), rng=3)
    model.run(steps)
    return model


def test_it_is_a_mesa_model_and_its_traders_are_mesa_agents():
    model = market()
    assert isinstance(model, mesa.Model)
    assert marketsim.PerpMarket is PerpMarket
    assert isinstance(model.agents, type(mesa.Model(rng=1).agents))
    assert len(model.agents) == COUNT
    assert all(isinstance(agent, mesa.Agent) for agent in model.agents)
    assert all(agent.model is model for agent in model.agents)


def test_agents_are_made_only_when_asked_for_and_only_once():
    model = market(steps=5)
    alive = [item for item in gc.get_objects() if issubclass(type(item), TraderView)]
    assert not any(view.model is model for view in alive)
    first = list(model.agents)
    assert len(first) == COUNT
    model.step()
    assert all(a is b for a, b in zip(model.agents, first, strict=True))


def test_a_scenario_may_be_given_by_name_by_path_or_as_it_is(tmp_path):
    given = scenario()
    file = tmp_path / "mine.toml"
    file.write_text(resolved_toml(given))
    models = [PerpMarket(given, rng=1), PerpMarket(str(file), rng=1), PerpMarket(file, rng=1)]
    for model in models:
        model.run(20)
    assert len({digest_result(model.result()) for model in models}) == 1
    assert PerpMarket("quickstart", rng=1).markets == ("BTC", "ETH", "SOL")


def test_its_scenario_is_the_one_it_was_made_with():
    given = scenario()
    model = PerpMarket(given, rng=1)
    assert model.scenario is given
    with pytest.raises(AttributeError, match="keeps the one"):
        model.scenario = scenario()


def test_steps_count_and_are_the_same_as_a_run():
    model = market()
    assert model.step_count == 0
    for _ in range(30):
        model.step()
    assert model.step_count == 30
    whole = market(steps=30)
    assert whole.step_count == 30
    assert digest_result(model.result()) == digest_result(whole.result())
    plain = Simulation(whole.scenario, 3)
    plain.run(30)
    assert digest_result(plain.result()) == digest_result(whole.result())


def test_looking_at_agents_changes_nothing():
    looked = market()
    for _ in range(30):
        looked.step()
        looked.agents.agg("equity", sum)
        looked.agents.agg("maintenance_margin", sum)
    assert digest_result(looked.result()) == digest_result(market(steps=30).result())


def test_the_seed_is_rng_and_nothing_but_a_whole_number():
    for wrong in ("1", 1.5, True, np.random.default_rng(1)):
        with pytest.raises(TypeError, match=r"rng = .*: must be a whole number, 0 to 2\*\*63 - 1"):
            PerpMarket(scenario(), rng=wrong)
    same = [PerpMarket(scenario(), rng=seed) for seed in (7, np.int64(7))]
    for model in same:
        model.run(20)
    assert digest_result(same[0].result()) == digest_result(same[1].result())


def test_without_a_seed_the_scenarios_own_is_taken():
    models = [PerpMarket(scenario(seed=7)), PerpMarket(scenario(), rng=7)]
    for model in models:
        model.run(20)
    assert models[0].simulation.seed == 7
    assert digest_result(models[0].result()) == digest_result(models[1].result())


def test_fields_of_a_named_scenario_may_be_overridden():
    model = PerpMarket("quickstart", rng=1, overrides=[("venue.preset", "dydx")])
    assert model.scenario.venue.preset == "dydx"
    with pytest.raises(ValueError, match="not with a model"):
        PerpMarket(scenario(), rng=1, overrides=[("venue.preset", "dydx")])


def test_agent_sets_select_and_aggregate():
    model = market(steps=60)
    for name, population in POPULATIONS.items():
        chosen = model.agents.select(lambda agent, name=name: agent.population == name)
        assert len(chosen) == population["count"]
        assert {agent.strategy for agent in chosen} == {population["strategy"]}
        paid_in = chosen.agg("capital", sum)
        assert paid_in == pytest.approx(population["count"] * population["capital"])
    groups = model.agents.groupby("strategy").count()
    assert groups == {name: population["count"] for name, population in POPULATIONS.items()}
    richest = next(iter(model.agents.sort("equity", ascending=False)))
    assert richest.equity == max(model.agents.get("equity"))
    assert len(model.agents.shuffle()) == COUNT
    model.agents.do("step")
    assert model.step_count == 60


def test_a_data_collector_reports_on_model_and_agents():
    model = market()
    collector = mesa.DataCollector(
        model_reporters={
            "index": lambda m: m.index_price("ONE"),
            "step": "step_count",
            "equity": lambda m: m.agents.agg("equity", sum),
        },
        agent_reporters={"equity": "equity", "size": lambda agent: agent.size("ONE")},
    )
    for _ in range(5):
        model.step()
        # Mesa keeps agents' rows by a count of steps of its own.
        collector.collect(model)
    table = collector.get_model_vars_dataframe()
    assert table["step"].tolist() == [1, 2, 3, 4, 5]
    series = model.result().series
    assert table["index"].tolist() == series["index_price"][:, 0].tolist()
    agents = collector.get_agent_vars_dataframe()
    assert len(agents) == COUNT * agents.index.get_level_values(0).nunique()
    last = agents.xs(agents.index.get_level_values(0)[-1], level=0)
    assert last["equity"].sum() == pytest.approx(table["equity"].iloc[-1])


def test_properties_agree_with_the_tables_of_the_run():
    model = market(steps=240)
    result = model.result()
    end, agents = result.end, list(model.agents)
    traders = slice(0, COUNT)
    assert [agent.account for agent in agents] == list(range(COUNT))
    assert [agent.population for agent in agents] == result.account_population()[:COUNT]
    equity = np.array([agent.equity for agent in agents])
    assert equity == pytest.approx(end.equity[traders] / ATOMS, abs=1e-6)
    capital = np.array([agent.capital for agent in agents])
    assert capital == pytest.approx(result.deposit[traders] / ATOMS)
    for m, name in enumerate(model.markets):
        coins = np.array([agent.size(name) for agent in agents])
        assert coins == pytest.approx(end.size[traders, m] * result.lot_size[m])
        # The fund holds nothing: what the traders hold cancels.
        assert coins.sum() == pytest.approx(0.0, abs=1e-9)
        longs = coins[coins > 0].sum()
        assert longs > 0
        assert model.open_interest(name) == pytest.approx(longs * model.mark_price(name))
    # Everybody's equity is the deposits less the fees paid.
    fund = result.end.equity[COUNT] / ATOMS
    deposits = result.deposit.sum() / ATOMS
    assert equity.sum() + fund == pytest.approx(deposits - result.steps["fees"][-1] / ATOMS)
    assert model.insurance_fund == result.steps["fund_cash"][-1] / ATOMS


def test_prices_and_rates_are_the_last_row_of_the_series():
    model = market(steps=480, days=0.5)
    last = model.result().series[-1]
    tick = model.result().tick_size
    for m, name in enumerate(model.markets):
        assert model.index_price(name) == last["index_price"][m]
        assert model.mark_price(name) == pytest.approx(last["mark_ticks"][m] * tick[m])
        assert model.premium(name) == last["premium"][m]
        assert model.funding_rate(name) == last["funding_rate"][m] != 0.0


def test_a_traders_own_numbers_fit_together():
    model = market(steps=240)
    holders = model.agents.select(lambda agent: agent.population == "holder")
    in_market = [agent for agent in holders if agent.notional > 0]
    assert len(in_market) > 10
    for agent in in_market:
        held = {name: agent.size(name) for name in model.markets}
        value = sum(abs(size) * model.mark_price(name) for name, size in held.items())
        assert agent.notional == pytest.approx(value)
        unrealised = sum(
            size * (model.mark_price(name) - agent.entry_price(name))
            for name, size in held.items()
            if size
        )
        assert agent.equity == pytest.approx(agent.cash + unrealised, abs=1e-5)
        assert agent.leverage == pytest.approx(agent.notional / agent.equity)
        # Maintenance is one per cent in the default preset, rounded up to whole atoms.
        assert agent.maintenance_margin == pytest.approx(0.01 * agent.notional, abs=1e-5)
        for name, size in held.items():
            assert math.isnan(agent.entry_price(name)) == (size == 0)


def test_isolated_pools_count_into_a_traders_equity():
    isolated = {**POPULATIONS["holder"], "margin_mode": "isolated"}
    model = market(steps=240, populations={**POPULATIONS, "holder": isolated})
    result = model.result()
    pools = model.simulation.state.pool
    assert (np.asarray(pools["cash"])[COUNT + 1 :] != 0).any()
    for agent in model.agents:
        assert agent.equity == pytest.approx(result.end.equity[agent.account] / ATOMS, abs=1e-6)


def test_an_unknown_market_is_named_with_the_known_ones():
    model = market(steps=1)
    agent = next(iter(model.agents))
    calls = (model.index_price, model.mark_price, model.premium, model.funding_rate)
    for call in (*calls, model.open_interest, model.market_index, agent.size, agent.entry_price):
        with pytest.raises(KeyError, match="no market 'ETH'; there are ONE, TWO"):
            call("ETH")


def test_views_stay_true_when_the_arrays_grow():
    model = market()
    model.simulation.state.totals[0].record_fills = 1
    agents = list(model.agents)
    before = model.simulation.state
    model.run(240)
    assert model.simulation.state is not before
    result = model.result()
    assert [agent.equity for agent in agents] == pytest.approx(
        (result.end.equity[:COUNT] / ATOMS).tolist(), abs=1e-6
    )
    assert sum(agent.notional for agent in agents) > 0


def test_at_its_liquidation_price_a_pool_just_meets_its_maintenance_margin():
    model = market(steps=240)
    state = model.simulation.state
    checked = 0
    for agent in model.agents.select(lambda agent: agent.population == "holder"):
        for m, name in enumerate(model.markets):
            if not agent.size(name):
                continue
            assert (agent.liquidation_price(name) < model.mark_price(name)) == (
                agent.size(name) > 0
            )
            before = int(state.market[m].mark_ticks)
            state.market[m].mark_ticks = round(agent.liquidation_price(name) * 100)
            tick = abs(agent.size(name)) * 0.01
            assert agent.equity == pytest.approx(agent.maintenance_margin, abs=tick)
            state.market[m].mark_ticks = round(agent.bankruptcy_price(name) * 100)
            assert agent.equity == pytest.approx(0.0, abs=tick)
            state.market[m].mark_ticks = before
            checked += 1
    assert checked > 5


@pytest.mark.parametrize("look", [False, True])
def test_a_finished_model_is_freed(look):
    """Mesa 3.3 keeps every model that has agents; thousands of runs in one process must not."""
    model = market(steps=2)
    if look:
        assert len(model.agents) == COUNT
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_run_beyond_the_scenario_is_refused():
    model = market(days=10 / 1440)
    model.run(10)
    with pytest.raises(ValueError, match="0 of the scenario's 10 steps are left"):
        model.step()
