"""What a file of prices or rates was understood to be, and a scenario that replays it."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from marketsim.scenario.bars import MINUTE, OPTION, Bars, Read, market_bars, read_rows
from marketsim.scenario.column_roles import (
    CLOSES,
    HIGHS,
    LOWS,
    OPENINGS,
    coin_and_role,
    coin_of,
    find_asset,
    plain_name,
)
from marketsim.scenario.funding_file import RateFile, is_rate_table, read_rates
from marketsim.scenario.inputs import PRICES
from marketsim.scenario.numerals import looks_like_number
from marketsim.scenario.opened_table import open_table
from marketsim.scenario.spot_model import History
from marketsim.scenario.table_file import Table
from marketsim.scenario.written_dates import HOUR, show_time

#: Markets that the scenario to paste has at most, and its steps.
MAX_MARKETS, MAX_STEPS = 6, 3 * 1440
#: Rows shown from each end.
SHOWN_ROWS = 3
#: Names of columns in capitals that are no coins.
NO_COINS = (*OPENINGS, *HIGHS, *LOWS, "open", "volume", "vol", "amount", "trades", "id")
#: A market's name where neither the file nor its name say of which coin it is.
UNNAMED = "COIN"
CROWD = """
[populations.makers]
strategy = "maker"
count = 8
capital = 500_000.0

[populations.noise]
strategy = "noise"
count = 60
capital = 50_000.0

[populations.holders]
strategy = "holder"
count = 60
leverage = 5.0
"""


class Row(NamedTuple):
    """One bar, or one payment of funding."""

    number: int  #: in the file, the first is 1
    time: str  #: UTC: a bar's beginning, a payment's moment
    until: str  #: UTC: a bar's end
    value: float  #: USD; of funding the rate of its interval


@dataclass(frozen=True)
class Series:
    """What a file holds of one market."""

    market: str
    symbol: str | None  #: its name in the file, if a column says it
    length: str  #: "bars of 60 min"
    count: int
    low: float  #: lowest close or rate
    high: float
    gaps: int
    longest_gap_hours: float
    rows: list[Row]  #: the first and the last


@dataclass(frozen=True)
class Inspection:
    """How a file was understood."""

    path: str
    what: str  #: "CSV, zip, separated by ','"
    holds: str  #: "prices" or "funding rates"
    rows: int
    columns: list[tuple[str, str, str]]  #: name, what it is taken for, what its first row says
    times: str  #: how they are written, and what they mark
    series: list[Series]
    notes: list[str]
    toml: str  #: a scenario that runs

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)


def inspect_file(history: History) -> Inspection:
    """Read a file and say how it was understood.

    Parameters
    ----------
    history : History
        The file, and what is stated of it.

    Returns
    -------
    Inspection

    Raises
    ------
    HistoryError
        If it cannot be understood; the message says what would settle it.
    """
    with open_table(history.path, PRICES, history, OPTION, "FILE") as table:
        if is_rate_table(table):
            return _inspect_rates(history.path, table)
        markets = _markets(history, table)
    read = read_rows(history, list(markets))
    if read.asset is not None:
        markets = _named_after(read.assets)
        bar = next(iter(read.roles.bars.values()))
        read = read._replace(roles=read.roles._replace(bars=dict.fromkeys(markets, bar)))
    symbols = {market: symbol for market, symbol in markets.items() if symbol is not None}
    stated = history.model_copy(update={"symbols": symbols | history.symbols})
    everything = [market_bars(stated, market, read) for market in list(markets)[:MAX_MARKETS]]
    series = [_price_series(bars, stated.symbols.get(bars.market)) for bars in everything]
    notes = list(dict.fromkeys([*read.notes, *(note for b in everything for note in b.notes)]))
    if list(markets) == [UNNAMED]:
        notes.append(f"nothing says of which coin: it is called {UNNAMED}")
    if len(markets) > MAX_MARKETS:
        notes.append(f"{len(markets)} assets; the first {MAX_MARKETS} are shown")
    marks = "moments" if everything[0].is_moments else f"the {read.roles.marks or 'open'} of bars"
    if read.roles.marks is None and everything[0].is_moments:
        read = read._replace(roles=read.roles._replace(marks="moment"))
    return Inspection(
        path=str(history.path),
        what=table.what,
        holds="prices",
        rows=len(read.time),
        columns=_columns(table, _roles_of(read)),
        times=f"{' and '.join(read.rules)}, {history.timezone}; they mark {marks}",
        series=series,
        notes=notes,
        toml=_scenario(stated, read, everything),
    )


def _markets(history: History, table: Table) -> dict[str, str | None]:
    """Return names for the markets of a file, each with its name in the file if a column says it.

    Where a column names the assets, one stands for all until they are read.
    """
    if history.columns:
        return dict.fromkeys(history.columns, None)
    plain = {plain_name(name) for name in table.columns}
    if find_asset(history, table) is not None:
        return {UNNAMED: None}
    if history.close is None and not plain & set(CLOSES):
        by_market = [coin for coin in _coin_columns(table) if coin]
        if by_market:
            return dict.fromkeys(by_market, None)
    named = table.asset or _coin_in(history.path.name)
    return {_market_name(coin_of(named)) if named else UNNAMED: None}


def _coin_columns(table: Table) -> Iterator[str]:
    """Go through the coins of columns that hold one's prices each."""
    found = [coin_and_role(name) for name in table.columns]
    closes = [coin for coin, role in found if role == "close"]
    if closes:
        yield from dict.fromkeys(closes)
        return
    for place, (coin, role) in enumerate(found):
        texts, name = table.texts(place), table.columns[place]
        is_name = re.fullmatch(r"[A-Z0-9]{2,10}", coin) and not coin.isdigit()
        is_symbol = name.isupper() or coin != name.upper()  # BTC, btc-usd; not Schluss
        if role or not is_name or not is_symbol or plain_name(name) in NO_COINS:
            continue
        if texts and all(map(looks_like_number, texts)):
            yield coin


