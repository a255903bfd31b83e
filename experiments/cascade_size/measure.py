"""What a fall of BTC would seize on paper, right before it comes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketsim.results.run import Run

#: Minutes into the run at which BTC falls, and the falls that are asked about.
MOMENT = 720
FALLS = {"small": 0.05, "large": 0.2}


def measure(run: "Run") -> dict[str, float]:
    """Measure a run.

    `seized.NAME` is the notional of the longs in BTC that a fall of its mark alone would take below
    maintenance, over the open interest of all markets: it asks of no book. NaN of a run that ends
    before.
    """
    step = round(MOMENT / float(run.summary["step_minutes"]))
    if step > int(run.summary["steps"]):
        return {f"seized.{name}": float("nan") for name in FALLS}
    now = run.markets[run.markets["step"] == step].set_index("market")
    mark, interest = now.loc["BTC", "mark_price"], now["open_interest_usd"].sum()
    heat = run.liquidation_heatmap
    longs = heat[(heat["step"] == step) & (heat["market"] == "BTC") & (heat["side"] == "long")]
    found = {}
    for name, fall in FALLS.items():
        within = longs["low_price"] >= (1.0 - fall) * mark
        found[f"seized.{name}"] = float(longs.loc[within, "notional_usd"].sum() / interest)
    return found
