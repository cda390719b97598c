"""The page that ships beside the weights: what the model is, how it was made, what it can do.

Everything on it comes from the bundle itself, so it cannot claim what was not recorded.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.evaluation_table import evaluation_table, markdown_table
from lewm_model.bundles.networks import TRAINED
from lewm_model.bundles.questions import QUESTIONS
from lewm_model.bundles.weights import write_atomically
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError, without_path

CURVES_FILE = 'curves.png'
CARD_FILE = 'README.md'


def write_card(bundle: Bundle, folder: str | Path) -> Path:
    """Write `README.md` into the bundle's folder.

    Raises:
        BundleError: If it cannot be written; an older card stays.
    """
    path = Path(folder) / CARD_FILE
    try:
        write_atomically(path, render_card(bundle, Path(folder).name).encode())
    except OSError as error:
        raise BundleError(f'cannot write {path}: {without_path(error)}; the bundle itself is '
                          f'whole') from error
    return path


def render_card(bundle: Bundle, name: str) -> str:
    """Return the card as Markdown."""
    made, config = bundle.provenance, bundle.model_config
    lines = [
        f'# {name}', '',
        f'{kind_of(bundle)} for task `{bundle.task}` on robot `{bundle.robot}`: '
        f'{made.get("parameters", 0):,} parameters, {config.image_size} px frames, '
        f'latent width {config.latent_dim}, actions {", ".join(bundle.action_names)} every '
        f'{bundle.control_dt_s * 1e3:.0f} ms in blocks of {config.frameskip}.', '',
        '## How it was made', '', '```bash', *made.get('commands', []), '```', '',
        *markdown_table(('fact', 'value'), [
            (key.replace('_', ' '), value) for key, value in made.items()
            if not isinstance(value, (list, dict)) and key != 'trained_on'])]
    training = bundle.metrics.get('training')
    if training:
        lines += ['## Health on held-out episodes at the end of training', '',
                  f'![training curves]({CURVES_FILE})', '',
                  *markdown_table(('measure', 'value'),
                          [(key.replace('_', ' '), f'{value:.4g}')
                           for key, value in training.items()
                           # NaN: of straightness without three frames in a clip, for one
                           if not isinstance(value, dict) and not math.isnan(value)]
                          + [(f'probe R2 of {key}', f'{value:.3f}')
                             for key, value in training.get('probes', {}).items()])]
    lines += _networks(bundle) + _readout(bundle) + _decoder(bundle) + _ordinary(bundle)
    evaluation = bundle.metrics.get('evaluation')
    if evaluation:
        lines += ['## Results', '', *evaluation_table(evaluation)]
    analysis = bundle.metrics.get('analysis')
    if analysis:
        lines += ['## What it knows', '', *analysis_table(analysis)]
    # Only what differs: an option that a later version adds must not make a card untrue.
    usual = PlanConfig().to_dict()
    lines += ['## Planner', '', 'Recommended settings, used unless others are given; what is not '
              'listed has its default:', '', *markdown_table(('setting', 'value'), (
                  (name, value) for name, value in bundle.plan_config.to_dict().items()
                  if value != usual[name]))]
    return '\n'.join(lines)


def kind_of(bundle: Bundle) -> str:
    """Say what was trained, so that nobody takes a model to compare with for a LeWorldModel."""
    loss = bundle.provenance.get('loss', 'lewm')
    return {'lewm': 'A LeWorldModel', 'pldm': "A world model of LeWM's parts, trained with the "
            'objective of **PLDM** to compare with (no LeWorldModel),',
            'prediction': 'A world model on the tokens of a **frozen ImageNet CNN '
            '(DINO-WM-like)**, to compare with (no LeWorldModel),'}.get(
                loss, f'A world model trained with loss {loss!r}')


def _networks(bundle: Bundle) -> list[str]:
    """Return the lines of what `lewm train-policy` added."""
    rows = []
    for name in TRAINED:
        if getattr(bundle, name) is not None:
            made = bundle.metrics.get(name, {})
            errors = made.get('held_out_error', {}).items()
            rows.append((f'`{name}`', f'{made.get("parameters", 0):,}', ', '.join(
                f'{100 * error:.0f} % ({offset} steps on)' for offset, error in errors) or '–'))
    return [] if not rows else ['## Beside the model', '', *markdown_table(
        ('from `lewm train-policy`', 'numbers', 'error of its blocks, held out, of what zeros '
         'would have'), rows)]


def _readout(bundle: Bundle) -> list[str]:
    """Return the lines of what a goal without a picture may name."""
    if bundle.readout is None:
        return []
    return ['## Goals without a picture', '', 'A goal may name these quantities, which are read '
            'from latents; how exactly was measured on held-out frames.', '',
            *markdown_table(('quantity', 'of', 'error, root mean square', '95 % within',
                             'training had'), (
                (f'`{one.name}` ({one.kind})', one.of or '–',
                 f'{_number(one.read_error)} {one.unit}'.strip(),
                 f'{_number(one.read_error_95)} {one.unit}'.strip(),
                 f'{_number(one.low)} to {_number(one.high)}')
                for one in bundle.readout.readable))]


def _decoder(bundle: Bundle) -> list[str]:
    """Return the lines of how well latents are painted for people."""
    made = bundle.metrics.get('decoder', {})
    if bundle.decoder is None or 'pixel_error' not in made:
        return []
    rows = [('frames that were seen', '')]
    if 'imagined_blocks' in made:
        rows.append((f'frames imagined {made["imagined_blocks"]} blocks ahead', 'imagined_'))
    return ['## Pictures of latents', '', f'The decoder paints {made["pixels"]} x '
            f'{made["pixels"]} px for people; nothing acts on it. Errors of pixels in [0, 1] on '
            f'held-out episodes.', '',
            *markdown_table(('painted', 'error, root mean square', 'share of the variance about '
                             'the mean picture explained'), (
                (what, _number(made[f'{key}pixel_error']), _number(made[f'{key}explained']))
                for what, key in rows))]


def _ordinary(bundle: Bundle) -> list[str]:
    """Return the lines of what `lewm calibrate` added."""
    if bundle.ordinary is None:
        return []
    found = bundle.ordinary.config
    return ['## What is ordinary', '', *markdown_table(('from `lewm calibrate`', 'value'), (
        (f'predictions judged, in {found.episodes} held-out episodes', f'{found.frames}'),
        ('their mean squared error', _number(found.mean_error)),
        (f'highest surprise of an episode, {found.surprise_quantile:g} quantile, 95 % interval',
         f'{_number(found.surprise_low)} to {_number(found.surprise_high)}'),
        ('surprise that the planner acts on', _number(found.surprise_limit)),
        ('training pictures kept, to compare views with', f'{found.pictures}'),
        ('a view is unfamiliar above so many times the usual distance to the nearest',
         _number(found.view_limit))))]


def analysis_table(analysis: dict[str, Any]) -> list[str]:
    """Return the lines of Markdown tables of what `lewm analyse --save` recorded."""
    rows = [(question, answer, _number(analysis[key]), paper)
            for key, (question, answer, paper) in QUESTIONS.items() if key in analysis]
    lines = ['From `lewm analyse` on held-out episodes; values of the paper for orientation, its '
             'tasks and models differ.', '',
             *markdown_table(('question', 'answer', 'here', 'paper'), rows)]
    surprise = analysis.get('surprise')
    if surprise:
        lines += [f'The {surprise["quantile"]:g} quantile of ordinary surprise is '
                  f'{_number(surprise["threshold"])}, over {surprise["samples"]} steps of '
                  f'held-out episodes, in units of their mean squared error '
                  f'{_number(surprise["mean_error"])}. Nothing acts on it.', '']
    return lines


def _number(value: Any) -> str:
    """Write about three digits; a dash for what was not measured."""
    if value is None:
        return '–'
    return f'{value:.3g}' if isinstance(value, float) else str(value)
