"""A talk ready made: replays and slides of shipped scenarios, with a page that leads through them.

The story: a crowd turns one way and pays for it, a fall sets off liquidations, they pass from pool
to pool and from market to market, and somebody pays.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from pathlib import Path

from marketsim.model.runs import run_scenario
from marketsim.report.canvas import find_look, save_figure
from marketsim.report.html_page import bullets, command, heading, page, paragraph
from marketsim.report.layout import write_text
from marketsim.report.picture import complete, draw_picture
from marketsim.report.plots.kinds import find_kind
from marketsim.report.recording import LIMITS
from marketsim.report.replay import record_runs, replay_page
from marketsim.results.run import Run
from marketsim.run.progress import Progress

#: Written down beside what the scenarios say, so that every figure can be drawn from one run.
_RECORD = [
    ("record.contagion_minutes", "30"),
    ("record.heatmap_minutes", "15"),
    ("record.depth_minutes", "15"),
]


@dataclass(frozen=True)
class Act:
    """A chapter of the talk: a replay of a scenario, perhaps with its twin behind it."""

    file: str
    title: str
    says: str  #: what the speaker says while it plays
    scenarios: tuple[str, ...]
    days: float
    slides: tuple[tuple[str, str], ...]  #: kind of figure, and what it shows
    seed: int = 1


ACTS = (
    Act(
        "1-crowd",
        "A crowd turns one way",
        "Traders copy each other: a whole market turns long or short and stays so for days. "
        "Leverage goes with it, and funding is paid by the side that is crowded.",
        ("herding",),
        4.0,
        (("interest", "The crowd: open interest, who is long, and the herd index."),),
    ),
    Act(
        "2-funding",
        "Funding spikes",
        "Funding is to push the crowd back. When it reaches its cap it costs more than most can "
        "earn.",
        ("funding-spike",),
        4.0,
        (("funding-heatmap", "Funding, market by market, on a scale that is always the same."),),
    ),
    Act(
        "3-cascade",
        "Liquidations push each other",
        "One account falls below its maintenance margin, its position is sold into a thin book, "
        "the price moves, and the next account falls: generation by generation.",
        ("mark-spiral",),
        3.0,
        (
            ("cascade", "The largest cascade: dollars over time, and generations."),
            ("payers", "Who paid: from those who lost over the causes to those who gained."),
        ),
    ),
    Act(
        "4-pools",
        "From market to market, through pools",
        "Only one market has news. Where all positions share a pool, a loss in it sells the others "
        "too. Behind it, thin: the same seed with every position in a pool of its own.",
        ("contagion", "contagion-isolated"),
        1.0,
        (
            ("network", "Lost in one market, sold in another."),
            ("ghost", "The same luck with and without shared pools."),
        ),
    ),
    Act(
        "5-boom",
        "All of it, from ordinary news",
        "Nobody strikes this market. The crowd turns, leverage and the premium build, funding "
        "leaves its pin, and a move it has often borne sets off a cascade over all three markets: "
        "on day 9 the longs go, funding flips, and seven hours later they go once more.",
        ("boom",),
        12.0,
        (
            ("interest", "The crowd before and after: open interest, who is long, herd index."),
            ("funding-heatmap", "Longs pay for days; after each cascade shorts pay, for hours."),
            ("prices", "Where it was liquidated, and how far the marks went."),
        ),
        seed=1003,
    ),
)

#: Given what is being made, a context whose value is called with (steps done, steps asked).
Stage = Callable[[str], AbstractContextManager[Progress | None]]


def write_talk(folder: Path, progress: Stage) -> Iterator[Path]:
    """Make the replays and slides of the talk, and the page that leads through them.

    Parameters
    ----------
    folder : Path
        Made if missing; files of the same names are replaced.
    progress : callable

    Yields
    ------
    Path
        Each file once it is written; the page that leads through them is the last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for act in ACTS:
        runs = _perform(act, folder, progress)
        with progress(act.title) as advance:
            recorded = record_runs(runs[0], runs[1] if runs[1:] else None, advance)
        replay = folder / f"{act.file}.html"
        write_text(replay_page(recorded), replay)
        yield replay
        yield from _slides(act, runs, folder)
    index = folder / "index.html"
    write_text(page("From one market to the next", "A talk in five chapters", _leads()), index)
    yield index


def _perform(act: Act, folder: Path, progress: Stage) -> list[Run]:
    """Run the scenarios of an act; their folders stay beside the talk."""
    runs = []
    for name in act.scenarios:
        with progress(name) as advance:
            overrides = [("days", str(act.days)), *_RECORD]
            run = run_scenario(name, act.seed, overrides=overrides, progress=advance)
        runs.append(run.save(folder / "runs" / name, force=True))
    return runs


def _slides(act: Act, runs: list[Run], folder: Path) -> Iterator[Path]:
    """Draw the slides of an act, each as SVG and PNG."""
    for kind_name, _ in act.slides:
        kind = find_kind(kind_name)
        shown = runs if kind.num_runs == 2 else runs[:1]
        figure = draw_picture(kind, [complete(run, kind) for run in shown], find_look())
        for suffix in (".svg", ".png"):
            yield save_figure(figure, folder / f"{act.file}-{kind.name}{suffix}")


def _leads() -> Iterator[str]:
    """Lead through the talk: what to open, what to say, which slide to show."""
    yield paragraph(
        "Open each chapter by a click, play it with the space bar, N shows the notes, ? the keys."
    )
    for act in ACTS:
        yield heading(act.title)
        yield paragraph(act.says)
        yield f'<p><a href="{escape(act.file)}.html">Play the chapter</a></p>'
        for kind, shows in act.slides:
            name = escape(f"{act.file}-{kind}.png")
            yield (
                f'<figure><img src="{name}" alt="{escape(shows)}">'
                f"<figcaption>{escape(shows)}</figcaption></figure>"
            )
    yield heading("To repeat it")
    recorded = "".join(f" --set {path}={value}" for path, value in _RECORD)
    yield command(
        [
            "marketsim talk",
            *(
                f"marketsim run {name} --seed {act.seed} --days {act.days:g}{recorded}"
                for act in ACTS
                for name in act.scenarios
            ),
        ]
    )
    yield heading("What is not shown")
    yield bullets(LIMITS)
