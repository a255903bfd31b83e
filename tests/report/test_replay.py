"""A replay is one file that needs nothing else, and holds the run it was made from."""

import base64
import dataclasses
import re
import zlib

import numpy as np
import pytest

from marketsim.report import replay
from marketsim.report.layout import write_text
from marketsim.report.page_text import PAGE, page_files, read_page, whole_page
from marketsim.report.replay import record_run, record_runs, replay_page
from marketsim.report.wire import split, unpack
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.tape.files import RunFolderError


def make_folder(path, scenario, *changes):
    simulation = Simulation(load_scenario(scenario, [("days", "0.55"), *changes]), 3)
    simulation.run(simulation.num_steps)
    return load_run(write_run(simulation.result(), path))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("runs") / "pooled", "contagion")


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("runs") / "apart", "contagion-isolated")


def embedded(page):
    """Read the messages in a replay."""
    data = re.findall(
        r'<script type="application/octet-stream" id="recording">([^<]*)</script>', page
    )
    assert len(data) == 1
    return [unpack(each) for each in split(zlib.decompress(base64.b64decode(data[0]), -15))]


@pytest.fixture(scope="module")
def recorded(cascade):
    return record_runs(cascade)


@pytest.fixture(scope="module")
def page(recorded):
    return replay_page(recorded)


def test_it_ends_on_the_numbers_of_the_run_folder(cascade, page):
    start, frames, digest, chapters = embedded(page)
    assert [start.header["kind"], frames.header["kind"], chapters.header["kind"]] == [
        "start",
        "frames",
        "chapters",
    ]
    arrays = frames.arrays
    last = cascade.markets[cascade.markets["step"] == cascade.markets["step"].max()]
    assert arrays["step"][-1] == cascade.summary["steps"]
    np.testing.assert_allclose(
        arrays["mark"][-1] * start.header["tick_size"], last["mark_price"], rtol=1e-12
    )
    liquidated = cascade.liquidations.groupby("market", observed=False)["notional_usd"].sum()
    np.testing.assert_allclose(
        arrays["liquidated"][-1], liquidated[list(cascade.market_names)], rtol=1e-9
    )
    assert arrays["fund"][-1] == pytest.approx(cascade.steps["insurance_fund_usd"].iloc[-1])
    assert len(arrays["liq_step"]) == len(cascade.liquidations)
    assert digest.header["digest"] == cascade.digest
    assert digest.header["step"] == cascade.summary["steps"]


def test_the_cascade_is_that_of_the_run_folder(cascade, page):
    arrays = embedded(page)[1].arrays
    largest = cascade.cascades()[0]
    label = arrays["liq_cascade"]
    assert np.flatnonzero(label == label[largest.liquidations[0]]).tolist() == (
        largest.liquidations.tolist()
    )
    assert arrays["liq_generation"][largest.liquidations].tolist() == largest.generation.tolist()


def test_its_chapters_say_true_numbers(cascade, page):
    chapters = embedded(page)[-1].header["chapters"]
    titles = [each["title"] for each in chapters]
    told = [title for title in titles if title != "Peak of R"]  # which comes when it comes
    assert told == ["Build-up", "Shock", "First liquidation", "End of the cascade"]
    assert len(titles) == len(told) + 1
    assert all(each["sentence"].endswith(".") and each["notes"] for each in chapters)
    assert [each["step"] for each in chapters] == sorted(each["step"] for each in chapters)
    largest = cascade.cascades()[0]
    end = next(each for each in chapters if each["title"] == "End of the cascade")
    assert end["sentence"].startswith(f"{largest.num_accounts} accounts and ")
    assert largest.depth >= 4
    assert f"{largest.depth} generations deep" in end["sentence"]
    assert end["step"] == largest.start_step + largest.duration_steps
    shock = next(each for each in chapters if each["title"] == "Shock")
    assert shock["step"] == 720
    assert shock["sentence"] == "Crash of BTC -25.0%: the index moves by up to BTC -15.8 %."


