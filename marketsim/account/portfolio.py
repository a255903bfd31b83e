"""A portfolio: positions and collateral of one account on a venue, and the account itself.

The file is TOML with the tables ``venue`` and ``markets`` of a scenario and, of its own,
``collateral``, ``positions`` and ``groups``.
"""

import math
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from marketsim.engine import ledger
from marketsim.engine.state import ATOMS, MAX_PRICE_TICKS, Cause, MarkRule, State
from marketsim.scenario.build import build_state
from marketsim.scenario.distributions import Constant, Part
from marketsim.scenario.errors import Problem, ScenarioError, explain, one_of, raise_problems
from marketsim.scenario.loader import override_tables, read_toml
from marketsim.scenario.markets import MAX_POSITION_ATOMS, Market, Tier, atoms_per_tick
from marketsim.scenario.named_files import absolute_path
from marketsim.scenario.population import MODES, Group, Mode, Population
from marketsim.scenario.schema import MAX_DEPOSIT_ATOMS, Name, Scenario, completed
from marketsim.scenario.venue import Venue
from marketsim.scenario.wording import ONE_LINE

#: The accounts of the venue made for a portfolio: its owner, and who took the other side.
OWNER, NEUTRAL = 0, 1
#: Capital of the other side, as a multiple of what it trades, and at least this much, USD.
NEUTRAL_LEVERAGE, NEUTRAL_LEAST = 1000.0, 1e9
#: Share of its positions' isolated margin that a pool in partial mode holds if nothing is stated.
PARTIAL_SHARE = 0.5


class Collateral(Part):
    """What backs the positions."""

    cash: float = Field(0.0, ge=-1e12, le=1e12)
    """USD in the wallet, without the profit of open positions; below 0 if that was withdrawn."""
    stable: float = Field(0.0, ge=0, le=1e12)
    """Stablecoins."""
    coins: dict[Name, Annotated[float, Field(ge=0, le=1e12)]] = Field(default_factory=dict)
    """Coins held, by market."""


class Position(Part):
    """One open position."""

    size: float | None = Field(None, ge=-1e12, le=1e12)
    """Coins, long > 0; a whole number of lots."""
    notional: float | None = Field(None, ge=-1e12, le=1e12)
    """USD at the price, long > 0, instead of `size`; rounded to whole lots."""
    entry_price: float | None = Field(None, ge=1e-15, le=1e12)
    """USD; the market's price if left out."""
    leverage: float | None = Field(None, ge=0.1, le=1000)
    """Notional at entry / margin of its own, for isolated margin; at most what the market's margin
    bracket of that notional allows."""
    collateral: float | None = Field(None, ge=-1e12, le=1e12)
    """USD of margin of its own, for isolated margin, instead of `leverage`; without the profit of
    the position, so below 0 if that was withdrawn."""

    @model_validator(mode="after")
    def _one_way(self) -> "Position":
        wrong = []
        if (self.size is None) == (self.notional is None):
            wrong.append(Problem("size", "state size or notional, one of them"))
        if self.leverage is not None and self.collateral is not None:
            wrong.append(Problem("leverage", "state leverage or collateral, not both"))
        if self.size == 0 or self.notional == 0:
            field = "size" if self.size == 0 else "notional"
            wrong.append(Problem(field, "must not be 0; leave the position out", 0.0))
        raise_problems(wrong)
        return self


class PortfolioGroup(Group):
    """Markets that share one pool under partial margin, and what the pool holds."""

    collateral: float | None = Field(None, ge=-1e12, le=1e12)
    """USD; left out: half of what its positions would hold under isolated margin."""


