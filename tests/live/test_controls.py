"""Every control changes what it says, at once or at reset, and nothing else is changed."""

import pytest

from marketsim.live.commands import RefusedError
from marketsim.live.controls import list_controls, mode_changes, own_mode
from marketsim.live.setup import Catalogue, Setup, open_lanes, read_base
from marketsim.scenario.distributions import median
from marketsim.scenario.loader import list_scenarios
from marketsim.scenario.population import MODES

NAMES = [name for name, _ in list_scenarios() if name != "history"]


def base_of(name):
    return read_base(Catalogue(), name)


def other_value(control):
    """Choose a value that is not the present one."""
    if control.choices:
        return next(each for each in control.choices if each != control.value)
    middle = round(control.low + 0.3 * (control.high - control.low), 3)
    return middle if middle != control.value else control.high


@pytest.mark.parametrize("name", NAMES)
def test_every_value_lies_in_its_range(name):
    controls = list_controls(base_of(name).scenario)
    assert len({control.path for control in controls}) == len(controls)
    for control in controls:
        control.check(control.value)
        facts = control.header(control.value)
        assert facts["label"]
        assert facts["acts"] in ("now", "reset")


@pytest.mark.parametrize("name", ["contagion", "calm", "carry-unwind"])
def test_what_acts_now_is_taken_by_a_running_market(name):
    base = base_of(name)
    run = open_lanes(base, Setup(name, 1))[0].run
    run.run(5)
    for control in base.controls.values():
        value = other_value(control)
        control.check(value)
        assert control.change(value)
        if control.acts == "now":
            for path, new in control.change(value):
                run.set(path, new)
    run.run(2)
    assert len(run.interventions.entries) >= len(base.controls) - 2


@pytest.mark.parametrize("name", ["contagion", "calm"])
def test_what_is_turned_holds_when_a_market_starts_anew(name):
    base = base_of(name)
    for control in base.controls.values():
        setup = Setup(name, 1).turned(control.path, other_value(control))
        assert open_lanes(base, setup)[0].run.scenario != base.scenario.settled(1)


def test_leverage_is_turned_by_its_median_and_stays_allowed():
    base = base_of("contagion")
    control = base.controls["populations.crowd.leverage"]
    run = open_lanes(base, Setup("contagion", 1).turned(control.path, control.high))[0].run
    leverage = run.scenario.populations["crowd"].leverage
    assert median(leverage) == pytest.approx(control.high)
    assert run.roster.leverage.max() <= control.high * (1 + 1e-6)
    bold = base.scenario.populations["crowd"].leverage
    assert leverage.sigma == bold.sigma


def test_counts_wait_for_a_reset():
    control = base_of("contagion").controls["populations.crowd.count"]
    assert control.acts == "reset"
    assert control.change(250.0) == [("populations.crowd.count", 250)]


def test_a_value_out_of_range_is_refused():
    controls = base_of("contagion").controls
    for path, value in (
        ("spot.reflexivity", 2.0),
        ("spot.reflexivity", "much"),
        ("venue.funding.interval_hours", 3),
        ("cross_share", -0.1),
    ):
        with pytest.raises(RefusedError, match="must be"):
            controls[path].check(value)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_that_of_all_who_take_sides(mode):
    base = base_of("contagion")
    lane = open_lanes(base, Setup("contagion", 1, mode=mode))[0]
    crowd = lane.run.roster.rows_of("crowd")
    assert set(lane.run.roster.margin_mode[crowd]) == {MODES.index(mode)}
    makers = lane.run.roster.rows_of("makers-btc")
    assert set(lane.run.roster.margin_mode[makers]) == {0}
    assert own_mode(lane.run.scenario) == mode


def test_a_running_market_changes_its_mode():
    base = base_of("contagion")
    run = open_lanes(base, Setup("contagion", 1))[0].run
    run.run(100)
    for mode in ("isolated", "partial", "cross"):
        for path, value in mode_changes(base.scenario, mode):
            run.set(path, value)
        run.run(1)
    assert run.result().conservation_error == 0


def test_only_the_catalogue_is_read(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('base = "contagion"\nname = "mine"\ndescription = "x"\n')
    monkeypatch.chdir(tmp_path)
    catalogue = Catalogue("mine.toml")
    assert catalogue.names[0] == "mine"
    assert read_base(catalogue, "mine").scenario.name == "mine"
    monkeypatch.chdir("/")
    assert read_base(catalogue, "mine").scenario.name == "mine"
    for name in ("mine.toml", "./mine.toml", str(tmp_path / "mine.toml"), "../mine", "/etc/passwd"):
        with pytest.raises(RefusedError, match="must be one of mine, "):
            read_base(catalogue, name)


def test_a_file_does_not_take_the_place_of_a_shipped_scenario(tmp_path):
    file = tmp_path / "calm.toml"
    file.write_text('base = "contagion"\nname = "calm"\n')
    catalogue = Catalogue(str(file))
    assert catalogue.names[0] == "calm (file)"
    assert "GOLD" in read_base(catalogue, "calm (file)").scenario.markets
    assert "GOLD" not in read_base(catalogue, "calm").scenario.markets


def test_what_cannot_be_opened_is_refused_in_words(tmp_path):
    file = tmp_path / "lost.toml"
    file.write_text('base = "history"\n[spot.history]\npath = "nowhere.parquet"\n')
    base = read_base(Catalogue(str(file)), "lost")
    with pytest.raises(RefusedError, match=r"nowhere\.parquet"):
        open_lanes(base, Setup("lost", 1))
