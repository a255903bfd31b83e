"""What a viewer asks for is done: forth, back, apart, and repeated to the digest by the command."""

import json
import threading
import time
import tomllib

import numpy as np
import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.live import session, stage
from marketsim.live.commands import Command
from marketsim.live.setup import Catalogue, Setup
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import parse_scenario
from tests.live.conftest import column


def headers(messages, kind):
    return [each.header for each in messages if each.header["kind"] == kind]


def test_a_viewer_is_told_what_is_shown(viewer):
    page = viewer()
    assert page.status["lanes"] == 1
    assert page.status["running"] is False
    start = headers(page.ask("reset"), "start")[0]
    assert (start["scenario"], start["seed"], start["source"]) == ("contagion", 3, "live")
    assert {"contagion", "calm"} <= set(start["scenarios"])
    assert start["venues"] == ["binance", "bitmex", "dydx", "hyperliquid"]
    assert start["theme"]["light"]["markets"]
    json.dumps(start, allow_nan=False)


def test_steps_are_made_and_shown_in_order(viewer):
    page = viewer()
    messages = [*page.ask("step", n=7), *page.ask("step"), *page.ask("step", n=60)]
    assert column(messages, "step").tolist() == list(range(1, 69))
    assert page.status["step"] == 68
    digest = headers(messages, "digest")[-1]
    alone = Simulation(parse_scenario(tomllib.loads(digest["scenario_toml"])), 3)
    alone.run(68)
    assert alone.digest() == digest["digest"]


def test_time_runs_until_it_is_stopped(viewer):
    page = viewer()
    page.ask("speed", steps_per_second=0)
    page.ask("play")
    assert page.status["running"]
    page.until("frames")
    messages = page.ask("pause")
    assert not page.status["running"]
    assert page.status["step"] > 0
    assert column(messages, "step")[-1:].tolist() in ([], [page.status["step"]])


def test_a_skip_ends_at_the_next_event(viewer):
    page = viewer()
    messages = page.ask("skip")
    step = page.status["step"]
    events = np.concatenate([column(messages, "liq_step"), column(messages, "set_step")])
    assert events.min() == step


def test_the_shock_button_liquidates(viewer):
    page = viewer()
    page.ask("step", n=300)
    before = column(page.ask("step", n=30), "liq_step")
    page.ask("shock", market="BTC", size=-0.2, minutes=1)
    assert page.status["interventions"] == [{"at_step": 330, "text": "crash of BTC -20.0%"}]
    messages = page.ask("step", n=30)
    after = column(messages, "liq_step")
    assert len(after) > len(before) + 50
    assert set(column(messages, "liq_id")) >= set(column(messages, "tie_child"))
    assert column(messages, "index")[0, 0] < 850_000


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "jump", "market": None, "size": -0.05},
        {"kind": "depeg", "size": -0.05},
        {"kind": "depth", "market": "OIL", "share": 0.5, "minutes": 30},
        {"kind": "outage", "minutes": 15},
        {"kind": "crash", "market": "GOLD", "size": 0.1, "minutes": 0},
    ],
)
def test_every_shock_is_taken(viewer, fields):
    page = viewer()
    page.ask("shock", **fields)
    assert not page.refused
    page.ask("step", n=3)
    assert len(page.status["interventions"]) == 1


def test_going_back_and_on_again_is_the_same(viewer):
    page = viewer()
    page.ask("step", n=100)
    page.ask("shock", market="BTC", size=-0.15, minutes=1)
    page.ask("step", n=20)
    page.ask("set", path="venue.funding.interval_hours", value=1)
    last = headers(page.ask("step", n=60), "digest")[-1]
    messages = page.ask("rewind", step=150)
    assert column(messages, "step").tolist() == [150]
    assert page.status["step"] == 150
    assert len(page.status["interventions"]) == 2
    again = headers(page.ask("step", n=30), "digest")[-1]
    assert (again["step"], again["digest"]) == (180, last["digest"])


