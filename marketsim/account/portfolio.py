"""A portfolio: positions and collateral of one account on a venue, and the account itself.

The file is TOML with the tables ``venue`` and ``markets`` of a scenario and, of its own,
``collateral``, ``positions`` and ``groups``.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from marketsim.engine import ledger
from marketsim.engine.state import ATOMS, Cause, MarkRule, State
from marketsim.scenario.build import build_state
from marketsim.scenario.distributions import Constant, Part
from marketsim.scenario.errors import Problem, ScenarioError, explain, one_of, raise_problems
from marketsim.scenario.loader import override_tables, read_toml
from marketsim.scenario.markets import Market
from marketsim.scenario.population import MODES, Group, Mode
from marketsim.scenario.schema import Name, Scenario, completed
from marketsim.scenario.venue import Venue

#: The accounts of the venue made for a portfolio: its owner, and who took the other side.
OWNER, NEUTRAL = 0, 1
#: Capital of the other side, as a multiple of what it trades, and at least this much, USD.
NEUTRAL_LEVERAGE, NEUTRAL_LEAST = 1000.0, 1e9
#: Share of its positions' isolated margin that a pool in partial mode holds if nothing is stated.
PARTIAL_SHARE = 0.5


class Collateral(Part):
    """What backs the positions."""

    cash: float = Field(0.0, ge=0, le=1e12)
    """USD in the wallet, without the profit of open positions."""
    stable: float = Field(0.0, ge=0, le=1e12)
    """Stablecoins."""
    coins: dict[Name, float] = Field(default_factory=dict)
    """Coins held, by market."""


class Position(Part):
    """One open position."""

    size: float | None = Field(None, ge=-1e12, le=1e12)
    """Coins, long > 0; a whole number of lots."""
    notional: float | None = Field(None, ge=-1e12, le=1e12)
    """USD at the price, long > 0, instead of `size`; rounded to whole lots."""
    entry_price: float | None = Field(None, gt=0, le=1e12)
    """USD; the market's price if left out."""
    leverage: float | None = Field(None, ge=0.1, le=1000)
    """Notional at entry / margin of its own, for isolated margin."""
    collateral: float | None = Field(None, ge=0, le=1e12)
    """USD of margin of its own, for isolated margin, instead of `leverage`."""

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

    collateral: float | None = Field(None, ge=0, le=1e12)
    """USD; left out: half of what its positions would hold under isolated margin."""


