"""The market of `marketsim bench book` in plain Mesa: an object per trader and per order.

Written as a model of this kind usually is, without attention to speed. It makes the same trades as
the engine, with the same margin check, fees, cash and positions.
"""

import heapq
from typing import NamedTuple, TypeAlias

import mesa

ATOMS = 10**6
TICK_ATOMS = 100
INITIAL_MARGIN = 20  #: the share of notional is one over this
TAKER_FEE, MAKER_FEE = 5e-4, -1e-4

#: By trader: whether it buys, lots, price in ticks.
Wanted: TypeAlias = dict[int, tuple[bool, int, int]]


class Trade(NamedTuple):
    taker: int
    maker: int
    size: int
    price: int


class Order:
    def __init__(self, trader: "Trader", is_buy: bool, size: int, price: int) -> None:
        self.trader = trader
        self.is_buy = is_buy
        self.size = size
        self.price = price


class Trader(mesa.Agent):
    def __init__(self, model: "Market", number: int) -> None:
        super().__init__(model)
        self.number = number
        self.cash = 1_000_000.0 * ATOMS
        self.position = 0
        self.resting: Order | None = None

    def step(self) -> None:
        if self.resting is not None:
            self.model.cancel(self.resting)
        is_buy, size, price = self.model.wanted[self.number]
        self.model.place(Order(self, is_buy, size, price))

    def can_pay(self, change: int, price: int) -> bool:
        mark = self.model.mark
        equity = self.cash + (self.position * mark + change * (mark - price)) * TICK_ATOMS
        after = abs(self.position + change)
        return equity * INITIAL_MARGIN >= after * mark * TICK_ATOMS

    def book(self, change: int, price: int, fee: float) -> None:
        notional = abs(change) * price * TICK_ATOMS
        self.cash -= change * price * TICK_ATOMS + fee * notional
        self.position += change


class Side:
    """Resting orders of one side: a queue at each price, prices in a heap."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.queues: dict[int, dict[Order, None]] = {}
        self.prices: list[int] = []

    def add(self, order: Order) -> None:
        if order.price not in self.queues:
            self.queues[order.price] = {}
            heapq.heappush(self.prices, self.sign * order.price)
        self.queues[order.price][order] = None

    def remove(self, order: Order) -> None:
        del self.queues[order.price][order]

    def best(self) -> Order | None:
        while self.prices:
            queue = self.queues[self.sign * self.prices[0]]
            if queue:
                return next(iter(queue))
            del self.queues[self.sign * heapq.heappop(self.prices)]
        return None


class Market(mesa.Model):
    def __init__(self, num_traders: int, mark: int) -> None:
        super().__init__(rng=1)
        self.mark = mark
        self.traders = [Trader(self, number) for number in range(num_traders)]
        self.bids, self.asks = Side(-1), Side(1)
        self.wanted: Wanted = {}
        self.trades: list[Trade] = []

    def play(self, wanted: Wanted) -> None:
        """Let everybody replace its order by the one wanted, in random order."""
        self.wanted = wanted
        self.trades = []
        self.agents.shuffle_do("step")

    def play_in_order(self, wanted: Wanted) -> None:
        """Let everybody replace its order by the one wanted, in the sequence given."""
        self.wanted = wanted
        self.trades = []
        for number in wanted:
            self.traders[number].step()

    def cancel(self, order: Order) -> None:
        (self.bids if order.is_buy else self.asks).remove(order)
        order.trader.resting = None

    def place(self, order: Order) -> None:
        taker = order.trader
        sign = 1 if order.is_buy else -1
        if not taker.can_pay(sign * order.size, order.price):
            return
        others = self.asks if order.is_buy else self.bids
        while order.size > 0:
            best = others.best()
            if best is None or sign * (best.price - order.price) > 0:
                break
            lots = min(order.size, best.size)
            maker = best.trader
            if not maker.can_pay(-sign * lots, best.price):
                self.cancel(best)
                continue
            taker.book(sign * lots, best.price, TAKER_FEE)
            maker.book(-sign * lots, best.price, MAKER_FEE)
            self.trades.append(Trade(taker.number, maker.number, sign * lots, best.price))
            order.size -= lots
            best.size -= lots
            if best.size == 0:
                self.cancel(best)
        if order.size > 0:
            (self.bids if order.is_buy else self.asks).add(order)
            taker.resting = order
