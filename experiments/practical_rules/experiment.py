"""Practitioners' rules for perps under cross margin: for one who follows them, and for all."""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np

from marketsim.report.canvas import find_look, finish, new_figure, save_figure, tick_text
from marketsim.report.experiment import Check, above, below, every, near, written
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

CALM, STRESS = STATES = ("calm", "stress")
#: The variant in which only a few follow rules, each a rule of their own.
ONE, NONE = "one", "none"
#: The population behind each who is looked at, where it follows no rule.
BY = {"one": "mine-none", "other": "mine-none", "all": "public"}
RULES = {
    "modest": "modest leverage",
    "buffer": "margin buffer",
    "staggered": "staggered entries",
    "watched": "watching",
    "hedged": "hedged legs",
    "rebalanced": "rebalanced legs",
    "stablecoins": "stablecoin reserve",
    "cool": "cool funding only",
    "spread": "out on index spread",
    "together": "all together",
}
LOOK = find_look("slide")
#: Points within which own liquidations, and the largest cascade, count as alike.
OWN_ALIKE, CASCADE_ALIKE = 5.0, 10.0


class Effect(NamedTuple):
    """A figure of a run that rules change."""

    who: str  #: is looked at: one who follows the rule, all who do, another who does not
    figure: str
    scale: float
    column: str


