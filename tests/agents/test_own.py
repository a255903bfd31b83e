"""Users' own traders, vectorised and plain: what they see, what they may ask for, how they fail."""

import math
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import mesa
import numpy as np
import pytest

import marketsim
from marketsim import OwnTraderError, PerpMarket, ScenarioError, Simulation
from marketsim.agents.own import load_strategy
from marketsim.streams import Stream, uniform
from marketsim.tape.digest import digest_result
from tests.agents.small import HABITS, POPULATIONS, scenario

OWN = {**HABITS, "strategy": "mine", "count": 4, "capital": 1e5, "attention": 2.0}
CROWD = {name: POPULATIONS[name] for name in ("maker", "basis", "noise")}


class Wanderer(marketsim.Strategy):
    share: float = 0.2

    def decide(self, market: Any, traders: Any) -> None:
        side = np.where(traders.uniform(0) < 0.5, -1.0, 1.0)[:, None]
        usd = self.share * side * traders.equity[:, None] * traders.weight
        traders.cancel()
        traders.market_order(usd / market.mid)
        traders.limit_order(-usd / market.mid, market.mid * (1 + 0.001 * side), minutes=10)
        traders.memory[:, 0, 0] += 1


class Stroller(marketsim.Trader):
    share: float = 0.2
    woken: ClassVar[list[tuple[int, int]]] = []

    def step(self) -> None:
        self.woken.append((self.account, self.model.step_count))
        if self.uniform() < 0.5:
            self.buy("ONE", self.share * self.equity / self.model.mid_price("ONE"))
        else:
            self.close("ONE")
            self.cancel("TWO")
            self.sell("TWO", 1.0, limit=1.001 * self.model.index_price("TWO"), minutes=5)


def market(own: Any, steps: int = 0, *, crowd: Any = CROWD, **mine: Any) -> PerpMarket:
    """A market with some of the user's own traders, called "mine"."""
    given = scenario(populations={**crowd, "mine": {**OWN, **mine}})
    model = PerpMarket(given, rng=2, strategies={"mine": own})
    model.run(steps)
    return model


def sizes(model: PerpMarket, name: str = "mine") -> Any:
    rows = model.simulation.roster.rows_of(name)
    state = model.simulation.state
    return np.array(state.position["size"][rows]) * state.market["lot_size"]


@pytest.mark.parametrize("own", [Wanderer, Stroller])
def test_steps_one_by_one_and_in_one_go_are_the_same(own):
    whole, single = market(own, 120), market(own)
    for _ in range(120):
        single.step()
    assert digest_result(whole.result()) == digest_result(single.result())
    assert np.abs(sizes(whole)).sum() > 0
    assert whole.result().conservation_error == 0


def test_built_in_vectorised_and_plain_traders_mix():
    populations = {**CROWD, "a": {**OWN, "strategy": "a"}, "b": {**OWN, "strategy": "b"}}
    model = PerpMarket(
        scenario(populations=populations), rng=2, strategies={"a": Wanderer, "b": Stroller}
    )
    model.run(60)
    for name in ("noise", "a", "b"):
        assert np.abs(sizes(model, name)).sum() > 0


def test_the_model_s_agents_are_the_objects_that_act():
    model = market(Stroller, 30)
    mine = [agent for agent in model.agents if isinstance(agent, Stroller)]
    assert len(mine) == OWN["count"]
    assert all(isinstance(agent, mesa.Agent) for agent in mine)
    assert [agent.account for agent in model.agents] == list(range(len(model.agents)))
    assert [agent.unique_id for agent in model.agents] == [a.account + 1 for a in model.agents]
    assert all(agent.population == "mine" for agent in mine)


def test_a_plain_trader_acts_only_when_its_attention_wakes_it():
    Stroller.woken.clear()
    model = market(Stroller, 200, attention=20.0)
    seen = [step for _, step in Stroller.woken]
    expected = 200 / 20 * OWN["count"]
    assert abs(len(seen) - expected) < 4 * math.sqrt(expected)
    assert len(set(Stroller.woken)) == len(Stroller.woken)
    assert model.step_count == 200