def test_going_back_before_a_shock_undoes_it(viewer):
    page = viewer()
    page.ask("step", n=50)
    calm = headers(page.ask("step", n=60), "digest")[-1]
    page.ask("rewind", step=50)
    page.ask("shock", market="BTC", size=-0.2, minutes=1)
    struck = headers(page.ask("step", n=60), "digest")[-1]
    assert struck["digest"] != calm["digest"]
    page.ask("rewind", step=50)
    assert page.status["interventions"] == []
    assert headers(page.ask("step", n=60), "digest")[-1]["digest"] == calm["digest"]


def test_going_back_to_the_start_starts_anew(viewer):
    page = viewer()
    page.ask("step", n=30)
    messages = page.ask("rewind", step=0)
    assert headers(messages, "start")
    assert page.status["step"] == 0


def test_a_branch_differs_by_its_change_alone(viewer):
    page = viewer()
    page.ask("step", n=120)
    same = page.ask("branch", step=60)
    start = headers(same, "start")[0]
    assert (start["lane"], start["from"]) == (1, {"lane": 0, "step": 60})
    messages = page.ask("step", n=60)
    assert column(messages, "step", 1).tolist() == list(range(61, 121))
    one, other = page.digests()
    assert one["digest"] == other["digest"]
    page.ask("branch", step=60, change={"path": "spot.reflexivity", "value": 0.5})
    page.ask("step", n=60)
    one, other = page.digests()
    assert one["digest"] != other["digest"]
    first, second = (tomllib.loads(each["scenario_toml"]) for each in (one, other))
    assert second.pop("interventions") == [
        {"kind": "set", "at_step": 60, "path": "spot.reflexivity", "value": 0.5, "share": 1.0}
    ]
    assert first.pop("interventions") == []
    assert first == second
    page.ask("single")
    assert page.status["lanes"] == 1
    assert page.digests()[0]["digest"] == one["digest"]
    page.ask("rewind", step=30)
    assert page.status["step"] == 30


def test_a_new_future_is_struck_alone_until_it_has_caught_up(viewer):
    page = viewer()
    page.ask("step", n=60)
    page.ask("branch", step=20)
    page.ask("shock", market="BTC", size=-0.1, minutes=1)
    page.ask("step", n=40)
    page.ask("shock", market="OIL", size=-0.1, minutes=1)
    page.ask("step")
    done = [tomllib.loads(each["scenario_toml"])["interventions"] for each in page.digests()]
    assert [[each["at_step"] for each in entries] for entries in done] == [[60], [20, 60]]
    assert [each["at_step"] for each in page.status["interventions"]] == [20, 60]


def test_two_futures_do_not_go_back_beyond_where_they_part(viewer):
    page = viewer()
    page.ask("step", n=40)
    page.ask("branch", step=20)
    page.ask("step", n=40)
    page.ask("rewind", step=20)
    assert "must lie from 21 to 60" in page.refused[-1]["message"]
    messages = page.ask("rewind", step=21)
    assert column(messages, "step", 0).tolist() == column(messages, "step", 1).tolist() == [21]


def test_twins_have_one_seed_and_two_margin_modes(viewer):
    page = viewer()
    starts = headers(page.ask("twins"), "start")
    assert [each["label"] for each in starts] == ["cross", "isolated"]
    assert [each["lane"] for each in starts] == [0, 1]
    assert {each["seed"] for each in starts} == {3}
    assert starts[0]["accounts"] == starts[1]["accounts"]
    page.ask("step", n=300)
    page.ask("shock", market="BTC", size=-0.2, minutes=1)
    messages = page.ask("step", n=40)
    np.testing.assert_array_equal(
        column(messages, "index", 0)[:, 1:], column(messages, "index", 1)[:, 1:]
    )
    liquidated = [column(messages, "liquidated", lane)[-1] for lane in (0, 1)]
    assert liquidated[0][1:].sum() > 2 * liquidated[1][1:].sum()
    page.ask("mode", mode="partial")
    assert "choose one market first" in page.refused[-1]["message"]


