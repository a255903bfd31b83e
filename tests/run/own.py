"""Traders of a user's own, of both kinds, whose decisions depend on what they remember."""

from typing import Any

import numpy as np
from pydantic import PrivateAttr

from marketsim import Strategy, Trader
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.schema import Scenario

__all__ = ["OWN", "Counting", "Moody", "with_own"]


class Moody(Trader):
    """Changes sides by its count, its diary and a draw of Mesa's."""

    share: float = 0.1

    def __init__(self, model: Any, account: int) -> None:
        super().__init__(model, account)
        self.count = 0
        self.diary: list[Any] = [None, True, (1, 2.5), {"marks": np.arange(3.0), 7: "seven"}]
        self.drawn = np.float64(0.5)

    def step(self) -> None:
        first = self.model.markets[0]
        self.count += 1
        self.drawn = np.float64(self.random.random())
        self.diary[3]["marks"][self.count % 3] += self.drawn
        side = 1.0 if self.diary[3]["marks"].sum() % 2.0 > 1.0 else -1.0
        self.diary.append((self.count, side))
        self.order(first, side * self.share * self.equity / self.model.mid_price(first))


class Counting(Strategy):
    """Changes sides by how often it was asked and how often each trader was."""

    share: float = 0.1
    _asked: int = PrivateAttr(0)

    def decide(self, market: Any, traders: Any) -> None:
        self._asked += 1
        traders.memory[:, 0, 0] += 1.0
        side = np.where((traders.memory[:, 0, 0] + self._asked) % 5 > 2, 1.0, -1.0)
        size = self.share * side * np.maximum(traders.equity, 0.0) / market.mid[0]
        traders.market_order(size, market.names[0])


OWN = {"moody": Moody, "counting": Counting}


def with_own(name: str, steps: int) -> Scenario:
    """A scenario of the library, shortened, with traders of both kinds."""
    step_minutes = load_scenario(name).step_minutes
    changes = [("days", repr(steps * step_minutes / 1440))]
    for own in OWN:
        changes += [
            (f"populations.{own}.strategy", own),
            (f"populations.{own}.count", "3"),
            (f"populations.{own}.capital", "20_000.0"),
            (f"populations.{own}.attention", "3.0"),
        ]
    return load_scenario(name, changes)
