"""Figures in the one style: a sheet of paper with a title, axes and the line that says its source.

Names come from users, so every text that holds one goes through `plain`: matplotlib would set what
stands between two dollar signs as a formula.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.rcsetup import cycler

from marketsim.report.numbers import number
from marketsim.report.style import FUNDING_STEPS_BP, SIZES, THEMES, Size, Theme, shortened
from marketsim.tape.files import FolderError, atomic

#: Endings of the files a figure can be written to.
SUFFIXES = (".png", ".svg", ".pdf")
#: What writers would put into a file that differs from run to run.
_TIMELESS: dict[str, dict[str, Any]] = {
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
#: Width of a letter and size of small text, about, in sizes of the font.
LETTER, SMALL = 0.6, 0.83
#: Characters of a legend's entry before it is cut.
LONGEST_ENTRY = 44


class FigureError(FolderError):
    """A figure that cannot be drawn or written as asked for; the message says why."""


@dataclass(frozen=True)
class Look:
    """How a figure is drawn: its place and its page."""

    size: Size
    theme: Theme

    @property
    def settings(self) -> Any:
        """What matplotlib calls them, for ``rc_context``."""
        theme, size = self.theme, self.size
        return {
            "figure.facecolor": theme.paper,
            "figure.dpi": 100,
            "savefig.facecolor": theme.paper,
            "axes.facecolor": theme.paper,
            "axes.edgecolor": theme.muted,
            "axes.labelcolor": theme.ink,
            "axes.titlecolor": theme.ink,
            "axes.titlelocation": "left",
            "axes.titlesize": "medium",
            "axes.labelsize": "medium",
            "axes.linewidth": 0.4 * size.line,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.prop_cycle": cycler(color=theme.categories),
            "grid.color": theme.grid,
            "grid.linewidth": 0.4 * size.line,
            "text.color": theme.ink,
            "xtick.color": theme.muted,
            "ytick.color": theme.muted,
            "xtick.labelcolor": theme.ink,
            "ytick.labelcolor": theme.ink,
            "xtick.labelsize": "small",
            "ytick.labelsize": "small",
            "xtick.major.width": 0.4 * size.line,
            "ytick.major.width": 0.4 * size.line,
            "xtick.major.size": 0.25 * size.font,
            "ytick.major.size": 0.25 * size.font,
            "xtick.minor.size": 0.0,
            "ytick.minor.size": 0.0,
            "legend.frameon": False,
            "legend.fontsize": "small",
            "legend.handlelength": 1.4,
            "legend.columnspacing": 1.2,
            "legend.borderaxespad": 0.0,
            "font.size": size.font,
            "font.family": ["DejaVu Sans"],
            "lines.linewidth": size.line,
            "lines.markersize": 0.45 * size.font,
            "lines.solid_capstyle": "round",
            "patch.linewidth": 0.4 * size.line,
            "svg.hashsalt": "marketsim",
            "pdf.fonttype": 42,
        }


def find_look(size: str = "slide", *, dark: bool = False) -> Look:
    """Return a look by its names.

    Parameters
    ----------
    size : {"slide", "column"}
    dark : bool, optional
    """
    return Look(SIZES[size], THEMES["dark" if dark else "light"])


def new_figure(look: Look) -> Figure:
    """Begin a figure; without pyplot, so that it needs no display and leaves no state behind."""
    size = (look.size.width, look.size.height)
    pad = 0.2 * look.size.font / 72.0
    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad)
    return Figure(figsize=size, dpi=look.size.dots, layout=layout)


def finish(figure: Figure, title: str, source: str, look: Look) -> None:
    """Put the title above a figure and, below it, what it was made from.

    Parameters
    ----------
    figure : Figure
    title, source : str
        An empty one takes no room.
    look : Look
    """
    width, height = figure.get_size_inches()
    font = look.size.font
    letters = int(width * 72.0 / (LETTER * 1.15 * font))
    edge = 0.5 * font / 72.0
    bottom = 0.0
    if source:
        text = fill(source, int(width * 72.0 / (LETTER * 0.65 * font)))
        bottom = (1.0 + text.count("\n")) * 1.3 * 0.65 * font / 72.0 / height + 0.4 * edge / height
        figure.text(
            1.0 - edge / width,
            0.5 * edge / height,
            plain(text),
            color=look.theme.muted,
            fontsize=0.65 * font,
            ha="right",
            va="bottom",
            label="source",
        )
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0.0, bottom, 1.0, 1.0 - bottom))
    if title:
        figure.suptitle(
            plain(fill(title, letters)),
            x=edge / width,
            ha="left",
            fontsize=1.1 * font,
            weight="bold",
        )


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Ends in one of `SUFFIXES`, which says how.

    Returns
    -------
    Path

    Raises
    ------
    FigureError
        If it ends otherwise.
    FolderError
        If it cannot be written.
    """
    target = Path(path)
    check_suffix(target)
    suffix = target.suffix.lower()
    with atomic(target) as stream, mpl.rc_context({"svg.hashsalt": "marketsim"}):
        figure.savefig(stream, format=suffix[1:], dpi=figure.dpi, metadata=_TIMELESS[suffix])
    return target


