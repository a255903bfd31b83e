"""A scenario beside its twin: for a terminal, and for JSON."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from marketsim.report.layout import records, to_rich
from marketsim.report.numbers import interval, number, without_noise

if TYPE_CHECKING:
    import pandas as pd

#: Of a figure, its difference and how much luck is paired.
DIGITS = 3


def comparison_record(found: "pd.DataFrame") -> dict[str, Any]:
    """Return the differences row by row, ready for JSON.

    Parameters
    ----------
    found : pandas.DataFrame
        As `marketsim.study.compare.compare` returns it.

    Returns
    -------
    dict
    """
    return {
        "failed": found.attrs["failed"],
        "identical": found.attrs["identical"],
        "differences": records(found),
    }


def render_comparison(found: "pd.DataFrame", title: str) -> Table:
    """Lay the figures out that exist and are not zero on both sides.

    Parameters
    ----------
    found : pandas.DataFrame
        As `marketsim.study.compare.compare` returns it.
    title : str

    Returns
    -------
    rich.table.Table
    """
    known = _known(found)
    columns = zip(known["difference"], known["low"], known["high"], strict=True)
    scales = known[["base", "twin"]].abs().max(axis=1)
    ends = [without_noise(*each, scale) for each, scale in zip(columns, scales, strict=True)]
    clear = ["*" if low > 0 or high < 0 else "" for _, low, high in ends]
    shown = known[["base", "twin"]].astype(object).map(lambda value: number(value, DIGITS))
    names = known["metric"].str.removeprefix("markets.").str.removeprefix("populations.")
    shown.insert(0, "metric", names)
    shown["difference"] = [interval(*each, digits=DIGITS) for each in ends]
    shown[""] = clear
    shown["luck"] = known["variance_ratio"].map(lambda value: number(value, DIGITS))
    return to_rich(shown, title, names=("metric", ""))


def comparison_notes(found: "pd.DataFrame") -> str:
    """Say what the marks of the table mean and what it leaves out."""
    text = (
        "* the 95 % interval leaves zero out; luck: how many times more pairs of independent\n"
        f"seeds would need for it; {len(found) - len(_known(found))} figures that are zero or "
        "missing are left out"
    )
    if found.attrs["identical"]:
        text += f"\nthe change made no difference at all in {found.attrs['identical']} pairs"
    return text


def _known(found: "pd.DataFrame") -> "pd.DataFrame":
    is_zero = (found["base"] == 0) & (found["twin"] == 0)
    return found[(found["pairs"] > 0) & ~is_zero]