class Portfolio(Part):
    """Positions and collateral of one account, and the venue they are on."""

    model_config = ConfigDict(title="marketsim portfolio")

    name: str = Field("portfolio", min_length=1, max_length=64, pattern=ONE_LINE)
    """Shown above the figures."""
    venue: Venue = Field(default_factory=lambda: Venue.model_validate({}))
    """The rule book, as in a scenario."""
    markets: dict[Name, Market] = Field(min_length=1, max_length=100)
    """The perpetual contracts, as in a scenario, each with its price now."""
    collateral: Collateral = Collateral()
    """What backs the positions."""
    positions: dict[Name, Position] = Field(min_length=1)
    """The open positions, by market."""
    groups: dict[str, PortfolioGroup] = Field(default_factory=dict)
    """Pools under partial margin. Left out: each position in a pool of its own that may draw
    half of the collateral."""
    insurance_fund: float = Field(1_000_000.0, ge=0, le=1e12)
    """USD in the venue's insurance fund."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        return completed(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> "Portfolio":
        for problems in (self._name_problems, self._market_problems, self._margin_problems):
            raise_problems(list(problems()))  # the later ones count on what the earlier check
        return self

    def _name_problems(self) -> Iterator[Problem]:
        stated = [(f"positions.{name}", name) for name in self.positions]
        stated += [(f"collateral.coins.{name}", name) for name in self.collateral.coins]
        for group, content in self.groups.items():
            stated += [(f"groups.{group}.markets", name) for name in content.markets]
        for path, name in stated:
            if name not in self.markets:
                yield Problem(path, f"no such market; {one_of(name, self.markets)}")

    def _market_problems(self) -> Iterator[Problem]:
        for name, market in self.markets.items():
            if market.price is None:
                yield Problem(f"markets.{name}.price", "missing; state the price now, USD")
            else:
                for problem in market.tick_problems(market.price):
                    yield problem._replace(path=f"markets.{name}.{problem.path}")
        if any(market.price is None for market in self.markets.values()):
            return
        if problems := list(self._money_problems()):
            yield from problems
            return
        for name, position in self.positions.items():
            yield from self._size_problems(name, position)
        for name, coins in self.collateral.coins.items():
            most = self.markets[name].steps(self.atoms).max_lots
            if coins < 0 or self.lots(name, coins) > most:
                text = "must lie between 0 and what the market's integers hold"
                yield Problem(f"collateral.coins.{name}", text, coins)

    def _money_problems(self) -> Iterator[Problem]:
        """Say where money so fine would overflow the engine's integers."""
        finest = max(self.markets, key=lambda name: self._atoms_per_tick(name).denominator)
        counted = f"counted in {1 / self.atoms:.3g} USD, as tick_size x lot_size of {finest} asks"
        for name, market in self.markets.items():
            if market.steps(self.atoms).tick_atoms * MAX_PRICE_TICKS >= MAX_POSITION_ATOMS:
                text = f"would overflow {counted}: state rounder ticks or lots"
                yield Problem(f"markets.{name}.lot_size", text, market.lot_size)
        total = max(abs(self.collateral.cash), self.collateral.stable, abs(self.deposit_usd))
        if total > self.max_usd:
            text = f"{total:,.0f} USD would overflow {counted}: at most {self.max_usd:,.0f} USD"
            yield Problem("collateral", text)

    def _size_problems(self, name: str, position: Position) -> Iterator[Problem]:
        market = self.markets[name]
        lots = self.position_lots(name)
        field = "notional" if position.size is None else "size"
        value = position.notional if position.size is None else position.size
        if lots == 0:
            text = f"less than one lot of {market.lot_size:g} coins"
            yield Problem(f"positions.{name}.{field}", text, value)
        elif abs(lots) > (most := market.position_limit(self.price(name), self.atoms)):
            largest = most * market.lot_size
            text = f"above the market's limit of {largest:g} coins"
            yield Problem(f"positions.{name}.{field}", text, value)
        elif position.size is not None and abs(position.size / market.lot_size - lots) > 1e-6:
            text = f"must be a whole number of lots of {market.lot_size:g} coins"
            yield Problem(f"positions.{name}.size", text, value)
        for problem in market.tick_problems(position.entry_price or self.price(name)):
            yield problem._replace(path=f"positions.{name}.entry_price")
        limit = 1.0 / self.bracket(name).initial_margin_fraction
        if position.leverage is not None and position.leverage > limit * 1.000001:
            text = f"above the market's limit of {limit:.4g}"
            if len(market.brackets) > 1:
                text += f" for a position of {abs(self.entry_usd(name)):,.0f} USD"
            yield Problem(f"positions.{name}.leverage", text, position.leverage)

    def _margin_problems(self) -> Iterator[Problem]:
        collateral = self.collateral
        held = collateral.cash or collateral.stable or any(collateral.coins.values())
        equity = self.deposit_usd + sum(map(self.profit_usd, self.positions))
        if not held and equity <= 0:  # profit alone may back positions
            yield Problem("collateral", "missing; state cash, stable or coins")
        grouped: set[str] = set()
        for group, content in self.groups.items():
            if twice := grouped & set(content.markets):
                text = f"{', '.join(sorted(twice))} is already in another group"
                yield Problem(f"groups.{group}.markets", text)
            grouped |= set(content.markets)
            if isinstance(content.draw_limit, str):
                continue
            for field in ("draw_limit", "draw_limit_usd"):
                limit = getattr(content, field)
                if limit is not None and not isinstance(limit, Constant):
                    yield Problem(f"groups.{group}.{field}", "must be one number")

    def price(self, name: str) -> float:
        """Return a market's price now, USD."""
        return float(self.markets[name].price or 0.0)

    def lots(self, name: str, coins: float) -> int:
        """Return a number of coins in lots of a market, rounded."""
        return round(coins / self.markets[name].lot_size)

    def position_lots(self, name: str) -> int:
        """Return a position's size in lots."""
        position = self.positions[name]
        if position.size is not None:
            return self.lots(name, position.size)
        return self.lots(name, float(position.notional or 0.0) / self.price(name))

    def entry_usd(self, name: str) -> float:
        """Return what a position cost, USD, signed like its size."""
        coins = self.position_lots(name) * self.markets[name].lot_size
        return coins * (self.positions[name].entry_price or self.price(name))

    def profit_usd(self, name: str) -> float:
        """Return what a position has gained since it was entered, USD."""
        coins = self.position_lots(name) * self.markets[name].lot_size
        return coins * self.price(name) - self.entry_usd(name)

    def bracket(self, name: str) -> Tier:
        """Return the margin bracket of a position's notional at entry."""
        return self.markets[name].bracket(abs(self.entry_usd(name)))

    @property
    def atoms(self) -> int:
        """Atoms in one USD: more than a run has where a tick of a lot is a fraction of one."""
        return ATOMS * math.lcm(*(self._atoms_per_tick(name).denominator for name in self.markets))

    @property
    def max_usd(self) -> float:
        """What each account of the venue may hold, USD, so that their sum fits its integers."""
        return 0.25 * MAX_DEPOSIT_ATOMS / self.atoms

    def _atoms_per_tick(self, name: str) -> Fraction:
        return atoms_per_tick(self.markets[name].tick_size, self.markets[name].lot_size)

    def own_margin(self) -> dict[str, float]:
        """Return what each position holds of its own under isolated margin, USD.

        Its `collateral`; or its notional at entry over `leverage`; positions that state neither
        share the cash that is left in proportion to their initial margin. What is left below zero
        was withdrawn from them, in proportion to their profit.
        """
        stated: dict[str, float] = {}
        asked: dict[str, float] = {}
        gained: dict[str, float] = {}
        for name, position in self.positions.items():
            notional = abs(self.entry_usd(name))
            if position.collateral is not None:
                stated[name] = position.collateral
            elif position.leverage is not None:
                stated[name] = notional / position.leverage
            else:
                asked[name] = notional * self.bracket(name).initial_margin_fraction
                gained[name] = max(self.profit_usd(name), 0.0)
        left = self.collateral.cash - sum(stated.values())
        parts = asked if left >= 0 else gained
        total = sum(parts.values())
        shares = {name: left * part / total if total else 0.0 for name, part in parts.items()}
        return {name: (stated | shares)[name] for name in self.positions}

    def partial_groups(self) -> dict[str, tuple[PortfolioGroup, float]]:
        """Return the groups of partial margin, each with what its pool holds, USD."""
        own = self.own_margin()
        groups = self.groups or {
            name: PortfolioGroup(markets=(name,), draw_limit=Constant(PARTIAL_SHARE))
            for name in self.positions
        }
        found = {}
        for name, group in groups.items():
            held = sum(own.get(market, 0.0) for market in group.markets)
            usual = PARTIAL_SHARE * held if held > 0 else held
            found[name] = group, usual if group.collateral is None else group.collateral
        return found

    def side_margin(self, mode: Mode) -> dict[str, float]:
        """Return what the pools beside the main one hold under a margin mode, USD.

        Each is named by the first of its markets.
        """
        if mode == MODES[1]:
            return self.own_margin()
        if mode == MODES[2]:
            groups = self.partial_groups().values()
            return {
                group.markets[0]: usd for group, usd in groups if group.draw_limit != "unlimited"
            }
        return {}

    def cash_problem(self, mode: Mode) -> str | None:
        """Say whether the wallet holds less than the pools of a margin mode are to have."""
        held = self.side_margin(mode).values()
        total = sum(held)
        if not held or total <= self.collateral.cash + 1e-6:
            return None
        return (
            f"collateral.cash: {self.collateral.cash:,.2f} USD, less than the {total:,.2f} USD the "
            f"positions hold of their own under {mode} margin: raise it, or lower their collateral "
            "(or raise their leverage)"
        )

    @property
    def deposit_usd(self) -> float:
        """Cash, stablecoins and coins at their price, USD."""
        coins = sum(
            self.lots(name, amount) * self.markets[name].lot_size * self.price(name)
            for name, amount in self.collateral.coins.items()
        )
        return self.collateral.cash + self.collateral.stable + coins


