"""Agents of a market: Mesa's sets find them, and who is removed leaves the market."""

from collections import Counter
from typing import Any, ClassVar

import mesa
import numpy as np
import pytest

from marketsim import OwnTraderError, PerpMarket, Strategy, Trader, TraderView
from marketsim.tape.digest import digest_result
from tests.agents.small import POPULATIONS
from tests.outside.test_mesa import COUNTERS, CROWD, LENGTH, clock, counted, crowd, with_own


class Buyer(Trader):
    """Buys at the market and quotes far below it, whenever it wakes."""

    calls: ClassVar[Counter[int]] = Counter()

    def step(self) -> None:
        self.calls[self.account] += 1
        self.buy("ONE", 0.5)
        self.buy("TWO", 0.5, limit=20.0)


class Goes(Trader):
    """Buys, is removed in its tenth step, and asks once more if told to."""

    asks: bool = False

    def step(self) -> None:
        self.buy("ONE", 0.5)
        if clock(self.model) == 10:
            self.remove()
            if self.asks:
                self.buy("ONE", 0.5)


class Evicts(Trader):
    """The first one removes all others of its population in step 5, before they decide."""

    calls: ClassVar[list[tuple[float, int]]] = []

    def step(self) -> None:
        self.calls.append((clock(self.model), self.account))
        if clock(self.model) == 5:
            for other in self.model.agents.select(agent_type=Evicts):
                if other is not self:
                    other.remove()


class Looks(Trader):
    """Looks at the model's agents while they are made."""

    def __init__(self, model: Any, account: int) -> None:
        super().__init__(model, account)
        self.found = [agent.account for agent in model.agents]

    def step(self) -> None:
        pass


class Batched(Strategy):
    rows: ClassVar[list[list[int]]] = []

    def decide(self, market: Any, traders: Any) -> None:
        self.rows.append(traders.account.tolist())
        traders.market_order(np.full(traders.size.shape, 0.5))


def holdings(model: PerpMarket, account: int) -> list[float]:
    """Everything of an account that must be gone: positions, coins, resting orders."""
    state = model.simulation.state
    position = state.position[account]
    return [
        *np.abs(position["size"]).tolist(),
        *state.spot[account].tolist(),
        *(position["first_order"] >= 0).tolist(),
    ]


def assert_books_are_exact(model: PerpMarket) -> None:
    result = model.result()
    assert result.conservation_error == 0
    assert not np.asarray(model.simulation.state.position["size"]).sum(axis=0).any()


@pytest.mark.parametrize("looks", [True, False])
def test_a_removed_trader_leaves_the_market(looks: bool) -> None:
    model = with_own(Buyer, 10)
    if looks:
        assert len(model.agents) == 32
    gone, stays = list(model.agents_by_type[Buyer])[:2]
    assert gone.size("ONE") > 0
    assert holdings(model, gone.account)[-1] == 1
    Buyer.calls.clear()
    gone.remove()
    model.run(10)
    assert Buyer.calls[gone.account] == 0
    assert Buyer.calls[stays.account] > 5
    assert not any(holdings(model, gone.account))
    assert gone not in model.agents
    assert stays in model.agents
    assert len(model.agents) == 31
    assert gone.is_retired
    assert not stays.is_retired
    assert gone.notional == 0
    assert 0 < gone.equity == gone.cash
    assert_books_are_exact(model)
    assert model.simulation.traders.next_wake[gone.account] == 2**62  # it wakes no more


def test_a_trader_removed_before_anybody_asked_for_the_agents() -> None:
    model = with_own(Buyer, 5)
    model.simulation.callers._find_trader(29).remove()  # type: ignore[misc, attr-defined]
    assert [agent.account for agent in model.agents] == [*range(29), 30, 31]
    assert [agent.unique_id for agent in model.agents] == [*range(1, 30), 31, 32]


@pytest.mark.parametrize("name", [name for name in POPULATIONS if name != "manual"])
def test_built_in_traders_can_be_removed(name: str) -> None:
    """Whatever their strategy is: they end with cash alone, and the books are exact."""
    tables = {"populations": POPULATIONS, "days": 240 / 1440}
    model = PerpMarket(crowd(**tables), rng=3)
    model.run(120)
    chosen = model.agents.select(lambda agent: agent.population == name, at_most=4)
    gone = list(chosen)
    held = [sum(holdings(model, agent.account)) for agent in gone]
    assert sum(held) > 0
    chosen.shuffle_do("remove")
    assert not chosen.select(lambda agent: agent in model.agents)
    model.run(120)
    for agent in gone:
        assert not any(holdings(model, agent.account))
        assert agent.equity == pytest.approx(agent.cash)
    assert_books_are_exact(model)
    assert len(model.agents) == sum(each["count"] for each in POPULATIONS.values()) - len(gone)