def test_venues_stand_side_by_side(viewer):
    page = viewer()
    starts = headers(page.ask("venues"), "start")
    assert [each["label"] for each in starts] == ["binance", "bitmex", "dydx", "hyperliquid"]
    page.ask("step", n=3)
    tables = [tomllib.loads(each["scenario_toml"]) for each in page.digests()]
    assert [each["venue"]["preset"] for each in tables] == [each["label"] for each in starts]


@pytest.mark.parametrize("mode", ["cross", "isolated", "partial"])
def test_the_margin_mode_is_switched_at_once(viewer, mode):
    page = viewer()
    page.ask("step", n=50)
    page.ask("mode", mode=mode)
    assert page.status["mode"] == mode
    assert page.status["step"] == 50
    page.ask("step", n=5)
    assert not page.refused
    assert headers(page.ask("reset"), "start")[0]["mode"] == mode


def test_what_waits_for_a_reset_acts_then(viewer):
    page = viewer()
    page.ask("set", path="populations.crowd.count", value=100)
    assert page.status["interventions"] == []
    shown = {each["path"]: each["value"] for each in page.status["controls"]}
    assert shown["populations.crowd.count"] == 100
    assert headers(page.ask("reset"), "start")[0]["accounts"]["total"] == 186


def test_another_seed_and_scenario_start_anew(viewer):
    page = viewer()
    page.ask("step", n=5)
    start = headers(page.ask("seed", seed=11), "start")[0]
    assert (start["seed"], page.status["step"]) == (11, 0)
    assert headers(page.ask("new_seed"), "start")[0]["seed"] != 11
    start = headers(page.ask("scenario", scenario="quickstart"), "start")[0]
    assert start["scenario"] == "quickstart"


def test_an_account_is_spelled_out(viewer):
    page = viewer()
    page.ask("step", n=200)
    facts = headers(page.ask("inspect", account=300), "account")[0]
    assert (facts["account"], facts["population"], facts["step"]) == (300, "crowd", 200)
    total = 0.0
    for line in facts["lines"]:
        if line["sign"] == "=":
            assert line["usd"] == pytest.approx(total, abs=1e-4)
        else:
            total += line["usd"] * {"+": 1, "-": -1}[line["sign"]]
    assert facts["buffer"] == pytest.approx(facts["equity"] - facts["maintenance"])
    assert set(facts["distance"]) == {"BTC", "GOLD", "OIL"}
    page.ask("inspect", account=9_999)
    assert "must lie from 0 to 865" in page.refused[-1]["message"]
    page.ask("inspect", account=1, lane=2)
    assert "there are 1" in page.refused[-1]["message"]


@pytest.mark.parametrize(
    ("do", "fields", "field", "words"),
    [
        ("set", {"path": "record.fills", "value": 1}, "record.fills", "no such control"),
        ("set", {"path": "cross_share", "value": 3}, "cross_share", "from 0 to 1"),
        ("scenario", {"scenario": "/etc/passwd"}, "scenario", "must be one of contagion"),
        ("shock", {"market": "DOGE"}, "shock", "must be one of BTC, GOLD, OIL"),
        ("shock", {"kind": "outage", "venue": "nowhere"}, "shock", "venue: must be one of"),
        ("shock", {"kind": "depth", "minutes": 0}, "shock", "minutes: must be above 0"),
        ("rewind", {"step": 77}, "rewind", "must lie from 0 to 10"),
        ("branch", {"step": 77}, "branch", "must lie from 0 to 10"),
    ],
)
def test_what_is_refused_is_said_and_the_market_goes_on(viewer, do, fields, field, words):
    page = viewer()
    page.ask("step", n=10)
    page.ask(do, **fields)
    assert page.refused[-1]["field"] == field
    assert words in page.refused[-1]["message"]
    assert column(page.ask("step"), "step").tolist() == [11]


