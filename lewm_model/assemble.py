"""Where model, engine and planner are put together: the one place that knows all three."""

from __future__ import annotations

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.choose import make_engine
from lewm_model.planning.policy import Policy


def make_policy(bundle: Bundle, plan_config: PlanConfig | None = None, *,
                backend: str = 'torch') -> Policy:
    """Build the engine called `backend` and the policy that plans with it.

    Args:
        bundle: The model and what belongs to it.
        plan_config: Planner settings; the bundle's recommendation when None.
        backend: A name, a name and a precision, or 'auto'; see `engines.choose.make_engine`.

    Raises:
        BundleError: If the bundle cannot plan with these settings.
        ConfigError: If there is no backend of that name.
        MissingPackageError: If the backend's package is not installed.
        EngineError: If it cannot run here or does not agree with the model.
    """
    config = plan_config or bundle.plan_config
    return Policy(bundle, make_engine(backend, bundle, config), config)
