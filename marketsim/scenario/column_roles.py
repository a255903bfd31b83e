"""What the columns of a table are: its times, its assets, its prices, as named or as stated."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from marketsim.scenario.errors import nearest
from marketsim.scenario.spot_model import Bar, History
from marketsim.scenario.table_file import Table
from marketsim.scenario.timestamps import are_times
from marketsim.scenario.unpacking import HistoryError

#: Names of columns as exchanges and data services write them, the likelier first.
OPENINGS = (
    "time", "open_time", "time_open", "time_period_start", "candle_begin_time", "start_time",
    "start", "timestamp", "datetime", "date_time", "unix", "unix_timestamp", "unix_time", "ts",
    "date", "gmt_time", "local_time", "snapped_at", "calc_time", "funding_time",
    "funding_timestamp", "t", "day", "month", "week", "index_level_0", "local_timestamp", "",
)  # fmt: skip
CLOSINGS = ("close_time", "time_close", "time_period_end", "end_time")
ASSETS = ("asset", "symbol", "coin", "ticker", "pair", "instrument", "instrument_name", "market")
CLOSES = (
    "close", "close_price", "price_close", "closing_price", "close_last", "last", "last_price",
    "price", "value", "mark_price", "index_price", "mid", "mid_price", "c", "adj_close",
)  # fmt: skip
HIGHS = ("high", "high_price", "price_high", "h")
LOWS = ("low", "low_price", "price_low", "l")
#: Of columns whose times are those of a price, not of a bar.
MOMENTS = ("snapped_at", "local_timestamp")
#: Currencies that a price may be in: they follow the coin in a symbol. Others end as coins do.
QUOTES = "FDUSD|USDT|USDC|USD|EUR|GBP|JPY|PERP"


class Roles(NamedTuple):
    """Which columns hold what."""

    time: tuple[str, ...]  #: one column, or date and time of day
    marks: str | None  #: open, close or moment; None: by the distances of the rows
    asset: str | None
    bars: dict[str, Bar]  #: by market; in long format the same for all
    notes: list[str]


def plain_name(name: str) -> str:
    """Return a column's name as others write it too.

    Examples
    --------
    >>> [plain_name(name) for name in ("timeOpen", "<CLOSE>", "Close (USD)", "Close/Last")]
    ['time_open', 'close', 'close', 'close_last']
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    words = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
    return re.sub(r"_(?:usdt?|utc)$", "", words)


def coin_of(symbol: str) -> str:
    """Return the coin of an exchange's symbol.

    Examples
    --------
    >>> [coin_of(text) for text in ("BTCUSDT", "BTC/USDT:USDT", "eth-usd", "XBTUSD", "tBTCUSD")]
    ['BTC', 'BTC', 'ETH', 'BTC', 'BTC']
    """
    text = symbol.strip()
    if re.fullmatch(r"t[A-Z0-9]{6,}", text):
        text = text[1:]
    text = text.upper().rpartition(":")[2] if re.match(r"[A-Z]{1,8}:[A-Z]", text) else text.upper()
    found = re.match(rf"([A-Z0-9]+?)[-_/.]?(?:{QUOTES})(?:[-_/:.].*|PERP)?$", text)
    coin = found[1] if found else text
    return "BTC" if coin == "XBT" else coin


