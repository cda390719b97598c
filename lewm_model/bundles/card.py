"""The page that ships beside the weights: what the model is, how it was made, what it can do.

Everything on it comes from the bundle itself, so it cannot claim what was not recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.questions import QUESTIONS
from lewm_model.bundles.weights import write_atomically
from lewm_model.errors import BundleError

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
        raise BundleError(f'cannot write {path}: {error}; the bundle itself is whole') from error
    return path


def render_card(bundle: Bundle, name: str) -> str:
    """Return the card as Markdown."""
    made, config = bundle.provenance, bundle.model_config
    lines = [
        f'# {name}', '',
        f'A LeWorldModel for task `{bundle.task}` on robot `{bundle.robot}`: '
        f'{made.get("parameters", 0):,} parameters, {config.image_size} px frames, '
        f'latent width {config.latent_dim}, actions {", ".join(bundle.action_names)} every '
        f'{bundle.control_dt_s * 1e3:.0f} ms in blocks of {config.frameskip}.', '',
        '## How it was made', '', '```bash', *made.get('commands', []), '```', '',
        *_table(('fact', 'value'), [(key.replace('_', ' '), value) for key, value in made.items()
                                    if not isinstance(value, (list, dict))])]
    training = bundle.metrics.get('training')
    if training:
        lines += ['## Health on held-out episodes at the end of training', '',
                  f'![training curves]({CURVES_FILE})', '',
                  *_table(('measure', 'value'),
                          [(key.replace('_', ' '), f'{value:.4g}')
                           for key, value in training.items() if not isinstance(value, dict)]
                          + [(f'probe R2 of {key}', f'{value:.3f}')
                             for key, value in training.get('probes', {}).items()])]
    evaluation = bundle.metrics.get('evaluation')
    if evaluation:
        lines += ['## Results', '', *evaluation_table(evaluation)]
    analysis = bundle.metrics.get('analysis')
    if analysis:
        lines += ['## What it knows', '', *analysis_table(analysis)]
    lines += ['## Planner', '', 'Recommended settings, used unless others are given:', '',
              *_table(('setting', 'value'), bundle.plan_config.to_dict().items())]
    return '\n'.join(lines)


def evaluation_table(evaluation: dict[str, Any]) -> list[str]:
    """Return the lines of a Markdown table of one evaluation."""
    def rate(row: dict[str, Any], key: str) -> str:
        low, high = row[f'{key}_interval']
        return f'{100 * row[key]:.0f} % ({100 * low:.0f}-{100 * high:.0f})'
    rows = [(row['policy'], _tolerance(row), rate(row, 'reached'),
             rate(row, 'final'), f'{100 * row["solved_at_start"]:.0f} %')
            for row in evaluation['scores']]
    return [f'{evaluation["pairs"]} held-out pairs {evaluation["goal_offset"]} control steps '
            f'apart, budget {evaluation["budget"]} steps, seed {evaluation["seed"]}; 95 % '
            f'intervals in brackets. "Reached" counts any step (the reference\'s rule), "at the '
            f'end" the last one.', '',
            *_table(('policy', 'tolerance', 'reached', 'at the end', 'solved at the start'), rows),
            f'One plan took {evaluation["plan_seconds_median"]:.3f} s (median) on '
            f'{evaluation["threads"]} CPU thread(s).', '']


def _tolerance(row: dict[str, Any]) -> str:
    """Return the tolerance of a score; bundles before there were units have radians."""
    return row['tolerance'] if 'tolerance' in row else f'{row["tolerance_rad"]:.2f} rad'


def analysis_table(analysis: dict[str, Any]) -> list[str]:
    """Return the lines of Markdown tables of what `lewm analyse --save` recorded."""
    rows = [(question, answer, _number(analysis[key]), paper)
            for key, (question, answer, paper) in QUESTIONS.items() if key in analysis]
    lines = ['From `lewm analyse` on held-out episodes; values of the paper for orientation, its '
             'tasks and models differ.', '',
             *_table(('question', 'answer', 'here', 'paper'), rows)]
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


def _table(header: tuple[str, ...], rows: Any) -> list[str]:
    return [f'| {" | ".join(header)} |', '|' + '---|' * len(header),
            *(f'| {" | ".join(str(cell) for cell in row)} |' for row in rows), '']
