"""The manual trader: does what it is told to from outside."""

from typing import Any, ClassVar

from pydantic import Field

from marketsim.agents.base import (
    BuiltIn,
    Traders,
    account_equity_usd,
    limit_order,
    market_order,
    position_coins,
    withdraw,
)
from marketsim.agents.habits import usable_leverage
from marketsim.engine._jit import kernel
from marketsim.engine.state import NONE, Flag, State

#: What a manual trader is told of a market, in its memory: coins to trade at once (buy > 0), and
#: how far from fair value it quotes to buy and to sell, as fractions of the price; 0: nothing.
ORDER = 0
BID = 1
ASK = 2


class Manual(BuiltIn):
    """Trades only what it is told to: by a learning agent, a person at the page, or from Python.

    Believes nothing and does nothing by itself; its habits act as anybody's. An order it is told of
    goes to the market when it next looks, within its slippage. Quotes it is told of stand around
    the index plus the average basis, and are renewed at every look; both sides together never hold
    more than its leverage allows. A learning agent tells it; so do trades of a running market.

    References
    ----------
    G. Brockman et al., "OpenAI Gym", arXiv 1606.01540 (2016): who acts is outside of the model.
    """

    DEFAULT_HABITS: ClassVar[dict[str, Any]] = {
        "attention": "never",
        "buffer": 0.0,
        "stop_loss": "never",
        "leverage": 5.0,
        "slippage": 0.01,
    }

    portion: float = Field(0.1, gt=0, le=1)
    """Share of what its leverage allows that one quote shows."""

    def max_intents(self, num_markets: int) -> int:
        """Return a withdrawal, two quotes and an order in each market."""
        return 4 * num_markets

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Manual", g: int, count: int, t: int, seed: int
    ) -> None:
        """Carry out what the traders who wake were told."""
        for n in range(count):
            i = traders.awake[n]
            for m in range(len(state.market)):
                memory = traders.memory[i, m]
                quotes = memory[BID] > 0.0 or memory[ASK] > 0.0
                if state.position[i, m].first_order != NONE:
                    withdraw(state, i, m)
                if quotes and traders.weight[g, m] > 0.0:
                    _quote(state, traders, p, g, i, m)
                if memory[ORDER] != 0.0:
                    market_order(state, traders, i, m, memory[ORDER], traders.trader[i].slippage, 0)
                    memory[ORDER] = 0.0


@kernel
def _quote(state: State, traders: Traders, p: Manual, g: int, i: int, m: int) -> None:
    """Place the quotes a trader was told of in one market."""
    index_price = state.market[m].index_price
    fair = index_price * (1.0 + traders.public[m].basis)
    equity = max(account_equity_usd(state, i), 0.0) * traders.weight[g, m]
    capacity = equity * usable_leverage(state, traders, i, m, equity) / index_price
    held = position_coins(state, i, m)
    for side in (1.0, -1.0):
        distance = traders.memory[i, m, BID if side > 0.0 else ASK]
        if distance > 0.0:
            room = min(capacity * p.portion, max(capacity - side * held, 0.0))
            price = fair * (1.0 - side * distance)
            limit_order(state, i, m, side * room, price, Flag.POST_ONLY.value, 0)
