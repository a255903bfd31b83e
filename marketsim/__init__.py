"""marketsim: an agent-based simulator of perpetual-futures markets.

Public names load on first use, so that importing the package costs nothing.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from marketsim.results import by_report
from marketsim.scenario import by_strategy

if TYPE_CHECKING:
    from marketsim.account.portfolio import load_portfolio
    from marketsim.account.stress import stress
    from marketsim.agents.own import OwnTraderError, Strategy
    from marketsim.model.market import PerpMarket
    from marketsim.model.opening import load_market
    from marketsim.model.runs import run_scenario
    from marketsim.model.trader import Trader, TraderView
    from marketsim.results.run import Run, load_run
    from marketsim.run.data import SavedMarketError
    from marketsim.run.hooks import HookError
    from marketsim.run.loading import load_simulation
    from marketsim.run.simulation import Simulation
    from marketsim.scenario.errors import Problem, ScenarioError
    from marketsim.scenario.interventions import InterventionError
    from marketsim.scenario.loader import list_scenarios, load_scenario
    from marketsim.study.calibrate import calibrate
    from marketsim.study.compare import compare
    from marketsim.study.validate import validate
    from marketsim.sweep.runner import run_sweep
    from marketsim.sweep.table import load_sweep
    from marketsim.tape.files import RunFolderError

__version__ = "0.1.0"

_PLACES = {
    "PerpMarket": "marketsim.model.market",
    "Trader": "marketsim.model.trader",
    "TraderView": "marketsim.model.trader",
    "Strategy": "marketsim.agents.own",
    "OwnTraderError": "marketsim.agents.own",
    "HookError": "marketsim.run.hooks",
    "Simulation": "marketsim.run.simulation",
    "Run": "marketsim.results.run",
    "RunFolderError": "marketsim.tape.files",
    "SavedMarketError": "marketsim.run.data",
    "calibrate": "marketsim.study.calibrate",
    "load_portfolio": "marketsim.account.portfolio",
    "run_scenario": "marketsim.model.runs",
    "run_sweep": "marketsim.sweep.runner",
    "stress": "marketsim.account.stress",
    "validate": "marketsim.study.validate",
    "compare": "marketsim.study.compare",
    "load_market": "marketsim.model.opening",
    "load_run": "marketsim.results.run",
    "load_simulation": "marketsim.run.loading",
    "load_sweep": "marketsim.sweep.table",
    "InterventionError": "marketsim.scenario.interventions",
    "ScenarioError": "marketsim.scenario.errors",
    "list_scenarios": "marketsim.scenario.loader",
    "load_scenario": "marketsim.scenario.loader",
}

__all__ = [
    "HookError",
    "InterventionError",
    "OwnTraderError",
    "PerpMarket",
    "Run",
    "RunFolderError",
    "SavedMarketError",
    "ScenarioError",
    "Simulation",
    "Strategy",
    "Trader",
    "TraderView",
    "calibrate",
    "compare",
    "list_scenarios",
    "load_market",
    "load_portfolio",
    "load_run",
    "load_scenario",
    "load_simulation",
    "load_sweep",
    "run_scenario",
    "run_sweep",
    "stress",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'marketsim' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def _default_habits(strategy: str) -> Mapping[str, Any]:
    strategies = import_module("marketsim.agents.strategies")
    habits: Mapping[str, Any] = strategies.default_habits(strategy)
    return habits


def _parameter_problems(strategy: str, stated: Mapping[str, Any]) -> "list[Problem]":
    strategies = import_module("marketsim.agents.strategies")
    problems: list[Problem] = strategies.parameter_problems(strategy, stated)
    return problems


def _parameter_schema(strategy: str) -> dict[str, Any] | None:
    strategies = import_module("marketsim.agents.strategies")
    schema: dict[str, Any] | None = strategies.parameter_schema(strategy)
    return schema


# The strategies load with the first population that is read.
by_strategy.default_habits = _default_habits
by_strategy.parameter_problems = _parameter_problems
by_strategy.parameter_schema = _parameter_schema


def _plots(run: "Run") -> Any:
    return import_module("marketsim.report.run_plots").RunPlots(run)


def _html(thing: Any) -> str:
    text: str = import_module("marketsim.report.rich_html").as_html(thing)
    return text


def _show(runs: "Sequence[Simulation]", height: int) -> Any:
    return import_module("marketsim.report.rich_html").show(runs, height)


# What hangs on runs, accounts and markets loads when it is first asked for.
by_report.plots = _plots
by_report.html = _html
by_report.show = _show


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
