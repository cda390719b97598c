"""Simulated tasks, one folder each: facts, scene and code. No torch, no ROS."""

from lewm_sim.tasks.facts import TaskFacts, Tolerance
from lewm_sim.tasks.motions import Act, noisy, smooth, uniform
from lewm_sim.tasks.mujoco_task import MujocoTask
from lewm_sim.tasks.registry import load_task, task_names
from lewm_sim.tasks.task import Impossible, Outcome, Task

__all__ = ['Act', 'Impossible', 'MujocoTask', 'Outcome', 'Task', 'TaskFacts', 'Tolerance',
           'load_task', 'noisy', 'smooth', 'task_names', 'uniform']
