"""A small exchange with the accounts of a case, in whole ticks, lots and atoms."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from marketsim.engine import book, pools
from marketsim.engine.allocation import allocate
from marketsim.engine.formulas.requirements import open_interest_ratio
from marketsim.engine.state import State
from tests.conformance.cases import common, optional, parts, unit, whole

#: Exchanges round at a millionth of their quote coin; rounding finer stays within tolerance.
FINE = Fraction(1, 10**6)
FINEST = Fraction(1, 10**12)
#: All amounts of a case together stay below `MOST` atoms, and use them up to about `ROOMY`.
MOST = 2**60
ROOMY = 10**15


@dataclass(frozen=True)
class Exchange:
    """A state with the names and units of the case it was made from."""

    state: State
    account: dict[str, int]
    market: dict[str, int]
    tick: list[Fraction]
    lot: list[Fraction]
    atom: Fraction

    def money(self, atoms: int) -> Fraction:
        """Atoms as an amount of the quote coin."""
        return int(atoms) * self.atom

    def lots(self, market: str, size: str | Fraction) -> int:
        """A size in lots."""
        return whole(Fraction(size), self.lot[self.market[market]])

    def ticks(self, market: str, price: str | Fraction) -> int:
        """A price in ticks."""
        return whole(Fraction(price), self.tick[self.market[market]])

    def rest(self, account: str, market: str, size_delta: Fraction, price: Fraction) -> None:
        """Rest a limit order in the book, behind those already there."""
        lots = self.lots(market, size_delta)
        ticks = self.ticks(market, price)
        side = 1 if lots > 0 else -1
        i, m = self.account[account], self.market[market]
        book.add_order(self.state, i, m, side, abs(lots), ticks, 2 * ticks, 0, 0)

    def assess(self, account: str) -> Any:
        """The account's pool with its equity and maintenance margin brought up to date."""
        p = self.account[account]
        pools.assess_pool(self.state, p)
        return self.state.pool[p]

    def statement(self, account: str) -> dict[str, Any]:
        """An account as the cases write it: collateral and open positions."""
        i = self.account[account]
        return {
            "collateral": self.money(self.state.pool[i].cash),
            "positions": [
                {"market": name, "size": int(self.state.position[i, m].size) * self.lot[m]}
                for name, m in self.market.items()
                if self.state.position[i, m].size != 0
            ],
        }


def open_exchange(
    accounts: Mapping[str, Mapping[str, Any]],
    markets: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    prices: Mapping[str, Iterable[Fraction]] | None = None,
    sizes: Mapping[str, Iterable[Fraction]] | None = None,
    cash: Iterable[Fraction] = (),
) -> Exchange:
    """Make an exchange of the accounts of a case; all of an account's markets are in one pool.

    Parameters
    ----------
    accounts
        Collateral and positions by account.
    markets
        Mark price and margin fractions by market; taken from the positions where not given.
    prices, sizes, cash
        Further amounts that have to be whole in the units chosen, by market.
    """
    held = [position for account in accounts.values() for position in account["positions"]]
    listed = {position["market"]: position for position in reversed(held)} | dict(markets or {})
    names = {name: m for m, name in enumerate(listed)}
    price = {
        name: [Fraction(row["mark_price"]), *(prices or {}).get(name, ())]
        for name, row in listed.items()
    }
    size = {
        name: [
            *(Fraction(row["size"]) for row in held if row["market"] == name),
            *(sizes or {}).get(name, ()),
        ]
        for name in listed
    }
    amounts = [Fraction(account["collateral"]) for account in accounts.values()]
    amounts += [*map(_entry_value, held), *cash]
    largest = sum(abs(Fraction(row["size"])) * price[row["market"]][0] for row in held)
    largest += sum(map(abs, amounts))
    tick = [unit(values) for values in price.values()]
    lot = [unit(values, largest=6) for values in size.values()]
    atom = min([unit(amounts), FINE, *(t * q for t, q in zip(tick, lot, strict=True))])
    while largest / atom < ROOMY and atom > FINEST:
        atom /= 10
    if largest / atom > MOST:
        # Too many digits for 64 bits: coarse lots and ticks, so that rounding one lot and tick to
        # whole atoms moves no notional by more than a few of them.
        tick = [common(values) for values in price.values()]
        lot = [common(values) for values in size.values()]
        while largest / atom > MOST:
            atom *= 10
    state = allocate(len(accounts), max(len(listed), 1), len(accounts) + 1, num_orders=64)
    exchange = Exchange(state, {name: i for i, name in enumerate(accounts)}, names, tick, lot, atom)
    for name, row in listed.items():
        _list_market(exchange, name, row)
    for name, account in accounts.items():
        _open_account(exchange, name, account)
    return exchange


def _entry_value(position: Mapping[str, Any]) -> Fraction:
    return Fraction(position["size"]) * optional(position, "entry_price")


def _list_market(exchange: Exchange, name: str, row: Mapping[str, Any]) -> None:
    state = exchange.state
    m = exchange.market[name]
    market = state.market[m]
    market.tick_atoms = whole(exchange.tick[m] * exchange.lot[m], exchange.atom)
    market.tick_size = float(exchange.tick[m])
    market.lot_size = float(exchange.lot[m])
    market.mark_ticks = market.index_ticks = exchange.ticks(name, row["mark_price"])
    market.index_price = float(Fraction(row["mark_price"]))
    state.tier[m, 0].initial_fraction = parts(optional(row, "imf"))
    state.tier[m, 0].maintenance_fraction = parts(optional(row, "mmf"))
    interest = row.get("open_interest_notional", row.get("open_interest_notional_after"))
    if interest is not None:
        caps = [optional(row, key) for key in ("oi_lower_cap", "oi_upper_cap")]
        amounts = [Fraction(interest), *caps]
        fine = unit(amounts)
        market.oi_ratio = open_interest_ratio(*(whole(amount, fine) for amount in amounts))


def _open_account(exchange: Exchange, name: str, account: Mapping[str, Any]) -> None:
    state = exchange.state
    i = exchange.account[name]
    state.pool[i].cash = whole(Fraction(account["collateral"]), exchange.atom)
    for row in account["positions"]:
        m = exchange.market[row["market"]]
        position = state.position[i, m]
        position.size = exchange.lots(row["market"], row["size"])
        position.entry_cost = whole(_entry_value(row), exchange.atom)
        state.pool[i].cash -= position.entry_cost
        state.market[m].open_interest += max(position.size, 0)
