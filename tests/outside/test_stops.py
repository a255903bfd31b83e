"""A run that cannot go on keeps the steps before; every way a command can end is a sentence."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import marketsim as package
from marketsim import Simulation, load_run, load_scenario
from marketsim.cli.errors import explained
from marketsim.engine.index import update_index
from marketsim.engine.state import NONE
from marketsim.run.out_of_range import PriceOutOfRangeError
from marketsim.scenario.loader import parse_scenario
from marketsim.sweep.cluster import connected
from marketsim.sweep.slurm import ClusterError
from marketsim.tape.digest import digest_result
from tests.cli.conftest import marketsim

__all__ = ["marketsim"]

LOW = """\
name = "low"
days = 0.25
spot.kind = "constant"

[markets.BTC]
price = 100.0
tick_size = 0.01
lot_size = 0.1

[markets.ETH]
price = 100.0
tick_size = 0.01
lot_size = 0.1

[populations.makers]
strategy = "maker"
count = 4
capital = 500_000.0

[populations.noise]
strategy = "noise"
count = 10
capital = 50_000.0
"""
SHOCK = '\n[[shocks]]\nkind = "jump"\nat = 1\nmarkets = ["ETH"]\nsize = -0.999999\n'


@pytest.fixture
def low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "low.toml"
    file.write_text(LOW + SHOCK)
    return file


def test_the_steps_before_a_price_left_its_book_are_kept(
    marketsim: Callable[..., Any], low: Path
) -> None:
    done = marketsim("run", low, "--out", "r", "--seed", 4)
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("failed:")]
    assert line.startswith("failed: step 60: the index price of ETH left the range of its book")
    assert "0.0001 USD" in line
    assert "choose another markets.ETH.tick_size" in line
    assert line.endswith(f"the steps before it are in {Path('r').resolve()}")
    run = load_run("r")
    assert run.summary["steps"] == 60
    assert any(note.startswith("ended early at step 60:") for note in run.notes)
    assert run.markets["step"].max() == 59
    assert run.summary["conservation_error_atoms"] == 0


def test_what_is_kept_is_what_a_run_of_so_many_steps_leaves(low: Path) -> None:
    stopped = Simulation(load_scenario(low), 4)
    with pytest.raises(PriceOutOfRangeError) as caught:
        stopped.run(stopped.num_steps)
    assert (caught.value.step, caught.value.market) == (60, "ETH")
    ended = Simulation(load_scenario(low), 4)
    ended.run(60)
    assert digest_result(stopped.result()) == digest_result(ended.result())
    with pytest.raises(PriceOutOfRangeError):  # and it stays where it is
        stopped.run(1)
    assert stopped.step_count == 60


@pytest.mark.parametrize(
    "shock",
    [
        'kind = "jump"\nat = 1\nmarkets = ["ETH"]\nsize = -0.99999',
        'kind = "crash"\nat = 0.5\nmarkets = ["ETH"]\nsize = -0.99999\nfall_minutes = 60',
        'kind = "outage"\nat = 1\nmarkets = ["ETH"]\nsource = "only"\nminutes = 5\nmode = "wrong"\n'
        "factor = 0.0001",
    ],
)
def test_prices_leave_the_book_below(low: Path, shock: str) -> None:
    low.write_text(f"{LOW}\n[spot.sources.only]\nweight = 1\n\n[[shocks]]\n{shock}\n")
    low.write_text(low.read_text().replace("price = 100.0", "price = 0.9"))
    simulation = Simulation(load_scenario(low), 1)
    with pytest.raises(PriceOutOfRangeError, match=r"price of ETH .* tick"):
        simulation.run(simulation.num_steps)
    result = simulation.result()
    assert result.num_steps == simulation.step_count > 0
    assert result.series["index_price"].min() > 0


def test_prices_leave_the_book_above(low: Path) -> None:
    jumps = "".join(SHOCK.replace("-0.999999", "100") for _ in range(4))
    low.write_text(LOW + jumps)
    simulation = Simulation(load_scenario(low), 1)
    with pytest.raises(PriceOutOfRangeError, match=r"step 60: .* its spot price is 1\.04\d+e\+10"):
        simulation.run(simulation.num_steps)


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        (
            {"volatility": 100.0, "beta": 1000.0},
            "overflow of the growth of a price, and of its fall",
        ),
        ({"drift": 1000.0, "beta": 0.0}, "steady growth"),
        ({"drift": -1000.0, "beta": 0.0}, "steady decay"),
        ({"jumps": {"per_day": 200.0, "sd": 10.0}}, "jumps"),
    ],
)
def test_no_move_of_spot_prices_ends_otherwise(low: Path, own: dict[str, Any], cause: str) -> None:
    import tomllib

    spot = {"kind": "factor", "own": own, "factor": {"volatility": 100.0}}
    simulation = Simulation(parse_scenario(tomllib.loads(LOW) | {"spot": spot, "days": 30}), 1)
    with pytest.raises(PriceOutOfRangeError, match=r"index price of (BTC|ETH) left"):
        simulation.run(simulation.num_steps)


def test_an_index_outside_its_book_leaves_the_one_before(low: Path) -> None:
    simulation = Simulation(load_scenario(low), 1)
    world, state = simulation.world, simulation.state
    world.asset["price"][1] = 0.0
    assert update_index(world, state, NONE) == 1
    assert state.market["index_price"].tolist() == [100.0, 100.0]


def test_a_price_out_of_range_before_the_first_step_is_done_leaves_no_folder(
    marketsim: Callable[..., Any], low: Path
) -> None:
    low.write_text(LOW + SHOCK.replace("at = 1", "at = 0"))
    done = marketsim("run", low, "--out", "r")
    assert done.exit_code == 1
    assert "step 0: the index price of ETH left the range" in done.stderr
    assert not Path("r").exists()


# Signals

WAITING = """
import signal, sys, time, typer
from marketsim.cli.errors import explained
IGNORED
try:
    with explained():
        print("ready", flush=True)
        time.sleep(60)
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


