"""The largest cascades of a run as trees: who took whom down, where, and why."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from marketsim.report.numbers import counted, short
from marketsim.results.cascades import Cascade
from marketsim.results.large_cascades import LargeCascade

if TYPE_CHECKING:
    import pandas as pd

#: Branches of a cascade shown as a tree: those with most liquidated in all they lead to.
MAX_NODES = 24
#: Markets and causes named of a branch: those with most USD.
MAX_LEGS, MAX_CAUSES = 4, 2


def render_cascades(
    summary: dict[str, Any],
    cascades: Sequence[Cascade],
    liquidations: "pd.DataFrame",
    causes: "pd.DataFrame",
) -> Group:
    """Lay out what is known of all cascades and draw some of them.

    Parameters
    ----------
    summary : dict
        `scenario`, `seed` and what `marketsim.results.cascades.summarise_cascades` returns.
    cascades : sequence of Cascade
        To be drawn; one of a single account only where there are no others.
    liquidations, causes : pandas.DataFrame
        Tables of the run.

    Returns
    -------
    rich.console.Group
    """
    parts: list[RenderableType] = [_head(summary)]
    for each in cascades:
        if each.num_accounts > 1 or each.number == 1:
            parts += [_describe(each), _draw(each, _branches(each, liquidations, causes))]
    return Group(*parts)


def large_lines(
    found: Sequence[LargeCascade], share: float, hours: float, step_minutes: float
) -> list[str]:
    """List large cascades, a line each: when, how much of open interest, whom, how far.

    Parameters
    ----------
    found : sequence of LargeCascade
    share, hours : float
        What they had to reach.
    step_minutes : float
    """
    many = counted(len(found), "cascade")
    lines = [f"{many} of {share:.1%} of open interest and more within {hours:g} h"]
    for each in found:
        day, hour = divmod(each.step * step_minutes / 60.0, 24.0)
        lines.append(
            f"day {day:3.0f} {hour:4.1f} h  {each.share:6.1%}  {each.side}s in "
            f"{', '.join(each.markets)}, {counted(each.generations, 'generation')}, "
            f"in cascade {each.cascade.number}"
        )
    return lines


def _head(summary: dict[str, Any]) -> Text:
    total = summary["liquidated_usd"]
    head = Text.assemble(
        (summary["scenario"], "bold"),
        f"  seed {summary['seed']}: {summary['num_liquidations']:,} liquidations, {total:,.0f} USD",
    )
    if total:
        head.append(
            f"\n{counted(summary['num_cascades'], 'cascade')} of several accounts with "
            f"{summary['cascaded_usd'] / total:.0%} of it, "
            f"deepest {counted(summary['deepest'], 'generation')}; {summary['num_alone']:,} alone"
        )
    return head


def _describe(each: Cascade) -> Text:
    name = f"cascade {each.number}" if each.num_accounts > 1 else "the largest of those alone"
    return Text.assemble(
        "\n",
        (name, "bold"),
        f": {each.size_usd:,.0f} USD of {counted(each.num_accounts, 'account')}, "
        f"{counted(each.depth, 'generation')}, in {counted(each.duration_steps, 'step')}\n"
        f"began at step {each.start_step} with ",
        (each.root, "bold"),
        f"; liquidated in {', '.join(each.markets)}",
    )


@dataclass
class _Branch:
    """One account's liquidations in one step that owe most to the same branch."""

    parent: int
    step: int
    generation: int
    account: str
    usd: float = 0.0
    below: float = 0.0  #: USD of all that hangs from it, itself included
    legs: dict[tuple[str, str], float] = field(default_factory=dict)  #: USD by side and market
    causes: dict[str, float] = field(default_factory=dict)  #: USD by cause


