"""One visual language: colours, scales and sizes of every figure, page and replay.

Colours mean the same thing everywhere. Long and short, markets and populations can be told apart
with every common colour blindness; markets and populations get theirs by their place in the run's
list. The funding scale is absolute, so that two figures can be compared. Loads nothing: figures and
the page's server share it.
"""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Basis points per 8 hours at which the funding scale changes its colour; the same in all figures.
FUNDING_STEPS_BP = (-100.0, -30.0, -10.0, -3.0, -0.5, 0.5, 3.0, 10.0, 30.0, 100.0)
#: Digits of a digest in a source line.
DIGEST_DIGITS = 10
#: Characters of a name before it is cut in its middle.
LONGEST_NAME = 28
#: Of the page; figures use the typeface that comes with matplotlib.
FONTS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colours of a light or a dark page.

    `ink`, `muted`, `long` and `short` may colour text on paper; the others colour areas, lines and
    marks, beside which the word stands in ink.
    """

    paper: str
    ink: str  #: text, lines that carry the statement
    muted: str  #: axes, source lines, what stands back
    grid: str
    long: str
    short: str
    fund: str  #: the insurance fund
    categories: tuple[str, ...]  #: markets from the front, populations from the back
    funding: tuple[str, ...]  #: from shorts pay most over zero to longs pay most
    fire: tuple[str, ...]  #: what would be liquidated, or burns: from nothing to most

    def market(self, place: int) -> str:
        """Return the colour of a market by its place in the run's list."""
        return self.categories[place % len(self.categories)]

    def population(self, place: int) -> str:
        """Return the colour of a population by its place in the run's list."""
        return self.categories[-1 - place % len(self.categories)]

    def funding_color(self, rate: float) -> str:
        """Return the colour of a funding rate (per 8 h, a fraction).

        Examples
        --------
        >>> LIGHT.funding_color(0.0) == LIGHT.funding[5]
        True
        >>> LIGHT.funding_color(0.0001) == LIGHT.funding[6]
        True
        """
        return self.funding[bisect.bisect(FUNDING_STEPS_BP, 1e4 * rate)]


LIGHT = Theme(
    paper="#ffffff",
    ink="#14181f",
    muted="#59616d",
    grid="#dde1e6",
    long="#0b62b0",
    short="#b84a09",
    fund="#14181f",
    categories=(
        *("#8250e7", "#76a201", "#ed3e98", "#303e6b", "#8b8352"),
        *("#319af1", "#a94126", "#497163", "#6188a8", "#5c3a2b"),
    ),
    funding=(
        *("#6f2a02", "#ab4508", "#dc7a35", "#efaf7d", "#f8dcc4"),
        "#efeeec",
        *("#cde0f4", "#8fbdea", "#4a92d4", "#1c61ab", "#0b386f"),
    ),
    fire=("#fdf3df", "#fbdc9d", "#f7b557", "#ec8428", "#cf4a17", "#9a1b14", "#560a14"),
)
DARK = Theme(
    paper="#12161c",
    ink="#eef1f5",
    muted="#a1abb8",
    grid="#2c343e",
    long="#5aa9f2",
    short="#f2913d",
    fund="#eef1f5",
    categories=(
        *("#ca8eff", "#c7e000", "#eb5d94", "#7c6ce8", "#e7b460"),
        *("#7cb7cc", "#e72f17", "#67d8c3", "#8394bf", "#977a60"),
    ),
    funding=(
        *("#ffd7ab", "#ffae62", "#e98530", "#b0601f", "#6d4423"),
        "#2b323b",
        *("#274b70", "#2f70b1", "#4d98e3", "#8fc5fe", "#d2e7ff"),
    ),
    fire=("#1f1b1d", "#4a1719", "#8a1f17", "#c8431a", "#ef7f22", "#fbbd4a", "#fff3b8"),
)
THEMES: Mapping[str, Theme] = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True)
class Size:
    """A figure's place: a slide of 16:9, or a column of a paper."""

    width: float  #: inches
    height: float  #: inches
    dots: int  #: per inch
    font: float  #: points
    line: float  #: points, of the lines that carry the statement


SIZES: Mapping[str, Size] = {
    "slide": Size(width=10.0, height=5.625, dots=160, font=16.0, line=2.4),
    "column": Size(width=3.5, height=2.9, dots=300, font=7.0, line=1.1),
}


def theme() -> dict[str, Any]:
    """Return the visual language for a page, ready for JSON.

    Returns
    -------
    dict
        ``light`` and ``dark``: `ink`, `paper`, `muted`, `grid`, `long`, `short`, `fund`, `markets`
        and `populations` (colours by place, begun again after the last), `funding` (one colour more
        than there are limits) and `fire` (even steps from nothing to most); beside them
        ``funding_limits_bp`` (per 8 h) and ``fonts``.
    """
    pages = {
        name: {
            **{part: getattr(each, part) for part in ("ink", "paper", "muted", "grid")},
            **{part: getattr(each, part) for part in ("long", "short", "fund")},
            "markets": list(each.categories),
            "populations": list(each.categories[::-1]),
            "funding": list(each.funding),
            "fire": list(each.fire),
        }
        for name, each in THEMES.items()
    }
    return {**pages, "funding_limits_bp": list(FUNDING_STEPS_BP), "fonts": FONTS}


def source_line(scenario: str, seed: int, digest: str) -> str:
    """Say what a picture was made from.

    Examples
    --------
    >>> source_line("contagion", 1, "3f9c0a66e1d2b7")
    'contagion, seed 1, digest 3f9c0a66e1'
    """
    return f"{shortened(scenario)}, seed {seed}, digest {digest[:DIGEST_DIGITS]}"


def shortened(name: str, length: int = LONGEST_NAME) -> str:
    """Cut a long name in its middle, so that its ends still tell it apart.

    Examples
    --------
    >>> shortened("a-very-long-name-that-fits-nowhere", 15)
    'a-very-…nowhere'
    """
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[head + 1 - length :]}"
