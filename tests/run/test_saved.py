"""A saved run goes on as if it had never stopped; what does not fit or is no data is refused."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import mesa
import numpy as np
import pandas as pd
import pytest

import marketsim
from marketsim import PerpMarket, SavedMarketError, Simulation, Trader, load_market, load_simulation
from marketsim.engine.records import CACHE_LINE
from marketsim.results.tables import build_tables
from marketsim.run import attributes, data, room, saved
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import list_scenarios, load_scenario
from marketsim.tape import files
from marketsim.tape.files import FolderError
from tests.agents.small import scenario
from tests.run.own import OWN, Counting, Moody, with_own
from tests.run.test_simulation import eventful

REPOSITORY = Path(__file__).resolve().parents[2]
#: Another Python with all that marketsim needs, to load what this one has saved and the reverse.
OTHER = os.environ.get("MARKETSIM_OTHER_PYTHON")
LIBRARY = [name for name, _ in list_scenarios()]
STEPS = 150
SAVE = """
import sys
from marketsim import PerpMarket
from tests.run.own import OWN, with_own
names = sys.argv[4:]
for name in names:
    market = PerpMarket(with_own(name, int(sys.argv[2])), rng=5, strategies=OWN)
    market.run(int(sys.argv[3]))
    market.save(f"{sys.argv[1]}/{name}.market")
    twin = market.branch()
    for each in (market, twin):
        each.run(each.scenario.num_steps - each.step_count)
    assert twin.digest() == market.digest(), name
    print(name, market.digest())
"""
LOAD = """
import sys
from marketsim import load_market
from tests.run.own import OWN
for name in sys.argv[2:]:
    market = load_market(f"{sys.argv[1]}/{name}.market", strategies=OWN)
    market.run(market.scenario.num_steps - market.step_count)
    print(name, market.digest())
