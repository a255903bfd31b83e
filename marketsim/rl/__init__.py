"""Learning agents: markets as tasks of Gymnasium and PettingZoo (the extra ``rl``)."""

try:
    from marketsim.rl.baselines import BASELINES, score
    from marketsim.rl.parallel import parallel_env
    from marketsim.rl.perp_env import PerpEnv
    from marketsim.rl.risk_desk import RiskDesk
    from marketsim.rl.tasks import TASKS, register_tasks
    from marketsim.rl.vector import PerpVectorEnv
except ModuleNotFoundError as error:
    if error.name not in ("gymnasium", "pettingzoo"):
        raise
    raise ImportError(
        f"marketsim.rl needs {error.name}: pip install 'marketsim-perps[rl]', or in a checkout "
        "pip install -e '.[rl]'"
    ) from None

__all__ = [
    "BASELINES",
    "TASKS",
    "PerpEnv",
    "PerpVectorEnv",
    "RiskDesk",
    "parallel_env",
    "register_tasks",
    "score",
]

register_tasks()
