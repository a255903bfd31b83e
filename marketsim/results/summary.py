"""A finished run in a few numbers, for a terminal, a script and `run.json`."""

from typing import Any

import numpy as np

from marketsim.contagion.measured import measured_figures
from marketsim.contagion.recorder import contagion_figures
from marketsim.contagion.ties import cascade_figures
from marketsim.engine.state import Outcome
from marketsim.results.figures import (
    account_figures,
    joint_figures,
    market_figures,
    usd,
)
from marketsim.results.risk import population_risk
from marketsim.results.tables import populations
from marketsim.results.waves import figures_of_waves
from marketsim.tape.digest import digest_result
from marketsim.tape.moments import Figures
from marketsim.tape.result import FUND_NAME, RunResult


def summarise(result: RunResult) -> dict[str, Any]:
    """Sum up a run in plain numbers that JSON can hold; what does not exist is None.

    Which run it was: `scenario`, `seed`, `steps`, `step_minutes`, `digest` (see `digest_result`),
    `wall_s` (seconds of stepping, without compilation), `notes`; and its `run_figures`.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict
    """
    return {
        "scenario": result.scenario,
        "seed": result.seed,
        "steps": result.num_steps,
        "step_minutes": result.step_minutes,
        "digest": digest_result(result),
        "wall_s": result.timings.get("wall"),
        **run_figures(result),
        "notes": list(result.notes),
    }


def run_figures(result: RunResult) -> dict[str, Any]:
    """Measure a run: numbers, and tables of numbers; what does not exist is None.

    Shares and changes of prices are fractions. Where a row of the series covers several steps, its
    last step stands for them in the means.

    Of the whole venue: `conservation_error_atoms` (largest seen; 0), `insurance_fund_usd` (equity
    of the fund at the end) and `insurance_fund_min_usd` (lowest at the end of a row; never below
    0), `fund_deleveraged_usd` (notional of the fund's own positions closed because its equity was
    used up, at mark), `adl_usd` (notional deleveraged, at mark), `socialised_usd` (losses shared
    among holders), `venue_loss_usd` (losses nobody was left to share, paid out of the fees),
    `fees_usd`, `num_accounts` (the fund left out), `accounts_liquidated` (met a liquidation order),
    `accounts_ruined` (traders who ended with less than a tenth of their deposit, those who left
    included) and their shares; how
    liquidations spread, as `marketsim.contagion.ties.cascade_figures` has it; and of its
    markets together, sums or means (each market counts the same) of the figures below, as
    `marketsim.results.figures` lists them. The same of the markets that no scheduled jump or crash
    moves, in `unshocked`; None if that is all of them, or none. `reproduction_number_max` and its
    like are those of R computed, `reproduction_on_paper_max` of books that never refill, as
    `marketsim.contagion.recorder.contagion_figures` has them; `reproduction_measured`, where a
    scenario asks for it, what `marketsim.contagion.measured` lists.

    Of each market, `markets[NAME]`:

    - `liquidated_usd` (notional at mark), `liquidated_share` (over mean open interest),
      `liquidations` (orders of the liquidation engine), `open_interest_usd` (one-sided, at mark,
      mean over steps) and `open_interest_max_usd`, `volume_usd` (at mark) and `turnover_day` (of a
      day, over mean open interest), `two_sided_share` (steps that ended with both a bid and an
      ask), `depth_share` (USD that rest within 50 bp of the mid, both sides, over open interest:
      median over the ends of hours);
    - `index_start`, `index_end`, `index_min` (USD), `index_fall` and `mark_fall` (largest fall
      below the first price);
    - `premium_mean_bp`, `premium_std_bp`, `premium_kurtosis` (excess) and `premium_acf_1h`
      (autocorrelation at one hour) of the venue's samples, over steps;
    - over settlements: `settlements`, `funding_mean_bp_8h` and `funding_std_bp_8h` (rate per 8 h),
      `funding_at_interest_share` (exactly the venue's interest rate), `funding_negative_share`,
      `funding_at_cap_share`, `funding_paid_usd` (gross); `cap_steps_share` (steps at which the rate
      in force is at its cap);
    - means over steps of the crowd, as `marketsim.tape.crowd` has it: `herd_index`,
      `herd_index_abs` (of the absolute value), `long_share`, `leverage`, `long_distance` and
      `short_distance` (to liquidation); `crowd_paid_share` (of the steps at which the herd has a
      side and funding is not zero, those at which the herd's side is paid).

    Of the waves of auto-deleveraging, `waves`: what was needed, what was taken, at once and later,
    and the largest share of one position, as `marketsim.results.waves.wave_figures` has it.

    Of each population, `populations[NAME]`: accounts, capital, profit by cause, liquidations, and
    return and risk as `marketsim.results.risk.population_risk` gives them.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    dict
    """
    markets = {name: market_figures(result, m) for m, name in enumerate(result.market_names)}
    spared = [figures for name, figures in markets.items() if name not in result.struck]
    table = populations(result)
    in_usd = [key for key in table if key != "population" and not key.endswith("_atoms")]
    risk = population_risk(result)
    groups = {
        str(name): {key: table[key][row].item() for key in in_usd} | risk[row]
        for row, name in enumerate(table["population"])
    }
    return {
        "conservation_error_atoms": int(result.conservation_error),
        **_venue_figures(result),
        **account_figures(groups, FUND_NAME),
        **cascade_figures(result),
        **joint_figures(list(markets.values())),
        **contagion_figures(result.contagion_steps, result.contagion, result.strikes),
        "waves": figures_of_waves(result),
        **contagion_figures(
            result.contagion_steps,
            result.contagion_on_paper,
            result.strikes,
            "reproduction_on_paper",
        ),
        **measured_figures(result.reproduction_measured),
        "unshocked": joint_figures(spared if result.struck else []),
        "markets": markets,
        "populations": groups,
        "intents": {kind.name.lower(): int(result.outcome[kind]) for kind in Outcome},
    }


def _venue_figures(result: RunResult) -> Figures:
    columns = {
        "insurance_fund_usd": "fund_equity",
        "adl_usd": "adl_atoms",
        "socialised_usd": "socialised_atoms",
        "venue_loss_usd": "venue_loss_atoms",
        "fees_usd": "fees",
    }
    if not len(result.steps):
        return dict.fromkeys([*columns, "insurance_fund_min_usd", "fund_deleveraged_usd"])
    row = result.liquidation[result.liquidation["account"] == len(result.population) - 1]
    closed = np.abs(row["size_before"] - row["size_after"]) * row["mark_ticks"]
    return {
        **{name: usd(result.steps[column][-1]) for name, column in columns.items()},
        "insurance_fund_min_usd": usd(result.steps["fund_equity"].min()),
        "fund_deleveraged_usd": usd((closed * result.tick_atoms[row["market"]]).sum()),
    }
