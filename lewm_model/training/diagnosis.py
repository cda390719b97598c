"""Stop a run that cannot recover, with the reason; warn of one that may disappoint."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from lewm_model.config import TrainConfig
from lewm_model.errors import TrainingError

RISES = 0.05   # of R2 from one check to the next: more than two looks at one model differ


def diagnose(checks: Sequence[dict[str, Any]], config: TrainConfig, steps: int) -> str | None:
    """Judge a run by its latest health checks.

    Only checks after warm-up and `config.grace_steps` count, and only `config.unhealthy_checks`
    bad ones in a row stop a run. SIGReg has to be bad in training as well: with the running
    averages of BatchNorm (`norm_batches: 0`) held-out SIGReg alone was five times that of a full
    collapse in a perfectly healthy run.

    Args:
        checks: What was measured so far, oldest first, with its `step` and, as
            `training_sigreg`, SIGReg of that step; what an older checkpoint lacks is not judged.
        config: The run, with its thresholds.
        steps: Of the whole run.

    Returns:
        A warning about the newest check, or None.

    Raises:
        TrainingError: If the run should not go on.
    """
    start = max(config.warmup * steps, config.grace_steps)
    judged = [check for check in checks if check['step'] >= start]
    if not judged:
        return None
    recent = judged[-config.unhealthy_checks:] if config.unhealthy_checks else []
    if recent and len(recent) == config.unhealthy_checks:
        for symptom in (_collapsed, _not_gaussian, _blind):
            findings = [symptom(check, config) for check in recent]
            if all(findings):
                raise TrainingError(
                    f'stopped at step {recent[-1]["step"]}: {findings[-1]} It was so at the last '
                    f'{len(recent)} health checks (unhealthy_checks; 0 never stops a run). '
                    f'Earlier checkpoints are kept; other settings need another run folder.')
    return _lost(judged, config, steps)


def _collapsed(check: dict[str, Any], config: TrainConfig) -> str:
    if not check['latent_std'] < config.collapse_std:
        return ''
    return (f'the latents have collapsed: their standard deviation on held-out frames is '
            f'{check["latent_std"]:.3g}, below collapse_std={config.collapse_std} (healthy is 1), '
            f'so a small prediction error ({check["prediction"]:.2g}) means nothing. '
            f'{_against_collapse(config)}; a smaller learning_rate ({config.learning_rate:g}) '
            f'helps too.')


def _against_collapse(config: TrainConfig) -> str:
    if config.loss == 'pldm':
        return f'Raise pldm_std ({config.pldm_std:g}) and pldm_cov ({config.pldm_cov:g})'
    return (f'Raise sigreg_weight ({config.sigreg_weight:g}) or let `lewm train --search-lambda` '
            f'find it')


def _not_gaussian(check: dict[str, Any], config: TrainConfig) -> str:
    if config.loss != 'lewm':
        return ''      # nothing asks for a Gaussian
    limit = config.collapse_sigreg * config.batch_size
    training = check.get('training_sigreg', float('nan'))
    if not (check['sigreg'] > limit and training > limit):
        return ''
    return (f'the latents are nearly one point to SIGReg: it is {check["sigreg"]:.3g} on held-out '
            f'frames and {training:.3g} in training, above {limit:.3g} = collapse_sigreg x '
            f'batch_size (a single point has {0.402 * config.batch_size:.3g}, a Gaussian '
            f'1.05). Raise sigreg_weight ({config.sigreg_weight:g}) or lower '
            f'learning_rate ({config.learning_rate:g}).')


def _blind(check: dict[str, Any], config: TrainConfig) -> str:
    effect = check.get('action_effect', float('nan'))
    if not effect < config.blind_action_effect:
        return ''
    return (f'the predictor ignores the actions: giving it the actions of other clips changes its '
            f'prediction by {effect:.2g} of what moves in one step, below blind_action_effect='
            f'{config.blind_action_effect} (AdaLN gates: {check["gate_norm"]:.2g}, 0 at the '
            f'start), so nothing can be planned with it. Look with `lewm inspect` whether the '
            f'actions belong to the frames and whether they vary; if they do, raise '
            f'learning_rate ({config.learning_rate:g}).')


def _lost(judged: Sequence[dict[str, Any]], config: TrainConfig, steps: int) -> str | None:
    """Name the quantities that a linear readout does not find, and what helps."""
    check = judged[-1]
    probes = check.get('probes') or {}
    lost = {name: value for name, value in probes.items() if value < config.lost_probe}
    if not lost:
        return None
    before = (judged[-2].get('probes') or {}) if len(judged) > 1 else {}
    rising = [name for name, value in lost.items() if value > before.get(name, math.inf) + RISES]
    listed = ', '.join(f'{name} (R2 {value:.2f}{", rising" if name in rising else ""})'
                       for name, value in lost.items())
    said = (f'lost? {listed} can hardly be read out of the latents (lost_probe='
            f'{config.lost_probe:g})')
    if len(rising) == len(lost) and check['step'] < 0.5 * steps:
        return f'{said}; more steps may bring {"it" if len(lost) == 1 else "them"}'
    helps = ['let the part cover more of the picture (a crop, a nearer camera, larger parts)',
             'train on larger pictures (image_size)', 'take more steps']
    if config.loss == 'lewm':
        helps.append(f'another sigreg_weight ({config.sigreg_weight:g}; each keeps other parts)')
    if not config.decoder_weight:
        helps.insert(2, 'add the auxiliary decoder (decoder_weight 1; it is off)')
    return f'{said}. What has helped where it stayed so: {"; ".join(helps)}'
