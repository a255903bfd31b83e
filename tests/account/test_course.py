"""An account followed through a run has the margin maths that `explain` gives step by step."""

import pytest

from marketsim.account.course import follow_account, read_course
from marketsim.account.explain import explain
from marketsim.results.run import Run
from marketsim.tape.files import RunFolderError


@pytest.mark.parametrize("step", [29, 117])
def test_each_moment_is_the_statement_of_that_moment(jump: Run, step: int) -> None:
    who = int(jump.liquidations["account"].iloc[0])
    pools, moves = read_course(follow_account(jump, who), who)
    statement = explain(jump, who, step).statement
    rows = pools[pools["step"] == step + 1].set_index("pool")
    held = [pool for pool in statement.pools if pool.positions]
    assert sorted(rows.index) == sorted(pool.pool for pool in held)
    for pool in held:
        assert rows.loc[pool.pool, "equity_usd"] == pool.equity_usd
        assert rows.loc[pool.pool, "maintenance_usd"] == pool.maintenance_usd
    there = moves[moves["step"] == step + 1].set_index("market")["move"]
    expected = {move.market: move.exhausted_by for pool in held for move in pool.moves}
    assert there.to_dict() == pytest.approx(expected)


def test_its_start_and_end_are_there(jump: Run) -> None:
    who = int(jump.accounts["account"].iloc[-2])
    seen: list[tuple[int, int]] = []
    pools, _ = read_course(follow_account(jump, who, lambda *done: seen.append(done)), who)
    assert (seen[0], seen[-1]) == ((0, 180), (180, 180))
    assert pools["hours"].max() <= 3.0


def test_an_account_that_was_not_followed_is_named(jump: Run) -> None:
    with pytest.raises(RunFolderError, match="account 3 was not followed"):
        read_course(jump, 3)
