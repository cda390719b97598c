"""Solvers by name."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.gradient import GradientSolver, ModelDynamics
from lewm_model.planning.graphed import GraphedSolver
from lewm_model.planning.objectives import make_objective
from lewm_model.planning.prior_solver import PriorSolver
from lewm_model.planning.protocols import Capturable, Dynamics, Solver
from lewm_model.planning.reactive import Answer, ReactiveSolver
from lewm_model.planning.route import Route
from lewm_model.planning.sampling import SamplingSolver
from lewm_model.planning.starts import FusedStart, MemorySolver
from lewm_model.types import Goal
import torch
from torch import nn, Tensor


def make_solver(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> Solver:
    """Build the solver that `config.solver` names.

    Raises:
        BundleError: If it needs a network beside the model that the bundle does not have.
    """
    objective = make_objective(config.cost, bundle.readout)
    if config.solver == 'prior':
        return _prior(config, bundle, dynamics)
    if config.solver in ('inverse', 'gcbc'):
        return _policy(config, bundle, dynamics)
    sizes = bundle.model_config
    device = next(bundle.model.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    candidates = Candidates(
        config, action_dim=sizes.action_dim, block_dim=sizes.block_dim, generator=generator,
        bounds=tuple(bound.to(device) for bound in _bounds(bundle)))
    start = _start(config, bundle, dynamics)
    if config.solver == 'gradient':
        return GradientSolver(config, ModelDynamics(bundle.model), objective, candidates, start)
    if config.fuse or config.recalled:
        fused = (FusedStart(_network(bundle, 'plan_prior', 'fuse: true'), config.horizon)
                 if config.fuse else None)
        memory = _network(bundle, 'memory', 'recalled') if config.recalled else None
        return SamplingSolver(config, dynamics, objective, candidates, start, fused=fused,
                              memory=memory)
    if isinstance(dynamics, Capturable):
        return GraphedSolver(config, dynamics.uncaptured, objective, candidates, generator, start)
    return SamplingSolver(config, dynamics, objective, candidates, start)


def make_route(config: PlanConfig, bundle: Bundle) -> Route | None:
    """Build what finds way-points, if the settings ask for it.

    Raises:
        BundleError: If the bundle does not know how far places are from each other.
    """
    if not config.way_points:
        return None
    return Route(_network(bundle, 'reach', 'way_points'), config.way_points)


def _bounds(bundle: Bundle) -> tuple[Tensor, Tensor]:
    """Return what the robot can do and the data has shown, each (A,) normalised.

    Beyond what was recorded the model only extrapolates, and a search finds its errors there.
    """
    low, high = bundle.normalized_limits
    support = bundle.provenance.get('action_support')
    if support is None:
        return low, high
    seen = [torch.from_numpy(bundle.action_normalizer.normalize(values)).to(low)
            for values in (support['low'], support['high'])]
    return torch.maximum(low, seen[0]), torch.minimum(high, seen[1])


def _start(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> Solver | None:
    if config.initial == 'memory':
        return MemorySolver(_network(bundle, 'memory', 'initial: memory'),
                            make_objective(config.cost, bundle.readout), config.horizon)
    return _prior(config, bundle, dynamics) if config.initial == 'prior' else None


def _policy(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> ReactiveSolver:
    if config.solver == 'gcbc':
        network = _network(bundle, 'gcbc', 'solver: gcbc')

        def answer(latents: Tensor, goals: Sequence[Goal], blocks_left: Tensor) -> Tensor:
            return network(latents, torch.stack([goal.latent for goal in goals]))
    else:
        answer = _in_time(bundle)
    return ReactiveSolver(answer, dynamics, make_objective(config.cost, bundle.readout),
                          config.horizon, arrival=bundle.plan_config.horizon)


def _in_time(bundle: Bundle) -> Answer:
    """Return what goes to frames, and to quantities by their own network where there is one."""
    prior = _network(bundle, 'prior', 'solver: inverse')
    aimed, readout = bundle.quantity_prior, bundle.readout
    if aimed is not None and (readout is None or not torch.equal(aimed.mean, readout.mean)):
        raise BundleError('the quantity_prior of the bundle was trained with another readout; '
                          'train it again with `lewm train-policy --kind quantity_prior`')

    def answer(latents: Tensor, goals: Sequence[Goal], blocks_left: Tensor) -> Tensor:
        steps = blocks_left * bundle.model_config.frameskip
        blocks = prior(latents, torch.stack([goal.latent for goal in goals]), steps)
        rows = [row for row, goal in enumerate(goals) if goal.target is not None]
        if aimed is not None and rows:
            targets = [goals[row].target for row in rows]
            blocks[rows] = aimed(
                latents[rows], readout(latents[rows]),
                torch.stack([one.columns for one in targets]),
                torch.stack([one.shares > 0 for one in targets]), steps[rows])
        return blocks
    return answer


def _network(bundle: Bundle, name: str, setting: str) -> nn.Module:
    network = getattr(bundle, name)
    if network is None:
        raise BundleError(f'the planner settings ({setting}) need the network {name!r}, which the '
                          f'bundle does not have; add it with `lewm train-policy --kind {name}`')
    return network


def _prior(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> PriorSolver:
    if bundle.prior is None:
        raise BundleError('the planner settings ask for a prior (solver: prior, or initial: '
                          'prior), but the bundle has none; add one with `lewm train-prior`, or '
                          'plan with solver: cem and initial: last')
    return PriorSolver(bundle.prior, dynamics, make_objective(config.cost, bundle.readout),
                       config.horizon)