def test_a_failure_is_told_and_the_market_goes_on(viewer, monkeypatch, capsys):
    page = viewer()
    monkeypatch.setattr(session, "account_facts", lambda *_: 1 / 0)
    page.ask("inspect", account=1)
    assert page.refused[-1]["message"] == "failed (ZeroDivisionError); the server says more"
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert column(page.ask("step"), "step").tolist() == [1]


def test_memory_has_an_end(viewer, monkeypatch):
    monkeypatch.setattr(stage, "MOST_STEPS", 25)
    page = viewer()
    page.ask("step", n=100)
    assert page.status["step"] == 25
    assert "reset to go on" in page.status["message"]
    page.ask("rewind", step=10)
    page.ask("step", n=3)
    assert page.status["step"] == 13


def test_the_command_that_is_told_gives_the_digest(viewer, tmp_path, monkeypatch):
    page = viewer()
    page.ask("step", n=40)
    page.ask("mode", mode="isolated")
    page.ask("shock", market="BTC", size=-0.15, minutes=2)
    page.ask("set", path="populations.crowd.leverage", value=20)
    page.ask("step", n=40)
    (told,) = page.digests()
    toml = next(each for each in page.ask("export", what="toml") if each.header["kind"] == "file")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / toml.header["name"]
    file.write_bytes(toml.arrays["bytes"].tobytes())
    assert file.read_text() == told["scenario_toml"]
    program, *arguments = told["command"].split()
    assert program == "marketsim"
    outcome = CliRunner().invoke(app, [*arguments, "--out", "again", "--quiet"])
    assert outcome.exit_code == 0, outcome.output
    record = json.loads((tmp_path / "again" / "run.json").read_text())
    assert record["digest"] == told["digest"]
    assert record["summary"]["steps"] == told["step"] == 80


def test_the_series_are_taken_away(viewer):
    page = viewer()
    page.ask("step", n=4)
    (file,) = [each for each in page.ask("export", what="csv") if each.header["kind"] == "file"]
    lines = file.arrays["bytes"].tobytes().decode().splitlines()
    assert lines[0].startswith("step,hours,market,index_price,mark_price")
    assert len(lines) == 1 + 4 * 3
    assert (file.header["name"], file.header["mime"]) == ("contagion-3.csv", "text/csv")


def test_the_replay_of_what_was_done_is_taken_away(viewer):
    from tests.report.test_replay import embedded

    page = viewer()
    page.ask("step", n=30)
    page.ask("shock", market="BTC", size=-0.15, minutes=1)
    page.ask("step", n=30)
    (told,) = page.digests()
    (file,) = [each for each in page.ask("export", what="replay") if each.header["kind"] == "file"]
    found = embedded(file.arrays["bytes"].tobytes().decode())
    assert found[1].arrays["step"].tolist() == list(range(1, 61))
    assert found[2].header["digest"] == told["digest"]


def test_a_market_waits_for_a_slow_viewer():
    room = threading.Semaphore(12)
    closed = threading.Event()

    def send(_):
        while not room.acquire(timeout=0.1):
            if closed.is_set():
                raise session.ClosedError

    catalogue = Catalogue("quickstart")
    market = session.Session(catalogue, Setup("quickstart", 1), send)
    thread = threading.Thread(target=market.run, daemon=True)
    thread.start()
    market.submit(Command("speed", {"steps_per_second": 0.0}))
    market.submit(Command("play", {}))
    while room._value:
        time.sleep(0.01)
    time.sleep(0.2)
    waiting = market._stage.step
    time.sleep(0.5)
    assert market._stage.step == waiting > 0
    closed.set()
    market.close()
    thread.join(20)
    assert not thread.is_alive()


def test_it_ends_when_the_viewer_goes(viewer):
    page = viewer()
    page.ask("speed", steps_per_second=0)
    page.ask("play")
    page.close()