class Portfolio(Part):
    """Positions and collateral of one account, and the venue they are on."""

    model_config = ConfigDict(title="marketsim portfolio")

    name: str = Field("portfolio", max_length=64, pattern=r"^[^\n]+$")
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
        if any(market.price is None for market in self.markets.values()):
            return
        for name, position in self.positions.items():
            yield from self._size_problems(name, position)
        for name, coins in self.collateral.coins.items():
            if coins < 0 or self.lots(name, coins) > self.markets[name].max_lots:
                text = "must lie between 0 and what the market's integers hold"
                yield Problem(f"collateral.coins.{name}", text, coins)

    def _size_problems(self, name: str, position: Position) -> Iterator[Problem]:
        market = self.markets[name]
        lots = self.position_lots(name)
        field = "notional" if position.size is None else "size"
        value = position.notional if position.size is None else position.size
        if lots == 0:
            text = f"less than one lot of {market.lot_size:g} coins"
            yield Problem(f"positions.{name}.{field}", text, value)
        elif abs(lots) > market.position_limit(self.price(name)):
            largest = market.position_limit(self.price(name)) * market.lot_size
            text = f"above the market's limit of {largest:g} coins"
            yield Problem(f"positions.{name}.{field}", text, value)
        elif position.size is not None and abs(position.size / market.lot_size - lots) > 1e-6:
            text = f"must be a whole number of lots of {market.lot_size:g} coins"
            yield Problem(f"positions.{name}.size", text, value)
        if position.leverage is not None and position.leverage > market.leverage_limit * 1.000001:
            text = f"above the market's limit of {market.leverage_limit:g}"
            yield Problem(f"positions.{name}.leverage", text, position.leverage)

    def _margin_problems(self) -> Iterator[Problem]:
        collateral = self.collateral
        if not (collateral.cash or collateral.stable or any(collateral.coins.values())):
            yield Problem("collateral", "missing; state cash, stable or coins")
        total = sum(self.own_margin().values())
        if total > collateral.cash + 1e-6:
            text = (
                f"{collateral.cash:,.2f} USD, less than the {total:,.2f} USD the positions hold "
                "of their own: raise it, or lower their collateral (or raise their leverage)"
            )
            yield Problem("collateral.cash", text)
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

    def own_margin(self) -> dict[str, float]:
        """Return what each position holds of its own under isolated margin, USD.

        Its `collateral`; or its notional at entry over `leverage`; positions that state neither
        share the cash that is left in proportion to their initial margin.
        """
        stated: dict[str, float] = {}
        asked: dict[str, float] = {}
        for name, position in self.positions.items():
            notional = abs(self.entry_usd(name))
            if position.collateral is not None:
                stated[name] = position.collateral
            elif position.leverage is not None:
                stated[name] = notional / position.leverage
            else:
                brackets = self.markets[name].brackets
                reached = [tier for tier in brackets if notional >= tier.notional_floor]
                asked[name] = notional * reached[-1].initial_margin_fraction
        left = max(self.collateral.cash - sum(stated.values()), 0.0)
        total = sum(asked.values())
        shares = {name: left * part / total for name, part in asked.items()}
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
            cash = PARTIAL_SHARE * held if group.collateral is None else group.collateral
            found[name] = group, cash
        return found

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
    source = str(path)
    file = Path(path).expanduser()
    data = read_toml(file, source)
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
    """
    scenario = _scenario(portfolio, mode)
    state, _ = build_state(scenario, num_orders=256, num_nodes=4096)
    state.venue[0].mark_rule = MarkRule.INDEX
    for name, amount in portfolio.collateral.coins.items():
        m = list(portfolio.markets).index(name)
        ticks = int(state.market[m].index_ticks)
        ledger.trade_spot(state, OWNER, m, portfolio.lots(name, amount), ticks)
    if portfolio.collateral.stable:
        stable = round(portfolio.collateral.stable * ATOMS)
        ledger.trade_stable(state, OWNER, stable, int(state.totals[0].stable_price))
    _hold_positions(state, portfolio)
    _fund_pools(state, portfolio, mode)
    return state


def _scenario(portfolio: Portfolio, mode: Mode) -> Scenario:
    """Return a scenario of the two accounts, so that its classes check and build everything."""
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
        "capital": min(max(NEUTRAL_LEAST, NEUTRAL_LEVERAGE * traded), 1e11),
        "leverage": 0.1,
    }
    return Scenario.model_validate(
        {
            "venue": portfolio.venue,
            "markets": portfolio.markets,
            "insurance_fund": portfolio.insurance_fund,
            "populations": {"owner": owner, "neutral": neutral},
        }
    )


def _hold_positions(state: State, portfolio: Portfolio) -> None:
    """Book the positions at their entry prices, each with its own initial fraction."""
    state.own_fraction[[OWNER, NEUTRAL]] = 0
    for m, name in enumerate(portfolio.markets):
        if name not in portfolio.positions:
            continue
        lots = portfolio.position_lots(name)
        cost = round(portfolio.entry_usd(name) * ATOMS)
        for account, sign in ((OWNER, 1), (NEUTRAL, -1)):
            ledger.book_transfer(state, account, m, sign * lots, -sign * cost, int(Cause.PRICE))
        leverage = portfolio.positions[name].leverage
        if leverage is not None:
            state.own_fraction[OWNER, m] = round(1e9 / leverage)


def _fund_pools(state: State, portfolio: Portfolio, mode: Mode) -> None:
    """Give the pools of isolated and partial margin what they hold of their own."""
    names = list(portfolio.markets)
    if mode == MODES[1]:
        wanted = portfolio.own_margin()
    elif mode == MODES[2]:
        wanted = {group.markets[0]: usd for group, usd in portfolio.partial_groups().values()}
    else:
        return
    left = round(portfolio.collateral.cash * ATOMS)
    for name, usd in wanted.items():
        p = int(state.position[OWNER, names.index(name)].pool)
        if p != OWNER:
            amount = min(round(usd * ATOMS), left)
            ledger.move_cash(state, OWNER, p, amount)
            left -= amount


def side_pools(state: State) -> list[int]:
    """List the owner's pools beside the main one."""
    owned = np.flatnonzero(np.asarray(state.pool["owner"]) == OWNER)
    return [int(p) for p in owned if p != OWNER]