def test_draws_are_the_trader_s_own_whoever_else_is_there():
    class Lucky(marketsim.Strategy):
        drawn: ClassVar[dict[Any, float]] = {}

        def decide(self, market, traders):
            both = zip(traders.key.tolist(), traders.uniform(3).tolist(), strict=True)
            Lucky.drawn |= {(key, market.step): draw for key, draw in both}

    market(Lucky, 30)
    alone = dict(Lucky.drawn)
    Lucky.drawn.clear()
    market(Lucky, 30, crowd={"maker": POPULATIONS["maker"]})
    assert alone == Lucky.drawn
    (key, step), value = next(iter(alone.items()))
    assert value == uniform(2, Stream.ACTION.value, key, step, 3)


def test_both_ways_draw_the_same_numbers():
    class Vector(marketsim.Strategy):
        seen: ClassVar[dict[Any, Any]] = {}

        def decide(self, market, traders):
            for n, i in enumerate(traders.account.tolist()):
                self.seen[i, market.step] = traders.uniform(1)[n], traders.normal(2)[n]

    class Single(marketsim.Trader):
        seen: ClassVar[dict[Any, Any]] = {}

        def step(self):
            self.seen[self.account, self.model.step_count] = self.uniform(1), self.normal(2)

    market(Vector, 20)
    market(Single, 20)
    assert Vector.seen == Single.seen
    assert Vector.seen


def test_both_ways_see_the_same_and_trade_the_same():
    class Vector(marketsim.Strategy):
        def decide(self, market, traders):
            usd = 0.1 * traders.equity * np.where(traders.uniform(0) < 0.4, -1, 1)
            traders.market_order(usd / market.mid[0], "ONE", where=traders.free_margin > 0)

    class Single(marketsim.Trader):
        def step(self):
            usd = 0.1 * self.equity * (-1 if self.uniform(0) < 0.4 else 1)
            if self.free_margin > 0:
                self.order("ONE", usd / self.model.mid_price("ONE"))

    modes = {"margin_mode": {"cross": 1, "isolated": 1}}
    digests = {digest_result(market(own, 80, **modes).result()) for own in (Vector, Single)}
    assert len(digests) == 1


def test_both_ways_read_the_depth_of_all_books():
    class Vector(marketsim.Strategy):
        seen: ClassVar[dict[int, Any]] = {}

        def decide(self, market, traders):
            found = market.depth_usd(25)
            assert found.shape == (2, len(market.names))
            with pytest.raises(ValueError, match="read-only"):
                found[:] = 0
            self.seen[market.step] = found.tolist()

    class Single(marketsim.Trader):
        seen: ClassVar[dict[int, Any]] = {}

        def step(self):
            self.seen[self.model.step_count] = self.model.depth_usd(25).tolist()

    market(Vector, 20)
    market(Single, 20)
    assert Vector.seen == Single.seen
    assert np.min(list(Vector.seen.values())) > 0
    assert "bp -1: must be above 0" in str(failing(lambda trader: trader.model.depth_usd(-1)))


def test_a_strategy_written_like_the_built_in_noise_trades_like_it():
    class Noise(marketsim.Strategy):
        def decide(self, market, traders):
            here = np.broadcast_to(traders.weight > 0.0, traders.size.shape)  # its only market
            traders.cancel(where=here)
            closes = here & (traders.size != 0) & (traders.uniform(1) < 0.4)[:, None]
            traders.market_order(-traders.size, where=closes, reduce_only=True)
            power = (np.maximum(traders.equity, 0) * traders.leverage)[:, None]
            side = np.where(traders.uniform(2) < 0.5, 1.0, -1.0)[:, None]
            scale = (side[:, 0] * 0.2 * traders.uniform(3))[:, None]
            size = scale * np.maximum(traders.equity, 0)[:, None]
            size = size * traders.leverage[:, None] / market.mid
            fits = here & ~closes & (np.abs(traders.size + size) * market.mid <= power)
            waits = (traders.uniform(4) < 0.3)[:, None]
            reach = side * 0.002 * traders.uniform(5)[:, None]
            limit = market.mid * (1 - reach)
            traders.limit_order(size, limit, where=fits & waits, minutes=120)
            traders.market_order(size, where=fits & ~waits)

    crowd = {name: POPULATIONS[name] for name in ("maker", "basis")}
    theirs = {**POPULATIONS["noise"], "markets": ["TWO"]}
    mine = {**theirs, "strategy": "mine"}
    own = PerpMarket(
        scenario(populations={**crowd, "noise": mine}), rng=2, strategies={"mine": Noise}
    )
    built_in = PerpMarket(scenario(populations={**crowd, "noise": theirs}), rng=2)
    for model in (own, built_in):
        model.run(120)
    assert digest_result(own.result()) == digest_result(built_in.result())
    assert np.abs(sizes(own, "noise")).sum() > 0


