import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketsim.scenario.history import HistoryError, load_history
from marketsim.scenario.spot_model import History

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "binance_15m.parquet"

LONG = """time,asset,close,high,low
2025-10-10 00:00:00,BTC,100,101,99
2025-10-10 00:05:00,BTC,102,103,95
2025-10-10 00:10:00,BTC,101,104,100
2025-10-10 00:00:00,XRP,2.0,2.1,1.9
2025-10-10 00:05:00,XRP,2.1,2.2,2.0
2025-10-10 00:10:00,XRP,2.2,2.2,2.1
"""


@pytest.fixture
def load(tmp_path):
    """Write a text as prices.csv and load it."""

    def write_and_load(text, markets=("BTC",), step=1.0, steps=None, seed=0, **fields):
        path = tmp_path / "prices.csv"
        path.write_text(text)
        return load_history(History(path=path, **fields), markets, step, steps, seed)

    return write_and_load


def test_closes_lie_at_the_end_of_their_bars(load):
    path = load(LONG, ("XRP", "BTC"), step=5.0)
    assert path.price.tolist() == [[2.0, 100.0], [2.1, 102.0], [2.2, 101.0]]
    assert path.start == datetime(2025, 10, 10, 0, 5, tzinfo=UTC)
    assert path.num_steps == 2


def test_times_may_mark_the_close_of_a_bar(load):
    path = load(LONG, step=5.0, time_marks="close")
    assert path.start == datetime(2025, 10, 10, 0, 0, tzinfo=UTC)


def test_straight_pieces_are_straight_in_log_price(load):
    price = load(LONG).price[:, 0]
    assert price[[0, 5, 10]].tolist() == [100.0, 102.0, 101.0]
    assert np.diff(np.log(price))[:5] == pytest.approx([np.log(1.02) / 5] * 5)


def test_bars_pass_their_extremes_the_nearer_to_the_open_first(load):
    price = load(LONG, high="high", low="low").price[:, 0]
    # 100 -> high 103 is nearer than low 95; then 102 -> low 100 and high 104 are as near
    assert price[[0, 1, 3, 5]].tolist() == [100.0, 103.0, 95.0, 102.0]
    assert price[[6, 8, 10]].tolist() == [104.0, 100.0, 101.0]


def test_a_bar_of_two_steps_shows_its_farther_extreme_and_says_so(load):
    path = load(LONG, step=2.5, high="high", low="low")
    assert path.price[:, 0].tolist() == [100.0, 95.0, 102.0, 100.0, 101.0]
    assert any("0 of 2 pass their high and low" in note for note in path.notes)


def test_holding_never_looks_ahead(load):
    price = load(LONG, bridge="hold").price[:, 0]
    assert price.tolist() == [100.0] * 5 + [102.0] * 5 + [101.0]


def test_a_brownian_bridge_is_keyed_by_the_seed_and_keeps_known_prices(load):
    fields = {"bridge": "brownian", "high": "high", "low": "low"}
    one, same, other = (load(LONG, seed=seed, **fields).price[:, 0] for seed in (1, 1, 2))
    assert (one == same).all()
    known = [0, 1, 3, 5, 6, 8, 10]
    assert (one[known] == other[known]).all()
    between = [2, 4, 7, 9]
    assert (one[between] != other[between]).all()
    straight = load(LONG, high="high", low="low").price[:, 0]
    assert (one[between] != straight[between]).all()
    for seed in range(20):
        price = load(LONG, seed=seed, **fields).price[:, 0]
        assert price[1:6].min() == 95.0
        assert price[1:6].max() == 103.0


def test_a_brownian_path_has_the_volatility_of_the_closes(load):
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    times = pd.date_range("2025-01-01", periods=400, freq="h").astype(str)
    rows = "".join(f"{time},BTC,{price}\n" for time, price in zip(times, close, strict=True))
    price = load("time,asset,close\n" + rows, bridge="brownian", step=6.0).price[:, 0]
    assert np.diff(np.log(price)).std() == pytest.approx(0.01 / np.sqrt(10), rel=0.08)


