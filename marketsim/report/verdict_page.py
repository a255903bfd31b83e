"""Many runs beside windows of real markets, for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketsim.study.bands import ROLES
from marketsim.study.statistics import Interval
from marketsim.study.verdict import RoleVerdict, Score, Verdict

#: What the roles are, as a reader meets them.
TITLES = {"input": "input: the spot process", "emergent": "emergent: what traders make"}
VERDICTS = {
    True: ("reaches its goals", "bold green"),
    False: ("misses a goal", "bold red"),
    None: ("undecided: more seeds", "bold yellow"),
}


def render_verdict(verdict: Verdict, scenario: str, seeds: Sequence[int], days: float) -> Group:
    """Lay out every statistic, the worst of each role first, and the verdicts below.

    Parameters
    ----------
    verdict : Verdict
    scenario : str
        Its name.
    seeds : sequence of int
    days : float
    """
    legend = (
        "share of (seed, market) between the 10 % and 90 % quantiles of real windows, and within "
        "their range;\nspread: their own 10 % to 90 % range over that of real windows, median of "
        "statistics;\nmiss: of the median, in widths between those quantiles; "
        "*: too few real windows to count"
    )
    parts: list[RenderableType] = [head_of_seeds(scenario, seeds, days, legend)]
    for role in ROLES:
        scores = [score for score in verdict.scores if score.band.role == role]
        if scores:
            parts.append(_table(TITLES[role], scores))
    return Group(*parts, *(_line(each) for each in verdict.roles))


def head_of_seeds(scenario: str, seeds: Sequence[int], days: float, legend: str) -> Text:
    """Say which runs a table is of, and how it is read."""
    runs = f"  {len(seeds)} seeds, {min(seeds)} to {max(seeds)}, {days:g} days each\n"
    return Text.assemble((scenario, "bold"), runs, legend)


def _table(title: str, scores: Sequence[Score]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column(title, no_wrap=True)
    for name in ("10-90", "range", "median", "real 10 / 50 / 90 %", "miss"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in sorted(scores, key=lambda each: (not each.band.is_strong, each.inside)):
        band = score.band
        style = "red" if score.inside < 0.5 and band.is_strong else ""
        table.add_row(
            band.name if band.is_strong else f"{band.name} *",
            f"{score.inside:.2f}",
            f"{score.within:.2f}",
            short(score.ours[1]),
            " / ".join(map(short, (band.p10, band.median, band.p90))),
            f"{score.miss:+.2f}" if score.miss else "",
            style=style if band.is_strong else "dim",
        )
    return table


def short(value: float) -> str:
    """Write a number in few characters: statistics go from 1e-5 to 1e3.

    Examples
    --------
    >>> short(312.4), short(-0.0412), short(1.94e-05)
    ('312', '-0.041', '1.9e-05')
    """
    return f"{value:.0f}" if abs(value) >= 100.0 else f"{value:.2g}"


def _line(each: RoleVerdict) -> Text:
    words, style = VERDICTS[each.passed]
    shares = ", ".join(
        f"{name} {_share(share)} (goal {goal:.2f}{real})"
        for name, share, goal, real in zip(
            ("10-90 %", "range"),
            (each.inside, each.within),
            each.goal,
            [f", real {value:.2f}" for value in each.ceiling] if each.ceiling else ("", ""),
            strict=True,
        )
    )
    goal = "" if each.spread_goal is None else f" (goal {each.spread_goal:.2f})"
    spread = f"spread {_share(each.spread)}{goal}"
    return Text.assemble(
        f"{each.role}, {each.num_statistics} statistics: {shares}, {spread}: ", (words, style)
    )


def _share(share: Interval) -> str:
    return f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
