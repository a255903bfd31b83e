"""What a contributor adds is found wherever it is needed, and the files touched are those named.

Each test adds to a copy of the package what `CONTRIBUTING.md` says, and uses it from the command
line. Without compilation that takes seconds; one test compiles, which shows at the same time that
two processes do it together (`tests/run/test_beside.py`).
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import marketsim
from marketsim.results.run import Run, load_run
from marketsim.sweep.table import load_sweep
from tests.run.test_beside import FIRST_RUN, check_first_run

PACKAGE = Path(marketsim.__file__).parent

STRATEGY = '''\
"""The contrarian: stands against the premium."""

from typing import Any, ClassVar

from pydantic import Field

from marketsim.agents.base import BuiltIn, Traders, wealth_usd
from marketsim.agents.habits import move_position
from marketsim.engine._jit import kernel
from marketsim.engine.state import State


class Contrarian(BuiltIn):
    """Is short what is dear against its index, and long what is cheap."""

    DEFAULT_HABITS: ClassVar[dict[str, Any]] = {"attention": 2.0, "buffer": 0.0}

    size: float = Field(0.1, gt=0, le=1)
    """Share of its wealth it holds."""

    @staticmethod
    @kernel
    def decide(
        state: State, traders: Traders, p: "Contrarian", g: int, count: int, t: int, seed: int
    ) -> None:
        """Let the contrarians who wake take the other side of the premium."""
        for n in range(count):
            i = traders.awake[n]
            for m in range(len(state.market)):
                side = -1.0 if state.market[m].premium > 0.0 else 1.0
                dollars = side * p.size * wealth_usd(state, i) * traders.weight[g, m]
                move_position(state, traders, i, m, dollars / traders.public[m].mid)
'''

SHOCK = '''\
class RallyShock(_MarketShock):
    """Spot prices rise over minutes, and stay."""

    CHANGES = ShockKind.PRICE
    LOSSES = ("index",)
    TITLE = "rally of {where} {size:+.1%}"

    kind: Literal["rally"]
    size: Change
    minutes: Positive

    def envelope(self, step_minutes: float) -> Row:
        """Return how strong it is and how it comes, in steps."""
        rise = max(1, _steps(self.minutes, step_minutes))
        return {"size": self.size, "rise": rise, "hold": UNLIMITED}


'''

SCENARIO = """\
name = "small"
days = 0.04166666666666667

[markets.BTC]
price = 100.0
tick_size = 0.01
lot_size = 0.01

[spot]
kind = "constant"

[populations.makers]
strategy = "maker"
count = 3
capital = 1e6

[populations.holders]
strategy = "holder"
count = 5
attention = 10.0
"""

CONTRARIANS = """
[populations.contrarians]
strategy = "contrarian"
count = 4
parameters = { size = 0.2 }
"""

RALLY_BY_HAND = """
[[interventions]]
kind = "rally"
at_step = 30
size = 0.1
minutes = 10.0
"""

RALLY = """
[[shocks]]
kind = "rally"
at = 0.5
size = 0.1
minutes = 10.0
"""

DESIGN = """\
base = "scenario.toml"
replicates = 1

