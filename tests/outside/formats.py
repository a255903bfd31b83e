"""Price files as exchanges and data services publish them, made small.

All hold the same candles. The shapes follow the publishers' public pages: data.binance.vision
(README of binance-public-data), cryptodatadownload.com, the CSV export and
``/coins/{id}/market_chart`` of CoinGecko, investing.com and coinmarketcap.com "historical data",
the data folder of freqtrade, what ``yfinance.download(...).to_csv`` writes, ``fetch_ohlcv`` of
ccxt, the CSV datasets of Tardis.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd


class Format(NamedTuple):
    """A file, and the one option it needs beside its path, if any."""

    name: str
    content: bytes
    closes: list[float]  #: the prices in the order of time
    first: str  #: UTC time at which the first of them is known
    option: dict[str, object]


class Candle(NamedTuple):
    time: pd.Timestamp
    open: float
    high: float
    low: float
    close: float


def candles(step: str, start: str = "2024-01-01", count: int = 31) -> list[Candle]:
    """Make candles of prices with cents."""
    found, before = [], 42000.5
    for n, time in enumerate(pd.date_range(start, periods=count, freq=step, tz="UTC")):
        close = 42000.5 + (137 * n) % 901 + 0.25 * (n % 3)
        low, high = min(before, close) - 12.25, max(before, close) + 8.5
        found.append(Candle(time, before, high, low, close))
        before = close
    return found


def ms(time: pd.Timestamp) -> int:
    return int(time.timestamp() * 1000)


def zipped(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return stream.getvalue()


HOURS, DAYS = candles("h"), candles("D")
HOURLY, DAILY = [c.close for c in HOURS], [c.close for c in DAYS]


def binance_klines() -> Format:
    lines = [
        f"{ms(c.time)},{c.open:.8f},{c.high:.8f},{c.low:.8f},{c.close:.8f},1271.68108000,"
        f"{ms(c.time) + 3_599_999},54080000.12,47134,682.57581000,29100000.5,0"
        for c in HOURS
    ]
    content = zipped("BTCUSDT-1h-2024-01.csv", "\n".join(lines) + "\n")
    return Format("BTCUSDT-1h-2024-01.zip", content, HOURLY, "2024-01-01 01:00", {})


def binance_funding() -> Format:
    lines = ["calc_time,funding_interval_hours,last_funding_rate"]
    lines += [
        f"{ms(c.time) + n % 7},8,{0.0001 * (n % 5 - 1):.8f}" for n, c in enumerate(candles("8h"))
    ]
    content = zipped("BTCUSDT-fundingRate-2024-01.csv", "\n".join(lines) + "\n")
    rates = [float(f"{0.0001 * (n % 5 - 1):.8f}") for n in range(31)]
    return Format("BTCUSDT-fundingRate-2024-01.zip", content, rates, "2024-01-01 00:00", {})


def cryptodatadownload() -> Format:
    head = "https://www.CryptoDataDownload.com\n"
    head += "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount\n"
    lines = [
        f"{ms(c.time)},{c.time:%Y-%m-%d %H:%M:%S},BTCUSDT,{c.open},{c.high},{c.low},{c.close},"
        "12.25,515000.5,1201"
        for c in reversed(HOURS)
    ]
    content = (head + "\n".join(lines) + "\n").encode()
    return Format("Binance_BTCUSDT_1h.csv", content, HOURLY, "2024-01-01 01:00", {})


def coingecko_csv() -> Format:
    lines = ["snapped_at,price,market_cap,total_volume"]
    lines += [
        f"{c.time:%Y-%m-%d %H:%M:%S} UTC,{c.close},827596236151.19,14064207250.1" for c in DAYS
    ]
    content = "\n".join(lines).encode()
    return Format("btc-usd-max.csv", content, DAILY, "2024-01-01 00:00", {})


def coingecko_json() -> Format:
    times = [ms(c.time) + 1331 + 7919 * (n % 4) for n, c in enumerate(HOURS)]
    answer = {
        "prices": [[t, c.close] for t, c in zip(times, HOURS, strict=True)],
        "market_caps": [[t, 827596236151.19] for t in times],
        "total_volumes": [[t, 14064207250.1] for t in times],
    }
    content = json.dumps(answer).encode()
    return Format("market_chart.json", content, HOURLY, "2024-01-01 00:00:01", {})


def investing() -> Format:
    def number(value: float) -> str:
        return f'"{value:,.2f}"'

    lines = ['"Date","Price","Open","High","Low","Vol.","Change %"']
    lines += [
        f'"{c.time:%m/%d/%Y}",{number(c.close)},{number(c.open)},{number(c.high)},{number(c.low)},'
        '"47.69K","-0.87%"'
        for c in reversed(DAYS)
    ]
    content = b"\xef\xbb\xbf" + "\n".join(lines).encode()
    return Format("Bitcoin Historical Data.csv", content, DAILY, "2024-01-02 00:00", {})


def coinmarketcap() -> Format:
    columns = "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;"
    lines = [columns + "circulatingSupply;timestamp"]
    for c in reversed(DAYS):
        end = c.time + pd.Timedelta("1D") - pd.Timedelta("1ms")
        day, last = f"{c.time:%Y-%m-%d}T00:00:00.000Z", f"{end:%Y-%m-%d}T23:59:59.999Z"
        lines.append(
            f'"{day}";"{last}";"{day}";"{day}";"2781";{c.open};{c.high};{c.low};{c.close};'
            f'25000000000.12;830000000000.5;19590000;"{last}"'
        )
    content = "\n".join(lines).encode()
    return Format("Bitcoin_1.1.2024-31.1.2024.csv", content, DAILY, "2024-01-02 00:00", {})


def freqtrade_json() -> Format:
    rows = [[ms(c.time), c.open, c.high, c.low, c.close, 12.5] for c in HOURS]
    return Format("BTC_USDT-1h.json", json.dumps(rows).encode(), HOURLY, "2024-01-01 01:00", {})


def freqtrade_feather() -> Format:
    table = pd.DataFrame([c._asdict() | {"volume": 12.5} for c in HOURS])
    table = table.rename(columns={"time": "date"})
    table["date"] = table["date"].dt.as_unit("ms")
    stream = io.BytesIO()
    table.to_feather(stream, compression="lz4")
    content = stream.getvalue()
    return Format("BTC_USDT-1h.feather", content, HOURLY, "2024-01-01 01:00", {})


def yfinance() -> Format:
    fields = ["Close", "High", "Low", "Open", "Volume"]
    lines = [",".join(["Price", *fields]), ",".join(["Ticker", *["BTC-USD"] * 5]), "Date,,,,,"]
    lines += [f"{c.time:%Y-%m-%d},{c.close},{c.high},{c.low},{c.open},18426978443" for c in DAYS]
    content = "\n".join(lines).encode()
    return Format("btc_yfinance.csv", content, DAILY, "2024-01-02 00:00", {})


def ccxt() -> Format:
    rows = [[ms(c.time), c.open, c.high, c.low, c.close, 3.75] for c in HOURS]
    content = json.dumps(rows, indent=2).encode()
    return Format("ohlcv.json", content, HOURLY, "2024-01-01 01:00", {})


def tardis() -> Format:
    lines = ["exchange,symbol,timestamp,local_timestamp,id,side,price,amount"]
    for n, c in enumerate(HOURS):
        time = ms(c.time) * 1000 + (n * 977_777_777) % 1_800_000_000
        for price in (c.open, c.close):  # two trades of one moment: the later one is the price
            lines.append(f"binance-futures,BTCUSDT,{time},{time + 4021},{n},buy,{price},0.125")
    content = gzip.compress("\n".join(lines).encode())
    name = "binance-futures_trades_2024-01-01_BTCUSDT.csv.gz"
    return Format(name, content, HOURLY, "2024-01-01 00:00", {})


def excel() -> Format:
    def number(value: float) -> str:
        return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))

    lines = ["Datum;Eröffnung;Hoch;Tief;Schluss"]
    lines += [
        f"{c.time:%d.%m.%Y %H:%M};{number(c.open)};{number(c.high)};{number(c.low)};"
        f"{number(c.close)}"
        for c in HOURS
    ]
    content = "\r\n".join(lines).encode("cp1252")
    return Format("Kurse.csv", content, HOURLY, "2024-01-01 01:00", {"close": "Schluss"})


#: Of prices; `binance_funding` holds rates.
PRICE_FORMATS: tuple[Callable[[], Format], ...] = (
    binance_klines,
    cryptodatadownload,
    coingecko_csv,
    coingecko_json,
    investing,
    coinmarketcap,
    freqtrade_json,
    freqtrade_feather,
    yfinance,
    ccxt,
    tardis,
    excel,
)
