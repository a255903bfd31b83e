"""A run as a movie: prices, liquidations as they burn, what has been sold where."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marketsim.report.canvas import (
    FigureError,
    Look,
    finish,
    hours_axis,
    in_usd,
    legend,
    plain,
    split,
)
from marketsim.report.numbers import short
from marketsim.report.plots.prices import liquidated
from marketsim.report.plots.reading import chosen_markets, place_of, rows_of
from marketsim.report.style import source_line
from marketsim.results.run import Run
from marketsim.run.progress import Progress
from marketsim.tape.files import atomic
from marketsim.tape.result import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.animation import AbstractMovieWriter

#: Pictures of a movie, and in a second of it.
PICTURES, PER_SECOND = 120, 12
#: Pictures that the last one is held for.
_HOLD = 18
#: Part of the pictures that is spread over what is liquidated, the rest over time.
_BURNING = 0.6
#: Pixels across.
_WIDTH = 960
#: Area of the largest liquidation, in squares of the font's size.
_LARGEST = 6.0
SUFFIXES = (".gif", ".mp4")


def check_movie(path: Path) -> None:
    """Refuse a file that no movie can be written to.

    Raises
    ------
    FigureError
        If it ends in nothing known, or ffmpeg is needed and missing.
    """
    if path.suffix not in SUFFIXES:
        raise FigureError(f"{path}: must end in {' or '.join(SUFFIXES)}")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise FigureError(f"{path}: .mp4 needs ffmpeg, which is not installed; .gif does not")


def write_movie(run: Run, path: Path, look: Look, progress: Progress | None = None) -> None:
    """Write a run as a movie, whole or not at all.

    Time runs fast where nothing happens and slow where much is liquidated.

    Parameters
    ----------
    run : Run
    path : Path
        .gif, or .mp4 where ffmpeg is installed.
    look : Look
    progress : callable, optional
        Called with (pictures drawn, pictures in all).

    Raises
    ------
    FigureError
        If the file's name says no format known.
    FolderError
        If it cannot be written.
    """
    check_movie(path)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / f"movie{path.suffix}"  # matplotlib writes even what was interrupted
        _draw(run, drawn, look, progress)
        with atomic(path) as stream:
            stream.write(drawn.read_bytes())


def _draw(run: Run, path: Path, look: Look, progress: Progress | None) -> None:
    with mpl.rc_context(look.settings):
        figure = Figure(figsize=(look.size.width, look.size.height), layout="constrained")
        scene = _Scene(figure, run, look)
        finish(figure, f"{run.scenario}", source_line(run.scenario, run.seed, run.digest), look)
        moments = story_moments(run, PICTURES)
        writer = _writer(path)
        total = len(moments) + _HOLD
        with writer.saving(figure, str(path), dpi=_WIDTH / look.size.width):
            for done in range(total):
                scene.show(moments[min(done, len(moments) - 1)])
                writer.grab_frame()
                if progress is not None:
                    progress(done + 1, total)


def _writer(path: Path) -> "AbstractMovieWriter":
    from matplotlib.animation import FFMpegWriter, PillowWriter

    return PillowWriter(PER_SECOND) if path.suffix == ".gif" else FFMpegWriter(PER_SECOND)


def story_moments(run: Run, count: int) -> Floats:
    """Return moments of a run, hours: part even over time, part over what was liquidated.

    Parameters
    ----------
    run : Run
    count : int

    Returns
    -------
    ndarray
        In order; the last is the end.
    """
    hours = np.unique(run.markets["hours"].to_numpy())
    share = np.linspace(0.0, 1.0, len(hours))
    rows = run.liquidations
    if len(rows):
        usd = np.zeros(len(hours))
        places = np.searchsorted(hours, rows["hours"].to_numpy()).clip(max=len(hours) - 1)
        np.add.at(usd, places, rows["notional_usd"].to_numpy())
        burnt = np.cumsum(usd) / max(usd.sum(), 1e-9)
        share = (1.0 - _BURNING) * share + _BURNING * burnt
    found: Floats = np.interp(np.linspace(0.0, 1.0, count), share, hours)
    return found


class _Scene:
    """One picture, whose lines and dots grow."""

    def __init__(self, figure: Figure, run: Run, look: Look) -> None:
        self._theme = look.theme
        self._area = _LARGEST * look.size.font**2
        above, below = split(figure.add_subplot(), (2.0, 1.0))
        self._names = chosen_markets(run, None)
        self._colors = [look.theme.market(place_of(run, name)) for name in self._names]
        self._prices = [_prices(rows_of(run.markets, name)) for name in self._names]
        self._burns = [_burns(run, name) for name in self._names]
        self._lines = [above.plot([], [], color=color)[0] for color in self._colors]
        self._index = [
            above.plot([], [], color=color, linestyle=(0, (3, 1.5)), linewidth=0.8)[0]
            for color in self._colors
        ]
        self._dots = [above.scatter([], [], s=[], zorder=5) for _ in self._names]
        self._sold = [
            below.plot([], [], color=color, drawstyle="steps-post")[0] for color in self._colors
        ]
        self._say = above.text(0.01, 0.97, "", transform=above.transAxes, va="top", weight="bold")
        self._largest = max((burns[1].max() for burns in self._burns if len(burns[1])), default=1.0)
        self._frame(above, below)

    def _frame(self, above: Axes, below: Axes) -> None:
        end = max(prices[0][-1] for prices in self._prices)
        values = np.concatenate([each for prices in self._prices for each in prices[1:]])
        low, high = np.nanmin(values), np.nanmax(values)
        room = 0.08 * max(high - low, 1e-9)
        above.set_xlim(0.0, end)
        above.set_ylim(low - room, high + 2.0 * room)
        above.set_ylabel("mark, %")
        total = max((burns[1].sum() for burns in self._burns), default=0.0)
        below.set_xlim(0.0, end)
        below.set_ylim(0.0, 1.08 * max(total, 1.0))
        in_usd(below, "sold")
        hours_axis(below)
        above.tick_params(labelbottom=False)
        legend(above, [*zip(self._lines, map(plain, self._names), strict=True)])

    def show(self, hours: float) -> None:
        """Show the run as it stood after so many hours."""
        for n, (at, mark, index) in enumerate(self._prices):
            seen = int(np.searchsorted(at, hours, side="right"))
            self._lines[n].set_data(at[:seen], mark[:seen])
            self._index[n].set_data(at[:seen], index[:seen])
            self._burn(n, hours)
        total = sum(float(usd[at <= hours].sum()) for at, usd, *_ in self._burns)
        day, hour = divmod(hours, 24.0)
        self._say.set_text(f"day {int(day) + 1}, {hour:04.1f} h   {short(total)} USD liquidated")

    def _burn(self, n: int, hours: float) -> None:
        at, usd, price, is_long = self._burns[n]
        seen = at <= hours
        age = np.clip(hours - at[seen], 0.0, None)
        glow = np.exp(-age / 6.0)
        colors = [
            mpl.colors.to_rgba(self._theme.long if long else self._theme.short, 0.15 + 0.6 * part)
            for long, part in zip(is_long[seen], glow, strict=True)
        ]
        self._dots[n].set_offsets(np.column_stack([at[seen], price[seen]]))
        self._dots[n].set_sizes(self._area * usd[seen] / self._largest)
        self._dots[n].set_facecolor(colors)
        steps = np.concatenate([[0.0], at[seen], [hours]])
        sums = np.concatenate([[0.0], np.cumsum(usd[seen])])
        self._sold[n].set_data(steps, np.append(sums, sums[-1]))


def _prices(rows: "pd.DataFrame") -> tuple[Any, Any, Any]:
    """Return hours, and mark and index in percent of where the index began."""
    start = float(rows["index_price"].iloc[0])
    percent = [
        100.0 * (rows[name].to_numpy() / start - 1.0) for name in ("mark_price", "index_price")
    ]
    return rows["hours"].to_numpy(), percent[0], percent[1]


def _burns(run: Run, name: str) -> tuple[Any, Any, Any, Any]:
    """Return hours, USD and place of a market's liquidations, and whether they were longs."""
    found = liquidated(run, name)
    start = float(rows_of(run.markets, name)["index_price"].iloc[0])
    price = 100.0 * (found["mark_price"].to_numpy() / start - 1.0)
    is_long = (found["side"] == "long").to_numpy()
    return found["hours"].to_numpy(), found["usd"].to_numpy(), price, is_long
