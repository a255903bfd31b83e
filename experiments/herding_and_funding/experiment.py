"""Funding against herding: does paying for the crowded side break the crowd up?"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import expm

from marketsim.agents.herd import critical_field
from marketsim.report.canvas import save_figure
from marketsim.report.charts import line_figure
from marketsim.report.experiment import Check, above, below, every, near, written
from marketsim.study.analysis import cell_means
from marketsim.study.statistics import Interval, bootstrap_mean, paired_difference

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = ["independence", "dial"]
#: Markets whose crowds are alone.
PURE = ("BTC", "ETH")
NUM_TRADERS = 100
MEMORY_HOURS = 480.0
DAYS = 60.0
#: Largest distance from the closed form that counts as agreement, units of |2 X / N - 1|.
TOLERANCE = 0.05

HERD = "mean |herd index|"
PAID = "crowd on the paid side, % of time"
CROWD, SEEKERS, IGNORERS = (
    f"funding of {name}, % of capital" for name in ("crowd", "seekers", "ignorers")
)


@cache
def closed_form(independence: float, dial: float) -> float:
    """Mean of |2 X / N - 1| over a run, from the exact law of the crowd (cards H1 and H4).

    The crowd begins with everybody drawn by themselves; the law is followed from there, so that
    the time it takes to become one-sided counts as it does in a run.
    """
    alone = 0.5 / MEMORY_HOURS
    herding = alone / independence
    long = np.arange(NUM_TRADERS + 1.0)
    short = NUM_TRADERS - long
    field = -dial * critical_field(NUM_TRADERS, independence) * (2.0 * long / NUM_TRADERS - 1.0)
    up = short * (alone + herding * long) * np.exp(field)
    down = long * (alone + herding * short) * np.exp(-field)
    generator = np.diag(up[:-1], -1) + np.diag(down[1:], 1) - np.diag(up + down)
    span = expm(generator * 6.0)
    law = np.array([1.0])
    for _ in range(NUM_TRADERS):
        law = np.convolve(law, [0.5, 0.5])
    size = np.abs(2.0 * long / NUM_TRADERS - 1.0)
    moments = []
    for _ in range(round(DAYS * 4)):
        moments.append(size @ law)
        law = span @ law
    return float(np.mean(moments))


def effects(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Add the figures of a run that are looked at."""
    found = runs.copy()
    found[HERD] = sum(runs[f"markets.{each}.herd_index_abs"] for each in PURE) / len(PURE)
    found[PAID] = 100.0 * sum(runs[f"markets.{each}.crowd_paid_share"] for each in PURE) / len(PURE)
    for name, figure in (("crowd", CROWD), ("seekers", SEEKERS), ("ignorers", IGNORERS)):
        paid, brought = (runs[f"populations.{name}.{each}_usd"] for each in ("funding", "deposit"))
        found[figure] = 100.0 * paid / brought
    return found


def tabulate(runs: "pd.DataFrame") -> "pd.DataFrame":
    """Average over seeds."""
    return cell_means(effects(runs), PARAMETERS, [HERD, PAID, CROWD, SEEKERS, IGNORERS])


def check(runs: "pd.DataFrame") -> list[Check]:
    """Hold the runs against cards H1 and H4."""
    found = effects(runs)
    dials = sorted(found["dial"].unique())
    return [
        _agrees(found, [0.0], "Without a pull of funding the crowd follows Kirman's law", "H1"),
        _agrees(found, [d for d in dials if d > 0.0], "With it, the law of card H4", "H4"),
        _falls(found, dials),
        _regime(found, dials),
        _payers(found),
        _cheaper(found, dials),
    ]


def _by_seed(found: "pd.DataFrame", figure: str, dial: float, independence: float) -> "pd.Series":
    here = found[(found["dial"] == dial) & (found["independence"] == independence)]
    return here.set_index("seed")[figure]


def _agrees(found: "pd.DataFrame", dials: list[float], what: str, source: str) -> Check:
    said, answers = [], []
    for independence in sorted(found["independence"].unique()):
        for dial in dials:
            mean = bootstrap_mean(_by_seed(found, HERD, dial, independence))
            theory = closed_form(independence, dial)
            answers.append(near(mean, theory, TOLERANCE))
            if answers[-1] is not True or len(dials) == 1:
                said.append(f"e {independence:g}, dial {dial:g}: {written(mean)}, law {theory:.3f}")
    inside = sum(answer is True for answer in answers)
    return Check(
        f"{what}: mean |herd index| within {TOLERANCE:g} of it in every cell",
        source,
        f"{inside} of {len(answers)} cells are; " + "; ".join(said),
        every(answers),
    )