def test_memory_is_kept_between_steps_and_is_each_trader_s_own():
    model = market(Wanderer, 100)
    rows = model.simulation.roster.rows_of("mine")
    counts = model.simulation.traders.memory[rows, 0, 0]
    assert counts.sum() == pytest.approx(100 / 2.0 * OWN["count"], rel=0.5)
    assert len(set(counts)) > 1


def test_more_orders_than_there_is_room_for_are_all_taken():
    class Chatty(marketsim.Strategy):
        def decide(self, market, traders):
            for n in range(100):
                traders.limit_order(0.01, market.mid * (0.9 - 0.001 * n))

    model = market(Chatty, 3, attention=0.01, crowd={})
    orders = int(model.simulation.state.totals[0].num_orders)
    assert orders == 100 * 2 * OWN["count"] * int(model.result().outcome[0] / (200 * OWN["count"]))
    assert orders >= 200 * OWN["count"]


def test_spot_transfers_and_limits_do_what_they_say():
    class Planner(marketsim.Trader):
        is_done = False

        def step(self):
            if not self.is_done:
                self.buy_spot("ONE", 2.0)
                self.transfer("TWO", 500.0)
                self.buy("TWO", 1.0, limit=1.0, post_only=True)
            self.is_done = True

    model = market(Planner, 5, attention=0.01, count=1, crowd={}, margin_mode="isolated")
    state = model.simulation.state
    (trader,) = model.agents
    assert trader.is_done
    assert int(state.spot[0, 0]) == 200
    assert int(state.pool["cash"][state.position["pool"][0, 1]]) == 500_000_000
    assert int(state.totals[0].num_orders) == 1
    assert trader.cash == pytest.approx(1e5 - 200.0)


def test_parameters_are_fields_and_attributes_with_defaults():
    class Bold(Stroller):
        nerve: int = 3

    model = market(Bold, parameters={"share": 0.5})
    trader = next(agent for agent in model.agents if isinstance(agent, Bold))
    assert (trader.share, trader.nerve) == (0.5, 3)
    with pytest.raises(ScenarioError, match=r"mine.parameters.shaer.*did you mean 'share'"):
        market(Bold, parameters={"shaer": 0.5})
    with pytest.raises(ScenarioError, match=r"mine.parameters.nerve.*whole number"):
        market(Bold, parameters={"nerve": "no"})
    with pytest.raises(ScenarioError, match=r"mine.parameters.share.*must be a number"):
        market(Wanderer, parameters={"share": "much"})


