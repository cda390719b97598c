"""Closed-loop success in simulation: protocols, pairs, trials in batches, honest statistics."""

from lewm_sim.evaluate.protocols import Protocol, protocol, PROTOCOLS
from lewm_sim.evaluate.run import evaluate, Settings

__all__ = ['PROTOCOLS', 'Protocol', 'Settings', 'evaluate', 'protocol']
