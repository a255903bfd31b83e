"""Names for the columns of rows that have none: exchanges' candles, told by what they hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from marketsim.scenario.numerals import to_floats
from marketsim.scenario.timestamps import are_times

#: Orders in which exchanges write a candle, after its time: most; Bitfinex; Coinbase.
ORDERS = (
    ("open", "high", "low", "close"),
    ("open", "close", "high", "low"),
    ("low", "high", "open", "close"),
)
#: Of a Binance kline.
KLINE = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_base_volume",
    "taker_quote_volume",
    "ignore",
)


def guess_names(sample: Any) -> tuple[tuple[str, ...], str | None]:
    """Name the columns of a table without a header.

    Parameters
    ----------
    sample : pandas.DataFrame
        Its first rows, columns by place.

    Returns
    -------
    names : tuple of str
        "column 1", ... where nothing better is known.
    guess : str or None
        What was guessed, in words.
    """
    width = sample.shape[1]
    texts = [[str(value).strip() for value in sample[place].dropna()] for place in range(width)]
    unknown = [f"column {place + 1}" for place in range(width)]
    if not width or not are_times(texts[0]):
        return tuple(unknown), None
    times = ["time"]
    if width > 2 and all(map(_is_time_of_day, texts[1])):
        times = ["date", "time"]
    rest = width - len(times)
    if rest == 1:
        return (*times, "close"), f"columns taken as {', '.join(times)}, close"
    prices = [to_floats(sample[len(times) + n]) for n in range(min(rest, 4))]
    fitting = [order for order in ORDERS if rest >= 4 and _is_candle(order, prices)]
    if len(fitting) != 1:
        return tuple(unknown), None
    names = [*times, *fitting[0]]
    if width == len(KLINE) and names[1:] == list(KLINE[1:5]):
        names = list(KLINE)
    elif rest > 4:
        names.append("volume")
    names += unknown[len(names) :]
    return tuple(names), f"columns taken as {', '.join(names[: len(times) + 4])}: so the prices fit"


def _is_time_of_day(text: str) -> bool:
    hours, colon, _ = text.partition(":")
    return bool(colon) and hours.isdigit() and len(hours) <= 2


def _is_candle(order: Sequence[str], prices: Sequence[Any]) -> bool:
    """Tell whether prices in this order are those of candles: all between low and high."""
    named = dict(zip(order, prices, strict=True))
    inside = [
        (named["low"] <= named[name]) & (named[name] <= named["high"])
        for name in ("open", "close", "low")
    ]
    return bool(np.all(inside)) and bool(np.any(named["low"] < named["high"]))
