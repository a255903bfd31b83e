"""What is plausible about the runs of a scenario, for a terminal."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table

from marketsim.report.verdict_page import head_of_seeds, short
from marketsim.study.plausibility import Limit, Plausible


def render_plausibility(
    found: Sequence[Plausible], scenario: str, seeds: Sequence[int], days: float
) -> Group:
    """Lay out every figure beside its limits.

    Parameters
    ----------
    found : sequence of Plausible
    scenario : str
        Its name.
    seeds : sequence of int
    days : float
    """
    legend = "share of (seed, market) or (seed, population) within the limits, outside shocks"
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("plausible?", no_wrap=True)
    for name in ("least", "median", "most", "limits", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("mostly outside")
    for each in found:
        facts = each.as_dict()
        inside = each.inside
        table.add_row(
            each.limit.title,
            *("" if facts[end] is None else short(facts[end]) for end in ("min", "median", "max")),
            _limits(each.limit),
            "" if inside is None else f"{inside:.2f}",
            each.worst,
            style="red" if inside is not None and inside < 0.5 else "",
        )
    return Group(head_of_seeds(scenario, seeds, days, legend), table)


def _limits(limit: Limit) -> str:
    if limit.high is None:
        return "" if limit.low is None else f"at least {limit.low:g}"
    return f"{limit.low:g} to {limit.high:g}"