def load_portfolio(path: str | Path, overrides: Iterable[tuple[str, str]] = ()) -> Portfolio:
    """Read and check a portfolio file.

    Parameters
    ----------
    path : str or Path
    overrides : iterable of (str, str), optional
        Dotted path of a field and its new value as TOML text.

    Returns
    -------
    Portfolio

    Raises
    ------
    ScenarioError
        If it cannot be read or fields are wrong: all of them at once.
    """
    file = absolute_path(str(path), Path.cwd())
    source = str(path)
    data = read_toml(file, source, "portfolio")
    data.setdefault("name", re.sub(r"[\s_]+", " ", file.stem)[:64])
    return parse_portfolio(override_tables(data, overrides, source), source)


def parse_portfolio(data: dict[str, Any], source: str = "portfolio") -> Portfolio:
    """Check a portfolio given as nested dictionaries.

    Parameters
    ----------
    data : dict
    source : str, optional
        Where it came from, for the error.

    Returns
    -------
    Portfolio

    Raises
    ------
    ScenarioError
        Listing every wrong field.
    """
    try:
        return Portfolio.model_validate(data)
    except ValidationError as error:
        found = explain(error, completed(data), Portfolio.model_json_schema())
        raise ScenarioError([line for _, lines in found for line in lines], source) from None


