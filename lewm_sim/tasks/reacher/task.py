"""Two-link arm whose goal is a picture of its own pose, after DM-Control's reacher.

Kept from DM-Control: link lengths, joint limits, the `qpos_match` rule (every joint within
0.05 rad, no wrapping). Deviations: commands are joint velocities at 20 Hz instead of torques,
no target object, thicker and coloured links under a closer camera (see reacher.xml).
"""

from pathlib import Path

from lewm_sim.tasks.task import ornstein_uhlenbeck, Task
import numpy as np

MAX_SPEED = np.array([2.0, 2.0])   # [rad/s]
WRIST_RANGE = 2.7925               # 160 degrees [rad]
CONTROL_DT_S = 0.05


def make() -> Task:
    """Build the task."""
    return Task(
        name='reacher', robot='sim_reacher', joint_names=('shoulder', 'wrist'),
        control_dt_s=CONTROL_DT_S, min_command=-MAX_SPEED, max_command=MAX_SPEED,
        mjcf=Path(__file__).with_name('reacher.xml'), camera='top',
        tolerances=(0.05, 0.1, 0.15), sample_qpos=_sample_qpos, explore=_explore)


def _sample_qpos(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform([-np.pi, -WRIST_RANGE], [np.pi, WRIST_RANGE])


def _explore(rng: np.random.Generator, steps: int) -> np.ndarray:
    # 0.4 s: long enough that a block (0.25 s) nets real motion, short enough that every
    # episode turns around a few times.
    return ornstein_uhlenbeck(rng, steps, dt_s=CONTROL_DT_S, time_constant_s=0.4,
                              std=0.6 * MAX_SPEED, limit=MAX_SPEED)
