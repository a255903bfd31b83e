"""The market of `marketsim bench book` in pams, whose runner, order book and accounts it uses.

Its traders have cash and assets, but no margin and no fees. It trades with the same parties and the
same sizes as the engine; but what an order trades is all at one price, that of its last trade.
"""

import random
from typing import NamedTuple, TypeAlias

from pams.agents import Agent
from pams.order import LIMIT_ORDER, Cancel, Order
from pams.runners import SequentialRunner

#: By trader: whether it buys, lots, price in ticks.
Wanted: TypeAlias = dict[int, tuple[bool, int, int]]


class Trade(NamedTuple):
    taker: int
    maker: int
    size: int
    price: int


class Trader(Agent):
    resting: Order | None = None

    def submit_orders(self, markets) -> list[Order | Cancel]:
        is_buy, size, price = self.simulator.wanted[self.agent_id]
        filled = self.resting is None or self.resting.volume == 0
        withdrawn = [] if filled else [Cancel(self.resting)]
        self.resting = Order(self.agent_id, 0, is_buy, LIMIT_ORDER, size, price=float(price))
        return [*withdrawn, self.resting]

    def executed_order(self, log) -> None:
        if log.buy_agent_id == self.agent_id:  # each is told to both parties
            self.simulator.trades.append(log)


class Market:
    def __init__(self, num_traders: int, mark: int) -> None:
        session = {"sessionName": 0, "iterationSteps": 1, "maxNormalOrders": num_traders}
        session |= {"withOrderPlacement": True, "withOrderExecution": True, "withPrint": False}
        settings = {
            "simulation": {"markets": ["market"], "agents": ["traders"], "sessions": [session]},
            "market": {"class": "Market", "tickSize": 1.0, "marketPrice": float(mark)},
            "traders": {
                "class": "Trader",
                "numAgents": num_traders,
                "markets": ["market"],
                "cashAmount": 1e12,
                "assetVolume": 0,
            },
        }
        self.runner = SequentialRunner(settings, random.Random(1))
        self.runner.class_register(Trader)
        # Its `main` makes one whole run, and prints.
        self.runner._setup()
        self.simulator = self.runner.simulator
        self.session = self.simulator.sessions[0]
        self.simulator.current_session = self.session
        self.simulator._update_times_on_markets(self.simulator.markets)
        self.trades: list[Trade] = []

    def play(self, wanted: Wanted) -> None:
        """Let everybody replace its order by the one wanted, in random order."""
        self.simulator.wanted, self.simulator.trades = wanted, []
        self.runner._iterate_market_updates(self.session)
        self.trades = self.simulator.trades

    def play_in_order(self, wanted: Wanted) -> None:
        """Let everybody replace its order by the one wanted, in the sequence given."""
        self.simulator.markets[0]._is_running = True
        self.simulator.wanted, self.trades = wanted, []
        for number, (is_buy, _, _) in wanted.items():
            self.simulator.trades = []
            for order in self.simulator.id2agent[number].submit_orders(self.simulator.markets):
                self.runner._process_order(self.session, order)
            for log in self.simulator.trades:
                maker = log.sell_agent_id if is_buy else log.buy_agent_id
                size = log.volume if is_buy else -log.volume
                self.trades.append(Trade(number, maker, size, int(log.price)))
        self.simulator._update_times_on_markets(self.simulator.markets)