def test_finer_bars_give_the_last_close_before_each_step(load):
    text = "time,asset,close\n" + "".join(
        f"2025-10-10 00:{minute:02d}:00,BTC,{100 + minute}\n" for minute in range(21)
    )
    path = load(text, step=5.0)
    assert path.price[:, 0].tolist() == [100.0, 105.0, 110.0, 115.0, 120.0]


def test_wide_files_name_columns_by_market(load):
    text = "when,btc,x,xh,xl\n2025-10-10,100,2,2.5,1.5\n2025-10-11,90,1,3,1\n"
    columns = {"BTC": "btc", "XRP": {"close": "x", "high": "xh", "low": "xl"}}
    path = load(text, ("BTC", "XRP"), 480.0, format="wide", time="when", columns=columns)
    assert path.price[:, 1].tolist() == [2.0, 3.0, 1.0, 1.0]
    assert path.price[[0, 3], 0].tolist() == [100.0, 90.0]


def test_symbols_map_markets_to_names_in_the_file(load):
    path = load(LONG.replace("BTC", "BTCUSDT"), step=5.0, symbols={"BTC": "BTCUSDT"})
    assert path.price[0, 0] == 100.0


def test_start_end_and_steps_choose_a_window(load):
    start = "2025-10-10T00:07:00Z"
    path = load(LONG, start=start, end="2025-10-10T00:12:00")
    assert path.start == datetime(2025, 10, 10, 0, 7, tzinfo=UTC)
    assert path.num_steps == 5
    assert path.price[:, 0] == pytest.approx(load(LONG).price[2:8, 0], rel=1e-14)
    assert load(LONG, steps=3).price.tolist() == load(LONG).price[:4].tolist()


def test_naive_times_are_read_in_the_named_zone_and_others_converted(load):
    text = "time,asset,close\n2025-07-01 12:00,BTC,1\n2025-07-01 13:00,BTC,2\n"
    naive = load(text, timezone="Asia/Tokyo")
    assert naive.start == datetime(2025, 7, 1, 4, tzinfo=UTC)
    aware = load(text.replace(":00,", ":00+09:00,"), timezone="America/New_York")
    assert aware.start == naive.start


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_numbers_are_unix_times_in_the_unit_of_their_size(load, unit):
    seconds = int(datetime(2025, 10, 10, tzinfo=UTC).timestamp())
    text = f"time,asset,close\n{seconds * unit},BTC,1\n{(seconds + 60) * unit},BTC,2\n"
    assert load(text).start == datetime(2025, 10, 10, 0, 1, tzinfo=UTC)


def test_rows_out_of_order_are_sorted_and_said_so(load):
    lines = LONG.splitlines(keepends=True)
    path = load(lines[0] + "".join(reversed(lines[1:])), step=5.0)
    assert path.price.tolist() == load(LONG, step=5.0).price.tolist()
    assert any("order of time" in note for note in path.notes)
    assert not any("order of time" in note for note in load(LONG).notes)


def test_gaps_are_bridged_and_counted(load):
    text = LONG.replace("00:10:00", "02:10:00")
    path = load(text, high="high", low="low")
    assert path.num_steps == 130
    assert any("gaps bridged: 1, the longest 2 h" in note for note in path.notes)
    assert path.price[[5, 126, 128, 130], 0].tolist() == [102.0, 104.0, 100.0, 101.0]
    assert np.diff(np.log(path.price[5:127, 0])).std() < 1e-12


def test_single_precision_prices_are_read_as_their_shortest_decimal(tmp_path):
    table = pd.DataFrame(
        {
            "time": pd.date_range("2025-01-01", periods=2, freq="min"),
            "asset": "BTC",
            "close": np.array([0.11, 0.12], np.float32),
        }
    )
    table.to_parquet(tmp_path / "prices.parquet")
    path = load_history(History(path=tmp_path / "prices.parquet"), ["BTC"], 1.0)
    assert path.price[:, 0].tolist() == [0.11, 0.12]


def row(text):
    return LONG + text + "\n"