def find_roles(history: History, table: Table, markets: Sequence[str]) -> Roles:
    """Tell which columns to read.

    Parameters
    ----------
    history : History
        What it states goes first.
    table : Table
    markets : sequence of str

    Returns
    -------
    Roles

    Raises
    ------
    HistoryError
        If a column that is stated is not there, is there twice, or none can be what is needed.
    """
    notes: list[str] = []
    time = find_times(history.time, table, "spot.history", notes)
    marks = history.time_marks or table.marks
    if marks is None and plain_name(time[0]) in CLOSINGS:
        marks = "close"
        notes.append(f"times of '{time[0]}' taken as the closings of their bars")
    if marks is None and _is_of_moments(table, time[0]):
        marks = "moment"
        notes.append(f"each row taken as a price at its '{time[0]}', not as a bar")
    if history.columns and history.format != "long":
        bars = {market: _stated_bar(history, market) for market in markets}
        for market, bar in bars.items():
            _check_bar(table, bar, f"columns.{market}.")
        return Roles(time, marks, None, bars, notes)
    asset = find_asset(history, table)
    if asset is None and history.close is None:
        found = _columns_by_market(table, markets)
        if found:
            shown = ", ".join(f"{market} '{bar.close}'" for market, bar in found.items())
            notes.append(f"columns taken by market: {shown}")
            return Roles(time, marks, None, found, notes)
    if asset is None and len(markets) > 1:
        raise HistoryError(
            f"{table.path}: prices of one asset, and no column says of which; the run has "
            f"{len(markets)} markets ({', '.join(markets)}): state spot.history.asset, or columns "
            "by market in spot.history.columns, or run this market alone "
            f"(marketsim inspect {table.path.name} shows how)",
            table.head,
        )
    close = history.close or _guess(table, CLOSES, "close", notes)
    bar = Bar(close=close, high=history.high, low=history.low)
    _check_bar(table, bar, "")
    return Roles(time, marks, asset, dict.fromkeys(markets, bar), notes)


def find_times(
    stated: str | tuple[str, ...] | None, table: Table, option: str, notes: list[str]
) -> tuple[str, ...]:
    """Return the column of the times, or those of the date and of the time of day.

    Raises
    ------
    HistoryError
        If there is none.
    """
    if stated is not None:
        names = (stated,) if isinstance(stated, str) else stated
        for name in names:
            check_column(table, name, option, "time")
        return names
    ranked = sorted(
        (rank, n)
        for n, name in enumerate(table.columns)
        if (rank := _rank_of_time(name)) is not None
    )
    timely = [n for _, n in ranked if _holds_times(table, n)]
    timely += [n for n in range(len(table.columns)) if not ranked and _holds_times(table, n)]
    places = timely or [n for _, n in ranked]
    if not places:
        fix = f"name it with {option}.time" if option else "call it time"
        if option and not table.is_named:
            fix += f", and all columns with {option}.names"
        raise HistoryError(
            f"{table.path}: no column holds times; the file has {_listed(table.columns)}: {fix}",
            table.head,
        )
    name = table.columns[places[0]]
    check_column(table, name, option, "time")
    beside = clock_column(table, name)
    if beside is not None and _has_dates_alone(table, places[0]):
        notes.append(f"times of the columns '{name}' and '{beside}'")
        return name, beside
    if name != "time":
        notes.append(
            f"times of the column '{name}'" if name else "times of the column without a name"
        )
    return (name,)


def clock_column(table: Table, date: str) -> str | None:
    """Return the column that holds a time of day beside one of dates, if there is one."""
    for n, name in enumerate(table.columns):
        texts = table.texts(n)[:50]
        named = "time" in plain_name(name).split("_") or plain_name(name) in ("hour", "clock")
        pattern = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?" + (r"|\d{1,6}" if named else "")
        if name != date and texts and all(re.fullmatch(pattern, text) for text in texts):
            return name
    return None


def check_column(table: Table, name: str, option: str, field: str) -> None:
    """Refuse a column that is asked for by name if there is none of it, or two.

    Raises
    ------
    HistoryError
    """
    places = table.places(name)
    rename = f"give all columns other names with {option}.names = [...], or " if option else ""
    if len(places) > 1:
        raise HistoryError(
            f"{table.path}: two columns are called '{name}' (the {_nth(places[0])} and the "
            f"{_nth(places[1])}); {rename}delete one",
            table.head,
        )
    if not places:
        raise HistoryError(
            f"{table.path}: there is no column '{name}'{nearest(name, table.columns)}; the file "
            f"has {_listed(table.columns)}; set {option}.{field}{_say_no_header(table)}",
            table.head,
        )


