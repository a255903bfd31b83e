"""The report of a run: its story in numbers, figures, tables, limits, and what repeats it."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from marketsim.account.rerun import read_scenario, remake
from marketsim.report.canvas import find_look
from marketsim.report.html_page import (
    bullets,
    command,
    facts,
    heading,
    page,
    paragraph,
    picture,
    table,
)
from marketsim.report.numbers import counted, grouped, percent, short
from marketsim.report.picture import complete, draw_picture, lacking
from marketsim.report.plots.kinds import KINDS, Kind
from marketsim.report.recording import LIMITS
from marketsim.report.style import source_line
from marketsim.results.cascades import of_several
from marketsim.results.run import Run
from marketsim.run.progress import Progress
from marketsim.tape.result import FUND_NAME

if TYPE_CHECKING:
    import pandas as pd

#: Largest cascades listed.
MAX_CASCADES = 10
#: Kinds that show liquidations alone.
_OF_LIQUIDATIONS = ("cascade", "network", "account", "events")
#: Kinds that show cascades of several accounts alone.
_OF_CASCADES = ("cascade", "events")


def report_run(run: Run, progress: Progress | None = None) -> str:
    """Write the report of a run; one that lacks what a figure needs is made again.

    Parameters
    ----------
    run : Run
    progress : callable, optional
        Called with (steps done, steps asked) while it is made again.

    Returns
    -------
    str
        HTML, all in one.

    Raises
    ------
    RunFolderError
        If the folder is damaged, or a run made again is not what it holds.
    InputChangedError
        If a file it was made from has changed since.
    """
    run = _complete(run, progress)
    title = f"{run.scenario}, seed {run.seed}"
    return page(title, source_line(run.scenario, run.seed, run.digest), _parts(run))


def report_kinds(run: Run) -> list[Kind]:
    """List the figures of a run's report."""
    kinds = [kind for kind in KINDS if kind.num_runs != 2]
    if not len(run.liquidations):
        kinds = [kind for kind in kinds if kind.name not in _OF_LIQUIDATIONS]
    return kinds


def has_something(run: Run, kind: Kind) -> bool:
    """Tell whether one of `report_kinds` shows anything, of a run that lacks nothing for it."""
    return kind.name not in _OF_CASCADES or bool(of_several(run.cascades()))


def needs_rerun(run: Run) -> bool:
    """Tell whether a run has to be made again for its report."""
    return any(lacking(run, kind) for kind in report_kinds(run))


def _complete(run: Run, progress: Progress | None) -> Run:
    """Make a run again once for all figures, and once more for its account."""
    kinds = report_kinds(run)
    settings: dict[str, Any] = {}
    for kind in kinds:
        if kind.name != "account":
            settings |= lacking(run, kind)
    made = remake(run, settings, progress) if settings else run
    for kind in kinds:
        if kind.name == "account":
            made = complete(made, kind, progress=progress)
    return made


def _parts(run: Run) -> Iterator[str]:
    scenario = read_scenario(run)
    if scenario.description:
        yield paragraph(scenario.description)
    yield facts(_facts(run.summary))
    yield heading("What happened")
    yield bullets(_story(run))
    for kind in report_kinds(run):
        if has_something(run, kind):
            yield picture(draw_picture(kind, [run], find_look()), f"{kind.title}. {_shown(kind)}")
    yield heading("Markets")
    yield table(_markets(run.summary))
    yield heading("Populations")
    yield paragraph(
        "Profit in USD, by what made it; the rows of a column add up to zero with the "
        "outside world."
    )
    yield table(_populations(run))
    cascades = _cascades(run)
    if cascades is not None:
        yield heading("The largest cascades")
        yield table(cascades)
    yield heading("What is not shown")
    yield bullets([*LIMITS, *run.notes])
    yield heading("To repeat it")
    yield paragraph(f"The same version of marketsim gives the digest {run.digest}.")
    yield command(_commands(run))


def _shown(kind: Kind) -> str:
    text = kind.says.removeprefix("Draw ")
    return text[:1].upper() + text[1:]


