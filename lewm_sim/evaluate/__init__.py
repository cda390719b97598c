"""Closed-loop success in simulation: protocols, pairs, trials in batches, honest statistics."""

from lewm_sim.evaluate.exam import Exam, set_exam, Settings
from lewm_sim.evaluate.protocols import Protocol, protocol, PROTOCOLS
from lewm_sim.evaluate.run import evaluate

__all__ = ['Exam', 'PROTOCOLS', 'Protocol', 'Settings', 'evaluate', 'protocol', 'set_exam']
