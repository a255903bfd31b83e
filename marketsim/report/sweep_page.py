"""How far a sweep has come, in lines for a terminal."""

from typing import TYPE_CHECKING, Any

from marketsim.sweep.status import describe_driver

if TYPE_CHECKING:
    from marketsim.sweep.runner import SweepReport


def report_lines(report: "SweepReport") -> list[str]:
    """Say what a call of the sweep has made.

    Parameters
    ----------
    report : SweepReport

    Returns
    -------
    list of str
    """
    made = (
        f"{report.total:,} runs in {report.folder}: {report.done:,} made now, {report.stored:,} "
        f"there before, {report.failures:,} failed"
    )
    if report.result:
        return [made, *_result_lines(report.result, report.recorded)]
    if report.total < report.planned:
        return [made, "other shards are missing"]
    missing = report.planned - report.stored - report.done
    return [made, *[f"{missing:,} are other drivers' to make"] * (missing > 0)]


def status_lines(status: dict[str, Any]) -> list[str]:
    """Say how far a sweep has come, what failed and who is at work on it.

    Parameters
    ----------
    status : dict
        As `marketsim.sweep.status.sweep_status` returns it.

    Returns
    -------
    list of str
    """
    made = status["runs"] - status["missing"]
    share = made / status["runs"]
    lines = [
        f"{status['name']} ({status['kind']}): {made:,} of {status['runs']:,} runs ({share:.0%}), "
        f"{status['error']:,} failed, {status['quarantined']:,} quarantined"
    ]
    if status["wall_s"] is not None:
        lines.append(f"{status['wall_s']:.3g} s a run; marketsim {status['model']}")
    lines += map(describe_driver, status["drivers"])
    lines += [f"waits: job {each['job']} ({each['reason']})" for each in status["queued"]]
    for each in status["shards"]:
        nobody = "" if each["is_at_work"] else ", and nobody is at work on it"
        lines.append(f"shard {each['shard']} lacks {each['missing']:,} runs{nobody}")
    lines += [
        f"{each['runs']:,} x {each['error']} (run {each['key']})" for each in status["errors"]
    ]
    if status["result"] is not None:
        lines += _result_lines(status["result"], status["recorded"])
    elif status["recorded"] is not None:
        lines.append(f"was complete with the result {status['recorded']}, runs are missing now")
    return lines


def _result_lines(result: str, recorded: str | None) -> list[str]:
    lines = [f"result {result}"]
    if recorded is not None and result != recorded:
        lines.append(f"NOT the result that was recorded when all runs were made, {recorded}")
    return lines
