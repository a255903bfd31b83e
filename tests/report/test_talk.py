"""The talk: chapters and slides from shipped scenarios, and a page that leads through them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import marketsim
from marketsim.cli import app
from marketsim.cli.talk import talk as command
from marketsim.report import talk
from marketsim.report.plots.kinds import find_kind
from marketsim.scenario.loader import list_scenarios


def test_it_is_five_chapters_and_nine_slides_of_shipped_scenarios() -> None:
    shipped = {name for name, _ in list_scenarios()}
    assert len(talk.ACTS) == 5
    assert sum(len(act.slides) for act in talk.ACTS) == 9
    assert "five chapters and nine slides" in str(command.__doc__)
    assert {"contagion", "boom"} <= {name for act in talk.ACTS for name in act.scenarios}
    for act in talk.ACTS:
        assert set(act.scenarios) <= shipped
        for kind, _ in act.slides:
            assert find_kind(kind).num_runs in {1, len(act.scenarios)}


@pytest.mark.slow
def test_the_command_makes_it(tmp_path: Path, monkeypatch) -> None:
    acts = [
        replace(talk.ACTS[2], days=0.05, slides=(("payers", "Who paid"),)),
        replace(talk.ACTS[3], days=0.55),
    ]
    monkeypatch.setattr(talk, "ACTS", acts)
    monkeypatch.setattr(talk, "_RECORD", [])
    out = tmp_path / "friday"
    answer = CliRunner().invoke(app, ["talk", "-o", str(out), "-q"])
    assert answer.exit_code == 0, answer.output
    index = (out / "index.html").read_text()
    named = re.findall(r'(?:href|src)="([^"]+)"', index)
    assert len(named) == 2 + 3
    assert [name for name in named if not (out / name).is_file()] == []
    run = marketsim.load_run(out / "runs" / "contagion")
    assert run.digest in (out / "4-pools.html").read_text() or (out / "4-pools.html").stat().st_size
    for file in (out / "4-pools-ghost.svg", out / "4-pools-network.png", out / "3-cascade.html"):
        assert file.stat().st_size > 1000
    again = CliRunner().invoke(app, ["talk", "-o", str(out), "-q"])
    assert again.exit_code == 2
    assert "--force" in again.output


def test_its_commands_record_what_its_runs_did() -> None:
    page = "".join(talk._leads())
    assert "marketsim run boom --seed 1003 --days 12 " in page
    for path, value in talk._RECORD:
        assert page.count(f"--set {path}={value}") == sum(len(act.scenarios) for act in talk.ACTS)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work() -> None:
    answer = CliRunner().invoke(app, ["talk", "-o", "/proc/talk"])
    assert answer.exit_code == 2
    assert "cannot be written" in answer.output


def test_an_interrupt_says_what_is_there(tmp_path: Path, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(talk, "write_talk", interrupted)
    answer = CliRunner().invoke(app, ["talk", "-o", str(tmp_path / "friday"), "-q"])
    assert answer.exit_code == 1
    assert "what was written is whole" in answer.output
