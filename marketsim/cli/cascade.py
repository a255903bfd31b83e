"""``marketsim cascade``: the largest cascades of a run as trees."""

import heapq
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketsim.cli.errors import explained, refuse

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from marketsim.results.cascades import Cascade
    from marketsim.results.run import Run

#: Branches of a cascade shown as a tree: those with most liquidated in all they lead to.
MOST_NODES = 24


def cascade(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    largest: Annotated[int, typer.Option(min=1, help="How many cascades to show.")] = 3,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as one JSON object.")
    ] = False,
    graph: Annotated[
        Path | None,
        typer.Option(help="Write who caused whose liquidation to this .graphml or .json file."),
    ] = None,
    min_weight: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Ties weaker than this do not count.")
    ] = 0.05,
) -> None:
    """Show the largest liquidation cascades of a run: who took whom down, where, and why.

    A line of the tree: generation, account, what was liquidated of it (USD), why. What hangs below
    it owes most to it.
    """
    with explained():
        from rich.console import Console

        from marketsim.results.run import load_run

        if graph is not None and graph.suffix not in (".graphml", ".json"):
            refuse(f"--graph {graph}: must end in .graphml or .json")
        loaded = load_run(run)
        found = loaded.cascades(min_weight)
        if graph is not None:
            _write_graph(loaded, min_weight, graph)
        summary = _summary(loaded, found)
        if as_json:
            content = summary | {"cascades": [each.as_dict() for each in found[:largest]]}
            typer.echo(json.dumps(content, allow_nan=False))
            return
        console = Console(highlight=False)
        _show_summary(console, summary)
        for each in found[:largest]:
            if each.num_accounts > 1 or each.number == 1:
                _show(console, loaded, each)


def _write_graph(run: "Run", min_weight: float, file: Path) -> None:
    from marketsim.contagion.graph import write_graphml, write_json

    write = write_json if file.suffix == ".json" else write_graphml
    try:
        write(run.graph(min_weight), file)
    except OSError as error:
        refuse(f"--graph {file}: cannot be written: {error.strerror}")


def _summary(run: "Run", found: "list[Cascade]") -> dict[str, Any]:
    spread = [each for each in found if each.num_accounts > 1]
    return {
        "scenario": run.scenario,
        "seed": run.seed,
        "markets": list(dict.fromkeys(run.markets["market"].astype(str))),
        "num_liquidations": len(run.liquidations),
        "liquidated_usd": sum(each.size_usd for each in found),
        "num_cascades": len(spread),
        "num_alone": len(found) - len(spread),
        "cascaded_usd": sum(each.size_usd for each in spread),
        "largest_usd": max((each.size_usd for each in spread), default=0.0),
        "deepest": max((each.depth for each in found), default=0),
    }


def _show_summary(console: "Console", summary: dict[str, Any]) -> None:
    total = summary["liquidated_usd"]
    console.print(
        f"[bold]{summary['scenario']}[/]  seed {summary['seed']}: "
        f"{summary['num_liquidations']:,} liquidations, {total:,.0f} USD"
    )
    if total:
        console.print(
            f"{_counted(summary['num_cascades'], 'cascade')} of several accounts with "
            f"{summary['cascaded_usd'] / total:.0%} of it, "
            f"deepest {_counted(summary['deepest'], 'generation')}; "
            f"{summary['num_alone']:,} alone"
        )


def _show(console: "Console", run: "Run", each: "Cascade") -> None:
    console.print(
        f"\n[bold]cascade {each.number}[/]: {each.size_usd:,.0f} USD of "
        f"{_counted(each.num_accounts, 'account')}, {_counted(each.depth, 'generation')}, "
        f"in {_counted(each.duration_steps, 'step')}\n"
        f"began at step {each.start_step} with [bold]{each.root}[/]; "
        f"liquidated in {', '.join(each.markets)}"
    )
    console.print(_tree(each, _branches(run, each)))


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


def _branches(run: "Run", each: "Cascade") -> list[_Branch]:
    """Gather the liquidations of a cascade into branches; parents come before children."""
    columns = ["step", "account", "population", "side", "market", "notional_usd"]
    rows = run.liquidations[columns].iloc[each.liquidations]
    causes = _causes(run, each)
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
        for cause, weight in causes.get(number, ()):
            branch.causes[cause] = branch.causes.get(cause, 0.0) + weight * usd
    for branch in reversed(branches):
        branch.below += branch.usd
        if branch.parent >= 0:
            branches[branch.parent].below += branch.below
    return branches


def _causes(run: "Run", each: "Cascade") -> dict[int, list[tuple[str, float]]]:
    """Return the causes of each liquidation and their weights."""
    causes = run.causes[run.causes["liquidation"].isin(each.liquidations)]
    what = causes["kind"].astype(str) + " " + causes["market"].astype(str)
    found: dict[int, list[tuple[str, float]]] = {}
    rows = zip(causes["liquidation"], what.str.strip(), causes["weight"], strict=True)
    for number, cause, weight in rows:
        found.setdefault(int(number), []).append((cause, float(weight)))
    return found


def _tree(each: "Cascade", branches: list[_Branch]) -> "Tree":
    """Draw the branches that lead to most; the others are added up in a line."""
    from rich.tree import Tree

    children: dict[int, list[int]] = {}
    for number, branch in enumerate(branches):
        children.setdefault(branch.parent, []).append(number)

    def waiting(parent: int) -> list[tuple[float, int]]:
        return [(-branches[number].below, number) for number in children.get(parent, [])]

    chosen: set[int] = set()
    heap = waiting(-1)
    heapq.heapify(heap)
    while heap and len(chosen) < MOST_NODES:
        _, number = heapq.heappop(heap)
        chosen.add(number)
        for entry in waiting(number):
            heapq.heappush(heap, entry)
    tree = Tree("", hide_root=True, guide_style="dim")
    stack = [(-1, tree)]
    while stack:
        parent, node = stack.pop()
        since = branches[parent].step if parent >= 0 else each.start_step
        mine = sorted(children.get(parent, []), key=lambda number: -branches[number].below)
        for number in (number for number in mine if number in chosen):
            stack.append((number, node.add(_label(branches[number], since))))
        if rest := [branches[number] for number in mine if number not in chosen]:
            dollars = _short(sum(branch.below for branch in rest))
            node.add(f"[dim]{len(rest):,} more, {dollars} with what they led to[/]")
    return tree


def _label(branch: _Branch, since: int) -> "Text":
    from rich.text import Text

    label = Text(f"{branch.generation} ", "bold", no_wrap=True, overflow="ellipsis")
    label.append(branch.account, "cyan")
    if branch.step != since:
        label.append(f" step {branch.step}", "dim")
    side = ""
    for (this, market), usd in sorted(branch.legs.items(), key=lambda leg: -leg[1])[:4]:
        label.append(f"{',' if side else ''} {this if this != side else ''}".rstrip(), "not bold")
        label.append(f" {market} {_short(usd)}", "not bold")
        side = this
    top = sorted(branch.causes.items(), key=lambda cause: -cause[1])[:2]
    shares = [(cause, usd / branch.usd) for cause, usd in top if branch.usd > 0]
    text = ", ".join(f"{share:.0%} {cause}" for cause, share in shares if share >= 0.005)
    label.append(f": {text}", "dim not bold")
    return label


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _short(usd: float) -> str:
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if usd >= unit:
            return f"{usd / unit:.3g}{name}"
    return f"{usd:.0f}"
