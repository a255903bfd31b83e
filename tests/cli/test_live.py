"""``marketsim live`` and ``marketsim replay`` from the command line."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.results.folder import write_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

HOST = "127.0.0.1"


def invoke(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    simulation = Simulation(load_scenario("quickstart", [("days", "0.125")]), 2)
    simulation.run(180)
    return write_run(simulation.result(), tmp_path_factory.mktemp("runs") / "quick")


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_replay_is_written_beside_where_one_stands(folder, at_home):
    outcome = invoke("replay", folder, "--quiet")
    assert outcome.exit_code == 0, outcome.output
    assert "written to quick-replay.html" in outcome.output
    assert (at_home / "quick-replay.html").read_text().startswith("<!doctype html>")
    again = invoke("replay", folder, "--quiet")
    assert again.exit_code == 2
    assert "--force replaces it" in again.output
    assert invoke("replay", folder, "--quiet", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}", "-o", "a.txt"], "must end in .html"),
        (["{run}", "-o", "nowhere/a.html"], "there is no folder nowhere"),
        (["nothing"], "nothing"),
    ],
)
def test_what_makes_no_replay_is_said(folder, at_home, arguments, words):
    outcome = invoke("replay", *(each.format(run=folder) for each in arguments))
    assert outcome.exit_code == 2
    assert words in outcome.output
    assert list(at_home.iterdir()) == []


def test_strangers_code_is_not_run_unasked(at_home):
    (at_home / "mine").mkdir()
    (at_home / "mine" / "own.py").write_text(
        "from marketsim import Trader\n\n\nclass Idle(Trader):\n    def step(self):\n        pass\n"
    )
    strategy = f"{at_home / 'mine' / 'own.py'}:Idle"
    scenario = load_scenario(
        "quickstart",
        [
            ("days", "0.01388888888888889"),
            ("populations.own.strategy", repr(strategy)),
            ("populations.own.count", "1"),
        ],
    )
    from marketsim.model.opening import open_simulation

    simulation = open_simulation(scenario, 1)
    simulation.run(20)
    run = write_run(simulation.result(), at_home / "run")
    outcome = invoke("replay", run, "--quiet", "-o", "a.html")
    assert outcome.exit_code == 2
    assert "add --trust" in outcome.output
    trusted = invoke("replay", run, "--quiet", "-o", "a.html", "--trust")
    assert trusted.exit_code == 0, trusted.output
    assert strategy not in (at_home / "a.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "nosuch"),
        (["--host", "nowhere.invalid", "--no-browser"], "there is no such address"),
        (["--port", "0"], "--port"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments, words):
    outcome = invoke("live", *arguments)
    assert outcome.exit_code == 2
    assert words in re.sub(r"\x1b\[[0-9;]*m", "", outcome.output)


def test_a_port_that_was_asked_for_and_is_taken_is_refused():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = invoke("live", "quickstart", "--port", port, "--no-browser")
    assert outcome.exit_code == 2
    assert f"port {port} is in use; --port " in outcome.output


def served(*arguments):
    """Start the command; return it and what it says up to the address of its page."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    code = "from marketsim.cli import main; main()"
    command = [sys.executable, "-c", code, "live", "quickstart", "--no-browser", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    stop = threading.Timer(120, process.kill)
    stop.start()
    said = []
    for line in process.stderr:
        said.append(line)
        if "the page is at" in line:
            break
    stop.cancel()
    return process, "".join(said)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_until_the_command_is_stopped(number):
    process, said = served()
    try:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", said)[1])
        connection = http.client.HTTPConnection(HOST, port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == "ended\n"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.slow
def test_an_open_address_is_warned_of():
    process, said = served("--host", "0.0.0.0")
    process.kill()
    process.wait()
    process.stderr.close()
    assert "warning: at 0.0.0.0 everybody who reaches this machine" in said