def open_portfolio(portfolio: Portfolio, mode: Mode) -> State:
    """Open the portfolio's account on its venue, under one margin mode.

    Marks are the indices: there is no book to lean on. Account `OWNER` holds the positions,
    `NEUTRAL`, rich beyond need, the other side of them.

    Parameters
    ----------
    portfolio : Portfolio
    mode : str
        cross, isolated or partial.

    Returns
    -------
    State

    Raises
    ------
    ScenarioError
        If the pools of that mode hold more cash than there is.
    """
    if problem := portfolio.cash_problem(mode):
        raise ScenarioError([problem], portfolio.name)
    scenario = _scenario(portfolio, mode)
    state, _ = build_state(scenario, num_orders=256, num_nodes=4096, atoms=portfolio.atoms)
    deposit = round(portfolio.deposit_usd * portfolio.atoms)
    withdrawn = int(state.pool[OWNER].cash) - deposit  # a wallet below zero cannot be deposited
    ledger.pay(state, OWNER, NEUTRAL, int(Cause.PRICE), withdrawn)
    state.venue[0].mark_rule = MarkRule.INDEX
    for name, amount in portfolio.collateral.coins.items():
        m = list(portfolio.markets).index(name)
        ticks = int(state.market[m].index_ticks)
        ledger.trade_spot(state, OWNER, m, portfolio.lots(name, amount), ticks)
    if portfolio.collateral.stable:
        stable = round(portfolio.collateral.stable * portfolio.atoms)
        ledger.trade_stable(state, OWNER, stable, int(state.totals[0].stable_price))
    _hold_positions(state, portfolio)
    _fund_pools(state, portfolio, mode)
    return state


