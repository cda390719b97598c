"""Solvers by name."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError, ConfigError
from lewm_model.planning.cem import CemSolver
from lewm_model.planning.objectives import make_objective
from lewm_model.planning.prior_solver import PriorSolver
from lewm_model.planning.protocols import Dynamics, Solver
import torch


def make_solver(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> Solver:
    """Build the solver that `config.solver` names.

    Raises:
        ConfigError: If there is none of that name.
        BundleError: If it needs a prior and the bundle has none.
    """
    if config.solver not in SOLVERS:
        raise ConfigError(f'solver must be one of {", ".join(SOLVERS)}, got {config.solver!r}')
    return SOLVERS[config.solver](config, bundle, dynamics)


def _cem(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> CemSolver:
    sizes = bundle.model_config
    device = next(bundle.model.parameters()).device
    return CemSolver(
        config, dynamics, make_objective(config.cost), action_dim=sizes.action_dim,
        block_dim=sizes.block_dim, generator=torch.Generator(device).manual_seed(config.seed),
        bounds=tuple(bound.to(device) for bound in bundle.normalized_limits),
        start=_prior(config, bundle, dynamics) if config.initial == 'prior' else None)


def _prior(config: PlanConfig, bundle: Bundle, dynamics: Dynamics) -> PriorSolver:
    if bundle.prior is None:
        raise BundleError('the planner settings ask for a prior (solver: prior, or initial: '
                          'prior), but the bundle has none; add one with `lewm train-prior`, or '
                          'plan with solver: cem and initial: last')
    return PriorSolver(bundle.prior, dynamics, make_objective(config.cost), config.horizon)


SOLVERS: dict[str, Callable[[PlanConfig, Bundle, Dynamics], Solver]] = {
    'cem': _cem, 'prior': _prior}