def _branches(each: Cascade, liquidations: "pd.DataFrame", causes: "pd.DataFrame") -> list[_Branch]:
    """Gather the liquidations of a cascade into branches; parents come before children."""
    columns = ["step", "account", "population", "side", "market", "notional_usd"]
    rows = liquidations[columns].iloc[each.liquidations]
    causes_of = _causes_of(each, causes)
    branches: list[_Branch] = []
    places: dict[tuple[int, int, int], int] = {}
    place_of = {-1: -1}
    links = zip(each.liquidations.tolist(), each.parent.tolist(), each.generation, strict=True)
    for (number, parent, generation), row in zip(links, rows.itertuples(index=False), strict=True):
        step, account, population, side, market, usd = row
        key = (int(account), int(step), place_of[parent])
        if key not in places:
            places[key] = len(branches)
            name = f"{population} {account}"
            branches.append(_Branch(place_of[parent], int(step), int(generation), name))
        place_of[number] = places[key]
        branch = branches[places[key]]
        branch.usd += usd
        leg = (str(side), str(market))
        branch.legs[leg] = branch.legs.get(leg, 0.0) + usd
        for cause, weight in causes_of.get(number, ()):
            branch.causes[cause] = branch.causes.get(cause, 0.0) + weight * usd
    for branch in reversed(branches):
        branch.below += branch.usd
        if branch.parent >= 0:
            branches[branch.parent].below += branch.below
    return branches


def _causes_of(each: Cascade, causes: "pd.DataFrame") -> dict[int, list[tuple[str, float]]]:
    """Return the causes of each liquidation and their weights."""
    mine = causes[causes["liquidation"].isin(each.liquidations)]
    what = mine["kind"].astype(str) + " " + mine["market"].astype(str)
    found: dict[int, list[tuple[str, float]]] = {}
    rows = zip(mine["liquidation"], what.str.strip(), mine["weight"], strict=True)
    for number, cause, weight in rows:
        found.setdefault(int(number), []).append((cause, float(weight)))
    return found


def _draw(each: Cascade, branches: list[_Branch]) -> Tree:
    """Draw the branches that lead to most; the others are added up in a line."""
    children: dict[int, list[int]] = {}
    for number, branch in enumerate(branches):
        children.setdefault(branch.parent, []).append(number)
    chosen = _largest(branches, children)
    tree = Tree("", hide_root=True, guide_style="dim")
    stack = [(-1, tree)]
    while stack:
        parent, node = stack.pop()
        since = branches[parent].step if parent >= 0 else each.start_step
        mine = sorted(children.get(parent, []), key=lambda number: -branches[number].below)
        for number in (number for number in mine if number in chosen):
            stack.append((number, node.add(_label(branches[number], since))))
        if rest := [branches[number] for number in mine if number not in chosen]:
            usd = _usd(sum(branch.below for branch in rest))
            node.add(Text(f"{len(rest):,} more, {usd} with what they led to", "dim"))
    return tree


def _largest(branches: list[_Branch], children: dict[int, list[int]]) -> set[int]:
    """Choose branches from the root on, always the one with most below it."""

    def waiting(parent: int) -> list[tuple[float, int]]:
        return [(-branches[number].below, number) for number in children.get(parent, [])]

    chosen: set[int] = set()
    heap = waiting(-1)
    heapq.heapify(heap)
    while heap and len(chosen) < MAX_NODES:
        _, number = heapq.heappop(heap)
        chosen.add(number)
        for entry in waiting(number):
            heapq.heappush(heap, entry)
    return chosen


def _label(branch: _Branch, since: int) -> Text:
    label = Text(f"{branch.generation} ", "bold", no_wrap=True, overflow="ellipsis")
    label.append(branch.account, "cyan")
    if branch.step != since:
        label.append(f" step {branch.step}", "dim")
    side = ""
    for (this, market), usd in sorted(branch.legs.items(), key=lambda leg: -leg[1])[:MAX_LEGS]:
        label.append(f"{',' if side else ''} {this if this != side else ''}".rstrip(), "not bold")
        label.append(f" {market} {_usd(usd)}", "not bold")
        side = this
    top = sorted(branch.causes.items(), key=lambda cause: -cause[1])[:MAX_CAUSES]
    shares = [(cause, usd / branch.usd) for cause, usd in top if branch.usd > 0]
    text = ", ".join(f"{share:.0%} {cause}" for cause, share in shares if share >= 0.005)
    label.append(f": {text}", "dim not bold")
    return label


def _usd(amount: float) -> str:
    return short(amount, ".3g", ".0f")
