import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.engine.allocation import allocate
from marketsim.engine.records import records
from marketsim.engine.state import Cause, Deleverage, Fill, Liquidation, Outcome
from marketsim.scenario.inputs import InputLog
from marketsim.scenario.loader import resolved_toml
from marketsim.tape.result import RunResult, take_snapshot
from marketsim.tape.series import Series, Settlement, Step
from marketsim.tape.wealth import Holding, Wealth

TINY = """\
name = "tiny"
days = 0.0625

[markets.BTC]
price = 100000.0
tick_size = 0.5
lot_size = 0.001

[populations.crowd]
strategy = "noise"
count = 3
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario file of 90 steps, in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture
def marketsim() -> Callable[..., Result]:
    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


class StubMarket:
    """A market in which nothing happens, with the face of `marketsim.PerpMarket`."""

    conservation_error = 0

    def __init__(
        self, scenario: Any, seed: int, strategies: None = None, progress: None = None
    ) -> None:
        assert strategies is progress is None
        self.scenario, self.seed = scenario, seed
        self.inputs = InputLog()
        self.step_count, self.num_steps = 0, scenario.num_steps

    def run(self, n: int, progress: Callable[[int, int], None] | None = None) -> None:
        self.step_count = n
        if progress is not None:
            progress(n, n)

    def result(self) -> RunResult:
        state = allocate(3, 1, 4)
        snapshot = take_snapshot(state)
        assert snapshot.flow.shape[1] == len(Cause)
        steps = records(Step, self.num_steps)
        steps["step"] = np.arange(self.num_steps)
        return RunResult(
            scenario=self.scenario.name,
            scenario_text=resolved_toml(self.scenario),
            seed=self.seed,
            num_steps=self.num_steps,
            step_minutes=self.scenario.step_minutes,
            market_names=("BTC",),
            venue_names=("outside",),
            population_names=("crowd",),
            tick_size=np.array([0.5]),
            lot_size=np.array([0.001]),
            tick_atoms=np.array([500]),
            series=records(Series, self.num_steps, 1),
            deviation=np.zeros((self.num_steps, 1, 1)),
            depth_share=np.zeros((0, 1)),
            wealth=records(Wealth, 2, 2),
            exposure=records(Holding, 2, 2, 1),
            steps=steps,
            funding=records(Settlement, 0),
            funding_cap=np.zeros(0),
            liquidation=records(Liquidation, 0),
            deleverage=records(Deleverage, 0),
            fill=records(Fill, 0),
            population=np.array([0, 0, 0, -1]),
            deposit=np.zeros(4, np.int64),
            pool=np.zeros((4, 1), np.int64),
            start=snapshot,
            end=snapshot,
            outcome=np.zeros(len(Outcome), np.int64),
            conservation_error=self.conservation_error,
            inputs=tuple(self.inputs),
            timings={"wall": 0.0},
        )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type[StubMarket]:
    """Put a stub in the simulation's place, for what does not depend on the market."""

    class Stub(StubMarket):
        pass

    module = ModuleType("marketsim.run.simulation")
    module.Simulation = Stub  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "marketsim.run.simulation", module)
    return Stub
