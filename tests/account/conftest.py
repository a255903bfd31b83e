from pathlib import Path

import pytest

from marketsim.model.opening import open_simulation
from marketsim.results.folder import write_run
from marketsim.results.run import Run, load_run
from marketsim.scenario.loader import load_scenario

#: A jump into a crowd of all margin modes, at a step that ends a funding interval.
JUMP = """\
name = "jump"
days = 0.125

[venue]
preset = "default"

[venue.funding]
interval_hours = 1

[markets.BTC]
price = 100_000.0
tick_size = 0.1
lot_size = 0.001

[markets.ETH]
price = 4_000.0
tick_size = 0.01
lot_size = 0.01

[populations.makers]
strategy = "maker"
count = 6
capital = 400_000.0

[populations.noise]
strategy = "noise"
count = 20

[populations.holders]
strategy = "holder"
count = 80
capital = 5_000.0
leverage = { kind = "uniform", min = 4.0, max = 30.0 }
margin_mode = { cross = 0.4, isolated = 0.3, partial = 0.3 }
tranches = 1

[populations.holders.groups.all]
markets = ["BTC", "ETH"]
draw_limit = 0.3

[[shocks]]
kind = "jump"
at = 1.98333333333333333
size = -0.1
markets = ["BTC"]
"""

JUMP_STEP = 119


@pytest.fixture(scope="session")
def jump(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of `JUMP`."""
    folder = tmp_path_factory.mktemp("jump")
    file = folder / "jump.toml"
    file.write_text(JUMP)
    return load_run(make_run(file, folder / "run"))


def make_run(file: Path, target: Path) -> Path:
    """Run a scenario file and write its folder."""
    scenario = load_scenario(file)
    market = open_simulation(scenario, 7)
    market.run(scenario.num_steps)
    return write_run(market.result(), target)