def failing(body: Any, kind: type = marketsim.Trader, **options: Any) -> OwnTraderError:
    """The error of a trader or strategy that does `body`."""
    method = "step" if kind is marketsim.Trader else "decide"
    own = type("Mine", (kind,), {method: body, "__module__": __name__})
    with pytest.raises(OwnTraderError) as caught:
        market(own, 30, **options)
    return caught.value


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda t: t.buy("ONE", float("nan")), "size nan for ONE: must be a finite number"),
        (lambda t: t.sell("ONE", math.inf), "size inf for ONE: must be a finite number"),
        (lambda t: t.buy("ONE", "2"), "size 2 for ONE: must be a number"),
        (lambda t: t.buy("ONE", -1.0), "must not be negative"),
        (lambda t: t.buy("ONN", 1.0), "market 'ONN': must be one of ONE, TWO"),
        (lambda t: t.order("ONE", 1.0, limit=0.0), "limit 0.0 for ONE: must be above 0"),
        (lambda t: t.buy("ONE", 1.0, 90.0, minutes=0), "minutes 0: must be above 0"),
        (lambda t: t.transfer("ONE", None), "amount None for ONE: must be a number"),
    ],
)
def test_an_impossible_order_names_population_class_account_and_step(act, text):
    error = failing(act)
    who = f"step {error.step}: populations.mine (Mine), account "
    assert str(error).startswith(who)
    assert text in str(error)
    assert error.population == "mine"


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda b: b.market_order(np.nan), "size nan for ONE: must be a finite number"),
        (lambda b: b.market_order(1.0, "XRP"), "market 'XRP': must be one of ONE, TWO"),
        (lambda b: b.market_order(np.ones(7)), "size: has shape (7,), must have ("),
        (lambda b: b.market_order("many"), "size: must be numbers"),
        (lambda b: b.market_order(1.0, where=[1, 0]), "where: must be true or false"),
        (lambda b: b.limit_order(1.0, -5.0), "price -5.0 for ONE: must be above 0"),
        (lambda b: b.limit_order(1.0, np.inf, "TWO"), "price inf for TWO: must be a finite"),
    ],
)
def test_impossible_orders_of_a_strategy_are_named_too(act, text):
    error = failing(lambda self, market, traders: act(traders), marketsim.Strategy)
    assert str(error).startswith(f"step {error.step}: populations.mine (Mine)")
    assert text in str(error)


def test_of_orders_that_are_refused_none_is_placed():
    class Careless(marketsim.Strategy):
        refused: ClassVar[list[str]] = []

        def decide(self, market, traders):
            size = np.ones((len(traders), 2))
            worst = np.where(np.arange(len(traders))[:, None] == len(traders) - 1, np.nan, 1.0)
            asked = (
                lambda: traders.market_order(size * worst),
                lambda: traders.market_order(size, slippage=worst),
                lambda: traders.move_to(size * worst),
                lambda: traders.limit_order(size, market.mid * worst),
                lambda: traders.limit_order(size, market.mid * np.nan_to_num(worst)),
                lambda: traders.trade_spot(size * worst),
            )
            for each in asked:
                with pytest.raises(ValueError, match="account") as refusal:
                    each()
                self.refused.append(str(refusal.value))

    model = market(Careless, 20, crowd={"maker": CROWD["maker"]})
    orders = int(model.result().outcome.sum())
    without = market(Silent, 20, crowd={"maker": CROWD["maker"]})
    assert orders == int(without.result().outcome.sum())
    assert len(Careless.refused) >= 6
    for n, text in enumerate(
        (
            "size nan for ONE: must be a finite number",
            "slippage nan for ONE: must be a finite number",
            "target nan for ONE: must be a finite number",
            "price nan for ONE: must be a finite number",
            "price 0.0 for ONE: must be above 0",
            "size nan for ONE: must be a finite number",
        )
    ):
        assert Careless.refused[n].endswith(text)


def test_what_is_wrong_where_nothing_is_asked_is_no_matter():
    class Picky(marketsim.Strategy):
        def decide(self, market, traders):
            size = np.array([1.0, 0.0])
            traders.limit_order(size, np.array([99.0, np.nan]))
            traders.limit_order(1.0, -5.0, where=np.zeros(len(traders), bool))

    assert market(Picky, 10).result().outcome.sum() > 0


class Silent(marketsim.Strategy):
    def decide(self, market: Any, traders: Any) -> None:
        """Ask for nothing."""


def test_what_a_trader_raises_is_named_with_its_line_and_chained():
    def step(self):
        raise LookupError("no idea")

    line = step.__code__.co_firstlineno + 1
    error = failing(step)
    assert str(error).endswith(f": LookupError: no idea (test_own.py:{line})")
    assert isinstance(error.__cause__, LookupError)
    assert "SystemExit" in str(failing(lambda self: sys.exit()))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_after_a_failure_the_step_is_asked_again(one_by_one):
    class Nervous(Wanderer):
        fails: ClassVar[list[int]] = []

        def decide(self, market, traders):
            super().decide(market, traders)
            if market.step >= 10 and not self.fails:
                self.fails.append(market.step)
                raise RuntimeError("once")

    def advance(num_steps):
        if one_by_one:
            for _ in range(num_steps):
                model.step()
        else:
            model.run(num_steps)

    model = market(Nervous)
    with pytest.raises(OwnTraderError):
        advance(60)
    assert model.step_count == Nervous.fails[0]
    advance(60 - model.step_count)
    assert digest_result(model.result()) == digest_result(market(Wanderer, 60).result())