def check_suffix(path: Path) -> None:
    """Refuse, before long work, a file no figure can be written to.

    Raises
    ------
    FigureError
    """
    if path.suffix.lower() not in SUFFIXES:
        endings = ", ".join(SUFFIXES)
        raise FigureError(f"{path}: a figure's file ends in {endings}")


def split(axes: Axes, ratios: Sequence[float]) -> list[Axes]:
    """Put several axes, one below the other and over the same time, in the place of one.

    Parameters
    ----------
    axes : Axes
        Is removed.
    ratios : sequence of float
        Heights.
    """
    figure, place = axes.get_figure(), axes.get_subplotspec()
    if place is None or figure is None:
        raise FigureError("ax: must be a subplot, for this figure divides its place")
    grid = place.subgridspec(len(ratios), 1, height_ratios=ratios)
    axes.remove()
    made: list[Axes] = []
    for row in range(len(ratios)):
        made.append(figure.add_subplot(grid[row], sharex=made[0] if made else None))
    for each in made[:-1]:
        each.tick_params(labelbottom=False)
    return made


def legend(
    axes: Axes, entries: Iterable[tuple[Any, str]], *, share: float = 1.0, **options: Any
) -> None:
    """Write a legend above axes, in the order given, in as few rows as it fits into.

    A title of the axes stands above it.

    Parameters
    ----------
    axes : Axes
    entries : iterable of (artist, str)
    share : float, optional
        Of the axes' place that is theirs: a scale may stand beside them.
    **options
        Of ``Axes.legend``.
    """
    known = [(artist, shortened(name, LONGEST_ENTRY)) for artist, name in entries]
    if not known:
        return
    columns = _columns([name for _, name in known], share * _room(axes))
    rows = -(-len(known) // columns)
    # matplotlib fills columns; people read rows.
    known = [entry for column in range(columns) for entry in known[column::columns]]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.01), "ncols": columns}
    place |= {"frameon": False, "fontsize": "small", "borderaxespad": 0.0, **options}
    made = axes.legend([artist for artist, _ in known], ["" for _ in known], **place)
    # Afterwards: matplotlib leaves out entries whose names begin with an underscore.
    for text, (_, name) in zip(made.get_texts(), known, strict=True):
        text.set_text(plain(name))
    font = float(mpl.rcParams["font.size"])
    axes.set_title(
        axes.get_title(loc="left"), loc="left", fontsize="medium", pad=(0.45 + 1.25 * rows) * font
    )


def _columns(names: Sequence[str], width: float) -> int:
    """Return in how many columns a legend of these names fits into a width, points."""
    letter = LETTER * SMALL * float(mpl.rcParams["font.size"])
    for columns in range(len(names), 1, -1):
        parts = [names[n::columns] for n in range(columns)]
        if sum(letter * (max(map(len, part)) + 5.0) for part in parts) <= width:
            return columns
    return 1


