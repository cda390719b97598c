"""Frames and a goal in, action chunks out. The only room on the robot that needs torch."""

from lewm_model.base.idle_threads import let_idle_threads_sleep

let_idle_threads_sleep()   # before a module of this room imports torch
