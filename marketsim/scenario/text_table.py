"""Text as a table: its encoding, what separates fields, where its header is and its rows begin."""

import codecs
import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from marketsim.scenario.numerals import looks_like_number
from marketsim.scenario.row_names import guess_names
from marketsim.scenario.spot_model import Reading
from marketsim.scenario.table_file import SAMPLE_ROWS, Table, show_lines
from marketsim.scenario.unpacking import HEAD, HistoryError, Packed
from marketsim.scenario.written_dates import looks_like_time

#: What may separate fields, the likelier first where two do as well.
SEPARATORS = {",": '","', ";": '";"', "\t": "tab", "|": '"|"', r"\s+": "blanks"}
#: Lines looked at; the header is among them.
LINES = 300
#: Levels of a header, as a table of several assets has them.
MAX_LEVELS = 3
COMMENTS = ("#", "//", "%", "--")
#: A level of a header that says these states a unit, not an asset.
CURRENCIES = ("USD", "USDT", "EUR", "GBP", "JPY")


class _Shape(NamedTuple):
    """How lines fall into fields."""

    separator: str
    rows: list[list[str]]  #: fields of each line
    width: int  #: fields of most lines


class _Top(NamedTuple):
    """The lines of a text above its first row."""

    first: int  #: number of the line of the first row
    names: list[str] | None  #: of the header, None without one
    asset: str | None
    notes: list[str]


def read_text(packed: Packed, head: bytes, packing: str, reading: Reading, option: str) -> Table:
    """Understand a text as a table.

    Parameters
    ----------
    packed : Packed
    head : bytes
        Its beginning.
    packing : str
        How it is packed, in words.
    reading : Reading
        What the user states of it.
    option : str
        Where that is stated, for the error: "spot.history".

    Returns
    -------
    Table

    Raises
    ------
    HistoryError
        If it is no table; the first lines are shown.
    """
    encoding, text = _decode(packed, head)
    lines = re.split(r"\r\n|\n|\r", text)
    if len(head) == HEAD:
        lines.pop()  # cut off
    lines = lines[: LINES + (reading.skip_lines or 0)]
    shown = show_lines(lines)
    skip = reading.skip_lines or 0
    hint = next((line for line in lines[:1] if line.lower().startswith("sep=")), None)
    stated = reading.separator or (hint[4:5] if hint else None)
    shape = _find_shape(lines[skip:], {stated: stated} if stated else SEPARATORS)
    if shape is None or shape.width < 2:
        raise HistoryError(
            f"{packed.path}: a text that is no table: no separator gives its lines the same number "
            f"of fields, two at least; state {option}.separator and {option}.skip_lines, or write "
            "it as CSV",
            shown,
        )
    top = _find_top(packed, lines[skip:], shape, reading, option)
    first, notes = top.first + skip, list(top.notes)
    if encoding.startswith("utf-16"):
        packing += ", UTF-16"
    elif encoding == "cp1252":
        notes.append("not UTF-8: letters beyond ASCII read as those of Western Europe")
    has_comments = any(line.startswith("#") for line in lines)

    def read(places: Sequence[int], rows: int) -> Iterator[pd.DataFrame]:
        with warnings.catch_warnings(), packed.open() as stream:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # as text: how pandas reads decimal numbers has changed in the last bit between versions
            chunks: Any = pd.read_csv(
                stream,
                sep=shape.separator,
                header=None,
                names=range(shape.width),
                index_col=False,
                skiprows=first,
                dtype="str",
                chunksize=rows,
                encoding=encoding,
                comment="#" if has_comments else None,
                skipinitialspace=True,
            )
            for chunk in chunks:
                yield chunk.dropna(how="all")[list(places)]

    sample = _first(read(range(shape.width), SAMPLE_ROWS), shape.width)
    names, is_named = top.names, True
    if reading.names is not None:
        names = _check_names(packed, list(reading.names), shape.width, option, shown)
    elif names is None:
        guessed, guess = guess_names(sample)
        names, is_named = list(guessed), False
        because = f": {guess}" if guess else ""
        notes.append(f"the first row looks like data, there is no header line{because}")
    return Table(
        path=packed.path,
        what=f"CSV{packing}, separated by {SEPARATORS.get(shape.separator, shape.separator)}",
        columns=tuple(names),
        is_named=is_named,
        sample=sample,
        read=read,
        head=shown,
        separator=shape.separator,
        skipped=first - (0 if top.names is None else 1),
        asset=top.asset,
        notes=tuple(notes),
    )


def _decode(packed: Packed, head: bytes) -> tuple[str, str]:
    """Return the encoding of a text and its beginning."""
    sample = head[:4096]
    if head.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif sample.count(0) > len(sample) // 4:
        encoding = "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"
    else:
        encoding = "utf-8"
    for attempt in (encoding, "cp1252"):
        try:
            text = codecs.getincrementaldecoder(attempt)().decode(head)
        except UnicodeDecodeError:
            continue
        if not re.search("[\x00-\x08\x0e-\x1f]", text):
            return attempt, text
    raise HistoryError(
        f"{packed.path}: cannot be read as a table: it is not text, nor a file whose beginning "
        "says what it is; known are CSV, JSON, Parquet and Arrow (feather), also packed by gzip, "
        "zip, bzip2, xz or zstd"
    )


