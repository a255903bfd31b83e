"""Premium and funding over time, with the cap and the pin."""

from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from marketsim.account.rerun import read_scenario
from marketsim.report.canvas import hours_axis, legend, split, tick_text
from marketsim.report.plots.reading import MARKET, chosen_markets, left_out, place_of, rows_of
from marketsim.report.style import Theme, shortened
from marketsim.results.run import Run
from marketsim.scenario.build import funding_cap

BP = 1e4
#: A premium this many times its usual range (95 % of the steps) would press the rest flat; beyond
#: `LINEAR` basis points it is then drawn on a logarithmic scale.
SPIKE, LINEAR = 8.0, 10.0
#: A cap further away than this many times what was reached would press the rates flat.
FAR = 4.0


def draw(axes: Axes, run: Run, theme: Theme, *, market: str | None = None) -> list[Axes]:
    """Draw the premium over the index, and below it the settled rates, per 8 hours.

    The band holds the premia that all pay one rate, the pin: that of the interest alone.
    """
    names = chosen_markets(run, market)
    premium, rate = split(axes, [1.0, 1.0])
    width = mpl.rcParams["lines.linewidth"]
    entries: list[tuple[Any, str]] = []
    reached = peak = 0.0
    usual = []
    for name in names:
        color = theme.market(place_of(run, name))
        rows = rows_of(run.markets, name)
        (line,) = premium.plot(
            rows["hours"], BP * rows["premium"], color=color, linewidth=0.5 * width
        )
        entries.append((line, shortened(name, MARKET)))
        usual.append(float((BP * rows["premium"]).abs().quantile(0.95)))
        peak = max(peak, float((BP * rows["premium"]).abs().max()))
        settled = rows_of(run.funding, name)
        if not len(settled):
            continue
        # A rate is for the time since the settlement before, the first since the start.
        rate.plot(
            [0.0, *settled["hours"]],
            BP * settled["funding_rate"].to_numpy()[[0, *range(len(settled))]],
            color=color,
            drawstyle="steps-pre",
            linewidth=0.8 * width,
        )
        reached = max(reached, float((BP * settled["funding_rate"]).abs().max() or 0.0))
    entries += _rules(run, names, premium, rate, reached, theme)
    legend(premium, entries)
    if peak > SPIKE * max(*usual, LINEAR):
        premium.set_yscale("symlog", linthresh=LINEAR, linscale=0.6)
    premium.set_ylabel("premium,\nbp")
    rate.set_ylabel("funding,\nbp per 8 h")
    for each in (premium, rate):
        each.axhline(0.0, color=theme.muted, linewidth=0.3 * width, zorder=1)
        each.yaxis.set_major_formatter(tick_text)
    hours_axis(rate, f"hours since the start{left_out(run, names)}")
    return [premium, rate]


def _rules(
    run: Run, names: list[str], premium: Axes, rate: Axes, reached: float, theme: Theme
) -> list[tuple[Any, str]]:
    """Draw what the venue's rule makes of the premium; return what a legend says of it."""
    scenario = read_scenario(run)
    rules = scenario.venue.funding
    pin = BP * rules.interest_rate
    found: list[tuple[Any, str]] = []
    if not isinstance(rules.dead_band, str):
        low, high = pin - BP * rules.dead_band, pin + BP * rules.dead_band
        band = premium.axhspan(low, high, color=theme.grid, zorder=0, linewidth=0)
        found.append((band, f"pays the pin, {pin:g} bp"))
        rate.axhline(pin, color=theme.muted, linestyle=":", zorder=1)
    caps = {BP * funding_cap(scenario.venue, scenario.markets[name]) for name in names}
    least = min(caps)
    if least <= FAR * max(reached, abs(pin), 1.0):
        for cap in caps:
            for side in (-1.0, 1.0) if reached > 0.5 * cap else (1.0,):
                line = rate.axhline(side * cap, color=theme.ink, linestyle="--", zorder=1)
        found.append((line, "cap"))
    else:
        (line,) = rate.plot([], [], color=theme.ink, linestyle="--")
        found.append((line, f"cap {least:g} bp, out of view" if least < 1e5 else "no cap"))
    return found
