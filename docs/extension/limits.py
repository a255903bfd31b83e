"""What a viewer must know, as pages and replays say it."""

from marketsim.report.recording import LIMITS


def list_limits() -> str:
    """List what every replay and page states."""
    return "\n".join(f"- {limit}" for limit in LIMITS)
