"""The funding interval: the same payment a day, in one, three or many pieces."""

from pathlib import Path
from typing import TYPE_CHECKING

from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.report.experiment import Check, above, below, every, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["interval", "funding_scale"]
NAMES = {"1": "hourly", "8": "8-hourly", "step": "continuous"}
PREMIUM = "premium sd, bp"
KURTOSIS = "premium excess kurtosis"
RATE = "funding sd, bp per 8 h"
CAPPED = "time at the cap, %"
#: A premium so much wider than the calmest one cycles.
CYCLES = 2.0


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Name the figures of a run that are looked at; `response` is 1 / funding_scale."""
    found = runs.copy()
    found["interval"] = found["interval"].astype(str)
    found["response"] = 1.0 / found["funding_scale"]
    found[PREMIUM] = runs["premium_std_bp"]
    found[KURTOSIS] = runs["premium_kurtosis"]
    found[RATE] = runs["funding_std_bp_8h"]
    found[CAPPED] = 100.0 * runs["cap_steps_share"]
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds."""
    return cell_means(effects(runs), PARAMETERS, [PREMIUM, KURTOSIS, RATE, CAPPED])


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against card H6."""
    found = effects(runs)
    return [
        _hourly_is_calmer(found),
        _stands_more(found),
        _u_shape(found),
        _continuous(found),
        _flat_top(found),
        _cap(found),
        _dead_band(found),
    ]


def _curve(
    found: "pd.DataFrame", interval: str, figure: str, variant: str = "usual"
) -> "pd.DataFrame":
    """Return seeds by response, weakest first."""
    here = found[(found["interval"] == interval) & (found["variant"] == variant)]
    return here.pivot_table(index="seed", columns="response", values=figure)


def _onset(curve: "pd.DataFrame") -> float:
    """Return the weakest response beyond the calmest one at which the premium cycles."""
    means = curve.mean()
    calmest = means.idxmin()
    wide = means[(means.index > calmest) & (means > CYCLES * means.min())]
    return float(wide.index[0]) if len(wide) else float("inf")


def _hourly_is_calmer(found: "pd.DataFrame") -> Check:
    hourly, slow = (_curve(found, interval, PREMIUM) for interval in ("1", "8"))
    said, answers = [], []
    for response in hourly.columns:
        ratio = bootstrap_mean(hourly[response] / slow[response])
        said.append(f"{response:,.0f}: {written(ratio)}")
        answers.append(below(ratio, 1.0))
    return Check(
        "At the same daily payment hourly funding leaves a narrower premium than 8-hourly funding, "
        "whatever the response",
        "H6",
        "sd hourly / 8-hourly by response: " + "; ".join(said),
        every(answers),
    )


def _stands_more(found: "pd.DataFrame") -> Check:
    hourly, slow = (_onset(_curve(found, interval, PREMIUM)) for interval in ("1", "8"))
    ratio = hourly / slow
    text = f"{ratio:.3g}" if ratio < float("inf") else "more than the responses tried"
    return Check(
        "Hourly funding stands about seven times the response of 8-hourly funding before the "
        "premium cycles (four to sixteen on a grid of factors of two)",
        "H6 (2.0 against .286)",
        f"premium twice as wide as at its calmest from response {slow:,.0f} on (8-hourly), "
        f"{hourly:,.0f} (hourly): ratio {text}",
        None if slow == float("inf") else 4.0 <= ratio <= 16.0,
    )


def _u_shape(found: "pd.DataFrame") -> Check:
    said, answers = [], []
    for interval in ("1", "8"):
        curve = _curve(found, interval, PREMIUM)
        best = curve.mean().idxmin()
        left = paired_difference(curve[best], curve[curve.columns[0]]).difference
        right = paired_difference(curve[best], curve[curve.columns[-1]]).difference
        said.append(
            f"{NAMES[interval]}: calmest at {best:,.0f}, {written(left)} bp more at the weakest, "
            f"{written(right)} at the strongest response"
        )
        answers += [above(left, 0.0), above(right, 0.0)]
    return Check(
        "The premium's width is U-shaped in the response, at both intervals",
        "H6",
        "; ".join(said),
        every(answers),
    )


def _continuous(found: "pd.DataFrame") -> Check:
    if "step" not in set(found["interval"]):
        return Check("Continuous funding never cycles", "H6", "not run", None)
    curve = _curve(found, "step", PREMIUM)
    last, before = curve.columns[-1], curve.columns[0]
    change = paired_difference(curve[before], curve[last]).difference
    return Check(
        "Continuous funding never cycles: the premium only narrows with the response",
        "H6 (M = 1)",
        f"{written(bootstrap_mean(curve[before]), unit=' bp')} at the weakest, "
        f"{written(bootstrap_mean(curve[last]), unit=' bp')} at the strongest response",
        every([below(change, 0.0), _onset(curve) == float("inf")]),
    )


def _flat_top(found: "pd.DataFrame") -> Check:
    curve = _curve(found, "8", KURTOSIS)
    last = bootstrap_mean(curve[curve.columns[-1]])
    return Check(
        "The dead band bounds the cycles: the 8-hourly premium is flat-topped (excess kurtosis "
        "below 0)",
        "H6",
        f"{written(last)} at the strongest response",
        below(last, 0.0),
    )


def _cap(found: "pd.DataFrame") -> Check:
    usual, low = (_curve(found, "8", PREMIUM, variant) for variant in ("usual", "low_cap"))
    last = usual.columns[-1]
    change = paired_difference(usual[last], low[last]).difference
    return Check(
        "A cap of 10 bp instead of 75 bp narrows the cycles of 8-hourly funding",
        "H6 (the cap bounds the response)",
        f"{written(bootstrap_mean(usual[last]), unit=' bp')} with the wide cap, "
        f"{written(bootstrap_mean(low[last]), unit=' bp')} with the narrow one, strongest response",
        below(change, 0.0),
    )


def _dead_band(found: "pd.DataFrame") -> Check:
    usual, without = (_curve(found, "1", PREMIUM, variant) for variant in ("usual", "no_dead_band"))
    first = usual.columns[0]
    change = paired_difference(usual[first], without[first]).difference
    return Check(
        "The dead band costs anchoring: without it the hourly premium is narrower at the weakest "
        "response",
        "H6 (no response inside the band)",
        f"{written(bootstrap_mean(usual[first]), unit=' bp')} with, "
        f"{written(bootstrap_mean(without[first]), unit=' bp')} without; at the strongest response "
        f"{written(bootstrap_mean(usual[usual.columns[-1]]))} and "
        f"{written(bootstrap_mean(without[without.columns[-1]]), unit=' bp')}",
        below(change, 0.0),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw the premium's width over the response, a line per interval."""
    shown = table[(table["metric"] == PREMIUM) & (table["variant"] == "usual")]
    shown = shown.assign(
        x=1.0 / shown["funding_scale"],
        group=[NAMES[str(each)] for each in shown["interval"]],
    )
    figure = line_figure(shown, "response to funding, 1 / funding_scale", "premium sd, bp")
    figure.axes[0].set_xscale("log", base=2)
    figure.axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    hourly, slow = (_curve(found, interval, PREMIUM) for interval in ("1", "8"))
    best = hourly.mean().idxmin()
    ends: list[Interval] = [bootstrap_mean(each[best]) for each in (slow, hourly)]
    return (
        f"At the same payment a day, 8-hourly funding leaves a premium of "
        f"{written(ends[0], unit=' bp')} (sd) where hourly funding leaves "
        f"{written(ends[1], unit=' bp')}: the crowd chases a rate that is hours old."
    )