def test_a_plain_trader_places_as_many_orders_as_it_likes_and_no_more_when_asked_again():
    class Busy(marketsim.Trader):
        woken: ClassVar[list[int]] = []
        fails: ClassVar[list[int]] = []

        def step(self):
            for n in range(100):
                if n == 90 and self.model.step_count == 10 and not self.fails:
                    self.fails.append(n)
                    raise RuntimeError("once")
                self.buy("ONE", 1.0, limit=(0.5 + 0.001 * n) * self.model.mid_price("ONE"))
            self.cancel("ONE")
            self.woken.append(self.account)

    crowd = {"maker": CROWD["maker"]}
    model = market(Busy, crowd=crowd, attention=1e-6)
    with pytest.raises(OwnTraderError, match="once"):
        model.run(20)
    model.run(20 - model.step_count)
    without = market(Silent, 20, crowd=crowd)
    more = int(model.result().outcome.sum() - without.result().outcome.sum())
    assert len(Busy.woken) == 19 * OWN["count"]
    assert more == 101 * len(Busy.woken)


def test_orders_outside_of_step_are_refused():
    model = market(Stroller, 5)
    trader = next(agent for agent in model.agents if isinstance(agent, Stroller))
    with pytest.raises(RuntimeError, match="only taken inside"):
        trader.buy("ONE", 1.0)


def test_plain_traders_need_the_mesa_face_and_strategies_do_not():
    given = scenario(populations={**CROWD, "mine": OWN})
    simulation = Simulation(given, 2, {"mine": Wanderer})
    simulation.run(40)
    assert digest_result(simulation.result()) == digest_result(market(Wanderer, 40).result())
    with pytest.raises(ScenarioError, match=r"marketsim\.PerpMarket"):
        Simulation(given, 2, {"mine": Stroller}).run(40)


FILE = "import marketsim\nclass Own(marketsim.Strategy):\n    def decide(self, m, t): pass\n"


def test_a_class_is_loaded_from_a_file_or_a_module(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own_module_for_test.py").write_text(FILE)
    Path("own_file.py").write_text("import own_module_for_test\n" + FILE)
    assert load_strategy("own_module_for_test:Own").__name__ == "Own"
    found = load_strategy("own_file.py:Own")
    assert issubclass(found, marketsim.Strategy)
    assert load_strategy(f"{tmp_path}/own_file.py:Own") is found
    del sys.modules["own_module_for_test"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nowhere.py:Own", "there is no file"),
        ("own_nowhere:Own", "there is no module own_nowhere"),
        ("own.py:Onw", "no class Onw in own.py (did you mean 'Own'?); it has Own, Idle"),
        ("own.py:marketsim", "must be a class made from marketsim.Strategy or marketsim.Trader"),
        ("own.py:Idle", "Idle has no method step(self)"),
        ("broken.py:Own", "broken.py cannot be loaded: ZeroDivisionError: division by zero"),
        ("wrong.py:Own", "SyntaxError: invalid syntax (wrong.py:1)"),
        ("own.py:", 'must read "module:Class"'),
    ],
)
def test_a_class_that_cannot_be_loaded_is_explained(tmp_path, monkeypatch, text, problem):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(FILE + "class Idle(marketsim.Trader): pass\n")
    Path("broken.py").write_text("1 / 0\n")
    Path("wrong.py").write_text("clas Own\n")
    with pytest.raises(ValueError, match=re.escape(problem)):
        load_strategy(text)
    with pytest.raises(ScenarioError, match=r"populations.mine.strategy = "):
        Simulation(scenario(populations={"mine": {**OWN, "strategy": text}}), 1)


def test_a_parameter_must_not_take_the_name_of_something_a_trader_has():
    class Greedy(marketsim.Trader):
        equity: float = 1.0

        def step(self) -> None: ...

    with pytest.raises(ScenarioError, match=re.escape("Greedy.equity: marketsim.Trader has one")):
        market(Greedy)