EFFECTS = {
    "one, liquidated": Effect("one", "liquidated_share", 100.0, "one: liquidated, %"),
    "one, return": Effect("one", "total_return", 100.0, "one: return, %"),
    "all, liquidated": Effect("all", "liquidated_share", 100.0, "everybody: liquidated, %"),
    "all, return": Effect("all", "total_return", 100.0, "everybody: return, %"),
    "other, liquidated": Effect("other", "liquidated_share", 100.0, "bystander: liquidated, %"),
    "all, R": Effect("venue", "reproduction_number_mean", 1.0, "everybody: mean R"),
    "all, R on paper": Effect(
        "venue", "reproduction_on_paper_mean", 1.0, "everybody: mean R on paper"
    ),
    "all, cascade": Effect("venue", "cascade", 100.0, "everybody: largest cascade, % of OI"),
}
#: Columns of how often R is lower: a side of a book that is all but empty makes it as large as it
#: likes, so that signs say more than means.
LOWER = {
    "all, R": "everybody: R lower, % of seeds",
    "all, R on paper": "everybody: R on paper lower, % of seeds",
}


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row per state, rule and seed: each figure with the rule, and without it.

    One who follows a rule is compared with one of the same kinds in the same run who follows none;
    everybody, and a bystander who follows none, with themselves in the run of the same seed in
    which nobody follows any.
    """
    import pandas as pd

    runs = runs.assign(
        state=[Path(base).stem for base in runs["state"]],
        cascade=runs["largest_cascade_usd"] / runs["open_interest_usd"],
    )
    rows = []
    for (state, rule), part in runs[runs["variant"] != ONE].groupby(["state", "variant"]):
        alone = runs[(runs["state"] == state) & (runs["variant"] == ONE)].set_index("seed")
        everybody = part.set_index("seed").reindex(alone.index)
        found = pd.DataFrame({"state": state, "rule": rule, "seed": alone.index})
        for name, (who, figure, scale, _) in EFFECTS.items():
            column = figure if who == "venue" else f"populations.{BY[who]}.{figure}"
            after = (
                alone[f"populations.mine-{rule}.{figure}"] if who == "one" else everybody[column]
            )
            found[f"{name}|without"] = scale * alone[column].to_numpy()
            found[f"{name}|with"] = scale * after.to_numpy()
        rows.append(found)
    return pd.concat(rows, ignore_index=True)


def difference(found: "pd.DataFrame", state: str, rule: str, name: str) -> Interval:
    """Return what a rule changes, with its paired interval."""
    here = _part(found, rule, state)
    return paired_difference(here[f"{name}|without"], here[f"{name}|with"]).difference


def _part(found: "pd.DataFrame", rule: str, state: str) -> "pd.DataFrame":
    return found[(found["rule"] == rule) & (found["state"] == state)]


def _is_lower(found: "pd.DataFrame", rule: str, state: str, name: str) -> Interval:
    """Return the share of the seeds in which a figure is lower if everybody follows a rule."""
    here = _part(found, rule, state)
    return bootstrap_mean(here[f"{name}|with"] < here[f"{name}|without"])


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds: every figure without a rule, and what each rule changes."""
    import pandas as pd

    found = effects(runs)
    rows = []
    for cell, (state, rule) in enumerate(product(STATES, (NONE, *RULES))):
        without = _part(found, next(iter(RULES)), state)
        place = {"cell": cell, "variant": rule, "state": state, "runs": len(without)}
        for name, effect in EFFECTS.items():
            if rule == NONE:
                value = bootstrap_mean(without[f"{name}|without"])
            else:
                value = difference(found, state, rule, name)
            rows.append(place | {"metric": effect.column} | value._asdict())
        if rule != NONE:
            for name, column in LOWER.items():
                lower = _is_lower(found, rule, state, name)
                percent = {key: 100.0 * end for key, end in lower._asdict().items()}
                rows.append(place | {"metric": column} | percent)
    return pd.DataFrame(rows)


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against the predictions."""
    found = effects(runs)
    one, both = "one, liquidated", STATES
    return [
        _halved(
            found,
            [(rule, state) for rule in ("modest", "stablecoins") for state in both],
            "A quarter of the leverage, or half of the capital in stablecoins, more than halves "
            "own liquidations, in calm and in stress",
            "L6 (distance to the barrier)",
        ),
        _moved(
            found,
            [("watched", one, state) for state in both],
            f"Watching without a rule does not help: own liquidations stay within {OWN_ALIKE:g} "
            "points",
            "L7 (the same barrier)",
            OWN_ALIKE,
        ),
        _moved(
            found,
            [("staggered", one, STRESS)],
            "Staggered entries lower own liquidations in stress",
            "L7 (less at stake when news comes)",
        ),
        _moved(
            found,
            [("buffer", one, CALM)],
            "A buffer of five times maintenance, kept by an hourly look, lowers own liquidations "
            "in calm",
            "L6",
        ),
        _hedged(found),
        _moved(
            found,
            [("cool", one, STRESS)],
            "Adding only where funding is cool lowers own liquidations in stress",
            "H4 (dear where crowded)",
        ),
        _crowded(found),
        _together(found),
        _system(found),
        _on_paper(found),
        _moved(
            found,
            [("watched", "all, cascade", STRESS)],
            f"Watching of everybody leaves the largest cascade in stress within {CASCADE_ALIKE:g} "
            "points",
            "C1 (the same triggers)",
            CASCADE_ALIKE,
        ),
        _moved(
            found,
            [("modest", "other, liquidated", STRESS)],
            "Who follows no rule is liquidated less in stress if everybody else has modest "
            "leverage",
            "C1 (who sells moves the mark of all)",
        ),
    ]


def _moved(
    found: "pd.DataFrame",
    places: list[tuple[str, str, str]],
    what: str,
    source: str,
    alike: float | None = None,
) -> Check:
    """Check that rules lower a figure, or, with a tolerance, that they leave it alike."""
    said, answers = [], []
    for rule, name, state in places:
        change = difference(found, state, rule, name)
        figure = name.split(", ")[1]
        said.append(f"{RULES[rule]}, {figure} in {state}: {written(change)}")
        answers.append(below(change, 0.0) if alike is None else near(change, 0.0, alike))
    return Check(what, source, "; ".join(said), every(answers))


def _beyond_half(found: "pd.DataFrame", rule: str, state: str) -> Interval:
    """Return own liquidations with a rule less half of those without, points."""
    here = _part(found, rule, state)
    return bootstrap_mean(here["one, liquidated|with"] - 0.5 * here["one, liquidated|without"])


def _ends(found: "pd.DataFrame", rule: str, state: str) -> str:
    """Say own liquidations without a rule and with it."""
    here = _part(found, rule, state)
    ends = [bootstrap_mean(here[f"one, liquidated|{each}"]) for each in ("without", "with")]
    return f"{RULES[rule]} in {state}: {written(ends[0])} % without, {written(ends[1])} % with"


def _halved(found: "pd.DataFrame", places: list[tuple[str, str]], what: str, source: str) -> Check:
    said = [_ends(found, *place) for place in places]
    answers = [below(_beyond_half(found, *place), 0.0) for place in places]
    return Check(what, source, "; ".join(said), every(answers))


def _hedged(found: "pd.DataFrame") -> Check:
    calm, stress = (_beyond_half(found, "hedged", state) for state in STATES)
    return Check(
        "Hedged legs more than halve own liquidations in calm, where markets move together, and do "
        "not in stress, where the news is of one",
        "L2 (the variance of what is left)",
        "; ".join(_ends(found, "hedged", state) for state in STATES),
        every([below(calm, 0.0), above(stress, 0.0)]),
    )


def _crowded(found: "pd.DataFrame") -> Check:
    names = "one, liquidated", "all, liquidated"
    here = _part(found, "spread", STRESS)
    one, everybody = (here[f"{name}|with"] - here[f"{name}|without"] for name in names)
    gap = bootstrap_mean(everybody - one)
    said = [written(difference(found, STRESS, "spread", name)) for name in names]
    return Check(
        "Leaving on the index spread spares one more liquidations than everybody: where all leave, "
        "the spread stays narrow, and warns nobody",
        "a rule that feeds on the others",
        f"one {said[0]}, everybody {said[1]}, between them {written(gap)}",
        above(gap, 0.0),
    )


def _together(found: "pd.DataFrame") -> Check:
    said, answers = [], []
    for state in STATES:
        here = _part(found, "together", state)
        own = bootstrap_mean(here["one, liquidated|with"])
        earned = bootstrap_mean(here["one, return|with"])
        said.append(f"{state}: {written(own)} % liquidated, return {written(earned)} %")
        answers += [below(own, 1.0), near(earned, 0.0, 1.0)]
    return Check(
        "All rules together leave less than 1 % liquidated and next to nothing to win or lose: the "
        "return is within 1 %",
        "the price of safety",
        "; ".join(said),
        every(answers),
    )


def _system(found: "pd.DataFrame") -> Check:
    said, answers = [], []
    for rule in ("modest", "stablecoins", "together"):
        lower = _is_lower(found, rule, STRESS, "all, R")
        cascade = difference(found, STRESS, rule, "all, cascade")
        said.append(
            f"{RULES[rule]}: R lower in {written(lower, 100.0, ' %')} of the seeds, cascade "
            f"{written(cascade)} % of OI"
        )
        answers += [above(lower, 0.5), below(cascade, 0.0)]
    return Check(
        "Modest leverage, stablecoins and all rules together, of everybody, lower R and the "
        "largest cascade in stress; R with the same seed in most",
        "C1 (density of triggers over depth)",
        "; ".join(said),
        every(answers),
    )


def _on_paper(found: "pd.DataFrame") -> Check:
    said, answers = [], []
    for rule in ("modest", "stablecoins", "together"):
        lower = _is_lower(found, rule, STRESS, "all, R on paper")
        said.append(f"{RULES[rule]}: lower in {written(lower, 100.0, ' %')} of the seeds")
        answers.append(above(lower, 0.5))
    return Check(
        "They lower R on paper in most seeds",
        "C1 (density of triggers over depth)",
        "; ".join(said),
        every(answers),
    )


#: The figures drawn, a column each: what is seen, and by whom.
PANELS = {
    "liquidated, points": {
        "one": EFFECTS["one, liquidated"].column,
        "everybody": EFFECTS["all, liquidated"].column,
    },
    "return, points": {
        "one": EFFECTS["one, return"].column,
        "everybody": EFFECTS["all, return"].column,
    },
    "R lower, % of seeds": {"everybody": LOWER["all, R"]},
    "largest cascade, % of OI": {"everybody": EFFECTS["all, cascade"].column},
}


@mpl.rc_context(LOOK.settings)
def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw what each rule changes, in calm and in stress, for one and for everybody."""
    figure = new_figure(LOOK)
    figure.set_size_inches(1.5 * LOOK.size.width, 1.6 * LOOK.size.height)
    grid = figure.subplots(len(STATES), len(PANELS), sharex="col", sharey=True)
    colors = {"one": LOOK.theme.long, "everybody": LOOK.theme.short}
    place = np.arange(len(RULES))[::-1]
    for state, row in zip(STATES, grid, strict=True):
        for axes, (title, lines) in zip(row, PANELS.items(), strict=True):
            nothing = 50.0 if LOWER["all, R"] in lines.values() else 0.0
            axes.axvline(nothing, color=LOOK.theme.ink, linewidth=0.5 * LOOK.size.line)
            for shift, (who, column) in zip((0.18, -0.18), lines.items(), strict=False):
                shown = table[(table["state"] == state) & (table["metric"] == column)]
                shown = shown.set_index("variant").loc[list(RULES)]
                y = place + (shift if len(lines) > 1 else 0.0)
                axes.hlines(y, shown["low"], shown["high"], color=colors[who], alpha=0.6)
                axes.plot(shown["value"], y, "o", color=colors[who], label=who)
            axes.set_title(f"{state}: {title}", fontsize="small")
            axes.grid(visible=True, axis="x")
            axes.grid(visible=False, axis="y")
            axes.xaxis.set_major_formatter(tick_text)
        row[0].set_yticks(place, list(RULES.values()))
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    finish(figure, "What a rule changes, for one who follows it and if everybody does", "", LOOK)
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    modest = _part(found, "modest", STRESS)
    none, own = (bootstrap_mean(modest[f"one, liquidated|{each}"]) for each in ("without", "with"))
    other = difference(found, STRESS, "modest", "other, liquidated")
    one, everybody = (
        difference(found, STRESS, "spread", f"{who}, liquidated") for who in ("one", "all")
    )
    return (
        f"Under news of one market {written(none, unit=' %')} of those without a rule are "
        f"liquidated, {written(own, unit=' %')} with a quarter of the leverage; that everybody "
        f"else has it changes the former by {written(other, unit=' points')}. Leaving when the "
        f"index spread widens changes it by {written(one, unit=' points')} for one, and by "
        f"{written(everybody, unit=' points')} if everybody does."
    )