def _find_shape(lines: Sequence[str], separators: Any) -> _Shape | None:
    """Return the separator by which most lines have as many fields, and cells mean something."""
    best, best_score = None, 0.0
    for separator in separators:
        rows = [_split(line, separator) for line in lines]
        counts: dict[int, int] = {}
        for row, line in zip(rows, lines, strict=True):
            if line.strip() and len(row) > 1:
                counts[len(row)] = counts.get(len(row), 0) + 1
        if not counts:
            continue
        width = max(counts, key=lambda count: (counts[count], count))
        alike = [row for row in rows if len(row) == width]
        cells = [cell for row in alike[-50:] for cell in row]
        meant = sum(not cell or _is_datum(cell) or cell.isalpha() for cell in cells) / len(cells)
        share = counts[width] / sum(bool(line.strip()) for line in lines)
        if share * meant > best_score * 1.001:
            best, best_score = _Shape(separator, rows, width), share * meant
    return best if best_score > 0.3 else None


def _split(line: str, separator: str) -> list[str]:
    if separator == r"\s+":
        return line.split()
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return [line]


def _is_datum(cell: str) -> bool:
    return looks_like_number(cell) or looks_like_time(cell)


def _find_top(
    packed: Packed, lines: Sequence[str], shape: _Shape, reading: Reading, option: str
) -> _Top:
    """Find the header and the first row: two lines in a row that hold data, or the last one."""
    rows, width = shape.rows, shape.width
    filled = [n for n, line in enumerate(lines) if line.strip() and not _is_comment(line)]
    data = [len(rows[n]) == width and any(map(_is_datum, rows[n])) for n in filled]
    begin = next(
        (at for at in range(len(filled)) if data[at] and (at + 1 == len(filled) or data[at + 1])),
        None,
    )
    if begin is None and len(filled) > 1:
        raise HistoryError(
            f"{packed.path}: a text that is no table: no two lines in a row hold numbers or dates; "
            f"state {option}.separator and {option}.skip_lines, or write it as CSV",
            show_lines(lines),
        )
    if begin is None:  # a header and no rows
        return _Top(len(lines), rows[filled[0]], None, [])
    first = filled[begin]
    levels: list[list[str]] = []
    while len(levels) < min(begin, MAX_LEVELS) and not data[begin - 1 - len(levels)]:
        row = rows[filled[begin - 1 - len(levels)]]
        if len(row) != width:
            _check_width(packed, row, rows[first:], reading, option, show_lines(lines))
            break
        levels.insert(0, row)
    if not levels:
        return _without_header(lines, filled[:begin], first, shape)
    top = filled[begin - len(levels)]
    notes = _say_skipped(lines[:top])
    if len(levels) == 1:
        return _Top(first, levels[-1], None, notes)
    names, asset = _join_levels(levels)
    notes.append(f"a header of {len(levels)} lines: columns named {', '.join(names[:5])}")
    return _Top(first, names, asset, notes)


def _without_header(lines: Sequence[str], above: Sequence[int], first: int, shape: _Shape) -> _Top:
    """Look for the names in a comment right above the first row."""
    comments = [n for n in range(first) if _is_comment(lines[n])]
    if comments and not above:
        names = _split(lines[comments[-1]].lstrip("#/%- "), shape.separator)
        if len(names) == shape.width and not any(map(_is_datum, names)):
            return _Top(first, names, None, ["the header stands in a comment"])
    return _Top(first, None, None, _say_skipped(lines[:first]))


def _join_levels(levels: Sequence[Sequence[str]]) -> tuple[list[str], str | None]:
    """Make one name of each column's levels: "Close" of one asset, "Close BTC-USD" of several.

    The last level may name the index alone, as pandas writes it.
    """
    index = levels[-1][0]
    above = levels if any(levels[-1][1:]) else levels[:-1]
    same = {level[1] for level in above if len(level) > 2 and len(set(level[1:])) == 1}
    asset = next((name for name in same if name and name not in CURRENCIES), None)
    names = [
        " ".join(level[n] for level in above if level[n] and level[n] != asset)
        for n in range(1, len(levels[0]))
    ]
    return [index or levels[0][0], *names], asset


def _check_width(
    packed: Packed,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    reading: Reading,
    option: str,
    shown: Sequence[str],
) -> None:
    """Refuse rows that have a field more or less than the header names."""
    width = len(rows[0])
    if reading.names is None and len(header) > 1 and abs(len(header) - width) == 1:
        raise HistoryError(
            f"{packed.path}: cannot be read as CSV: the header names {len(header)} columns, the "
            f"rows have {width} fields. If numbers have a decimal comma or a thousands separator, "
            f"put them in quotes or separate fields by ';'; else state {option}.names",
            shown,
        )


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(COMMENTS) and not looks_like_number(line.split(",", 1)[0])


def _say_skipped(lines: Sequence[str]) -> list[str]:
    found = [line for line in lines if line.strip()]
    if not found:
        return []
    return [f"{len(found)} line{'s' * (len(found) > 1)} above the table skipped: {found[0][:60]}"]


def _check_names(
    packed: Packed, names: list[str], width: int, option: str, shown: Sequence[str]
) -> list[str]:
    if len(names) != width:
        msg = f"{packed.path}: {option}.names has {len(names)} names, the rows {width} fields"
        raise HistoryError(msg, shown)
    return names


def _first(chunks: Iterator[pd.DataFrame], width: int) -> Any:
    for chunk in chunks:
        return chunk
    return pd.DataFrame({place: pd.Series(dtype="str") for place in range(width)})
