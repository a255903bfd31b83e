"""The kinds of figures: the command, ``run.plot`` and the docs follow from this one list.

Loads nothing: `marketsim plot --help` lists the kinds. A kind's file has a function ``draw``, whose
keywords are the kind's options.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from marketsim.scenario.errors import one_of


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    Attributes
    ----------
    name : str
        As the command calls it; ``run.plot`` has it with underscores.
    title : str
        Above the figure.
    module : str
        File in this folder.
    record : dict of str
        Settings of a run's record that it needs, by the table each writes; ``moments`` stands for
        minutes that give enough of them.
    num_runs : int
        How many runs one figure takes; 0 for any number.
    has_common_scale : bool
        Whether its file has a function ``common_scale``, of runs that stand beside each other, and
        ``draw`` takes what that returns, fourth.
    """

    name: str
    title: str
    module: str
    record: tuple[tuple[str, str], ...] = ()
    num_runs: int = 1
    has_common_scale: bool = False

    @property
    def method(self) -> str:
        """Name of the method of ``run.plot``."""
        return self.name.replace("-", "_")

    @property
    def draw(self) -> Callable[..., Any]:
        """The function that draws it."""
        found: Callable[..., Any] = import_module(f"{__package__}.{self.module}").draw
        return found

    def common_scale(self, runs: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what ``draw`` takes so that runs beside each other are drawn to one scale."""
        if not self.has_common_scale:
            return ()
        module = import_module(f"{__package__}.{self.module}")
        return (module.common_scale(runs, **options),)

    @property
    def says(self) -> str:
        """What it shows, in one sentence."""
        return (inspect.getdoc(self.draw) or "").partition("\n")[0]

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options."""
        parameters = inspect.signature(self.draw).parameters.values()
        return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


KINDS = (
    Kind("prices", "Index, mark and liquidations", "prices"),
    Kind("funding", "Premium and funding", "settlements"),
    Kind("funding-heatmap", "Funding, market by market", "funding_map"),
    Kind(
        "liquidation-heatmap",
        "What would be liquidated at each price",
        "burning",
        (("liquidation_heatmap", "heatmap_minutes"),),
    ),
    Kind("interest", "Open interest and the crowd", "open_interest"),
    Kind(
        "cascade",
        "A liquidation cascade",
        "cascade_timeline",
        (("causes", "causes"),),
        has_common_scale=True,
    ),
    Kind(
        "network", "Lost in one market, sold in another", "dollar_network", (("causes", "causes"),)
    ),
    Kind(
        "contagion",
        "How close to running away",
        "reproduction",
        (("contagion", "contagion_minutes"),),
    ),
    Kind("payers", "Who paid", "payers"),
    Kind("profit", "Profit by population and cause", "profit"),
    Kind("account", "One account and its margin", "one_account"),
    Kind("depth", "Depth of the book", "book_depth", (("depth", "depth_minutes"),)),
    Kind("events", "Around the cascades", "event_study", (("causes", "causes"),), num_runs=0),
    Kind("ghost", "A run and its twin", "ghost", num_runs=2),
)


def kinds_table() -> str:
    """Return the list of kinds as a table of Markdown: what each shows, its options, its runs."""
    runs = {0: "one, several, or a sweep", 1: "one, or up to four side by side", 2: "two"}
    lines = ["| kind | shows | options | runs |", "|---|---|---|---|"]
    for kind in KINDS:
        shows = kind.says.removeprefix("Draw ").rstrip(".")
        shows = shows[0].upper() + shows[1:]
        options = ", ".join(f"`--{name}`" for name in kind.options) or "-"
        lines.append(f"| `{kind.name}` | {shows} | {options} | {runs[kind.num_runs]} |")
    return "\n".join(lines)


def find_kind(name: str) -> Kind:
    """Return a kind by its name.

    Raises
    ------
    KeyError
        If there is none; its text names the nearest.
    """
    for kind in KINDS:
        if name in {kind.name, kind.method}:
            return kind
    raise KeyError(f"kind {name!r}: {one_of(name, [kind.name for kind in KINDS])}")