@pytest.mark.slow
def test_a_ghost_has_the_same_accounts_drawn(cascade, apart, monkeypatch):
    monkeypatch.setattr(replay, "QUICK", 1)
    monkeypatch.setattr(replay, "SMALL", 1)
    starts = [
        each
        for each in embedded(replay_page(record_runs(cascade, apart)))
        if each.header["kind"] == "start"
    ]
    assert [each.header["lane"] for each in starts] == [0, 1]
    assert starts[0].header["accounts"] == starts[1].header["accounts"]
    assert starts[0].header["pairing"] == {"run": "pooled", "run2": "apart"}
    assert all(each.header["lanes"] == 2 for each in starts)


def test_what_is_no_twin_is_refused(cascade, tmp_path):
    other = make_folder(tmp_path / "fewer", "contagion", ("populations.crowd.count", "9"))
    with pytest.raises(RunFolderError, match="number of accounts"):
        record_runs(cascade, other)


def test_it_is_thinned_out_until_it_fits(recorded, page):
    few = len(page) - 60_000
    smaller = replay_page(recorded, few)
    assert len(smaller) <= few
    before, after = (embedded(each)[1].arrays for each in (page, smaller))
    assert 2 < len(after["account_step"]) < len(before["account_step"])
    assert after["health"].shape[0] == len(after["account_step"])
    assert after["account_step"][-1] == before["account_step"][-1]
    np.testing.assert_array_equal(after["mark"], before["mark"])


def test_a_run_that_was_changed_is_refused(cascade):
    with pytest.raises(RunFolderError, match="another version"):
        record_run(dataclasses.replace(cascade, seed=4))


def test_nothing_is_loaded_and_only_its_own_scripts_may_run(page):
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]+=*'", policy[0])) == len(page_files())
    head = page[: page.index("<body")]
    assert head.index("Content-Security-Policy") < head.index("<style>")
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=\"(?!data:)", page)
    assert not re.search(r"<[^>]* on[a-z]+=", re.sub(r"<script>.*?</script>", "", page, flags=re.S))


@pytest.mark.parametrize(
    "name",
    [
        "</title><script>",
        pytest.param("<!--", marks=pytest.mark.slow),
        pytest.param("<img src=x onerror=alert(1)>", marks=pytest.mark.slow),
    ],
)
def test_names_are_text(recorded, name):
    hostile = whole_page("", name)
    assert name not in hostile.replace(read_page(PAGE), "")
    start = recorded[0].start
    start = start._replace(header=start.header | {"label": name, "scenario": name})
    page = replay_page([recorded[0]._replace(start=start)])
    assert embedded(page)[0].header["label"] == name
    assert f"<title>marketsim {name}" not in page


def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a.html"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text("new \ud800", file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    write_text("new", file)
    assert file.read_text() == "new"


@pytest.mark.slow
def test_a_run_without_causes_is_made_again_with_them(tmp_path):
    run = make_folder(tmp_path / "bare", "contagion", ("record.causes", "false"))
    frames = record_run(run).frames.arrays
    assert len(frames["tie_child"]) >= len(frames["liq_step"]) == len(run.liquidations)
    assert (frames["liq_cascade"] >= 0).all()


def test_a_long_run_has_several_steps_in_a_row():
    assert replay.series_minutes(replay.MOST_ROWS, 1.0) == 1.0
    assert replay.series_minutes(replay.MOST_ROWS + 1, 1.0) == 2.0


@pytest.mark.slow
def test_five_thousand_steps_fit(tmp_path):
    runs = []
    for mode, room in (("cross", 1_000_000), ("isolated", 1_500_000)):  # alone, with a ghost
        changes = [("days", repr(5_000 / 1440)), ("populations.herd.margin_mode", mode)]
        simulation = Simulation(load_scenario("october-10", changes), 1)
        simulation.run(5_000)
        runs.append(load_run(write_run(simulation.result(), tmp_path / mode)))
        recorded = record_runs(*runs)
        assert len(recorded[0].start.header["accounts"]["drawn"]) == 300
        page = replay_page(recorded)
        assert len(page.encode()) < room
        assert len(embedded(page)[1].arrays["account_step"]) > 100