def test_side_pools_are_emptied_of_positions_too() -> None:
    isolated = {**POPULATIONS["holder"], "margin_mode": "isolated", "attention": 2.0}
    model = PerpMarket(crowd(populations={**CROWD, "holder": isolated}), rng=3)
    model.run(20)
    holders = list(model.agents.select(lambda agent: agent.population == "holder"))
    assert sum(agent.notional for agent in holders) > 0
    for agent in holders:
        agent.remove()
    model.run(20)
    assert not any(any(holdings(model, agent.account)) for agent in holders)
    assert_books_are_exact(model)


def test_run_and_step_are_the_same_after_a_removal() -> None:
    digests = set()
    for way in ("run", "step"):
        model = PerpMarket(crowd(), rng=1)
        model.run(10)
        for agent in list(model.agents)[::3]:
            agent.remove()
        if way == "run":
            model.run(20)
        else:
            for _ in range(20):
                model.step()
        digests.add(digest_result(model.result()))
        assert_books_are_exact(model)
    assert len(digests) == 1


def test_all_agents_can_be_removed_and_the_market_goes_on() -> None:
    model = with_own(Buyer, 10)
    model.remove_all_agents()
    assert len(model.agents) == 0
    Buyer.calls.clear()
    model.run(LENGTH - 10)
    assert not Buyer.calls
    orders = np.asarray(model.simulation.state.position["first_order"])
    assert (orders < 0).all()
    assert_books_are_exact(model)


def test_to_remove_twice_is_to_remove_once() -> None:
    model = with_own(Buyer, 5)
    agents = list(model.agents)
    for agent in (agents[0], agents[-1]):
        agent.remove()
        agent.remove()
    assert len(model.agents) == 30
    model.run(5)
    agents[0].remove()
    assert len(model.agents) == 30


def test_a_trader_may_remove_itself_in_its_step() -> None:
    model = with_own(Goes, 20)
    assert not model.agents.select(agent_type=Goes)
    assert not any(any(holdings(model, account)) for account in range(29, 32))
    assert_books_are_exact(model)


def test_a_removed_trader_places_no_orders() -> None:
    model = with_own(Goes, 9, parameters={"asks": True})
    with pytest.raises(OwnTraderError, match=r"step 9: .*removed from the market.*no orders"):
        model.step()
    assert counted(model) == [9] * len(COUNTERS)


def test_a_trader_removed_by_another_in_a_step_does_not_decide_in_it() -> None:
    Evicts.calls.clear()
    with_own(Evicts, 10)
    first = min(account for _, account in Evicts.calls)
    assert {account for step, account in Evicts.calls if step >= 5} == {first}
    assert len({account for step, account in Evicts.calls if step < 5}) == 3


def test_a_trader_of_a_vectorised_strategy_is_left_out_once_removed() -> None:
    model = with_own(Batched, 5)
    model.agents.select(lambda agent: agent.account == 30).do("remove")
    Batched.rows.clear()
    model.run(10)
    assert {account for row in Batched.rows for account in row} == {29, 31}
    assert not any(holdings(model, 30))
    assert_books_are_exact(model)


def test_agents_by_type_are_there_without_a_look_at_the_agents() -> None:
    assert set(with_own(Buyer).agent_types) == {Buyer, TraderView}
    model = with_own(Buyer)
    sets = model.agents_by_type
    assert {own: len(agents) for own, agents in sets.items()} == {Buyer: 3, TraderView: 29}


def test_agents_do_not_fail_while_they_are_made() -> None:
    model = with_own(Looks)
    found = [agent.found for agent in model.agents.select(agent_type=Looks)]
    assert found == [[29], [29, 30], [29, 30, 31]]
    assert [agent.account for agent in model.agents] == list(range(32))
    assert len(model.agents.select(agent_type=Looks)) == 3


def test_agents_of_a_user_s_own_stand_beside_the_traders() -> None:
    model = with_own(Buyer)
    others = [mesa.Agent(model) for _ in range(2)]
    ids = [agent.unique_id for agent in model.agents]
    assert len(set(ids)) == len(ids) == 34
    others[0].remove()
    assert len(model.agents) == 33
    model.run(5)
    assert model.step_count == 5


def test_collectors_report_on_agents_until_they_are_removed() -> None:
    model = with_own(Buyer)
    collector = mesa.DataCollector(
        agent_reporters={"size": lambda agent: agent.size("ONE")},
        agenttype_reporters={Buyer: {"equity": "equity"}},
    )
    for step in range(6):
        if step == 3:
            next(iter(model.agents_by_type[Buyer])).remove()
        model.run(1)
        collector.collect(model)
    rows = collector.get_agent_vars_dataframe().groupby(level=0).size()
    assert rows.tolist() == [32, 32, 32, 31, 31, 31]
    rows = collector.get_agenttype_vars_dataframe(Buyer).groupby(level=0).size()
    assert rows.tolist() == [3, 3, 3, 2, 2, 2]


def test_agents_may_be_stepped_in_vain_but_not_trade_twice() -> None:
    model = with_own(Buyer, 5)
    model.agents_by_type[TraderView].shuffle_do("step")
    with pytest.raises(RuntimeError, match="when the market's step calls them"):
        model.agents.shuffle_do("step")
    model.run(5)
    assert model.step_count == 10