def heading(axes: Axes, text: str) -> None:
    """Write a title over axes, in as many lines as it takes."""
    letters = _room(axes) / (LETTER * float(mpl.rcParams["font.size"]))
    axes.set_title(plain(fill(text, int(letters))), loc="left", fontsize="medium")


def folded(axes: Axes, label: str) -> str:
    """Return a label that is written along the height of axes, in as many lines as it takes."""
    figure = axes.get_figure()
    assert figure is not None
    height = 0.8 * figure.bbox.height / figure.dpi * 72.0
    return plain(fill(label, int(height / (LETTER * float(mpl.rcParams["font.size"])))))


def _room(axes: Axes) -> float:
    """Return about how wide axes will be, points."""
    figure, place = axes.get_figure(), axes.get_subplotspec()
    assert figure is not None
    share = 0.9 if place is None else 1.06 * place.get_position(figure).width  # type: ignore[arg-type]
    return float(share * figure.bbox.width / figure.dpi * 72.0)


def say(axes: Axes, text: str) -> None:
    """Say in empty axes why there is nothing to see."""
    axes.set_axis_off()
    words = fill(text, 44)
    axes.text(
        0.5, 0.5, plain(words), ha="center", va="center", transform=axes.transAxes, color="gray"
    )


def plain(text: str) -> str:
    r"""Return a text that matplotlib shows as it is.

    Examples
    --------
    >>> plain("a $x$ b")
    'a \\$x\\$ b'
    """
    return text.replace("$", r"\$")


def tick_text(value: Any, place: object = None) -> str:  # noqa: ARG001
    """Write a number on an axis; matplotlib tells the place of a tick, too."""
    return number(value, 3)


def in_usd(axes: Axes, label: str, *, axis: str = "y") -> None:
    """Label an axis of money."""
    side = axes.yaxis if axis == "y" else axes.xaxis
    side.set_major_formatter(tick_text)
    side.set_label_text(f"{label}, USD" if label else "USD")


def fire_map(theme: Theme) -> Colormap:
    """Return the fire scale: what would be liquidated, or burns."""
    return LinearSegmentedColormap.from_list("fire", theme.fire)


def signed_map(theme: Theme) -> Colormap:
    """Return the scale of what has a sign: neutral at its middle."""
    return LinearSegmentedColormap.from_list("signed", theme.funding, N=257)


def amount_map(theme: Theme) -> Colormap:
    """Return the scale of what has none: from little to much."""
    return LinearSegmentedColormap.from_list("amount", theme.funding[len(theme.funding) // 2 :])


def funding_map(theme: Theme) -> tuple[Colormap, BoundaryNorm]:
    """Return the absolute funding scale: colours, and the steps in bp per 8 h they belong to."""
    colors = ListedColormap(list(theme.funding), "funding")
    return colors, BoundaryNorm(FUNDING_STEPS_BP, colors.N, extend="both")


def contrasting(color: Any, theme: Theme) -> str:
    """Return ink or paper, whichever can be read on a colour."""
    red, green, blue = mpl.colors.to_rgb(color)
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)
    ]
    is_light = float(np.dot(linear, [0.2126, 0.7152, 0.0722])) > 0.18
    is_ink_dark = theme.ink < theme.paper
    return theme.ink if is_light == is_ink_dark else theme.paper


def hours_axis(axes: Axes, label: str = "hours since the start") -> None:
    """Label an axis of time, in as many lines as it takes."""
    letters = _room(axes) / (LETTER * float(mpl.rcParams["font.size"]))
    axes.set_xlabel(plain(fill(label, int(letters))))
    axes.xaxis.set_major_formatter(tick_text)
    axes.margins(x=0.01)


#: Draws a run (or several) on axes; returns the axes it has made of them.
Draw = Callable[..., list[Axes]]