def _falls(found: "pd.DataFrame", dials: list[float]) -> Check:
    said, answers = [], []
    for independence in sorted(found["independence"].unique()):
        first, last = (_by_seed(found, HERD, dial, independence) for dial in (dials[0], dials[-1]))
        change = paired_difference(first, last).difference
        said.append(f"e {independence:g}: {written(change)}")
        answers.append(below(change, 0.0))
    return Check(
        f"The more funding repels, the smaller the crowd: dial {dials[-1]:g} against 0, at every e",
        "H4",
        "; ".join(said),
        every(answers),
    )


def _regime(found: "pd.DataFrame", dials: list[float]) -> Check:
    low = min(found["independence"])
    theory = [dial for dial in dials if closed_form(low, dial) < 0.5]
    means = {dial: bootstrap_mean(_by_seed(found, HERD, dial, low)) for dial in dials}
    found_at = [dial for dial in dials if means[dial].value < 0.5]
    first = theory[0] if theory else dials[-1]
    earlier = [dial for dial in dials if dial < first]
    before = means[earlier[-1]] if earlier else Interval(*[float("nan")] * 3)
    return Check(
        f"At e {low:g} the crowd changes from one-sided (mean above .5) to mixed between dial "
        f"{earlier[-1] if earlier else first:g} and {first:g}",
        "H4",
        f"{written(before)} and {written(means[first])}; mixed from dial "
        f"{f'{found_at[0]:g}' if found_at else f'above {dials[-1]:g}'} on",
        every([above(before, 0.5), below(means[first], 0.5)]),
    )


def _payers(found: "pd.DataFrame") -> Check:
    crowd, seekers, ignorers = (
        found.groupby("seed")[figure].mean() for figure in (CROWD, SEEKERS, IGNORERS)
    )
    return Check(
        "Who herds pays, who follows funding alone is paid, who ignores both breaks even "
        "(within 2 % of capital in 60 days)",
        "H4 (sign of U); funding is zero-sum",
        f"crowd {written(bootstrap_mean(crowd), unit=' %')}, "
        f"seekers {written(bootstrap_mean(seekers), unit=' %')}, "
        f"ignorers {written(bootstrap_mean(ignorers), unit=' %')} of capital",
        every(
            [
                below(bootstrap_mean(crowd), 0.0),
                above(bootstrap_mean(seekers), 0.0),
                near(bootstrap_mean(ignorers), 0.0, 2.0),
            ]
        ),
    )


def _cheaper(found: "pd.DataFrame", dials: list[float]) -> Check:
    low = min(found["independence"])
    free, held = (-_by_seed(found, CROWD, dial, low) for dial in (dials[0], dials[-1]))
    return Check(
        f"A crowd that minds funding pays less than half for it: dial {dials[-1]:g} against 0 "
        f"(e {low:g})",
        "H4",
        f"{written(bootstrap_mean(free), unit=' %')} of capital at 0, "
        f"{written(bootstrap_mean(held), unit=' %')} at {dials[-1]:g}",
        below(bootstrap_mean(held - 0.5 * free), 0.0),
    )


def draw(table: "pd.DataFrame", path: Path) -> None:
    """Draw the crowd's size over the dial, beside the closed form."""
    import pandas as pd

    shown = table[table["metric"] == HERD]
    shown = shown.assign(x=shown["dial"], group=[f"e = {e:g}" for e in shown["independence"]])
    law = [
        {"x": dial, "group": f"e = {e:g}, closed form", "value": closed_form(e, dial)}
        for e in sorted(shown["independence"].unique())
        for dial in sorted(shown["dial"].unique())
    ]
    figure = line_figure(
        pd.concat([shown, pd.DataFrame(law)]),
        "phi / phi_c",
        "mean |herd index|",
        theory=list(dict.fromkeys(row["group"] for row in law)),
    )
    save_figure(figure, path)


def headline(runs: "pd.DataFrame") -> str:
    """Say in one line what was found."""
    found = effects(runs)
    low, top = min(found["independence"]), max(found["dial"])
    free, held = (bootstrap_mean(_by_seed(found, HERD, dial, low)) for dial in (0.0, top))
    return (
        f"Funding breaks up a crowd that minds it: mean |herd index| falls from {written(free)} to "
        f"{written(held)} at {top:g} times the critical pull (e = {low:g}); herding pays funding, "
        f"and who just follows funding collects "
        f"{written(bootstrap_mean(found.groupby('seed')[SEEKERS].mean()), unit=' %')} of its "
        f"capital in {DAYS:g} days."
    )