def _say_no_header(table: Table) -> str:
    if table.is_named:
        return ""
    return (
        "; the first row looks like data, so that there is no header line: state "
        "spot.history.names = [...], a name for each column"
    )


def _stated_bar(history: History, market: str) -> Bar:
    if market not in history.columns:
        raise HistoryError(
            f"spot.history.columns: no entry for market {market}"
            f"{nearest(market, history.columns)}; add {market} = 'its column'"
        )
    stated = history.columns[market]
    return stated if isinstance(stated, Bar) else Bar(close=stated)


def _check_bar(table: Table, bar: Bar, part: str) -> None:
    for field in ("close", "high", "low"):
        column = getattr(bar, field)
        if column is not None:
            check_column(table, column, "spot.history", f"{part}{field}")


def _is_of_moments(table: Table, time: str) -> bool:
    plain = {plain_name(name) for name in table.columns}
    return plain_name(time) in MOMENTS or (MOMENTS[1] in plain and not plain & {"open", "high"})


def _rank_of_time(name: str) -> int | None:
    plain = plain_name(name)
    names = (*OPENINGS, *CLOSINGS)
    return names.index(plain) if plain in names else None


def _holds_times(table: Table, place: int) -> bool:
    column = table.sample[place]
    if getattr(column.dtype, "kind", "") == "M":
        return True
    named = _rank_of_time(table.columns[place]) is not None
    return are_times(table.texts(place), days=named or place == 0)


def _has_dates_alone(table: Table, place: int) -> bool:
    texts = table.texts(place)
    return (
        bool(texts) and not any(":" in text for text in texts) and all(len(t) < 13 for t in texts)
    )


def find_asset(history: History, table: Table) -> str | None:
    """Return the column that names assets, as stated or by its name and what it holds."""
    if history.asset is not None:
        check_column(table, history.asset, "spot.history", "asset")
        return history.asset
    for name in ASSETS:
        for n, column in enumerate(table.columns):
            texts = table.texts(n)
            if plain_name(column) == name and any(re.search("[A-Za-z]", text) for text in texts):
                return column
    return None


def _columns_by_market(table: Table, markets: Sequence[str]) -> dict[str, Bar]:
    """Find a column for each market: "BTC", "BTC-USD", "Close BTC-USD", "BTC_close"."""
    found: dict[str, Bar] = {}
    for market in markets:
        named = [
            column
            for column in table.columns
            if coin_and_role(column) in ((coin_of(market), ""), (coin_of(market), "close"))
        ]
        if len(named) != 1:
            return {}
        found[market] = Bar(close=named[0])
    return found


def coin_and_role(column: str) -> tuple[str, str]:
    """Split "Close BTC-USD" or "BTC_close" into a coin and what its column holds."""
    for words in (column.split(" "), column.split("_")):
        if len(words) == 2:
            for role, coin in (words, words[::-1]):
                if plain_name(role) in (*CLOSES, *HIGHS, *LOWS, "open", "volume"):
                    return coin_of(coin), "close" if plain_name(role) in CLOSES else plain_name(
                        role
                    )
    return coin_of(column), ""


def _guess(table: Table, names: Sequence[str], field: str, notes: list[str]) -> str:
    """Return the column whose name is the likeliest for a field."""
    for name in names:
        alike = [column for column in table.columns if plain_name(column) == name]
        exact = [column for column in alike if column == name]
        chosen = exact or alike
        if chosen:
            if len(set(chosen)) > 1:
                listed = _listed(chosen)
                msg = f"{table.path}: {listed} may all be the {field}; set spot.history.{field}"
                raise HistoryError(msg, table.head)
            if chosen[0] != field:
                notes.append(f"{field} of the column '{chosen[0]}'")
            return chosen[0]
    raise HistoryError(
        f"{table.path}: no column is known to be the {field}; the file has "
        f"{_listed(table.columns)}; set spot.history.{field}{_say_no_header(table)}",
        table.head,
    )


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")


def _nth(place: int) -> str:
    return f"{place + 1}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(place + 1, 'th') }"
