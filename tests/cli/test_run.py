import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numba
import pytest
from click.testing import Result

from marketsim.cli.run import announce_compiling
from marketsim.engine import _jit
from marketsim.engine._jit import kernel
from marketsim.report.progress_bars import Compiling
from marketsim.results import folder
from marketsim.results.run import load_run

Cli = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("stub")


def outputs(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()} - {"tiny.toml"}


def test_a_run_leaves_a_folder_and_says_where(marketsim: Cli, tiny: Path) -> None:
    done = marketsim("run", tiny, "--seed", 7, "--out", "here")
    assert done.exit_code == 0
    run = load_run("here")
    assert (run.scenario, run.seed, len(run.steps)) == ("tiny", 7, 90)
    assert str(Path("here").resolve()) in done.stdout.replace("\n", "")


def test_json_is_one_object_on_standard_output(marketsim: Cli, tiny: Path) -> None:
    done = marketsim("run", tiny, "--json")
    summary = json.loads(done.stdout)
    assert summary["scenario"] == "tiny"
    assert summary["digest"] == load_run(summary["out"]).digest
    assert done.stdout.count("\n") == 1
    assert "written to" in done.stderr


def test_quiet_says_nothing_but_the_json(marketsim: Cli, tiny: Path) -> None:
    done = marketsim("run", tiny, "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
    done = marketsim("run", tiny, "--quiet", "--json")
    assert json.loads(done.stdout)["steps"] == 90
    assert done.stderr == ""


def test_without_out_each_run_gets_a_folder_of_its_own(marketsim: Cli, tiny: Path) -> None:
    for _ in range(2):
        assert marketsim("run", tiny, "--seed", 3).exit_code == 0
    assert outputs(Path("runs")) == {"tiny-3", "tiny-3-2"}


def test_the_seed_is_the_scenario_s_unless_given(marketsim: Cli, tiny: Path) -> None:
    assert json.loads(marketsim("run", tiny, "--json").stdout)["seed"] == 0
    chosen = marketsim("run", tiny, "--json", "--set", "seed=12")
    assert json.loads(chosen.stdout)["seed"] == 12


@pytest.mark.parametrize(
    ("options", "steps"),
    [((), 90), (("--steps", 7), 7), (("--days", 0.25), 360), (("--steps", "4321"), 4321)],
)
def test_length_comes_from_the_scenario_steps_or_days(
    marketsim: Cli, tiny: Path, options: tuple[object, ...], steps: int
) -> None:
    summary = json.loads(marketsim("run", tiny, "--json", *options).stdout)
    assert summary["steps"] == steps


def test_the_folder_s_scenario_repeats_the_run(marketsim: Cli, tiny: Path) -> None:
    marketsim("run", tiny, "--steps", 11, "--set", "insurance_fund=5.5", "--out", "a")
    again = marketsim("run", "a/scenario.toml", "--out", "b")
    assert again.exit_code == 0
    assert load_run("a").scenario_text == load_run("b").scenario_text
    assert "insurance_fund = 5.5" in load_run("b").scenario_text
    assert load_run("b").summary["steps"] == 11


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "venue.preset"), "path.to.field=value"),
        (("--set", "=3"), "path.to.field=value"),
        (("--set", "inzurance_fund=3"), "insurance_fund"),
        (("--set", "populations.crowd.count=0"), "populations.crowd.count"),
        (("--set", "venue.preset=bybit"), "binance"),
        (("--set", "populations.crowd.leverage=500"), "above the limit"),
        (("--steps", "0"), "--steps"),
        (("--steps", "ten"), "--steps"),
        (("--seed", "-1"), "--seed"),
        (("--days", "0"), "--days"),
        (("--days", "nan"), "--days"),
        (("--days", "1", "--steps", "1"), "exclude each other"),
        (("--days", "0.00001"), "whole number of steps"),
    ],
)
def test_bad_input_is_named_with_exit_code_2(
    marketsim: Cli, tiny: Path, options: tuple[str, ...], says: str
) -> None:
    done = marketsim("run", tiny, *options)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.output
    assert outputs(tiny.parent) == set()


