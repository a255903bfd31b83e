"""A run that is saved on its way goes on to the same end, whatever stopped it."""

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from marketsim.results.run import load_run
from marketsim.run import saved
from marketsim.run.loading import load_simulation
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

Cli = Callable[..., Result]

OWN = """
from marketsim import Trader
class Buyer(Trader):
    def step(self):
        self.count = getattr(self, "count", 0) + 1
        self.order("BTC", 0.01 if self.count % 3 else -0.02)
"""


def digest_of(marketsim: Cli, *options: object) -> str:
    done = marketsim("run", *options, "--json", "--quiet")
    assert done.exit_code == 0, done.output
    digest: str = json.loads(done.stdout)["digest"]
    return digest


def interrupt_after(monkeypatch: pytest.MonkeyPatch, saves: int) -> None:
    """Press Ctrl-C in the step after so many checkpoints."""
    write, run = saved.write_data, Simulation.run
    done = []

    def count(file: Path, *args: Any) -> None:
        write(file, *args)
        done.append(file)

    def interrupted(self: Simulation, *args: Any, **options: Any) -> None:
        if len(done) == saves:
            signal.raise_signal(signal.SIGINT)
        run(self, *args, **options)

    monkeypatch.setattr(saved, "write_data", count)
    monkeypatch.setattr(Simulation, "run", interrupted)


def test_checkpoints_change_nothing_and_are_gone_at_the_end(marketsim: Cli, tiny: Path) -> None:
    whole = digest_of(marketsim, tiny, "--out", "whole")
    assert digest_of(marketsim, tiny, "--out", "saved", "--checkpoint", 20) == whole
    assert {path.name for path in tiny.parent.iterdir()} == {"tiny.toml", "whole", "saved"}


def test_an_interrupted_run_is_resumed(
    marketsim: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digest_of(marketsim, tiny, "--out", "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        done = marketsim("run", tiny, "--checkpoint", 20)
    assert done.exit_code == 1
    file = Path("runs/tiny-0.market").resolve()
    says = f"interrupted; marketsim run --resume {file} --checkpoint 20 goes on after 40 steps"
    assert done.stderr.strip().endswith(says)
    assert list(file.parent.iterdir()) == [file]
    assert load_simulation(file).step_count == 40
    assert digest_of(marketsim, "--resume", file, "--out", "resumed") == whole
    assert load_run("resumed").inputs == load_run("whole").inputs
    assert file.exists()
    # named once more, the scenario and the seed have to be those of the file
    assert digest_of(marketsim, tiny, "--seed", 0, "--resume", file, "--checkpoint", 30) == whole
    assert not file.exists()


def test_the_command_that_goes_on_leaves_what_the_run_would_have_left(
    marketsim: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digest_of(marketsim, tiny, "--out", "my runs/one")
    assert marketsim("run", tiny, "--seed", 8, "--out", "my runs/one", "--force").exit_code == 0
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        done = marketsim("run", tiny, "--out", "my runs/one", "--force", "--checkpoint", 20)
    folder = tiny.parent / "my runs" / "one"
    assert [path.name for path in sorted(folder.parent.iterdir())] == ["one", "one.market"]
    _, command = done.stderr.strip().removesuffix(" goes on after 40 steps").split("interrupted; ")
    options = shlex.split(command)
    assert options[:2] == ["marketsim", "run"]
    assert marketsim(*options[1:], "--quiet").exit_code == 0
    assert load_run(folder).digest == whole
    assert list(folder.parent.iterdir()) == [folder]


def test_an_interrupt_before_the_first_checkpoint_leaves_nothing(
    marketsim: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, 0)
    done = marketsim("run", tiny, "--checkpoint", 20)
    assert done.stderr.strip().endswith("interrupted, nothing was written")
    assert not Path("runs").exists()


@pytest.fixture
def file(tiny: Path) -> Path:
    simulation = Simulation(load_scenario(tiny), 0)
    simulation.run(30)
    simulation.save("half.market")
    return Path("half.market")


def is_refused(done: Result, *says: str) -> None:
    output = " ".join(done.output.split())
    assert done.exit_code == 2
    assert all(each in output for each in says), output
    assert not Path("half").exists()


def test_a_checkpoint_takes_the_place_of_no_file_but_a_checkpoint(
    marketsim: Cli, file: Path
) -> None:
    options = ("run", "tiny.toml", "--out", "half", "--checkpoint", 20)
    before = file.read_bytes()
    is_refused(marketsim(*options), "half.market: a market saved there", "or add --force")
    assert file.read_bytes() == before
    file.write_text("mine")
    for force in ((), ("--force",)):
        is_refused(marketsim(*options, *force), "half.market: not a saved market", "move it")
    assert file.read_text() == "mine"
    file.unlink()
    file.mkdir()
    is_refused(marketsim(*options), "half.market: is a folder, which no file replaces")
    file.rmdir()
    load = Simulation(load_scenario("tiny.toml"), 0)
    load.save(file, is_checkpoint=True)
    assert marketsim(*options).exit_code == 0
    assert not file.exists()


def test_a_market_that_force_gives_up_stays_until_it_is_replaced(
    marketsim: Cli, file: Path
) -> None:
    before = file.read_bytes()
    options = ("run", "tiny.toml", "--out", "half", "--force", "--checkpoint")
    assert marketsim(*options, 1000).exit_code == 0
    assert file.read_bytes() == before
    assert marketsim(*options, 20).exit_code == 0
    assert not file.exists()


def test_where_no_checkpoint_can_be_written_no_run_starts(marketsim: Cli, tiny: Path) -> None:
    long = "a" * 245
    done = marketsim("run", tiny, "--out", long, "--checkpoint", 20)
    is_refused(done, ".market: cannot be written: File name too long")
    assert not Path(long).exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "name a SCENARIO, or go on with --resume FILE"),
        (("--resume", "half.market", "--days", "2"), "name a SCENARIO"),
        (("--resume", "half.market", "--set", "days=2"), "name a SCENARIO"),
        (("--resume", "half.market", "--seed", "3"), "half.market: its seed is 0, not 3"),
        (("--resume", "none.market"), "none.market: cannot be read: No such file"),
        (("--resume", "."), "cannot be read: Is a directory"),
        (("--resume", "tiny.toml"), "tiny.toml: not a saved market"),
        (
            ("tiny.toml", "--set", "populations.crowd.count=4", "--resume", "half.market"),
            "half.market: of another scenario: populations.crowd.count is 3 there, 4 here",
        ),
        (
            ("quickstart", "--resume", "half.market"),
            'of another scenario: name is "tiny" there',
        ),
        (("tiny.toml", "--checkpoint", "0"), "--checkpoint"),
    ],
)
def test_what_cannot_be_resumed_is_bad_input(
    marketsim: Cli, file: Path, options: tuple[str, ...], says: str
) -> None:
    done = marketsim("run", *options)
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not Path("runs").exists()


def test_a_strategy_from_elsewhere_is_run_if_it_is_trusted(
    marketsim: Cli, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "buyer.py").write_text(OWN)
    mine = f"populations.own={{strategy='{folder / 'buyer.py'}:Buyer', count=2}}"
    options = (tiny, "--set", mine)
    whole = digest_of(marketsim, *options, "--out", "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        assert marketsim("run", *options, "--out", "a", "--checkpoint", 20).exit_code == 1
    refused = marketsim("run", "--resume", "a.market", "--out", "b")
    assert refused.exit_code == 2
    assert "if you trust it, add --trust" in " ".join(refused.stderr.split())
    assert digest_of(marketsim, "--resume", "a.market", "--out", "b", "--trust") == whole