"""


def python(interpreter: str, code: str, *arguments: object) -> str:
    """What code prints in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    if interpreter != sys.executable and "MARKETSIM_CACHE_DIR" in environment:
        environment["MARKETSIM_CACHE_DIR"] += "-other"  # kernels are of one Python
    command = [interpreter, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def finished(market: Any) -> str:
    simulation = getattr(market, "simulation", market)
    market.run(simulation.num_steps - simulation.step_count)
    digest: str = market.digest()
    return digest


def moody(market: PerpMarket) -> list[Any]:
    return list(market.agents.select(agent_type=Moody))


@pytest.fixture(scope="module")
def market() -> PerpMarket:
    """With traders of both kinds, in the midst of its run."""
    market = PerpMarket(with_own("quickstart", STEPS), rng=5, strategies=OWN)
    market.run(70)
    return market


@pytest.fixture
def file(market: PerpMarket, tmp_path: Path) -> Path:
    market.save(tmp_path / "half.market")
    return tmp_path / "half.market"


def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = Simulation(eventful(), 4)
    whole.run(whole.num_steps)
    tables = build_tables(whole.result())
    # before anything, amid rows of the tape, after the rule has changed, and at the end
    for step in (0, 37, 181, whole.num_steps):
        simulation = Simulation(eventful(), 4)
        simulation.run(step)
        simulation.save(tmp_path / "run.market")
        loaded = load_simulation(tmp_path / "run.market")
        assert (loaded.step_count, loaded.seed) == (step, 4)
        assert loaded.scenario == simulation.scenario
        assert loaded.digest() == simulation.digest()
        assert finished(loaded) == whole.digest()
        for name, columns in build_tables(loaded.result()).items():
            pd.testing.assert_frame_equal(pd.DataFrame(columns), pd.DataFrame(tables[name]))


def test_a_market_goes_on_as_if_it_had_never_stopped(market: PerpMarket, file: Path) -> None:
    loaded = load_market(file, strategies=OWN)
    assert loaded.step_count == 70
    assert loaded.running
    assert [agent.unique_id for agent in loaded.agents] == [
        agent.unique_id for agent in market.agents
    ]
    branch = market.branch()
    assert finished(loaded) == finished(branch)
    assert not loaded.running
    mine = [moody(each) for each in (loaded, branch)]
    assert len(mine[0]) == 3
    for one, other in zip(*mine, strict=True):
        assert repr(one.diary) == repr(other.diary)
        assert type(one.diary[2]) is tuple
        assert one.drawn == other.drawn
        assert (one.size("BTC"), one.unique_id) == (other.size("BTC"), other.unique_id)
    assert loaded.random.random() == branch.random.random()
    assert loaded.rng.random() == branch.rng.random()


def test_a_trader_who_left_stays_away(tmp_path: Path) -> None:
    market = PerpMarket(with_own("quickstart", STEPS), rng=5, strategies=OWN)
    gone, stays = moody(market)[:2]
    gone.remove()
    market.run(20)
    market.save(tmp_path / "a.market")
    loaded = load_market(tmp_path / "a.market", strategies=OWN)
    accounts = {agent.account for agent in loaded.agents}
    assert gone.account not in accounts
    assert stays.account in accounts
    assert finished(loaded) == finished(market)


def test_a_step_that_failed_is_asked_again(tmp_path: Path) -> None:
    simulation = Simulation(with_own("quickstart", STEPS), 5, {**OWN, "moody": Counting})
    simulation.run(30)
    before = Counting.decide

    def fail(self: Counting, market: Any, traders: Any) -> None:
        raise ValueError

    Counting.decide = fail  # type: ignore[method-assign]
    try:
        with pytest.raises(marketsim.OwnTraderError):
            simulation.run(60)
    finally:
        Counting.decide = before  # type: ignore[method-assign]
    simulation.save(tmp_path / "a.market")
    loaded = load_simulation(tmp_path / "a.market", {**OWN, "moody": Counting})
    assert loaded.tape.clock[0].is_open
    assert finished(loaded) == finished(simulation)


def test_arrays_come_back_as_kernels_are_compiled_for_them(file: Path, market: PerpMarket) -> None:
    loaded = load_market(file, strategies=OWN).simulation
    for group in ("state", "world", "traders", "tape"):
        here, there = getattr(loaded, group), getattr(market.simulation, group)
        for name, one, other in zip(here._fields, here, there, strict=True):
            assert one.dtype == other.dtype, name
            assert one.dtype.type is other.dtype.type, name
            assert one.dtype.isalignedstruct == other.dtype.isalignedstruct, name
            assert one.shape == other.shape, name
            assert one.flags.c_contiguous, name
            assert one.flags.writeable, name
            assert not (one.dtype.names and one.size) or one.ctypes.data % CACHE_LINE == 0, name


def test_nothing_that_a_run_consists_of_is_forgotten(market: PerpMarket) -> None:
    run = Simulation(scenario(), 1)
    known = {*attributes.SAVED, *attributes.MADE_AGAIN}
    assert vars(run).keys() == known
    assert set(attributes.RunAttributes.__annotations__) == known
    assert vars(market.simulation).keys() - known == {"_model", "_kept", "_runs_ahead"}
    assert vars(run.callers).keys() == set(attributes.CALLERS)
    assert vars(run.callers.desk).keys() == set(attributes.DESK)
    for kind, names in attributes.WHOLE.items():
        (held,) = [each for each in vars(run).values() if type(each) is kind]
        assert held.__getstate__().keys() == set(names)


def test_rows_in_use_are_of_arrays_there_are() -> None:
    run = Simulation(scenario(), 1)
    assert room.state_rows(run.state).keys() < set(run.state._fields)
    assert room.tape_rows(run.tape).keys() < set(run.tape._fields)
    # those that may be longer than what they hold: all others belong to accounts and markets
    spare = {"order", "level", "node"}  # free places are chained, all of them are in use
    growing = {
        name
        for name, array in run.state._asdict().items()
        if len(array) not in {1, len(run.state.account), len(run.state.pool), len(run.state.market)}
    }
    assert growing - {"wheel"} - spare <= room.state_rows(run.state).keys()


class Remembers(Trader):
    """Has something that is no data, and says what is to be saved."""

    def __init__(self, model: Any, account: int) -> None:
        super().__init__(model, account)
        self.generator = np.random.default_rng(account)

    def step(self) -> None:
        side = self.generator.choice([-1.0, 1.0])
        self.order("BTC", side * 0.1 * self.equity / self.model.mid_price("BTC"))

    def state(self) -> Any:
        return self.generator.bit_generator.state

    def restore(self, state: Any) -> None:
        self.generator.bit_generator.state = state


def test_a_class_may_say_itself_what_is_saved(tmp_path: Path) -> None:
    classes = {"moody": Remembers, "counting": Counting}
    market = PerpMarket(with_own("quickstart", STEPS), rng=5, strategies=classes)
    market.run(50)
    market.save(tmp_path / "a.market")
    assert finished(load_market(tmp_path / "a.market", strategies=classes)) == finished(market)


@pytest.mark.parametrize("verb", ["state", "restore"])
def test_what_a_class_of_ones_own_raises_names_class_and_file(verb: str, tmp_path: Path) -> None:
    def fail(*_: Any) -> NoReturn:
        raise KeyError("odd")

    classes = {"moody": Remembers, "counting": Counting}
    market = PerpMarket(with_own("quickstart", STEPS), rng=5, strategies=classes)
    with pytest.MonkeyPatch.context() as patch:
        if verb == "state":
            patch.setattr(Remembers, "state", fail)
            with pytest.raises(SavedMarketError, match=r"^Remembers\.state\(\) failed: KeyError"):
                market.save(tmp_path / "a.market")
        else:
            market.save(tmp_path / "a.market")
            patch.setattr(Remembers, "restore", fail)
            says = r"a\.market: Remembers\.restore\(state\) failed: KeyError: 'odd'"
            with pytest.raises(SavedMarketError, match=says):
                load_market(tmp_path / "a.market", strategies=classes)


NO_DATA: dict[str, tuple[Callable[[], Any], str]] = {
    "generator": (lambda: np.random.default_rng(1), r"Moody\.odd is a Generator"),
    "function": (lambda: len, r"Moody\.odd is a builtin_function_or_method"),
    "within": (lambda: [1, {"a": {2}}], r"Moody\.odd\[1\]\['a'\] is a set"),
    "objects": (lambda: np.array([None]), r"Moody\.odd is an array of object"),
}


@pytest.mark.parametrize("kind", NO_DATA)
def test_what_is_no_data_is_refused_by_class_and_attribute(kind: str, tmp_path: Path) -> None:
    make, says = NO_DATA[kind]
    market = PerpMarket(with_own("quickstart", STEPS), rng=5, strategies=OWN)
    moody(market)[0].odd = make()
    with pytest.raises(SavedMarketError, match=rf"{says}: only numbers.*state\(\) and restore"):
        market.save(tmp_path / "a.market")
    assert list(tmp_path.iterdir()) == []


def test_what_contains_itself_is_refused(market: PerpMarket, tmp_path: Path) -> None:
    twin = market.branch()
    odd: list[Any] = []
    odd.append(odd)
    moody(twin)[0].odd = odd
    with pytest.raises(SavedMarketError, match=r"Moody\.odd contains itself"):
        twin.save(tmp_path / "a.market")
    odd[0] = {"more": (odd,)}
    with pytest.raises(SavedMarketError, match=r"Moody\.odd contains itself"):
        twin.save(tmp_path / "a.market")


@pytest.mark.parametrize(
    "wrap", [lambda each: [each], lambda each: (each,), lambda each: {1: each}]
)
def test_what_is_nested_too_deeply_is_refused_as_that(
    wrap: Callable[[Any], Any], market: PerpMarket, tmp_path: Path
) -> None:
    twin = market.branch()
    first = moody(twin)[0]
    leaf: list[int] = []
    first.odd = [leaf, leaf]  # twice the same, which does not contain itself
    for _ in range(data.MAX_DEPTH - 2):  # the list and the leaf are two
        first.odd = wrap(first.odd)
    twin.save(tmp_path / "a.market")
    again = moody(load_market(tmp_path / "a.market", strategies=OWN))[0]
    assert again.odd == first.odd
    for _ in range(5000):
        first.odd = wrap(first.odd)
    with pytest.raises(SavedMarketError, match=r"Moody\.odd is nested more than 100 deep"):
        twin.save(tmp_path / "b.market")


def test_a_class_of_market_of_ones_own_is_refused(tmp_path: Path) -> None:
    class Mine(PerpMarket):
        pass

    with pytest.raises(SavedMarketError, match=r"Mine: a class of your own .* branch\(\)"):
        Mine(scenario(), rng=1).save(tmp_path / "a.market")


def test_agents_that_are_no_traders_are_refused(tmp_path: Path) -> None:
    class Watcher(mesa.Agent):
        pass

    market = PerpMarket(scenario(), rng=1)
    Watcher(market)
    with pytest.raises(SavedMarketError, match="Watcher: agents that are no traders"):
        market.save(tmp_path / "a.market")


@pytest.mark.skipif(not hasattr(mesa.Model, "run_for"), reason="Mesa before 3.5 has no events")
def test_what_mesa_has_scheduled_is_refused(tmp_path: Path) -> None:
    market = PerpMarket(scenario(), rng=1)
    market.schedule_event(moody, at=3.5)
    with pytest.raises(SavedMarketError, match="events that Mesa has scheduled"):
        market.save(tmp_path / "a.market")
    market = PerpMarket(scenario(), rng=1)
    market.run_for(1.5)
    with pytest.raises(SavedMarketError, match=r"time 1\.5: only a market between two steps"):
        market.save(tmp_path / "a.market")


def test_saving_while_traders_decide_is_refused(tmp_path: Path) -> None:
    class Saves(Trader):
        def step(self) -> None:
            self.model.save(tmp_path / "a.market")

    market = PerpMarket(
        with_own("quickstart", STEPS), rng=5, strategies={"moody": Saves, "counting": Counting}
    )
    with pytest.raises(marketsim.OwnTraderError, match=r"save\(\) inside step\(\)"):
        market.run(60)


def spoil(file: Path, change: Callable[[bytearray], Any]) -> None:
    content = bytearray(file.read_bytes())
    changed = change(content)
    file.write_bytes(content if changed is None else changed)


def flip(place: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[place] ^= 4

    return change


SPOILS: dict[str, tuple[Callable[[bytearray], Any], str]] = {
    "cut in the header": (lambda content: content[:1000], "damaged, its header"),
    "cut in the arrays": (lambda content: content[:-1], r"damaged, cut short: [\d,]+ bytes of"),
    "more behind": (lambda content: content + b"x", "damaged, too long"),
    "bit of the header": (flip(500), "damaged, its header"),
    "bit of its length": (flip(20), "damaged, its header"),
    "bit of the arrays": (flip(-1), "damaged, its arrays"),
    "bit far in the arrays": (flip(-100_000), "damaged, its arrays"),
    "empty": (lambda content: b"", "not a saved market"),
    "another file": (lambda content: b"PAR1" + content, "not a saved market"),
    "another format": (
        lambda content: content.replace(b"saved 1\n", b"saved 2\n", 1),
        "saved in format 2, this version reads 1",
    ),
    "nested": (
        lambda content: content[:18] + b"%012d\n" % 300_000 + b"[" * 300_000,
        "damaged, its header",
    ),
}


@pytest.mark.parametrize("how", SPOILS)
def test_a_damaged_file_is_refused(how: str, file: Path) -> None:
    change, says = SPOILS[how]
    spoil(file, change)
    with pytest.raises(SavedMarketError, match=f"half.market: {says}"):
        load_market(file, strategies=OWN)


def change_header(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what a saved file states, and seal it as if it had been written so."""
    content = file.read_bytes()
    start = content.index(b"\n") + 1 + data.DIGITS + 1
    end = start + int(content[start - data.DIGITS - 1 : start])
    header = json.loads(content[start:end])
    del header[files.SEAL]
    change(header)
    text = json.dumps(files.seal(header)).encode()
    title = content[: start - data.DIGITS - 1]
    file.write_bytes(title + b"%0*d\n" % (data.DIGITS, len(text)) + text + content[end:])


LACKING = [
    *[(name,) for name in ("strategies", "parts", "memory", "wall_seconds", "model")],
    *[(name,) for name in ("arrays", "checksum")],
    *[("parts", name) for name in attributes.SAVED],
    ("arrays", 0, "dtype"),
    ("memory", "dict", 0),
    *[("model", "dict", number) for number in range(4)],
]


@pytest.mark.slow
def test_a_header_that_lacks_a_field_is_damaged(file: Path) -> None:
    whole = file.read_bytes()
    for *above, last in LACKING:

        def lack(header: Any, above: list[Any] = above, last: Any = last) -> None:
            for name in above:
                header = header[name]
            del header[last]

        file.write_bytes(whole)
        change_header(file, lack)
        with pytest.raises(SavedMarketError, match=r"half\.market: damaged, its header is not co"):
            load_market(file, strategies=OWN)


@pytest.mark.slow
def test_every_bit_of_a_small_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "a.market"
    Simulation(scenario(), 1).save(file)
    whole = file.read_bytes()
    for place in np.random.default_rng(1).integers(0, len(whole), 40).tolist():
        file.write_bytes(whole)
        spoil(file, flip(place))
        with pytest.raises(SavedMarketError):
            load_simulation(file)


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SavedMarketError, match=r"none.market: cannot be read: No such file"):
        load_market(tmp_path / "none.market")
    with pytest.raises(SavedMarketError, match="cannot be read: Is a directory"):
        load_simulation(tmp_path)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.symlink_to(os.devnull), "a device or a pipe"),
        (os.mkfifo, "a device or a pipe"),
        (Path.mkdir, "a folder"),
    ],
)
def test_what_is_no_file_is_never_replaced(
    make: Callable[[Path], None], what: str, market: PerpMarket, tmp_path: Path
) -> None:
    path = tmp_path / "a.market"
    make(path)
    before = path.lstat()
    with pytest.raises(FolderError, match=f"a.market: is {what}, which no file replaces"):
        market.save(path)
    after = path.lstat()  # it may have been looked at: not the time of access
    for field in ("st_mode", "st_ino", "st_mtime_ns"):
        assert getattr(after, field) == getattr(before, field)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(market: PerpMarket, tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300)
    with pytest.raises(FolderError, match=r"/a{300}: cannot be written: File name too long"):
        market.save(path)


def test_another_version_is_refused_with_the_difference(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = saved._here()
    monkeypatch.setattr(saved, "_here", lambda: here | {"marketsim": "9.9"})
    with pytest.raises(SavedMarketError, match=rf"marketsim {here['marketsim']} then, 9\.9 here"):
        load_market(file, strategies=OWN)
    monkeypatch.setattr(saved, "_here", lambda: here | {"code": "0" * 16})
    with pytest.raises(SavedMarketError, match=f"code {here['code']} then, {'0' * 16} here"):
        load_market(file, strategies=OWN)
    monkeypatch.setattr(saved, "_here", lambda: here | {"more": "0"})
    with pytest.raises(SavedMarketError, match="more not stated then, 0 here"):
        load_market(file, strategies=OWN)
    monkeypatch.setattr(saved, "_here", lambda: here | {"kernels": "0" * 16})
    with pytest.raises(SavedMarketError, match=f"kernels {here['kernels']} then, {'0' * 16} here"):
        load_market(file, strategies=OWN)


def test_other_classes_are_refused(file: Path) -> None:
    class Moody(Trader):
        def step(self) -> None:
            pass

    with pytest.raises(SavedMarketError, match=r"populations\.moody: its class was Moody \(sha"):
        load_market(file, strategies={**OWN, "moody": Moody})
    with pytest.raises(ScenarioError) as caught:
        load_market(file, strategies={"counting": Counting})
    assert str(caught.value) == (
        f'{file}: populations.moody.strategy = "moody": it was saved with a class Moody of your '
        'own: give it, in Python, as strategies={"moody": Moody}'
    )


STRATEGY = """
from marketsim import Trader
class Buyer(Trader):
    def step(self):
        self.buy("BTC", 0.001)
"""


def test_a_changed_strategy_file_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "buyer.py"
    own.write_text(STRATEGY)
    text = f"{own}:Buyer"
    given = load_scenario(
        "quickstart",
        [("populations.own.strategy", text), ("populations.own.count", "2"), ("days", "0.1")],
    )
    market = PerpMarket(given, rng=1)
    market.run(20)
    market.save(tmp_path / "a.market")
    assert finished(load_market(tmp_path / "a.market")) == finished(market)
    own.write_text(STRATEGY.replace("0.001", "0.002"))
    with pytest.raises(SavedMarketError, match=r"buyer\.py: the strategy has changed: sha256"):
        load_market(tmp_path / "a.market")
    own.unlink()
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_market(tmp_path / "a.market")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_stops_a_save_leaves_the_file_before(
    error: BaseException, market: PerpMarket, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def fail(number: int) -> NoReturn:
        raise error

    monkeypatch.setattr(files.os, "fsync", fail)
    expected: type[BaseException] = FolderError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected, match="disk full" if expected is FolderError else None):
        market.save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_data_come_back_as_they_were() -> None:
    values = {
        "numbers": [0, -(2**80), 1.5, float("inf"), True, None, np.int8(3), np.float32(0.1)],
        "texts": ["", "é\ud800", "a\nb"],
        ("a", 1): {2: (), 3.5: [[]]},
        "arrays": (
            np.arange(6).reshape(2, 3),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.array(5),
            np.zeros((0, 2)),
            np.array(["a", "bc"]),
            np.array([True, False]),
            np.array(["2020-01-01"], "M8[us]"),
            np.arange(10)[::2],
        ),
    }
    arrays: list[Any] = []
    packed = json.loads(json.dumps(data.pack(values, arrays, {})))
    found = data.unpack(packed, arrays, {})
    assert repr(found) == repr(values)
    assert [type(each) for each in found["numbers"]] == [type(each) for each in values["numbers"]]


def test_order_of_an_array_in_memory_is_kept(tmp_path: Path) -> None:
    array = np.asfortranarray(np.random.default_rng(1).random((3, 5)))
    data.write_data(tmp_path / "a", {}, [array, array.T])
    with (tmp_path / "a").open("rb") as stream:
        header = data.read_header(tmp_path / "a", stream)
        one, other = data.read_arrays(tmp_path / "a", stream, header)
    assert (one == array).all()
    assert (one.flags.f_contiguous, other.flags.c_contiguous) == (True, True)


@pytest.mark.slow
def test_every_scenario_goes_on_in_a_branch_and_in_a_fresh_process(tmp_path: Path) -> None:
    step = int(np.random.default_rng().integers(1, STEPS))
    whole = python(sys.executable, SAVE, tmp_path, STEPS, step, *LIBRARY)
    assert python(sys.executable, LOAD, tmp_path, *LIBRARY) == whole, step


@pytest.mark.slow
@pytest.mark.skipif(OTHER is None, reason="MARKETSIM_OTHER_PYTHON names no other Python")
def test_another_python_goes_on_with_it_and_the_reverse(tmp_path: Path) -> None:
    assert OTHER is not None
    for one, other in ((sys.executable, OTHER), (OTHER, sys.executable)):
        whole = python(one, SAVE, tmp_path, STEPS, 70, *LIBRARY)
        assert python(other, LOAD, tmp_path, *LIBRARY) == whole