def _coin_in(name: str) -> str | None:
    """Find a coin's symbol in a file's name.

    Examples
    --------
    >>> [_coin_in(name) for name in ("Binance_BTCUSDT_1h.csv", "eth-usd-max.csv", "prices.csv")]
    ['BTCUSDT', 'eth-usd', None]
    """
    quotes = "FDUSD|USDT|USDC|USD|EUR"
    pattern = rf"(?:^|[^A-Za-z])((?:[A-Za-z0-9]{{2,10}}?)[-_ ]?(?:{quotes}))(?![A-Za-z])"
    found = re.search(pattern, name, re.IGNORECASE)
    return found[1] if found else None


def _named_after(assets: Sequence[str]) -> dict[str, str | None]:
    coins = [_market_name(coin_of(asset)) for asset in assets]
    if len(set(coins)) < len(coins):
        coins = [_market_name(asset) for asset in assets]
    return dict(zip(coins, assets, strict=True))


def _market_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:16] or UNNAMED


def _price_series(bars: Bars, symbol: str | None) -> Series:
    close, _, _ = bars.prices()
    gap = bars.gaps()
    shown = _ends(len(close))
    return Series(
        market=bars.market,
        symbol=symbol,
        length=bars.length,
        count=len(close),
        low=float(close.min()),
        high=float(close.max()),
        gaps=0 if bars.is_moments else int((gap > 0).sum()),
        longest_gap_hours=float(gap.max(initial=0) / HOUR),
        rows=[
            Row(
                int(bars.row[n]),
                show_time(int(bars.opening[n])),
                show_time(int(bars.closing[n])),
                float(close[n]),
            )
            for n in shown
        ],
    )


def _ends(count: int) -> list[int]:
    """Return the places of the first and the last rows."""
    return sorted({*range(min(SHOWN_ROWS, count)), *range(max(count - SHOWN_ROWS, 0), count)})


def _columns(table: Table, roles: dict[str, str]) -> list[tuple[str, str, str]]:
    found = []
    for place, name in enumerate(table.columns):
        texts = table.texts(place)
        found.append((name, roles.get(name, "not used"), texts[0] if texts else ""))
    return found


def _roles_of(read: Read) -> dict[str, str]:
    roles = dict.fromkeys(read.roles.time, "time")
    if read.roles.asset is not None:
        roles[read.roles.asset] = "asset"
    several = len({bar.close for bar in read.roles.bars.values()}) > 1
    for market, bar in read.roles.bars.items():
        roles[bar.close] = f"close of {market}" if several else "close"
        high, low = _extremes(read.table, bar.close)
        roles |= {name: field for name, field in ((high, "high"), (low, "low")) if name}
    return roles


def _extremes(table: Table, close: str) -> tuple[str | None, str | None]:
    """Find the columns of the high and the low beside those of the close."""
    if plain_name(close) not in CLOSES:
        return None, None
    found = []
    for names in (HIGHS, LOWS):
        alike = [name for name in table.columns if plain_name(name) in names]
        found.append(alike[0] if len(alike) == 1 and table.place(alike[0]) is not None else None)
    return (found[0], found[1]) if None not in found else (None, None)