def stop(number: int, ignored: bool = False) -> tuple[int, str]:
    """Send a signal to a command that waits; return how it ends and what it says."""
    script = WAITING.replace("IGNORED", "")
    if ignored:
        ignore = f"signal.signal({int(number)}, signal.SIG_IGN)"
        script = WAITING.replace("IGNORED", ignore).replace("60", "2")
    environment = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=50)
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_the_end_of_a_terminal_is_an_interrupt_like_any_other(number: int) -> None:
    assert stop(number) == (1, "interrupted, nothing was written\n")


def test_what_runs_without_a_terminal_is_not_stopped_by_its_end() -> None:
    assert stop(signal.SIGHUP, ignored=True) == (0, "")


def test_signals_are_as_before_when_a_command_is_done() -> None:
    numbers = signal.SIGHUP, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    with explained():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


def be_interrupted(then: Callable[[], None]) -> None:
    """Be interrupted where C calls Python, as LLVM does while it compiles; go on."""

    @ctypes.CFUNCTYPE(None)
    def called() -> None:
        raise KeyboardInterrupt

    called()
    then()


def fail() -> None:
    raise RuntimeError("no compiled object yet")


def test_an_interrupt_within_the_compiler_is_neither_shown_nor_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), explained():
        be_interrupted(lambda: time.sleep(0.5))
    assert capsys.readouterr().err == "interrupted, nothing was written\n"


def test_what_fails_because_of_such_an_interrupt_is_not_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit), explained():
        be_interrupted(fail)
    assert capsys.readouterr().err == "interrupted, nothing was written\n"
    time.sleep(0.1)  # and does not come again when the command is over


@pytest.mark.parametrize(
    "address",
    [
        "localhost", "tcp://localhost", "tcp://", "", "tcp://localhost:99999", "tcp://localhost:0",
        "tcp://127.0.0.1:abc", "tcp://[::1", "http://127.0.0.1:8786", "ucx://127.0.0.1:8786",
        "inproc://x", "tls://127.0.0.1:8786", "wss://127.0.0.1:8786", "tcp://a b:8786",
    ],
)  # fmt: skip
def test_a_wrong_address_of_a_cluster_is_refused_at_once(address: str) -> None:
    pytest.importorskip("distributed")
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"must be an address|needs certificates"):
        connected(address).__enter__()
    assert time.monotonic() - began < 5