BAD = {
    "wrong column": (
        LONG, {"close": "Close"},
        "prices.csv: there is no column 'Close' (did you mean 'close'?); the file has time, asset",
    ),
    "wrong time column": (LONG, {"time": "date"}, "there is no column 'date'"),
    "wrong asset column": (LONG, {"asset": "aset"}, "no column 'aset' (did you mean 'asset'?)"),
    "market absent": (
        LONG.replace("BTC", "WBTC"), {},
        "column 'asset': no row is 'BTC' (did you mean 'WBTC'?); the file has WBTC, XRP",
    ),
    "missing price": (
        LONG.replace("BTC,102,", "BTC,,"), {},
        "row 2 (2025-10-10 00:05 UTC), column 'close': BTC: nan is not a price above 0",
    ),
    "NaN in words": (LONG.replace("BTC,102,", "BTC,NaN,"), {}, "row 2 (2025-10-10 00:05 UTC)"),
    "negative price": (LONG.replace("BTC,102,", "BTC,-102,"), {}, "-102 is not a price above 0"),
    "zero price": (LONG.replace("BTC,102,", "BTC,0,"), {}, "row 2 (2025-10-10 00:05 UTC), column"),
    "infinite price": (LONG.replace("BTC,102,", "BTC,inf,"), {}, "inf is not a price above 0"),
    "text for a price": (LONG.replace("BTC,102,", "BTC,n/k,"), {}, "n/k is not a price above 0"),
    "bad low": (
        LONG.replace("103,95", "103,-5"), {"high": "high", "low": "low"},
        "row 2 (2025-10-10 00:05 UTC), column 'low': BTC: -5 is not a price above 0",
    ),
    "high below low": (
        LONG.replace("103,95", "95,103"), {"high": "high", "low": "low"},
        "row 2 (2025-10-10 00:05 UTC), column 'high': BTC: the high is below the low",
    ),
    "close above high": (
        LONG.replace("103,95", "101,95"), {"high": "high", "low": "low"},
        "column 'close': BTC: the close is above the high (close 102, high 101, low 95)",
    ),
    "close below low": (
        LONG.replace("103,95", "104,103"), {"high": "high", "low": "low"},
        "column 'close': BTC: the close is below the low",
    ),
    "duplicate time": (
        row("2025-10-10 00:05:00,BTC,103,103,95"), {},
        "row 7 (2025-10-10 00:05 UTC), column 'time': BTC: the same time as row 2; their prices",
    ),
    "overlapping bars": (
        row("2025-10-10 00:12:00,BTC,102,103,95"), {"bar_minutes": 5},
        "row 7 (2025-10-10 00:12 UTC), column 'time': BTC: 2 min after row 3, less than a bar",
    ),
    "time that is none": (
        LONG.replace("2025-10-10 00:05:00,BTC", "soon,BTC"), {},
        "prices.csv, row 2, column 'time': soon is not a time; write for example",
    ),
    "missing time": (LONG.replace("2025-10-10 00:05:00,BTC", ",BTC"), {}, "row 2, column 'time'"),
    "offset in some rows": (
        LONG.replace("00:05:00,BTC", "00:05:00+02:00,BTC"), {},
        "row 1, column 'time': 2025-10-10 00:00:00 has no offset from UTC while others have",
    ),
    "hour that does not exist": (
        LONG.replace("2025-10-10 00", "2025-03-30 02"), {"timezone": "Europe/Zurich"},
        "row 1, column 'time': 2025-03-30 02:00:00 is ambiguous or missing in Europe/Zurich",
    ),
    "long gap": (
        LONG.replace("00:10:00", "09:10:00"), {},
        "row 3 (2025-10-10 09:10 UTC), column 'time': BTC: a gap of 9 h before this row; "
        "spot.history.max_gap allows 6 h",
    ),
    "duplicate time in a file of two rows": (
        LONG[:61].replace("00:00:00,BTC", "00:05:00,BTC") + "2025-10-10 00:05:00,BTC,102,103,95\n",
        {}, "row 2 (2025-10-10 00:05 UTC), column 'time': BTC: the same time as row 1",
    ),
    "bad price in a file too short anyway": (
        LONG.replace("102,103,95", "nan,103,95"), {"steps": 1000},
        "row 2 (2025-10-10 00:05 UTC), column 'close': BTC: nan is not a price above 0",
    ),
    "too short": (LONG, {"steps": 11}, "too short for 11 steps: 2025-10-10 00:05 UTC to"),
    "start before the file": (
        LONG, {"start": "2025-10-09"}, "lies outside: the first price of BTC is at 2025-10-10 00:05"
    ),
    "end after the file": (
        LONG, {"end": "2025-10-12"}, "lies outside: the last price of BTC is at 2025-10-10 00:15"
    ),
    "start after end": (
        LONG, {"start": "2025-10-10T00:14", "end": "2025-10-10T00:06"}, "has no step; check"
    ),
    "one row": (LONG[:61], {}, "BTC has fewer than two times; set spot.history.bar_minutes"),
    "no rows": (LONG[:26], {}, "the file has no rows"),
    "empty file": ("", {}, "the file is empty"),
    "ragged rows": (row("2025-10-10 00:15:00,BTC,1,2,3,4,5"), {}, "cannot be read as a table: Err"),
    "one field too many": (
        LONG.replace("1.9\n", "1.9,5\n").replace("9\n", "9,5\n"), {}, "cannot be read as CSV"
    ),
    "market without columns": (
        LONG, {"format": "wide", "columns": {"BTX": "close"}},
        "spot.history.columns: no entry for market BTC (did you mean 'BTX'?)",
    ),
    "wide column missing": (
        LONG, {"format": "wide", "columns": {"BTC": "clos"}},
        "no column 'clos' (did you mean 'close'?); the file has time, asset, close, high, low; "
        "set spot.history.columns.BTC",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_file_row_and_column(load, case):
    text, fields, message = BAD[case]
    with pytest.raises(HistoryError) as caught:
        load(text, **fields)
    assert message in str(caught.value)
    assert "prices.csv" in str(caught.value) or "spot.history" in str(caught.value)


def test_bad_rows_outside_the_window_do_not_matter(load):
    text = LONG.replace("BTC,101,", "BTC,nan,")
    assert load(text, end="2025-10-10T00:10").price[-1, 0] == 102.0


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    (tmp_path / "prices.parquet").write_bytes(b"")
    with pytest.raises(HistoryError, match=r"price\.parquet: there is no such file \(did you mean"):
        load_history(History(path=tmp_path / "price.parquet"), ["BTC"], 1.0)
    with pytest.raises(HistoryError, match=r"there is no such file; set spot\.history\.path"):
        load_history(History(path=tmp_path / "nowhere" / "price.csv"), ["BTC"], 1.0)


def test_a_pipe_is_called_by_its_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HistoryError, match=r"pipe: a device or a pipe; save what it gives"):
        load_history(History(path=tmp_path / "pipe"), ["BTC"], 1.0)


def test_a_text_without_fields_is_refused_and_shown(tmp_path):
    (tmp_path / "prices.csv").write_text("Dear all,\nno prices today.\n")
    with pytest.raises(HistoryError, match=r"a text that is no table(.|\n)*no prices today"):
        load_history(History(path=tmp_path / "prices.csv"), ["BTC"], 1.0)


@pytest.mark.parametrize("name", ["prices.parquet", "prices.csv"])
def test_bytes_that_are_no_table_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(256)) * 4)
    with pytest.raises(HistoryError, match=rf"{name}: cannot be read as"):
        load_history(History(path=tmp_path / name), ["BTC"], 1.0)


@pytest.mark.skipif(not SHARED.exists(), reason=f"the shared price data are not at {SHARED}")
def test_the_crash_of_october_2025_shows_its_lows_minute_by_minute():
    history = History(path=SHARED, high="high", low="low", start="2025-10-10", end="2025-10-12")
    path = load_history(history, ["BTC", "XRP", "DOGE"], 1.0)
    assert path.price.shape == (2881, 3)
    assert path.price.min(axis=0).tolist() == [101516.5, 1.1792, 0.08385]
    assert path.price[21 * 60 + 15 + 10, 2] == 0.08385
    assert path.price[21 * 60 + 30, 2] == 0.16903
    assert (path.price > 0).all()
