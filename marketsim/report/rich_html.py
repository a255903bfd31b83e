"""What a notebook shows of a run, an account and a live market; `market.show()`: its replay."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO

from rich.console import Console, RenderableType

from marketsim.account.explain import Explanation
from marketsim.account.statement import Statement
from marketsim.report.account_page import render_statement
from marketsim.report.explanation_page import render_explanation
from marketsim.report.numbers import short
from marketsim.report.replay_again import replay_again
from marketsim.report.run_page import render_summary
from marketsim.results.run import Run
from marketsim.run.simulation import Simulation
from marketsim.scenario.inputs import strategy_files

#: Characters across, as on a terminal.
_WIDTH = 100
_FRAME = (
    '<iframe title="{title}" sandbox="allow-scripts allow-downloads" width="100%" '
    'height="{height}" style="border: 0" srcdoc="{page}"></iframe>'
)


@dataclass(frozen=True)
class Shown:
    """A page that a notebook shows where it stands."""

    page: str  #: HTML, all in one
    title: str
    height: int = 720  #: pixels

    def _repr_html_(self) -> str:
        page = escape(self.page, quote=True)
        return _FRAME.format(title=escape(self.title), height=self.height, page=page)

    def __repr__(self) -> str:
        return f"{self.title}: {len(self.page.encode()) / 1e6:.2f} MB of HTML, shown in a notebook"


def as_html(thing: Run | Statement | Explanation | Simulation) -> str:
    """Show a run's summary or an account's margin sum as a terminal does; of a market, its rows."""
    if isinstance(thing, Run):
        return _terminal(render_summary(thing.summary))
    if isinstance(thing, Statement):
        return _terminal(render_statement(thing))
    if isinstance(thing, Explanation):
        return _terminal(render_explanation(thing))
    return _market_html(thing)


def _market_html(run: Simulation) -> str:
    """Show where a live market stands, a row for each of its markets."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{market.index_price:,.6g}</td>"
        f"<td>{market.mark_ticks * market.tick_size:,.6g}</td>"
        f"<td>{1e4 * market.premium:.1f}</td><td>{1e4 * market.funding_rate:.1f}</td>"
        f"<td>{short(market.open_interest * market.mark_ticks * market.tick_atoms / 1e6)}</td></tr>"
        for name, market in zip(run.market_names, run.state.market, strict=True)
    )
    heads = (
        "market",
        "index, USD",
        "mark, USD",
        "premium, bp",
        "funding, bp per 8 h",
        "interest, USD",
    )
    head = "".join(f"<th>{text}</th>" for text in heads)
    hours = run.step_count * run.scenario.step_minutes / 60.0
    caption = f"{run.scenario.name}, seed {run.seed}, {hours:,.1f} h: step {run.step_count:,}"
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{rows}</table>"


def show(runs: Sequence[Simulation], height: int) -> Shown:
    """Make the replay of what a live market has done so far, with its twin behind it if given.

    Raises
    ------
    ValueError
        If nothing has happened yet, or a market has own traders that were given from Python: it
        cannot be made again from its scenario.
    """
    first = runs[0]
    for run in runs:
        if not run.step_count:
            raise ValueError("nothing has happened yet: run the market first")
        if run.callers.has_any and not strategy_files(run.scenario):
            raise ValueError(
                "its traders of your own were given from Python, so it cannot be made again: name "
                "their class in the scenario, strategy = 'file.py:Class'"
            )
    labels = [
        run.scenario.name if n == 0 else f"{run.scenario.name}, twin" for n, run in enumerate(runs)
    ]
    return Shown(replay_again(runs, labels), f"{first.scenario.name}, seed {first.seed}", height)


def _terminal(content: RenderableType) -> str:
    console = Console(width=_WIDTH, record=True, file=StringIO(), highlight=False)
    console.print(content)
    return console.export_html(
        inline_styles=True,
        code_format='<pre style="line-height: 1.3; font-family: monospace">{code}</pre>',
    )
