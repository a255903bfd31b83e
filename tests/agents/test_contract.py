"""What every strategy promises, whatever it believes."""

from typing import Any

import numpy as np
import pytest
from pydantic import Field

from marketsim.agents.base import BuiltIn
from marketsim.agents.manual import BID
from marketsim.agents.strategies import BUILT_IN, STRATEGIES
from marketsim.engine.state import MAX_PRICE_TICKS, UNLIMITED, Flag, IntentKind
from marketsim.run.loop import decide
from marketsim.run.simulation import Simulation
from marketsim.scenario.population import Population
from tests.agents.small import MARKETS, POPULATIONS, ask, scenario

everyone = pytest.mark.parametrize("strategy", list(STRATEGIES))

#: Steps of trading before a trader is asked, and a seed for them.
LIVED = 240
SEED = 5


def lived(strategy: str, *, seed: int = SEED) -> tuple[Simulation, slice]:
    """A market of everybody after some hours on a moving spot, and the strategy's accounts."""
    simulation = Simulation(scenario(spot={"kind": "factor"}), seed)
    simulation.run(LIVED)
    simulation.traders.next_wake[:] = UNLIMITED
    place = simulation.roster.names.index(strategy)
    rows = simulation.roster.rows[place]
    tell(simulation)
    return simulation, rows


def tell(simulation: Simulation) -> None:
    """Tell the manual traders to quote: they do nothing else."""
    kinds = simulation.traders.population["kind"][simulation.traders.trader["population"]]
    told = np.flatnonzero(kinds == list(STRATEGIES).index("manual"))
    simulation.traders.memory[told, :2, BID] = 0.001


def copies(arrays: Any) -> dict[str, Any]:
    return {name: np.array(array) for name, array in arrays._asdict().items()}