def _facts(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    days = summary["steps"] * summary["step_minutes"] / 1440.0
    yield f"{days:g}", f"{'day' if days == 1.0 else 'days'}, {counted(summary['steps'], 'step')}"
    yield grouped(summary["num_accounts"]), "traders"
    yield f"{short(summary['liquidated_usd'])} USD", "liquidated"
    yield percent(summary["accounts_liquidated_share"], 0), "of accounts liquidated"
    if summary["cascades"]:
        yield f"{short(summary['largest_cascade_usd'])} USD", "in the largest cascade"
    if (most := summary.get("reproduction_number_max")) is not None:
        yield f"{most:.2f}", "largest reproduction number R"
    yield f"{short(summary['insurance_fund_usd'])} USD", "in the insurance fund at the end"


def _story(run: Run) -> Iterator[str]:
    """Tell a run in sentences, each of numbers of its summary."""
    told = run.summary
    markets = told["markets"]
    first = max(markets, key=lambda name: markets[name]["mark_fall"] or 0.0)
    worst = markets[first]
    yield (
        f"{first} fell furthest: its mark by {percent(worst['mark_fall'], 1)} from where it began, "
        f"its index by {percent(worst['index_fall'], 1)}."
    )
    if not told["liquidated_usd"]:
        yield "Nobody was liquidated."
        return
    yield (
        f"{counted(told['accounts_liquidated'], 'account')} of {grouped(told['num_accounts'])} met "
        f"a liquidation order, {grouped(told['accounts_ruined'])} lost nine tenths or more of what "
        "they had deposited."
    )
    if told["cascades"]:
        deep = told["largest_cascade_depth"]
        depth = "none pushed by another" if deep == 1 else f"in {counted(deep, 'generation')}"
        yield (
            f"{counted(told['cascades'], 'cascade')} tied several accounts together; the largest "
            f"took {short(told['largest_cascade_usd'])} USD from "
            f"{counted(told['largest_cascade_accounts'], 'account')}, {depth}."
        )
        yield (
            f"Of all that was liquidated, {short(told['forced_usd'])} USD fell to forced sales "
            f"before it; {short(told['spilled_usd'])} USD were sold in another market than the one "
            "the loss was made in."
        )
    yield (
        f"Auto-deleveraging closed {short(told['adl_usd'])} USD of winners' positions; "
        f"{short(told['socialised_usd'])} USD of losses were shared among all holders."
    )


def _markets(summary: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    shares = {"index fall": "index_fall", "mark fall": "mark_fall"}
    shown = {
        "open interest, USD": "open_interest_usd",
        "volume, USD": "volume_usd",
        "liquidated, USD": "liquidated_usd",
        "liquidated / open interest": "liquidated_share",
        "funding, mean bp per 8 h": "funding_mean_bp_8h",
        "premium, sd bp": "premium_std_bp",
    }
    rows = [
        {"market": name}
        | {label: percent(market[key]) for label, key in shares.items()}
        | {label: market.get(key) for label, key in shown.items()}
        for name, market in summary["markets"].items()
    ]
    return pd.DataFrame(rows)


def _populations(run: Run) -> "pd.DataFrame":
    names = ["population", "num_accounts", "deposit_usd", "profit_usd"]
    causes = ["price", "slippage", "fee", "funding", "liquidation_fee", "takeover", "adl"]
    frame = run.populations[[*names, *(f"{cause}_usd" for cause in causes)]]
    labels = {name: name.removesuffix("_usd").replace("_", " ") for name in frame.columns}
    return (
        frame.rename(columns=labels)
        .astype({"population": str})
        .replace({"population": {FUND_NAME: "insurance fund"}})
    )


def _cascades(run: Run) -> "pd.DataFrame | None":
    import pandas as pd

    found = of_several(run.cascades())[:MAX_CASCADES] if len(run.liquidations) else []
    rows = [
        {
            "began with": each.root,
            "at step": grouped(each.start_step),
            "USD": each.size_usd,
            "accounts": grouped(each.num_accounts),
            "generations": each.depth,
            "steps": each.duration_steps,
            "markets": ", ".join(each.markets),
        }
        for each in found
    ]
    return pd.DataFrame(rows) if rows else None


def _commands(run: Run) -> list[str]:
    """Return the command that makes a run again from its folder, and those that look into it."""
    folder = shlex.quote(run.path.name)
    return [
        f"marketsim run {shlex.quote(f'{run.path.name}/scenario.toml')} --seed {run.seed}",
        f"marketsim report {folder}",
        f"marketsim replay {folder}",
        f"marketsim cascade {folder}",
    ]
