"""Simulated tasks: facts, scene and exploration, one file each. No torch, no ROS."""

from lewm_sim.tasks.registry import load_task, TASK_NAMES
from lewm_sim.tasks.task import Task

__all__ = ['TASK_NAMES', 'Task', 'load_task']
