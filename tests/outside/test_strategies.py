"""An own strategy acts for its own accounts, and cannot break what a command promises."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketsim import OwnTraderError, PerpMarket, ScenarioError, Strategy, Trader
from marketsim.tape.digest import digest_result
from tests.agents.small import scenario
from tests.agents.test_own import CROWD, market
from tests.cli.conftest import TINY, marketsim

__all__ = ["marketsim"]

ARRAYS = (
    "account", "capital", "elapsed_minutes", "entry_price", "equity", "free_margin", "has_orders",
    "key", "leverage", "maintenance_margin", "size", "slippage", "spot", "weight",
)  # fmt: skip


class Idle(Strategy):
    def decide(self, market: Any, traders: Any) -> None:
        pass


class Zeroes(Strategy):
    def decide(self, market: Any, traders: Any) -> None:
        traders.memory[...] = 0
        for name in ARRAYS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(traders, name)[...] = 0


class Forces(Strategy):
    """Unlocks the numbers of its accounts and writes other accounts' there."""

    def decide(self, market: Any, traders: Any) -> None:
        traders.account.flags.writeable = True
        traders.account[:] = 0
        traders.memory[...] = 7
        traders.market_order(np.full(traders.size.shape, 0.05))


class Offset(Strategy):
    def decide(self, market: Any, traders: Any) -> None:
        numbers = traders.account
        numbers -= 1


class Impostor(Trader):
    def step(self) -> None:
        self.account = 0


class Leaves(Strategy):
    def decide(self, market: Any, traders: Any) -> None:
        os._exit(0)


class Wanders(Strategy):
    def decide(self, market: Any, traders: Any) -> None:
        os.chdir("/")


class Shares(Trader):
    share = 0.5

    def step(self) -> None:
        pass


def test_what_a_strategy_is_handed_cannot_be_written_to() -> None:
    digests = {digest_result(market(own, 60).result()) for own in (Idle, Zeroes)}
    assert len(digests) == 1


def test_numbers_of_accounts_are_the_strategy_s_own_whatever_it_does_to_its_copy() -> None:
    model = market(Forces, 60)
    mine = [view for view in model.agents if view.population == "mine"]
    assert all(view.size("ONE") > 0 for view in mine)
    assert not (model.simulation.traders.memory[0] == 7).any()  # a maker remembers other numbers


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (Offset, r"step \d+: populations\.mine \(Offset\).*read-only"),
        (Impostor, r"step \d+: populations\.mine \(Impostor\), account \d+: .*account"),
        (Leaves, r"step \d+: populations\.mine \(Leaves\).*must not end the process"),
    ],
)
def test_a_strategy_that_oversteps_is_named(own: Any, text: str) -> None:
    with pytest.raises(OwnTraderError, match=text):
        market(own, 60)


def test_a_strategy_does_not_move_the_process(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    market(Wanders, 60)
    assert Path.cwd() == tmp_path


def test_a_child_of_a_strategy_ends_as_it_likes() -> None:
    class Forks(Strategy):
        def decide(self, market: Any, traders: Any) -> None:
            child = os.fork()
            if child == 0:
                os._exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3

    market(Forks, 3)


def test_an_attribute_without_an_annotation_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"Shares\.share: has no annotation; write share"):
        market(Shares, parameters={"share": 0.2})
    file = tmp_path / "mine.py"
    file.write_text(
        "import marketsim\nclass Own(marketsim.Strategy):\n    share = 0.5\n"
        "    def decide(self, market, traders): pass\n"
    )
    mine = {"mine": {"strategy": f"{file}:Own", "count": 1}}
    with pytest.raises(ScenarioError, match=r"share: has no annotation; write share: float"):
        PerpMarket(scenario(populations={**CROWD, **mine}), rng=1)


@pytest.mark.parametrize("base", ["Strategy", "Trader"])
def test_prints_do_not_spoil_json(base: str, marketsim: Callable[..., Any], tmp_path: Path) -> None:
    method = {"Strategy": "decide(self, market, traders)", "Trader": "step(self)"}[base]
    file = tmp_path / "prints.py"
    file.write_text(
        f"import marketsim\nprint('loaded')\nclass Own(marketsim.{base}):\n"
        f"    def {method}: print('hello')\n"
    )
    tiny = tmp_path / "tiny.toml"
    tiny.write_text(TINY)
    mine = f'populations.mine={{strategy="{file}:Own",count=2}}'
    done = marketsim("run", tiny, "--out", tmp_path / "r", "--json", "--quiet", "--set", mine)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["steps"] > 0
    assert "hello" in done.stderr