def _scenario(portfolio: Portfolio, mode: Mode) -> Scenario:
    """Return a scenario of the two accounts, to be built; the portfolio has checked all of it."""
    traded = sum(abs(portfolio.entry_usd(name)) for name in portfolio.positions)
    groups = portfolio.partial_groups() if mode == MODES[2] else {}
    owner = {
        "strategy": "holder",
        "count": 1,
        "capital": max(portfolio.deposit_usd, 1.0 / ATOMS),
        "leverage": 0.1,
        "margin_mode": mode,
        "groups": {
            name: group.model_dump(exclude={"collateral"}) for name, (group, _) in groups.items()
        },
    }
    neutral = {
        "strategy": "holder",
        "count": 1,
        "capital": min(max(NEUTRAL_LEAST, NEUTRAL_LEVERAGE * traded), portfolio.max_usd, 1e11),
        "leverage": 0.1,
    }
    return Scenario.model_construct(
        venue=portfolio.venue,
        markets=portfolio.markets,
        insurance_fund=min(portfolio.insurance_fund, portfolio.max_usd),
        populations={
            "owner": Population.model_validate(owner),
            "neutral": Population.model_validate(neutral),
        },
    )


def _hold_positions(state: State, portfolio: Portfolio) -> None:
    """Book the positions at their entry prices, each with its own initial fraction."""
    state.own_fraction[[OWNER, NEUTRAL]] = 0
    for m, name in enumerate(portfolio.markets):
        if name not in portfolio.positions:
            continue
        lots = portfolio.position_lots(name)
        cost = round(portfolio.entry_usd(name) * portfolio.atoms)
        for account, sign in ((OWNER, 1), (NEUTRAL, -1)):
            ledger.book_transfer(state, account, m, sign * lots, -sign * cost, int(Cause.PRICE))
        leverage = portfolio.positions[name].leverage
        if leverage is not None:
            state.own_fraction[OWNER, m] = round(1e9 / leverage)


def _fund_pools(state: State, portfolio: Portfolio, mode: Mode) -> None:
    """Give the pools of isolated and partial margin what they hold of their own."""
    names = list(portfolio.markets)
    left, p = round(portfolio.collateral.cash * portfolio.atoms), OWNER
    for name, usd in portfolio.side_margin(mode).items():
        p = int(state.position[OWNER, names.index(name)].pool)
        amount = round(usd * portfolio.atoms)
        ledger.move_cash(state, OWNER, p, amount)
        left -= amount
    if left < 0:  # rounding gave an atom too much
        ledger.move_cash(state, p, OWNER, -left)


def side_pools(state: State) -> list[int]:
    """List the owner's pools beside the main one."""
    owned = np.flatnonzero(np.asarray(state.pool["owner"]) == OWNER)
    return [int(p) for p in owned if p != OWNER]
