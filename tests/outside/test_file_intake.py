"""Files as people have them are read, or the error says what they are and what to do."""

import bz2
import gzip
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from marketsim.scenario.history import HistoryError, HistoryPath, load_history
from marketsim.scenario.spot_model import History

#: 24 hourly closes from 2025-01-01 00:00 UTC, as in the shared cases.
CLOSES = [99760 + 40 * ((7 * n) % 13) for n in range(24)]
STAMPS = pd.date_range("2025-01-01", periods=24, freq="h", tz="UTC")
ISO = [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in STAMPS]
MS = [int(time.timestamp() * 1000) for time in STAMPS]

Load = Callable[..., HistoryPath]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write bytes or a text to a file and replay it in one market, BTC."""

    def write_and_load(content: str | bytes, name: str = "p.csv", **fields: object) -> HistoryPath:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_history(History(path=file, **fields), ["BTC"], 60.0)  # type: ignore[arg-type]

    return write_and_load


def lines(separator: str = ",", show: Callable[[float], str] = str, header: str = "") -> str:
    rows = [f"{time}{separator}{show(close)}" for time, close in zip(ISO, CLOSES, strict=True)]
    return "\n".join([header] * bool(header) + rows) + "\n"


PLAIN = lines(header="time,close")


def european(value: float) -> str:
    return f"{value + 0.5:,.2f}".translate(str.maketrans(",.", ".,"))


def quoted(value: str) -> str:
    return f'"{value}"'


def archive(**texts: str) -> bytes:
    """A zip of files whose names are written with two underscores in place of the point."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, text in texts.items():
            file.writestr(re.sub(r"(?<=\w)__(?=\w)", ".", name), text)
    return stream.getvalue()


def klines(order: tuple[int, ...] = (0, 1, 2, 3), extra: str = ",12.5") -> str:
    rows = []
    for time, close in zip(MS, CLOSES, strict=True):
        prices = (close - 10, close + 40, close - 60, close)  # open, high, low, close
        rows.append(f"{time}," + ",".join(str(prices[n]) for n in order) + extra)
    return "\n".join(rows)


def feather(name: str = "time") -> bytes:
    stream = io.BytesIO()
    pd.DataFrame({name: STAMPS, "close": CLOSES}).to_feather(stream)
    return stream.getvalue()


def arrow_stream() -> bytes:
    table = pa.Table.from_pandas(pd.DataFrame({"time": STAMPS, "close": CLOSES}))
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    pd.DataFrame({"close": CLOSES}, index=pd.Index(STAMPS, name="Date")).to_parquet(stream)
    return stream.getvalue()


ROWS = [[time, close] for time, close in zip(MS, CLOSES, strict=True)]
OBJECTS = [{"t": time, "c": str(close)} for time, close in zip(ISO, CLOSES, strict=True)]