[parameters]
"populations.contrarians.parameters.size" = [0.1, 0.4]
"""


class Copy:
    """A copy of the package, in a folder of scenarios."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, folder / "marketsim", ignore=ignored)

    def edit(self, file: str, old: str, new: str) -> None:
        """Put `new` before the only occurrence of `old`."""
        path = self.folder / "marketsim" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new + old), encoding="utf-8")

    def touched(self) -> set[str]:
        """Files that are not as in the package."""
        mine = self.folder / "marketsim"
        files = {path.relative_to(mine) for path in mine.rglob("*") if path.is_file()}
        return {
            path.as_posix()
            for path in files
            if path.suffix != ".pyc"
            and not (
                (PACKAGE / path).exists()
                and (PACKAGE / path).read_bytes() == (mine / path).read_bytes()
            )
        }

    def python(self, code: str, *args: str, compiled: bool = False) -> str:
        """Run code with this copy; return what it prints."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA")}
        env |= {"PYTHONPATH": str(self.folder), "NUMBA_DISABLE_JIT": str(int(not compiled))}
        env |= {"MARKETSIM_CACHE_DIR": str(self.folder / "cache")}
        command = [sys.executable, "-c", code, *args]
        done = subprocess.run(
            command, check=False, env=env, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def marketsim(self, *args: str, compiled: bool = False) -> str:
        """Run a command of this copy."""
        code = "from marketsim.cli import main; main()"
        return self.python(code, *args, compiled=compiled)

    def run(self, text: str, out: str, *, compiled: bool = False) -> Run:
        """Run a scenario with this copy; return what it left behind."""
        (self.folder / "scenario.toml").write_text(text)
        self.marketsim("run", "scenario.toml", "--out", out, "--quiet", compiled=compiled)
        return load_run(self.folder / out)


@pytest.fixture
def with_contrarian(tmp_path: Path) -> Copy:
    """A strategy more: one file, and its one name in the tuple."""
    copy = Copy(tmp_path)
    (tmp_path / "marketsim" / "agents" / "contrarian.py").write_text(STRATEGY)
    imported = "from marketsim.agents.contrarian import Contrarian\n"
    copy.edit("agents/strategies.py", "from marketsim.agents.herd", imported)
    copy.edit("agents/strategies.py", ")\n\n#: By the name", ", Contrarian")
    assert copy.touched() == {"agents/contrarian.py", "agents/strategies.py"}
    return copy


@pytest.fixture
def with_rally(tmp_path: Path) -> Copy:
    """A kind of shock more: a class, and its name in the tuple."""
    copy = Copy(tmp_path)
    copy.edit("scenario/shocks.py", "#: What a scenario may schedule", SHOCK)
    copy.edit("scenario/shocks.py", "    RuleShock,\n)", "    RallyShock,\n")
    assert copy.touched() == {"scenario/shocks.py"}
    return copy


@pytest.mark.slow
def test_a_strategy_is_a_file_and_a_name_in_the_tuple(with_contrarian: Copy) -> None:
    schema = json.loads(with_contrarian.marketsim("schema"))
    parameters = schema["$defs"]["ContrarianParameters"]
    assert parameters["description"].startswith("Is short what is dear")
    assert parameters["properties"]["size"]["description"] == "Share of its wealth it holds."
    (own,) = (
        rule["then"]["properties"]
        for rule in schema["$defs"]["Population"]["allOf"]
        if rule["if"]["properties"]["strategy"]["const"] == "contrarian"
    )
    assert own["attention"] == {"default": 2.0}

    run = with_contrarian.run(SCENARIO + CONTRARIANS, "run")
    fees = run.populations.set_index("population")["fee_usd"]
    assert fees["contrarians"] < 0.0
    stated = tomllib.loads(run.scenario_text)["populations"]["contrarians"]
    assert stated["attention"] == 2.0
    assert stated["parameters"] == {"size": 0.2}

    (with_contrarian.folder / "design.toml").write_text(DESIGN)
    with_contrarian.marketsim("sweep", "design.toml", "--out", "sweep", "--workers", "1", "-q")
    runs = load_sweep(with_contrarian.folder / "sweep")
    assert sorted(runs["populations.contrarians.parameters.size"]) == [0.1, 0.4]
    profit = runs["populations.contrarians.profit_usd"]
    assert profit.nunique() == 2


@pytest.mark.slow
def test_a_new_strategy_decides_the_same_compiled_and_by_two_processes(
    with_contrarian: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    (with_contrarian.folder / "scenario.toml").write_text(SCENARIO + CONTRARIANS)

    def run(*how: str, compiled: bool = True) -> str:
        words = ("scenario.toml", "60", *how)
        return with_contrarian.python(FIRST_RUN, *words, compiled=compiled)

    digest, *counts = ast.literal_eval(run(compiled=False))
    assert counts == [0, 0, 0, 0]
    check_first_run(run, digest)


@pytest.mark.slow
def test_a_shock_is_a_class_and_a_name_in_the_tuple(with_rally: Copy) -> None:
    schema = json.loads(with_rally.marketsim("schema"))
    assert (
        schema["$defs"]["RallyShock"]["description"] == "Spot prices rise over minutes, and stay."
    )
    assert "rally" in schema["properties"]["shocks"]["items"]["discriminator"]["mapping"]

    run = with_rally.run(SCENARIO + RALLY, "run")
    index = run.markets["index_price"].to_numpy()
    assert index[29] == 100.0
    assert index[30:40].tolist() == pytest.approx([100.0 * 1.1 ** (n / 10) for n in range(1, 11)])
    assert (index[40:] == index[39]).all()

    by_hand = with_rally.run(SCENARIO + RALLY_BY_HAND, "by-hand")
    assert by_hand.digest == run.digest

    code = """
import sys, tomllib
from marketsim.contagion.strikes import read_strikes
from marketsim.scenario.loader import parse_scenario
text = open(sys.argv[1]).read()
(strike,) = read_strikes(text)
scenario = parse_scenario(tomllib.loads(text))
print((strike.name, strike.losses, round(strike.start), round(strike.end)))
print((scenario.struck_markets, scenario.strikes))
"""
    strike, scenario = with_rally.python(code, "run/scenario.toml").splitlines()
    assert ast.literal_eval(strike) == ("rally of all markets +10.0%", ("index",), 30, 100)
    assert ast.literal_eval(scenario) == (("BTC",), ((30, 1),))


@pytest.mark.slow
def test_an_unknown_kind_of_shock_names_those_there_are(with_rally: Copy) -> None:
    text = SCENARIO + RALLY.replace('"rally"', '"raly"')
    (with_rally.folder / "scenario.toml").write_text(text)
    code = """
from marketsim.scenario.loader import load_scenario
try:
    load_scenario("scenario.toml")
except ValueError as error:
    print(error)
"""
    assert "(did you mean 'rally'?)" in with_rally.python(code)