def test_an_unknown_scenario_is_bad_input(marketsim: Cli, tiny: Path) -> None:
    done = marketsim("run", "no-such-thing")
    assert done.exit_code == 2
    assert "no-such-thing" in done.stderr


def test_a_scenario_that_is_not_toml_is_bad_input(marketsim: Cli, tiny: Path) -> None:
    tiny.write_text("markets: [BTC]\n")
    done = marketsim("run", tiny)
    assert done.exit_code == 2
    assert "not a TOML file" in done.stderr
    tiny.write_bytes(b"\xff\xfe\x00")
    assert marketsim("run", tiny).exit_code == 2


def test_an_existing_folder_is_refused_before_the_run(
    marketsim: Cli, tiny: Path, stub: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert marketsim("run", tiny, "--seed", 1, "--out", "a").exit_code == 0
    assert marketsim("run", tiny, "--seed", 2, "--out", "a", "--force").exit_code == 0

    def never(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("it ran")

    monkeypatch.setattr(stub, "run", never)
    done = marketsim("run", tiny, "--seed", 3, "--out", "a")
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert load_run("a").seed == 2


@pytest.mark.parametrize("place", ["/proc/run", "tiny.toml/run", "/dev/null"])
def test_an_unwritable_folder_is_bad_input(marketsim: Cli, tiny: Path, place: str) -> None:
    done = marketsim("run", tiny, "--out", place)
    assert done.exit_code == 2
    assert place in done.stderr


def test_a_full_disk_is_explained_and_leaves_nothing(
    marketsim: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(stream: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder, "_flush", fail)
    done = marketsim("run", tiny, "--out", "a")
    assert done.exit_code == 2
    assert "disk full" in done.stderr
    assert outputs(tiny.parent) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_and_leaves_nothing(
    marketsim: Cli, tiny: Path, stub: type, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def interrupted(self: object, n: int, progress: object = None) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(stub, "run", interrupted)
    done = marketsim("run", tiny, "--out", "a", "--json")
    assert done.exit_code == 1
    assert done.stderr.strip().endswith("interrupted, nothing was written")
    assert done.stdout == ""
    assert outputs(tiny.parent) == set()


def test_a_failure_is_one_sentence_with_exit_code_1(
    marketsim: Cli, tiny: Path, stub: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, n: int, progress: object = None) -> NoReturn:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr(stub, "run", fail)
    done = marketsim("run", tiny)
    assert done.exit_code == 1
    assert "somewhere" in done.stderr
    assert "MARKETSIM_TRACEBACK=1" in done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setenv("MARKETSIM_TRACEBACK", "1")
    assert "Traceback" in marketsim("run", tiny).stderr


def test_books_that_do_not_balance_are_a_failure(
    marketsim: Cli, tiny: Path, stub: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub, "conservation_error", 3)
    done = marketsim("run", tiny, "--out", "a")
    assert done.exit_code == 1
    assert "off by 3 atoms" in done.stderr


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")
def test_a_command_says_that_it_compiles_once_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketsim.report.progress_bars.compiling", Compiling())
    monkeypatch.setattr(_jit, "_cache_folder", lambda file: None)

    @kernel
    def doubled(number: complex) -> complex:
        return 2 * number

    announce_compiling(quiet=False)
    assert capsys.readouterr().err == ""
    assert doubled(2) == 4
    assert "compiling" in capsys.readouterr().err
    assert doubled(2.5) == 5.0
    assert capsys.readouterr().err == ""  # once is enough
    monkeypatch.setattr("marketsim.report.progress_bars.compiling", Compiling())
    announce_compiling(quiet=True)
    assert doubled(2 + 1j) == 4 + 2j
    assert capsys.readouterr().err == ""


def test_a_scenario_s_notices_are_sentences_on_standard_error(marketsim: Cli, tiny: Path) -> None:
    text = tiny.read_text() + 'groups.pair = { markets = ["BTC"] }\n'
    tiny.write_text(text)
    done = marketsim("run", tiny, "--json")
    assert "nobody has margin_mode partial" in done.stderr
    assert ".py:" not in done.stderr
    json.loads(done.stdout)