#: Name -> content, name of the file, fields, how much the prices differ from CLOSES.
READ: dict[str, tuple[str | bytes, str, dict[str, object], float]] = {
    "no header, ISO": (lines(), "p.csv", {}, 0),
    "no header, klines": (klines(), "p.csv", {}, 0),
    "no header, twelve columns": (klines(extra=",1,2,3,4,5,6,0"), "p.csv", {}, 0),
    "no header, seven columns as Kraken has": (klines(extra=",12.5,7"), "p.csv", {}, 0),
    "no header, Bitfinex's order": (klines((0, 3, 1, 2)), "p.csv", {}, 0),
    "no header, Coinbase's order": (klines((2, 1, 0, 3)), "p.csv", {}, 0),
    "no header, names stated": (
        klines((3, 0), ""), "p.csv", {"names": ("when", "last", "first"), "close": "last"}, 0,
    ),
    "no header, named as usual": (lines(), "p.csv", {"time": "time", "close": "close"}, 0),
    "comment": ("# hourly, UTC\n" + PLAIN, "p.csv", {}, 0),
    "comments of another kind": ("// from X\n// hourly, UTC\n" + PLAIN, "p.csv", {}, 0),
    "comments among the rows": (PLAIN.replace(ISO[5], "# x\n" + ISO[5]) + "# end", "p.csv", {}, 0),
    "a header in a comment": ("# time,close\n" + lines(), "p.csv", {}, 0),
    "banner": ("Source: X, 2025-01-01\n\n" + PLAIN, "p.csv", {}, 0),
    "banner of a link": ("https://www.example.com/a?b=1,2\n" + PLAIN, "p.csv", {}, 0),
    "sep=": ("sep=;\r\n" + lines(";", header="time;close"), "p.csv", {}, 0),
    "semicolon": (lines(";", header="time;close"), "p.csv", {}, 0),
    "semicolon, no header": (lines(";"), "p.csv", {}, 0),
    "tab": (lines("\t", header="time\tclose"), "p.txt", {}, 0),
    "tab as .tsv.gz": (
        gzip.compress(lines("\t", header="time\tclose").encode()), "p.tsv.gz", {}, 0,
    ),
    "bar": (lines("|", header="time|close"), "p.csv", {}, 0),
    "blanks": (lines("   ", header="time   close"), "p.dat", {}, 0),
    "blanks behind commas": (lines(", ", header="time, close"), "p.csv", {}, 0),
    "trailing commas": (lines(show=lambda p: f"{p},", header="time,close,"), "p.csv", {}, 0),
    "decimal comma, quoted": (
        lines(show=lambda p: quoted(f"{p},50"), header="time,close"), "p.csv", {}, 0.5,
    ),
    "decimal comma, semicolon": (lines(";", lambda p: f"{p},5", "time;close"), "p.csv", {}, 0.5),
    "decimal comma, semicolon, no header": (lines(";", lambda p: f"{p},5"), "p.csv", {}, 0.5),
    "decimal comma and points": (lines(";", european, "time;close"), "p.csv", {}, 0.5),
    "thousands": (
        lines(show=lambda p: quoted(f"{p + 0.5:,}"), header="time,close"), "p.csv", {}, 0.5,
    ),
    "thousands and dollars": (
        lines(show=lambda p: quoted(f"$ {p + 0.5:,}"), header="time,close"), "p.csv", {}, 0.5,
    ),
    "thousands without a fraction, stated": (
        lines(show=lambda p: quoted(f"{p:,}"), header="time,close"), "p.csv", {"decimal": "."}, 0,
    ),
    "Swiss thousands": (lines(show=lambda p: f"{p + 0.5:,}".replace(",", "'")), "p.csv", {}, 0.5),
    "French thousands": (
        lines(";", lambda p: f"{p:,}".replace(",", "\u202f") + ",5", "time;close"), "p.csv", {},
        0.5,
    ),
    "UTF-16": (PLAIN.encode("utf-16"), "p.csv", {}, 0),
    "UTF-16, big end first": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "p.csv", {}, 0),
    "UTF-16 without a mark, tab": (
        lines("\t", header="time\tclose").encode("utf-16-le"), "p.txt", {}, 0,
    ),
    "a mark, no header": (b"\xef\xbb\xbf" + lines().encode(), "p.csv", {}, 0),
    "Western Europe": (
        lines(";", header="Zeit;Schlußkurs").encode("cp1252"), "p.csv", {"close": "Schlußkurs"}, 0,
    ),
    "lines end as on an old Mac": (PLAIN.replace("\n", "\r"), "p.csv", {}, 0),
    "names in capitals": (PLAIN.replace("time,close", "TIME,CLOSE"), "p.csv", {}, 0),
    "names in brackets": (PLAIN.replace("time,close", "<DATE>,<CLOSE>"), "p.csv", {}, 0),
    "zip": (archive(a__csv=PLAIN), "p.zip", {}, 0),
    "zip as .csv": (archive(a__csv=PLAIN), "p.csv", {}, 0),
    "zip of a Mac": (archive(**{"a__csv": PLAIN, "__MACOSX/._a__csv": "x"}) , "p.zip", {}, 0),
    "zip of JSON": (archive(a__json=json.dumps(ROWS)), "p.zip", {}, 0),
    "gzip without its ending": (gzip.compress(PLAIN.encode()), "p.csv", {}, 0),
    "bzip2": (bz2.compress(PLAIN.encode()), "p.csv.bz2", {}, 0),
    "xz": (lzma.compress(PLAIN.encode()), "p.csv.xz", {}, 0),
    "zstd": (pa.compress(PLAIN.encode(), "zstd", asbytes=True), "p.csv.zst", {}, 0),
    "feather": (feather(), "p.feather", {}, 0),
    "feather as .parquet": (feather("open_time"), "p.parquet", {}, 0),
    "feather in gzip": (gzip.compress(feather()), "p.feather.gz", {}, 0),
    "Arrow stream": (arrow_stream(), "p.arrows", {}, 0),
    "Parquet as .csv, by its index": (parquet(), "p.csv", {}, 0),
    "JSON lists": (json.dumps(ROWS), "p.json", {}, 0),
    "JSON lists, gzip": (gzip.compress(json.dumps(ROWS).encode()), "p.json.gz", {}, 0),
    "JSON objects": (json.dumps(OBJECTS), "p.json", {}, 0),
    "JSON by lines": ("\n".join(map(json.dumps, OBJECTS)), "p.jsonl", {}, 0),
    "JSON within an answer": (
        json.dumps({"code": "0", "result": {"XXBTZUSD": ROWS, "last": 7}}), "p.json", {}, 0,
    ),
    "JSON of columns": (json.dumps({"time": ISO, "close": CLOSES}), "p.json", {}, 0),
    "JSON by time": (json.dumps(dict(zip(ISO, CLOSES, strict=True))), "p.json", {}, 0),
    "JSON of pandas": (
        pd.DataFrame({"time": ISO, "close": CLOSES}).to_json(), "p.json", {}, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_file_is_read_as_it_is(load: Load, case: str) -> None:
    content, name, fields, add = READ[case]
    path = load(content, name, **fields)
    assert path.price[:, 0].tolist() == [close + add for close in CLOSES]
    assert f"{path.start:%Y-%m-%d %H:%M}" == "2025-01-01 01:00"


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no header, klines", "no header line: columns taken as time, open, high, low, close"),
        ("comment", "1 line above the table skipped: # hourly, UTC"),
        ("decimal comma, quoted", "prices read with a decimal comma"),
        ("thousands", "',' in prices taken as a separator of thousands"),
        ("Western Europe", "not UTF-8: letters beyond ASCII read as those of Western Europe"),
        ("a header in a comment", "the header stands in a comment"),
        ("names in brackets", "close of the column '<CLOSE>'"),
        ("JSON within an answer", "the list 'result.XXBTZUSD' of the file"),
    ],
)
def test_a_guess_is_said(load: Load, case: str, said: str) -> None:
    content, name, fields, _ = READ[case]
    assert any(said in note for note in load(content, name, **fields).notes)


