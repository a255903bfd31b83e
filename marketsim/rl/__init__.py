"""Learning agents: markets as tasks of Gymnasium and PettingZoo (``pip install '...[rl]'``)."""

from marketsim.rl.extra import ensure_installed

ensure_installed()

from marketsim.rl.baselines import BASELINES, score  # noqa: E402  what is missing is named first
from marketsim.rl.parallel import parallel_env  # noqa: E402
from marketsim.rl.perp_env import PerpEnv  # noqa: E402

from marketsim.rl.tasks import TASKS, register_tasks  # noqa: E402
from marketsim.rl.vector import PerpVectorEnv  # noqa: E402

__all__ = [
    "BASELINES",
    "TASKS",
    "PerpEnv",
    "PerpVectorEnv",

    "parallel_env",
    "register_tasks",
    "score",
]

register_tasks()
