"""A warm-up that runs share: one of them makes it and keeps it in a file, the others begin there.

They have one seed, and scenarios that differ in `UNFELT` alone. What such a run leaves is what it
leaves where it warms up by itself, to the byte: no step before the record reads what they differ
in, so that all of them stand at the same arrays when it begins, and the file holds these as
`Simulation.save` keeps a run that goes on as if it had never stopped. What lies in them of the run
that made the file, its schedule of shocks and what it still has to do, is made anew.
"""

import contextlib
import time
from pathlib import Path

from marketsim.engine.world import schedule
from marketsim.run.agenda import Interventions
from marketsim.run.data import SavedMarketError
from marketsim.run.saved import open_saved, revive
from marketsim.run.simulation import Simulation
from marketsim.scenario.build_world import add_shocks, rule_changes
from marketsim.scenario.schema import Scenario
from marketsim.scenario.writer import resolved_toml
from marketsim.tape.files import FolderError

#: Fields of a scenario that no step of its warm-up feels. All others must be equal, even where one
#: could be shown not to matter: `days` too, as a replayed path between two known prices may follow
#: from all that are replayed, and `record`, as what is recorded lies in the arrays of the file.
UNFELT = (
    # They change no number.
    "name",
    "description",
    # A run is given its own.
    "seed",
    # Their times count from the record's first step, and none is below 0. Until one begins, the
    # schedule sets every factor to 1, which is what it is where there is no schedule; changes of
    # rules wait in Python.
    "shocks",
    # They wait in Python, too, and their first step is the record's first at the earliest.
    "interventions",
)


def may_share(scenario: Scenario) -> bool:
    """Tell whether a scenario has a warm-up that runs may share.

    Not where traders of a user's own take part: a saved market does not keep what their code
    remembers elsewhere, in a variable of its module say.
    """
    own = any(":" in population.strategy for population in scenario.populations.values())
    return scenario.warm_up_steps > 0 and not own


def felt(scenario: Scenario) -> str:
    """Return the text of all of a scenario that its warm-up may depend on, but what files hold."""
    plain = {name: Scenario.model_fields[name].default for name in UNFELT}
    return resolved_toml(scenario.model_copy(update=plain))


def open_warmed(scenario: Scenario, seed: int, file: Path) -> Simulation:
    """Open a run where its record begins, from a file if it is there and fits.

    If not, it warms up and leaves that file, complete or not at all, for others.

    Parameters
    ----------
    scenario : Scenario
        One of which `may_share` is true.
    seed : int
        Of all random draws.
    file : Path
        Whatever it holds: one that is damaged, or not of this warm-up, is made again. If its folder
        is not there, or has no room, it is not written.

    Returns
    -------
    Simulation

    Raises
    ------
    ScenarioError
        If a strategy, a parameter or a first price is wrong.
    InputChangedError
        If a file is not the one that an open `InputLog` expects.
    """
    scenario = scenario.settled(seed)
    with contextlib.suppress(SavedMarketError, OSError):
        return _begin_from(file, scenario, seed)
    run = Simulation(scenario, seed)
    if file.parent.is_dir():  # on another machine it may not be
        with contextlib.suppress(FolderError):
            run.save(file)
    return run


def _begin_from(file: Path, scenario: Scenario, seed: int) -> Simulation:
    """Open a run from the warm-up of another.

    Raises
    ------
    SavedMarketError
        If the file is missing, damaged or anything else.
    """
    began = time.perf_counter()
    run = object.__new__(Simulation)
    with open_saved(file) as saved:
        if saved.is_market or saved.seed != seed or felt(saved.scenario) != felt(scenario):
            raise SavedMarketError(f"{file}: not the warm-up of this run")
        revive(run, saved, None)
    if run.step_count != 0 or len(run.interventions.entries) != len(run.scenario.interventions):
        raise SavedMarketError(f"{file}: it has gone on since its warm-up")
    _take_plan(run, scenario)
    run._started = began
    run._build_seconds = time.perf_counter() - began
    return run


def _take_plan(run: Simulation, scenario: Scenario) -> None:
    """Let a run that stands where its record begins do what a scenario has in store for it.

    The tape has room for its settlements by the rules of now, and gets more when these change.
    """
    run.scenario = run._rules = scenario
    step_minutes = scenario.step_minutes
    sources = tuple(scenario.spot.sources)
    shocks = (shock.rows(run.market_names, sources, step_minutes) for shock in scenario.shocks)
    rows = [row for each in shocks for row in each]
    run.world = add_shocks(run.world._replace(shock=schedule(0)), rows, run.warm_up)
    run._changes = rule_changes(scenario.shocks, step_minutes)
    run.interventions = Interventions(scenario.interventions, run.interventions.margin_mode)