def _scenario(history: History, read: Read, everything: Sequence[Bars]) -> str:
    """Write a scenario that replays a file, with what was understood stated."""
    start = max(int(bars.closing[0]) for bars in everything)
    steps = (min(int(bars.closing[-1]) for bars in everything) - start) // MINUTE
    days = max(min(steps, MAX_STEPS), 1) / 1440
    lines = [
        f"name = {_text(_stem(history.path))}",
        f"days = {days:.10g}  # the file has {steps / 1440:.4g}, from {show_time(start)}",
    ]
    for bars in everything:
        tick, lot = _steps_of(float(np.median(bars.price[bars.columns.close])))
        lines += ["", f"[markets.{bars.market}]", f"tick_size = {tick}", f"lot_size = {lot}"]
    lines += ["", "[spot]", 'kind = "history"', "", "[spot.history]"]
    lines += [f"{field} = {value}" for field, value in _fields(history, read, everything)]
    return "\n".join(lines) + "\n" + CROWD


def _fields(history: History, read: Read, everything: Sequence[Bars]) -> Iterator[tuple[str, str]]:
    """Go through the fields of [spot.history] that say how a file was understood."""
    table, roles = read.table, read.roles
    yield "path", _text(str(history.path.absolute()))
    for field in ("names", "separator", "skip_lines", "decimal", "time_format"):
        stated = getattr(history, field)
        if stated is not None:
            yield field, json.dumps(stated, ensure_ascii=False)
    if not table.is_named and history.names is None:
        yield "names", json.dumps(table.columns, ensure_ascii=False)
    if history.timezone != "UTC":
        yield "timezone", _text(history.timezone)
    yield "time", _text(roles.time[0]) if len(roles.time) == 1 else json.dumps(roles.time)
    yield "time_marks", _text(roles.marks or "open")
    closes = {bars.market: bars.columns.close for bars in everything}
    if len(set(closes.values())) > 1:
        yield "format", '"wide"'
        inner = ", ".join(f"{market} = {_text(close)}" for market, close in closes.items())
        yield "columns", f"{{ {inner} }}"
    else:
        if roles.asset is not None:
            yield "asset", _text(roles.asset)
            inner = ", ".join(
                f"{b.market} = {_text(history.symbols[b.market])}" for b in everything
            )
            yield "symbols", f"{{ {inner} }}"
        close = next(iter(closes.values()))
        yield "close", _text(close)
        high, low = _extremes(table, close)
        if high and low and roles.marks != "moment":
            yield "high", _text(high)
            yield "low", _text(low)
    gap = max(float(bars.gaps().max(initial=0)) for bars in everything) / HOUR
    if gap > history.max_gap:
        yield "max_gap", f"{math.ceil(gap)}  # hours: the longest hole in the file"


def _steps_of(price: float) -> tuple[str, str]:
    """Return a tick and a lot that suit a price: 0.1 and 0.001 for one of 40,000 USD."""
    size = math.floor(math.log10(price))
    return _power(size - 5), _power(1 - size)


def _power(exponent: int) -> str:
    return f"{10.0**exponent:.{max(-exponent, 1)}f}"


def _stem(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", path.name.partition(".")[0])[:32] or "replay"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _inspect_rates(path: Path, table: Table) -> Inspection:
    """Say how a file of funding rates was understood."""
    coin = _coin_in(path.name)
    market = _market_name(coin_of(coin)) if coin else UNNAMED
    rates = read_rates(path, market, "FILE")
    interval = float(rates.hours[-1])
    value = rates.rate * rates.hours / 8.0
    shown = [
        Row(n + 1, show_time(int(rates.time[n])), show_time(int(rates.time[n])), float(value[n]))
        for n in _ends(len(value))
    ]
    distance = np.diff(rates.time) / HOUR - rates.hours[1:]
    series = Series(
        market=market,
        symbol=None,
        length=f"intervals of {interval:g} h",
        count=len(value),
        low=float(value.min()),
        high=float(value.max()),
        gaps=int((distance > 1e-9).sum()),
        longest_gap_hours=float(distance.max(initial=0.0)),
        rows=shown,
    )
    return Inspection(
        path=str(path),
        what=table.what,
        holds="funding rates",
        rows=len(value),
        columns=_columns(table, rates.roles),
        times="each marks the moment of a payment, UTC",
        series=[series],
        notes=rates.notes,
        toml=_rate_scenario(path, market, rates, interval),
    )


def _rate_scenario(path: Path, market: str, rates: RateFile, interval: float) -> str:
    steps = int((rates.time[-1] - rates.time[0]) // MINUTE)
    days = max(min(steps, MAX_STEPS), 1) / 1440
    return f"""\
name = {_text(_stem(path))}
days = {days:.10g}  # the file has {steps / 1440:.4g}

[markets.{market}]
price = 100.0  # yours, with a tick and a lot that suit it
tick_size = 0.001
lot_size = 0.1

[venue.funding]
interval_hours = {interval:g}

[venue.funding.history]
{market} = {_text(str(path.absolute()))}
{CROWD}"""
