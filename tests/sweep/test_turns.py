"""Whose turn it is: runs that share a warm-up wait until one of them has made it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import marketsim.sweep.turns
from marketsim.sweep.turns import WARM_UPS, Turn, Turns, clear_warm_ups, warm_up_folder


def turns(
    names: str,
    folder: Path,
    numbers: Iterable[int] | None = None,
    held: int = 99,
    making: int = 99,
) -> Turns:
    """Turns of runs whose warm-ups are named by one letter each, "-" where there is none."""
    order = range(len(names)) if numbers is None else numbers
    return Turns(order, lambda n: names[n].strip("-"), range(len(names)), folder, held, making)


def take_all(found: Turns) -> list[Turn]:
    return list(iter(found.take, None))


def numbers_of(taken: list[Turn]) -> list[int]:
    return [turn.number for turn in taken]


def test_one_run_makes_a_warm_up_and_others_go_ahead_of_those_that_wait(tmp_path: Path) -> None:
    found = turns("aaabbb--", tmp_path)
    taken = take_all(found)
    assert numbers_of(taken) == [0, 3, 6, 7]
    assert found.holds
    found.done(taken[1])  # of b
    assert numbers_of(take_all(found)) == [4, 5]
    found.done(taken[0])
    assert numbers_of(take_all(found)) == [1, 2]
    assert not found.holds


def test_who_waits_goes_on_as_soon_as_the_file_is_there(tmp_path: Path) -> None:
    found = turns("aaa", tmp_path)
    (maker,) = take_all(found)
    assert maker.file is not None
    assert maker.file.parent == tmp_path
    maker.file.touch()
    assert numbers_of(take_all(found)) == [1, 2]


def test_a_warm_up_of_one_run_alone_has_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert {(turn.warm_up, turn.file) for turn in take_all(turns("abc--", folder))} == {("", None)}
    assert not folder.exists()
    take_all(turns("abcb-", folder))
    assert folder.exists()


def test_a_file_goes_with_its_last_run(tmp_path: Path) -> None:
    found = turns("aa", tmp_path)
    maker = found.take()
    assert maker is not None
    assert maker.file is not None
    maker.file.touch()
    found.done(maker)
    assert maker.file.exists()
    last = found.take()
    assert last is not None
    found.done(last)
    assert not maker.file.exists()
    assert found.take() is None


def test_a_bounded_number_waits(tmp_path: Path) -> None:
    asked = iter(range(100))
    found = turns("a" * 99 + "-", tmp_path, asked, held=3)
    assert numbers_of(take_all(found)) == [0]
    assert next(asked) == 4


def test_who_waits_comes_before_the_next_warm_up_is_made(tmp_path: Path) -> None:
    found = turns("abcabcabc", tmp_path, making=2)
    first = take_all(found)
    assert numbers_of(first) == [0, 1]
    assert found.holds
    found.done(first[0])
    assert numbers_of(take_all(found)) == [2, 3, 6]
    found.done(first[1])
    assert numbers_of(take_all(found)) == [4, 7]


def test_a_bounded_number_of_files_is_kept_and_the_oldest_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marketsim.sweep.turns, "MAX_IDLE", 2)
    found = turns("abcabc", tmp_path)
    files = []
    for number in range(6):
        turn = found.take()
        assert turn is not None
        assert turn.number == number
        assert turn.file is not None
        if not turn.file.exists():
            files.append(turn.warm_up)
            turn.file.touch()
        found.done(turn)
        assert len([*tmp_path.iterdir()]) <= 2
    assert files == [*"abcab"]
    assert not [*tmp_path.iterdir()]


def test_a_file_that_runs_under_way_need_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marketsim.sweep.turns, "MAX_IDLE", 1)
    taken = take_all(turns("abab", tmp_path))
    assert numbers_of(taken) == [0, 1]
    for turn in taken:
        assert turn.file is not None
        turn.file.touch()
    assert len([*tmp_path.iterdir()]) == 2


def test_a_driver_s_folder_goes_when_it_ends_and_those_of_killed_ones_at_the_end(
    tmp_path: Path,
) -> None:
    with warm_up_folder(tmp_path, "one") as mine, warm_up_folder(tmp_path, "other") as other:
        for folder in (mine, other):
            folder.mkdir(parents=True)
            (folder / "file").touch()
    assert not [*tmp_path.iterdir()]
    with warm_up_folder(tmp_path, "one"):
        (tmp_path / WARM_UPS / "killed").mkdir(parents=True)
    assert (tmp_path / WARM_UPS / "killed").exists()
    clear_warm_ups(tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("making", [1, 2, 5])
@pytest.mark.parametrize("held", [1, 3])
@pytest.mark.parametrize("window", [1, 2, 7])
def test_every_run_has_its_turn_once(tmp_path: Path, making: int, held: int, window: int) -> None:
    luck = np.random.default_rng([making, held, window])
    names = "".join(luck.choice([*"abcdef-"], 200))
    found = turns(names, tmp_path, held=held, making=making)
    done: list[int] = []
    under_way: list[Turn] = []
    while True:
        while len(under_way) < window and (turn := found.take()) is not None:
            under_way.append(turn)
        if not under_way:
            break
        back = under_way.pop(int(luck.integers(len(under_way))))
        if back.file is not None and luck.random() < 0.5:  # the others failed
            back.file.touch()
        found.done(back)
        done.append(back.number)
    assert sorted(done) == list(range(200))
    assert not [*tmp_path.iterdir()]
