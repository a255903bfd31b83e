"""The public names of the package, after every submodule was loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import marketsim

ROOMS = {folder.parent.name for folder in Path(marketsim.__file__).parent.glob("*/__init__.py")}
#: Loads every submodule; a submodule of a public name's own name would take its place.
LOAD_ALL = """
import pkgutil, importlib, marketsim
from importlib.util import find_spec
def left_out(name):  # the extra rl may be missing
    if name.startswith(("marketsim.rl", "marketsim.bench.rl")):
        return find_spec("gymnasium") is None or find_spec("pettingzoo") is None
    return name.endswith("__main__")
found = pkgutil.walk_packages(marketsim.__path__, "marketsim.", lambda name: None)
names = [info.name for info in found]
for name in names:
    if not left_out(name):
        importlib.import_module(name)
wrong = [name for name in marketsim.__all__ if not callable(getattr(marketsim, name))]
assert not wrong, wrong
print(*marketsim.__all__)
"""

#: Calls every public function, after all that; each with the least it takes.
CALL_ALL = """
import inspect
from concurrent.futures import ThreadPoolExecutor

executor = ThreadPoolExecutor(1)
design = {"base": "quickstart", "days": 0.05, "metrics": ["fees_usd"]}
targets = pathlib.Path("targets.toml")
targets.write_text(
    'base = "quickstart"\\ndays = 0.05\\nreplicates = 1\\ntrials = 1\\nbatch = 1\\n'
    '[dials]\\n"populations.noise.count" = [10, 20]\\n'
    '[targets]\\nfees_usd = {low = 0.0, scale = 1.0}\\n'
)
pathlib.Path("portfolio.toml").write_text(
    '[markets.BTC]\\nprice = 100.0\\ntick_size = 0.01\\nlot_size = 0.01\\n'
    '[collateral]\\ncash = 20.0\\n[positions.BTC]\\nsize = 0.1\\n'
)
marketsim.PerpMarket("quickstart", rng=1).save("market")
marketsim.Simulation(marketsim.load_scenario("quickstart"), 1).save("simulation")
marketsim.run_scenario("quickstart", 1, days=0.05).save("run")
calls = {
    "calibrate": lambda: marketsim.calibrate(targets, "fit", executor=executor),
    "compare": lambda: marketsim.compare(
        "quickstart", {"populations.noise.count": 9}, seeds=2, days=0.05, executor=executor
    ),
    "list_scenarios": marketsim.list_scenarios,
    "load_market": lambda: marketsim.load_market("market"),
    "load_portfolio": lambda: marketsim.load_portfolio("portfolio.toml"),
    "load_run": lambda: marketsim.load_run("run").markets,
    "load_scenario": lambda: marketsim.load_scenario("calm"),
    "load_simulation": lambda: marketsim.load_simulation("simulation"),
    "load_sweep": lambda: marketsim.load_sweep("swept"),
    "run_scenario": lambda: marketsim.run_scenario("quickstart", 1, days=0.05).accounts,
    "run_sweep": lambda: marketsim.run_sweep(design, "swept", executor=executor),
    "stress": lambda: marketsim.stress("portfolio.toml", {"BTC": -0.2}).table,
    "validate": lambda: marketsim.validate("quickstart", days=1.0).table,
}
functions = [name for name in marketsim.__all__ if inspect.isfunction(getattr(marketsim, name))]
assert sorted(calls) == sorted(functions), set(calls) ^ set(functions)
for name in sorted(functions, key=lambda name: (name.startswith("load_"), name)):
    assert calls[name]() is not None, name
print("called", len(functions))
"""


def test_no_public_name_is_a_room_s() -> None:
    assert set(marketsim.__all__) & ROOMS == set()


@pytest.mark.slow
def test_public_names_are_what_they_were_once_everything_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == marketsim.__all__


@pytest.mark.slow
def test_public_functions_work_once_everything_is_loaded(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import pathlib\n" + LOAD_ALL.replace("print(*", "len(") + CALL_ALL)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(marketsim.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert "called" in done.stdout


def test_public_names_are_listed_once() -> None:
    assert sorted(marketsim.__all__) == sorted(marketsim._PLACES)
    assert set(marketsim.__all__) <= set(dir(marketsim))
