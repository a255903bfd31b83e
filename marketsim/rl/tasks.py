"""The tasks by their names: what Gymnasium makes of ``marketsim/Carry-v0`` and the others."""

from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym

#: Scenarios of the tasks.
SCENARIOS = Path(__file__).parent / "scenarios"


class Task(NamedTuple):
    """A task: which environment, and what it is made with."""

    what: str
    entry: str
    arguments: dict[str, Any]
    vector: str | None = None


def _trading(name: str, what: str, decide_every: str, **more: Any) -> Task:
    """Return a task of trading for one account."""
    arguments = {
        "scenario": str(SCENARIOS / f"{name}.toml"),
        "population": "me",
        "decide_every": decide_every,
        **more,
    }
    one, many = "marketsim.rl.perp_env:PerpEnv", "marketsim.rl.vector:PerpVectorEnv"
    return Task(what, one, arguments, many)


#: By the name that Gymnasium makes them by.
TASKS = {
    "marketsim/Carry-v0": _trading(
        "carry", "collect funding with shorts that are hedged with coins", "1h"
    ),
    "marketsim/Deleverage-v0": _trading(
        "deleverage", "cut a levered long in time, and not for nothing", "5min"
    ),
    "marketsim/MarketMaker-v0": _trading(
        "market-maker", "quote both sides, earn the spread, hold little", "5min", quotes=True
    ),
    "marketsim/RiskDesk-v0": Task(
        "set margin, funding cap and the rule of deleveraging for a venue",
        "marketsim.rl.risk_desk:RiskDesk",
        {"scenario": str(SCENARIOS / "risk-desk.toml"), "decide_every": "4h"},
    ),
}


def register_tasks() -> None:
    """Make the tasks known to Gymnasium; its entry point calls this, and so does `marketsim.rl`."""
    for name, task in TASKS.items():
        if name not in gym.registry:
            gym.register(name, task.entry, kwargs=task.arguments, vector_entry_point=task.vector)
