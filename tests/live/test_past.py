"""The way back takes bounded memory, and leads to every step."""

from marketsim.live import past
from marketsim.live.past import Past
from marketsim.report.drawn import choose_drawn
from marketsim.report.recording import Recorder
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario


def new_recorder():
    simulation = Simulation(load_scenario("quickstart", [("days", "open")]), 1)
    return Recorder(simulation, choose_drawn(simulation.roster, most=10))


def test_copies_are_thinned_out_and_every_step_is_reached(monkeypatch):
    monkeypatch.setattr(past, "MOST_POINTS", 6)
    monkeypatch.setattr(past, "FIRST_SPACING", 5)
    recorder = new_recorder()
    way = Past([recorder])
    digests = {0: recorder.simulation.digest()}
    for step in range(1, 161):
        recorder.run(1)
        recorder.frames()
        way.keep([recorder])
        digests[step] = recorder.simulation.digest()
    assert len(way._points) <= 6
    for step in (160, 159, 101, 100, 61, 3, 1, 0):
        (back,) = way.restore(step, [recorder])
        assert back.simulation.step_count == step
        assert back.simulation.digest() == digests[step]


def test_large_markets_have_fewer_copies(monkeypatch):
    monkeypatch.setattr(past, "MOST_BYTES", 1)
    monkeypatch.setattr(past, "FIRST_SPACING", 5)
    recorder = new_recorder()
    way = Past([recorder])
    for _ in range(10):
        recorder.run(5)
        recorder.frames()
        way.keep([recorder])
    assert len(way._points) <= 2
    assert way.restore(33, [recorder])[0].simulation.step_count == 33