def differences(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Names of the columns that changed, as array.column."""
    found = set()
    for name, array in before.items():
        for column in array.dtype.names or (None,):
            old, new = (a[name][column] if column else a[name] for a in (before, after))
            if not np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
                found.add(f"{name}.{column}" if column else name)
    return found


def test_every_strategy_is_tested_here():
    assert set(POPULATIONS) == set(STRATEGIES)


def test_a_strategy_keeps_its_number():
    simulation = Simulation(scenario(), SEED)
    kinds = dict(
        zip(simulation.roster.strategies, simulation.traders.population["kind"], strict=True)
    )
    first = ("maker", "basis", "noise", "holder", "herd", "carry", "pair")
    assert [int(kinds[name]) for name in first] == list(range(len(first)))


def test_no_two_strategies_have_one_name():
    assert len(STRATEGIES) == len(BUILT_IN)


@everyone
def test_a_strategy_says_what_it_is_in_words_and_in_habits_there_are(strategy):
    own = STRATEGIES[strategy]
    schema = own.model_json_schema()
    assert own.__doc__
    assert all("description" in field for field in schema["properties"].values())
    assert set(own.DEFAULT_HABITS) <= set(Population.HABITS)


def test_a_strategy_that_cannot_decide_cannot_be_made():
    with pytest.raises(TypeError, match=r"Idle has no decide\(state, traders, p, g"):

        class Idle(BuiltIn):
            size: float = Field(0.1, gt=0)


@everyone
def test_same_draws_give_the_same_intents(strategy):
    found = []
    for _ in range(2):
        simulation, rows = lived(strategy)
        intents = ask(simulation, *range(rows.start, rows.stop), t=LIVED)
        found.append((intents, np.array(simulation.traders.memory)))
    assert len(found[0][0]) > 0
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


def test_other_draws_give_other_intents():
    for strategy in ("noise", "holder"):
        found = []
        for seed in (1, 2):
            simulation = Simulation(scenario(populations={strategy: POPULATIONS[strategy]}), seed)
            simulation.traders.next_wake[:] = UNLIMITED
            found.append(ask(simulation)["size"].tolist())
        assert found[0] != found[1]


@everyone
def test_deciding_changes_nothing_but_intents_and_own_memory(strategy):
    simulation, rows = lived(strategy)
    state, traders = copies(simulation.state), copies(simulation.traders)
    intents = ask(simulation, *range(rows.start, rows.stop), t=LIVED)
    assert len(intents) > 0
    changed = differences(state, copies(simulation.state))
    # A look at a pool's margin brings its two cached sums up to date, which is nobody's business.
    changed -= {"pool.equity", "pool.maintenance"}
    # `ask` sets the step, the count of intents and who wakes.
    changed -= {"totals.step", "totals.num_intents"}
    assert all(name.startswith("intent.") for name in changed), changed
    after = copies(simulation.traders)
    changed = differences(traders, after)
    changed -= {"awake", "next_wake", "trader.last_wake", "trader.elapsed"}
    assert changed <= ({"memory", "crowd"} if strategy == "herd" else {"memory"})
    others = np.ones(len(after["memory"]), bool)
    others[rows] = False
    assert np.array_equal(traders["memory"][others], after["memory"][others])


@everyone
def test_intents_are_finite_whole_and_of_the_trader_and_its_markets(strategy):
    markets = {**MARKETS, "OTHER": {**MARKETS["ONE"], "price": 10.0}}
    populations = {
        name: {**population, "markets": ["ONE", "TWO"]} for name, population in POPULATIONS.items()
    }
    populations["noise"]["markets"] = ["ONE", "TWO", "OTHER"]
    run = scenario(markets=markets, populations=populations, spot={"kind": "factor"})
    simulation = Simulation(run, SEED)
    rows = simulation.roster.rows_of(strategy)
    weight = simulation.traders.weight[simulation.roster.names.index(strategy)]
    tell(simulation)
    seen = 0
    for _ in range(LIVED):
        simulation.run(1)
        state = simulation.state
        intents = np.array(state.intent[: int(state.totals[0].num_intents)])
        own = intents[(intents["account"] >= rows.start) & (intents["account"] < rows.stop)]
        seen += len(own)
        assert (weight[own["market"]] > 0).all()
        assert np.isin(own["kind"], [int(kind) for kind in IntentKind]).all()
        assert (own["expiry"] >= 0).all()
        orders = own[own["kind"] == IntentKind.ORDER]
        assert (orders["size"] != 0).all()
        assert (np.abs(orders["size"]) <= state.market["max_position_lots"][orders["market"]]).all()
        assert (orders["price"] >= 1).all()
        assert (orders["price"] <= MAX_PRICE_TICKS).all()
        assert np.isin(own["flags"], range(8)).all()
    assert seen > 0


@everyone
def test_orders_keep_within_what_leverage_allows(strategy):
    assert sum(check_sizes(strategy, seed) for seed in (SEED, SEED + 1)) > 0


def check_sizes(strategy, seed):
    """Hold what a strategy's traders ask for against their equity; return how many orders."""
    simulation, rows = lived(strategy, seed=seed)
    state = simulation.state
    accounts = range(rows.start, rows.stop)
    size = np.array(state.position["size"])
    price = np.array(state.market["index_price"])
    lot = np.array(state.market["lot_size"])
    mark = state.market["mark_ticks"] * state.market["tick_atoms"]
    cash = np.zeros(len(size), np.int64)
    np.add.at(cash, np.array(state.pool["owner"]), np.array(state.pool["cash"]))
    equity = (cash + size @ mark) * 1e-6
    intents = ask(simulation, *accounts, t=LIVED)
    orders = intents[(intents["kind"] == IntentKind.ORDER)]
    orders = orders[orders["flags"] & Flag.REDUCE_ONLY == 0]
    for i in accounts:
        allowed = equity[i] * float(simulation.traders.trader["leverage"][i])
        for m in range(len(price)):
            mine = orders[(orders["account"] == i) & (orders["market"] == m)]
            for side in (1, -1):
                asked = side * mine["size"][mine["size"] * side > 0].sum()
                reached = (side * size[i, m] + asked) * lot[m] * price[m]
                # Mid and index are not the same price: a per cent of slack.
                limit = max(1.01 * allowed, side * size[i, m] * lot[m] * price[m])
                assert asked == 0 or reached <= limit
    return len(orders)


@everyone
def test_nobody_acts_before_waking(strategy):
    simulation, rows = lived(strategy)
    traders = simulation.traders
    traders.next_wake[:] = LIVED + 3
    state = simulation.state
    memory = np.array(traders.memory)
    simulation.run(3)
    assert state.totals[0].step == LIVED + 2
    assert int(state.totals[0].num_intents) == 0
    assert np.array_equal(traders.memory, memory)
    traders.next_wake[:] = UNLIMITED
    for i in (rows.stop - 1, rows.start):
        intents = ask(simulation, i, t=LIVED + 4)
        assert set(intents["account"].tolist()) <= {i}


@everyone
def test_traders_in_a_run_act_only_when_awake(strategy):
    simulation = Simulation(scenario(spot={"kind": "factor"}), SEED)
    rows = simulation.roster.rows_of(strategy)
    tell(simulation)
    actions = 0
    for t in range(120):
        due = np.array(simulation.traders.next_wake)
        simulation.run(1)
        state = simulation.state
        who = np.unique(state.intent["account"][: int(state.totals[0].num_intents)])
        assert (due[who] <= t).all()
        actions += ((who >= rows.start) & (who < rows.stop)).sum()
        assert (simulation.traders.next_wake > t).all()
    assert actions > 0


@everyone
def test_luck_does_not_depend_on_the_other_populations(strategy):
    alone = {strategy: POPULATIONS[strategy]}
    crowd = {name: {**POPULATIONS[strategy], "count": 7} for name in ("first", "second")}
    found = []
    for populations in (alone, {**crowd, **alone}):
        simulation = Simulation(scenario(populations=populations), SEED)
        simulation.traders.next_wake[:] = UNLIMITED
        rows = simulation.roster.rows_of(strategy)
        simulation.traders.public["funding"] = 0.001
        tell(simulation)
        asked = []
        for t, mid in ((0, 50.0), (60, 51.0), (180, 52.0)):
            simulation.traders.public[1].mid = mid
            asked.append(ask(simulation, *range(rows.start, rows.stop), t=t))
        intents = np.concatenate(asked)
        intents["account"] -= rows.start
        found.append(intents)
    assert len(found[0]) > 0
    assert np.array_equal(found[0], found[1])


@everyone
def test_waking_does_not_depend_on_the_other_populations(strategy):
    alone = {strategy: {**POPULATIONS[strategy], "attention": 5.0}}
    crowd = dict.fromkeys(("first", "second"), POPULATIONS[strategy])
    found = []
    for populations in (alone, {**crowd, **alone}):
        simulation = Simulation(scenario(populations=populations), SEED)
        rows = simulation.roster.rows_of(strategy)
        wakes = []
        for t in range(60):
            wakes.append(np.array(simulation.traders.next_wake[rows]))
            simulation.state.totals[0].num_intents = 0
            decide(simulation.state, simulation.traders, t, SEED)
        found.append(np.array(wakes))
    assert len(np.unique(found[0])) > 20
    assert np.array_equal(found[0], found[1])


def test_everybody_awake_at_once_asks_for_no_more_than_there_is_room_for():
    simulation, _ = lived("maker")
    room = len(simulation.state.intent)
    intents = ask(simulation, t=LIVED)
    assert len(set(intents["account"])) > 20
    assert len(intents) < room == len(simulation.state.intent)
