"""A self-contained page: text, tables and figures in one HTML file that needs no network.

All text is escaped: a name that reads like markup stays a name. The page has no script, and its
policy allows none.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from marketsim.report.numbers import number
from marketsim.report.style import FONTS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Pictures lie in the page or beside it.
_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
#: Dots per inch of figures in a page: 1,200 pixels across for a slide.
_DOTS = 120


def page(title: str, source: str, parts: Iterable[str]) -> str:
    """Put parts together to a page.

    Parameters
    ----------
    title, source : str
        Text; the source says what the page was made from.
    parts : iterable of str
        HTML, as the functions below return it.

    Returns
    -------
    str
    """
    style = (files(__package__) / "report.css").read_text(encoding="utf-8").replace("FONTS", FONTS)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body><main>",
            f'<h1>{escape(title)}</h1><p class="source">{escape(source)}</p>',
            *parts,
            "</main></body></html>",
            "",
        ]
    )


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """Return a list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return figures to be read from afar, each with what it is."""
    items = (f"<li><b>{escape(value)}</b><span>{escape(what)}</span></li>" for value, what in pairs)
    return f'<ul class="facts">{"".join(items)}</ul>'


def command(lines: Sequence[str]) -> str:
    """Return commands as they are typed."""
    text = "\n".join(lines)
    return f"<pre><code>{escape(text)}</code></pre>"


def picture(figure: "Figure", caption: str) -> str:
    """Return a figure with what it shows, which is also read out instead of it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DOTS)
    return _image(stream.getvalue(), caption)


def _image(content: bytes, caption: str) -> str:
    data = base64.b64encode(content).decode()
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def table(frame: "pd.DataFrame") -> str:
    """Return a table, numbers in a few digits."""
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    inner = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table>{inner}</table></div>'


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else number(value)