def encrypted() -> bytes:
    """A zip whose entry says that it is encrypted, as its flags do."""
    content = bytearray(archive(a__csv=PLAIN))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    return bytes(content)


#: Name -> content, name of the file, what the error says.
REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "no header, no known candle": (
        "\n".join(f"{time},{n},{n + 3}" for n, time in enumerate(MS, 7)), "p.csv",
        r"first row looks like data.*no header line.*spot\.history\.names",
    ),
    "thousands or decimals": (
        lines(show=lambda p: quoted(f"{p:,}"), header="time,close"), "p.csv",
        r"99,760 written with a thousands separator or with a decimal comma\? State "
        r"spot\.history\.decimal",
    ),
    "thousands without quotes": (lines(show=lambda p: f"{p:,}", header="time,close"), "p.csv",
        "a decimal comma or a thousands separator, put them in quotes"),
    "points that may be thousands": (
        lines(";", lambda p: f"{p:,}".replace(",", "."), "time;close"), "p.csv",
        r"99\.760 written with a thousands separator or with a decimal point\?",
    ),
    "two columns of a name": (PLAIN.replace("time,close", "close,close"), "p.csv", "two columns"),
    "nothing but text": ("Dear all,\nno prices today.\nBest\n", "p.csv", "a text that is no table"),
    "one column": ("close\n1\n2\n3\n", "p.csv", "a text that is no table: no separator"),
    "no times": ("open,close\n" + "10.5,11.5\n" * 9, "p.csv",
        r"no column holds times.*spot\.history\.time"),
    "two assets": (PLAIN + lines(show=lambda p: str(p / 50)), "p.csv",
        r"about 2 rows: the prices of several assets.*spot\.history\.asset"),
    "no file": ("", "p.csv", "the file is empty"),
    "zip with two files": (archive(a__csv=PLAIN, b__csv=PLAIN), "p.zip",
        r"a zip file with 2 files \(a\.csv, b\.csv\); unpack it"),
    "zip with none": (archive(), "p.zip", "an empty zip"),
    "encrypted zip": (encrypted(), "p.zip", "an encrypted zip file; unpack it with its password"),
    "half a zip": (archive(a__csv=PLAIN)[:-40], "p.zip", "read as a table: File is not a zip"),
    "half a gzip": (gzip.compress(PLAIN.encode())[:-20], "p.csv.gz", "read as a table: Compressed"),
    "half a Parquet": (parquet()[:-9], "p.parquet", "cannot be read as a table"),
    "Excel": (archive(**{"xl/workbook__xml": "<x/>", "a__xml": "<x/>"}), "p.xlsx",
        r"an Excel workbook \(\.xlsx\); save it as 'CSV UTF-8'"),
    "old Excel": (b"\xd0\xcf\x11\xe0" + bytes(600), "p.xls", r"an Excel workbook \(\.xls\)"),
    "web page": ("<!DOCTYPE html><p>Error</p>", "p.csv", "a web page or XML, not a table"),
    "pickle": (b"\x80\x04\x95" + bytes(80), "p.pkl", "a pickle; write it as Parquet"),
    "any bytes": (bytes(range(256)) * 9, "p.csv", "it is not text, nor a file whose beginning"),
    "no JSON": ("[1, 2", "p.json", "begins like a JSON file, but is none"),
    "JSON without a table": ('{"error": "rate limit"}', "p.json", "a JSON file without a table"),
    "JSON with several": (json.dumps({"a": ROWS, "b": ROWS}), "p.json", r"several tables \(a, b\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named_with_its_fix(load: Load, case: str) -> None:
    content, name, said = REFUSED[case]
    with pytest.raises(HistoryError) as caught:
        load(content, name)
    assert re.search(said, str(caught.value), re.DOTALL), str(caught.value)
    assert not re.search("codec|delete the row|name it \\.", str(caught.value))


def test_an_error_shows_the_first_lines_as_they_were_read(load: Load) -> None:
    with pytest.raises(HistoryError) as caught:
        load(lines(show=lambda p: quoted(f"{p:,}"), header="time,close"))
    shown = str(caught.value).splitlines()
    assert shown[1:4] == ["first lines as read:", "  time,close", f'  {ISO[0]},"99,760"']


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="a folder; name a file in it"):
        load_history(History(path=tmp_path), ["BTC"], 1.0)


def test_prices_are_read_to_the_last_bit(load: Load) -> None:
    values = [0.1 + 0.2, 1e-7 / 3, 123456.7890123, 5e-324 * 2**70]
    text = "\n".join(f"{time},{value!r}" for time, value in zip(ISO, values, strict=False))
    assert load(text).price[:, 0].tolist() == values


def test_a_price_that_is_wrong_in_the_midst_is_shown_as_it_stands(load: Load) -> None:
    text = lines(show=lambda p: quoted(f"{p + 0.5:,}"), header="time,close")
    wrong = text.replace('"99,800.5"', '"99.800,5"')
    assert wrong != text
    with pytest.raises(HistoryError, match=r"99\.800,5 is not a price above 0; state spot\.hist"):
        load(wrong)


def test_rows_come_in_chunks_as_they_come_at_once(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(PLAIN).price
    monkeypatch.setattr("marketsim.scenario.bars.CHUNK_ROWS", 5)
    for content, name in ((PLAIN, "p.csv"), (parquet(), "p.parquet"), (json.dumps(ROWS), "p.json")):
        assert np.array_equal(load(content, name).price, whole)
