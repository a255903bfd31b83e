"""PPO on marketsim/Carry-v0, beside policies that learnt nothing, on seeds it has not seen.

    python experiments/learning_carry/train.py --steps 200000

writes ``scores.csv``, ``summary.json``, ``figure.png`` and the table in ``README.md`` beside this
file. It needs the extra ``rl-train``.
"""

import argparse
import csv
import json
import re
import time
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
from matplotlib import pyplot as plt
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import marketsim.rl

HERE = Path(__file__).parent
TASK = "marketsim/Carry-v0"
TRAINED_ALIKE = 8  #: environments
TRAINING_SEED = 1_000_000
EVALUATION_SEEDS = range(50)
#: Of the means in the table: a 95 % interval by the normal law.
WIDTH = 1.96
MARKS = "<!-- scores -->", "<!-- end of scores -->"


def train(steps: int) -> PPO:
    """Train on episodes whose seeds follow from one that no evaluation has."""
    plain = DummyVecEnv([partial(gym.make, TASK)] * TRAINED_ALIKE)
    plain.seed(TRAINING_SEED)
    env = VecNormalize(plain, norm_obs=False, gamma=0.995)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=512,
        batch_size=512,
        gamma=0.995,
        policy_kwargs={"log_std_init": -1.0},
        seed=TRAINING_SEED,
        device="cpu",
        verbose=1,
    )
    return model.learn(steps)


def evaluate(model: PPO) -> dict[str, list[float]]:
    """Score what was learnt, and what was not, on the same seeds."""
    env = gym.make(TASK)

    def learnt(_, seen):
        return model.predict(seen, deterministic=True)[0]

    policies = {**marketsim.rl.BASELINES, "PPO": learnt}
    return {
        name: marketsim.rl.score(env, policy, EVALUATION_SEEDS) for name, policy in policies.items()
    }


def table(scores: dict[str, list[float]]) -> str:
    """Lay out the means and how often PPO did better, as Markdown."""
    lines = ["| policy | growth in a week, % | PPO did better in |", "| --- | --- | --- |"]
    ppo = np.array(scores["PPO"])
    for name, found in scores.items():
        values = 100.0 * np.array(found)
        half = WIDTH * values.std(ddof=1) / np.sqrt(len(values))
        better = "" if name == "PPO" else f"{(ppo > np.array(found)).sum()} of {len(values)} seeds"
        lines.append(f"| {name} | {values.mean():.2f} ± {half:.2f} | {better} |")
    return "\n".join(lines)


def draw(scores: dict[str, list[float]], file: Path) -> None:
    """Draw every episode's score, policy by policy."""
    figure, axes = plt.subplots(figsize=(7.0, 3.5), layout="constrained")
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.boxplot([100.0 * np.array(found) for found in scores.values()], widths=0.5)
    axes.set_xticks(range(1, len(scores) + 1), list(scores))
    axes.set_ylabel("growth of wealth in a week, %")
    axes.set_title(f"{TASK}: {len(EVALUATION_SEEDS)} seeds that no training saw", fontsize=10)
    figure.savefig(file, dpi=120)


def main() -> None:
    """Train, evaluate and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    steps = parser.parse_args().steps
    began = time.process_time()
    model = train(steps)
    trained = time.process_time() - began
    scores = evaluate(model)
    with (HERE / "scores.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["seed", *scores])
        rows.writerows(zip(EVALUATION_SEEDS, *scores.values(), strict=True))
    summary = {
        "task": TASK,
        "steps": model.num_timesteps,
        "training_seed": TRAINING_SEED,
        "evaluation_seeds": [EVALUATION_SEEDS.start, EVALUATION_SEEDS.stop],
        "cpu_seconds_of_training": round(trained),
        "mean": {name: float(np.mean(found)) for name, found in scores.items()},
    }
    (HERE / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    draw(scores, HERE / "figure.png")
    readme = HERE / "README.md"
    begin, end = MARKS
    text = re.sub(
        f"{begin}.*{end}", f"{begin}\n{table(scores)}\n{end}", readme.read_text(), flags=re.DOTALL
    )
    readme.write_text(text)
    print(table(scores))


if __name__ == "__main__":
    main()
