"""Train PPO on marketsim/Carry-v0; score it beside policies that learnt nothing, on other seeds.

    python experiments/learning_carry/train.py --steps 200000

writes the agent, ``scores.csv``, ``summary.json`` and ``figure.png`` into ``runs/learning-carry``.
It needs the extra ``rl-train``.
"""

import argparse
import csv
import json
import re
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np

from marketsim.report.canvas import find_look, finish, new_figure, save_figure
from marketsim.tape.files import FolderError, atomic, check_writable

try:
    import gymnasium as gym
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
except ModuleNotFoundError as error:
    if error.name not in ("gymnasium", "stable_baselines3"):
        raise
    print("needs stable-baselines3: pip install -e '.[rl-train]'", file=sys.stderr)
    sys.exit(2)

import marketsim.rl

HERE = Path(__file__).parent
OUT = Path("runs/learning-carry")
AGENT, SCORES, SUMMARY, FIGURE = "agent.zip", "scores.csv", "summary.json", "figure.png"
TASK = "marketsim/Carry-v0"
TRAINED_ALIKE = 8  #: environments
TRAINING_SEED = 1_000_000
EVALUATION_SEEDS = range(50)
#: Of the means in the table: a 95 % interval by the normal law.
WIDTH = 1.96
#: Its losses would leave no room for the others in the figure.
OFF_THE_SCALE = "random"
MARKS = "<!-- scores -->", "<!-- end of scores -->"
LOOK = find_look()


def train(steps: int) -> PPO:
    """Train on episodes whose seeds follow from one that no evaluation has."""
    plain = DummyVecEnv([partial(gym.make, TASK)] * TRAINED_ALIKE)
    plain.seed(TRAINING_SEED)
    # Rewards alone are scaled: the agent plays on environments as they are.
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
    """Score what was learnt, and what was not, on the same seeds; tell each as it is done."""
    env = gym.make(TASK)

    def learnt(_, seen):
        return model.predict(seen, deterministic=True)[0]

    scores = {}
    for name, policy in {**marketsim.rl.BASELINES, "PPO": learnt}.items():
        print(f"scoring {name} on {len(EVALUATION_SEEDS)} seeds ...", end=" ", flush=True)
        scores[name] = marketsim.rl.score(env, policy, EVALUATION_SEEDS)
        print(f"mean {100.0 * np.mean(scores[name]):.2f} %")
    return scores


def interval(found: list[float]) -> tuple[float, float]:
    """Return a mean and half of its interval, in percent."""
    values = 100.0 * np.array(found)
    return values.mean(), WIDTH * values.std(ddof=1) / np.sqrt(len(values))


def table(scores: dict[str, list[float]]) -> str:
    """Lay out the means and how often PPO did better, as Markdown."""
    lines = ["| policy | growth in a week, % | PPO did better in |", "| --- | --- | --- |"]
    ppo = np.array(scores["PPO"])
    for name, found in scores.items():
        mean, half = interval(found)
        better = "" if name == "PPO" else f"{(ppo > np.array(found)).sum()} of {len(ppo)} seeds"
        lines.append(f"| {name} | {mean:.2f} ± {half:.2f} | {better} |")
    return "\n".join(lines)


@mpl.rc_context(LOOK.settings)
def draw(scores: dict[str, list[float]], steps: int, file: Path) -> None:
    """Draw each episode's score as a point, policy by policy, and the means with intervals."""
    figure = new_figure(LOOK)
    axes = figure.add_subplot()
    axes.axhline(0.0, color=LOOK.theme.muted)
    shown = [name for name in scores if name != OFF_THE_SCALE]
    for place, name in enumerate(shown):
        color = LOOK.theme.market(place)
        beside = place + np.linspace(-0.25, 0.25, len(scores[name]))
        axes.plot(beside, 100.0 * np.array(scores[name]), "o", color=color, alpha=0.5)
        mean, half = interval(scores[name])
        axes.errorbar(place, mean, half, fmt="D", color=LOOK.theme.ink, capsize=8.0, zorder=3)
    labels = [f"{name}\nmean {interval(scores[name])[0]:.2f}" for name in shown]
    axes.set_xticks(range(len(shown)), labels)
    axes.set_ylabel("growth of wealth in a week, %")
    mean, half = interval(scores[OFF_THE_SCALE])
    axes.set_title(f"not shown: {OFF_THE_SCALE}, mean {mean:.1f} ± {half:.1f} %", fontsize="medium")
    source = (
        f"{TASK}, {steps:,} steps of training; a point per seed, {len(EVALUATION_SEEDS)} seeds "
    )
    source += "that no training saw; diamonds: means with 95 % intervals"
    finish(figure, "A learner beside rules that learnt nothing", source, LOOK)
    save_figure(figure, file)


def write(scores: dict[str, list[float]], steps: int, seconds: float, out: Path) -> None:
    """Write the scores, their summary and the figure into a folder."""
    with (out / SCORES).open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["seed", *scores])
        rows.writerows(zip(EVALUATION_SEEDS, *scores.values(), strict=True))
    summary = {
        "task": TASK,
        "steps": steps,
        "training_seed": TRAINING_SEED,
        "evaluation_seeds": [EVALUATION_SEEDS.start, EVALUATION_SEEDS.stop],
        "cpu_seconds_of_training": round(seconds),
        "mean": {name: float(np.mean(found)) for name, found in scores.items()},
    }
    (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    draw(scores, steps, out / FIGURE)


def publish(scores: dict[str, list[float]], out: Path) -> None:
    """Copy the results beside this file and put the table into the README there."""
    for name in (SCORES, SUMMARY, FIGURE):
        shutil.copyfile(out / name, HERE / name)
    readme = HERE / "README.md"
    begin, end = MARKS
    whole = readme.read_text(encoding="utf-8")
    text = re.sub(f"{begin}.*{end}", f"{begin}\n{table(scores)}\n{end}", whole, flags=re.DOTALL)
    readme.write_text(text, encoding="utf-8")


def main() -> None:
    """Train, evaluate and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200_000, help="of training (200000)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder written to ({OUT})")
    parser.add_argument("--force", action="store_true", help="replace the agent in that folder")
    parser.add_argument(
        "--publish", action="store_true", help="write beside this file and into its README too"
    )
    given = parser.parse_args()
    if given.steps < 1:
        parser.error(f"argument --steps: {given.steps}: must be at least 1")
    agent = given.out / AGENT
    if agent.exists() and not given.force:
        parser.error(
            f"argument --out: {agent} is there: name another folder, or replace it with --force"
        )
    try:
        check_writable(agent)
    except FolderError as error:
        parser.error(f"argument --out: {error}")
    began = time.process_time()
    model = train(given.steps)
    seconds = time.process_time() - began
    with atomic(agent) as stream:
        model.save(stream)
    print(f"{agent}: the agent, after {model.num_timesteps:,} steps")
    scores = evaluate(model)
    write(scores, model.num_timesteps, seconds, given.out)
    if given.publish:
        publish(scores, given.out)
    print(table(scores))


if __name__ == "__main__":
    main()
