"""What the report says: one section per part, and the summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lewm_model.analysis.paper import PROBES, STRAIGHTNESS
from lewm_model.bundles.questions import QUESTIONS

Cell = str
Table = tuple[str, list[str], list[list[Cell]]]     # caption, header, rows


class Key(str):
    """A cell that shows the number at this path of the JSON."""


class Published(str):
    """A cell with a value of the paper."""


@dataclass(frozen=True)
class Section:
    """One part of the report."""

    title: str
    text: str
    tables: Callable[[dict[str, Any]], list[Table]]


GLANCE = ('At a glance', ['question', 'answer', 'here', 'paper'])


def describe(about: dict[str, Any]) -> str:
    """Say in a sentence what was analysed."""
    judged = about['held_out_episodes']
    division = (f'all new to the model: readouts are fitted on {about["episodes"] - judged} and '
                f'everything is judged on the other {judged}' if about['new_data'] else
                f'{judged} of them held out')
    return (f'Model {about["model_id"]} for task "{about["task"]}", {about["parameters"]:,} '
            f'parameters, latent width {about["latent_dim"]}. Data: {about["data"]}, '
            f'{about["episodes"]} episodes, {division}. '
            f'lewm_ros {about["lewm_version"]}, {about["created"]}.'
            + (' QUICK RUN: the numbers only show that everything works.' * about['quick']))


def summarise(numbers: dict[str, Any]) -> dict[str, Any]:
    """Pick the numbers of the overview; keys of parts that did not run are left out."""
    found: dict[str, Any] = {}
    if 'probes' in numbers:
        scores = numbers['probes']['scores']
        still = [entry for entry in scores.values() if entry['kind'] != 'velocity']
        moving = [entry for entry in scores.values() if entry['kind'] == 'velocity']
        one = [entry for entry in moving if entry['frames'] == 1]
        several = [entry for entry in moving if entry['frames'] > 1]
        if still:
            found['state_r_linear_worst'] = min(entry['linear']['r'] for entry in still)
            found['state_r_mlp_worst'] = min(entry['mlp']['r'] for entry in still)
        if one:
            found['velocity_r_one_frame'] = max(entry['mlp']['r'] for entry in one)
        if several:
            found['velocity_r_several_frames'] = min(entry['mlp']['r'] for entry in several)
    versions = numbers.get('surprise', {}).get('versions')
    if versions:
        for name in (one for one in ('teleport', 'colour') if one in versions):
            found[f'{name}_surprise'] = versions[name]['surprise']
            found[f'{name}_p'] = versions[name]['p']
        if 'teleport' in versions:
            found['teleport_alarms'] = versions['teleport']['above_threshold']
    if 'straightness' in numbers:
        found['straightness'] = numbers['straightness']['latents']
    if 'horizon' in numbers:
        found['useful_seconds'] = numbers['horizon']['block_s'] * min(
            entry['useful_blocks'] for entry in numbers['horizon']['contexts'].values())
    if 'distances' in numbers:
        shares = [entry['flat_from'] / entry['examined_to']
                  for entry in numbers['distances']['quantities'].values()
                  if entry['flat_from'] is not None]
        found['flat_from_share'] = min(shares, default=None)
    if 'projection' in numbers:
        found['components_for_95'] = numbers['projection']['components_for_95']
    if 'grid' in numbers:
        found['grid_rank_r'] = min(entry['rank_r'] for entry in numbers['grid']['grids'].values())
    if 'decoder' in numbers:
        found['decoder_explained'] = numbers['decoder']['explained_variance']
    return found


def glance_rows(document: dict[str, Any]) -> list[list[Cell]]:
    """Return the overview, as far as it was measured."""
    return [[question, answer, Key(f'summary/{key}'), Published(paper)]
            for key, (question, answer, paper) in QUESTIONS.items() if key in document['summary']]


def _probes(part: dict[str, Any]) -> list[Table]:
    kinds = [(kind, value) for kind in ('linear', 'mlp') for value in ('mse', 'mse_std', 'r')]
    header = ['quantity', 'linear MSE', '± std', 'r', 'MLP MSE', '± std', 'r']
    rows = [[name, *(Key(f'probes/scores/{name}/{kind}/{value}') for kind, value in kinds)]
            for name in part['scores']]
    paper = [[Published(cell) for cell in row] for row in PROBES]
    return [(f'Fitted on {part["fit_frames"]} frames, scored on {part["held_out_frames"]} frames '
             f'of held-out episodes', header, rows),
            ('The paper', ['quantity', 'model', 'linear MSE', 'r', 'MLP MSE', 'r'], paper)]


def _surprise(part: dict[str, Any]) -> list[Table]:
    place = 'surprise/calibration'
    tables = [('Calibration on held-out episodes', ['what', 'value'], [
        ['mean squared one-step error (surprise 1)', Key(f'{place}/mean_error')],
        ['a high quantile of ordinary surprise', Key(f'{place}/threshold')],
        ['which quantile that is', Key(f'{place}/quantile')],
        ['frames', Key(f'{place}/samples')]])]
    if 'versions' in part:
        rows = []
        for name, entry in part['versions'].items():
            base = f'surprise/versions/{name}'
            tested = ([Key(f'{base}/{key}') for key in ('t', 'p')] if 't' in entry else ['', ''])
            rows.append([name, entry['description'], Key(f'{base}/surprise'),
                         Key(f'{base}/above_threshold'), *tested])
        tables.append((f'At frame {part["perturbed_frame"]} of {part["trajectories"]} simulated '
                       'trajectories; paired t-test against "unperturbed", two-sided',
                       ['version', 'what happens', 'surprise', 'share above that quantile', 't',
                        'p'], rows))
    return tables


def _straightness(part: dict[str, Any]) -> list[Table]:
    names = {'latents': 'latents', 'pixels': 'raw pixels',
             'states': 'measured states (the motion)'}
    rows = [[label, Key(f'straightness/{key}')] for key, label in names.items() if key in part]
    tables = [('Mean cosine of consecutive velocities, held-out episodes',
               ['of', 'straightness'],
               [*rows, *([Published(f'paper: {model}'), Published(value)]
                         for model, value in STRAIGHTNESS)])]
    if part.get('over_training'):
        tables.append(('Checkpoints that the run kept', ['optimiser step', 'straightness'], [
            [Key(f'straightness/over_training/{number}/{key}')
             for key in ('step', 'straightness')]
            for number in range(len(part['over_training']))]))
    return tables


def _horizon(part: dict[str, Any]) -> list[Table]:
    return [(f'Mean squared latent error, {name}; imagining beats copying up to '
             f'{entry["useful_blocks"]} blocks of {part["block_s"]:.2f} s',
             ['blocks ahead', *map(str, range(1, len(entry['imagined']) + 1))],
             [[label, *(Key(f'horizon/contexts/{name}/{key}/{number}')
                        for number in range(len(entry[key])))]
              for key, label in (('imagined', 'imagined'), ('copied', 'nothing moves'))])
            for name, entry in part['contexts'].items()]


def _distances(part: dict[str, Any]) -> list[Table]:
    return [('Where the cost becomes flat', ['quantity', 'unit', 'pairs', 'flat from',
                                             'examined up to'],
             [[name, *(Key(f'distances/quantities/{name}/{key}')
                       for key in ('unit', 'pairs', 'flat_from', 'examined_to'))]
              for name in part['quantities']])]


def _projection(part: dict[str, Any]) -> list[Table]:
    return [('Principal components', ['what', 'value'], [
        ['variance in the first three', Key('projection/variance_of_3')],
        ['components for 95 % of the variance', Key('projection/components_for_95')],
        ['latent width', Key('projection/latent_dim')]])]


def _grid(part: dict[str, Any]) -> list[Table]:
    keys = ('states', 'left_out', 'rank_r')
    return [(f'{part["side"]} x {part["side"]} states over two quantities each',
             ['grid over', 'states', 'left out, as they cannot be', 'rank correlation'],
             [[name, *(Key(f'grid/grids/{name}/{key}') for key in keys)]
              for name in part['grids']])]


def _decoder(part: dict[str, Any]) -> list[Table]:
    return [('Held-out pictures', ['what', 'value'], [
        ['mean squared pixel error (pixels in [0, 1])', Key('decoder/held_out_mse')],
        ['share of pixel variance explained', Key('decoder/explained_variance')]])]


SECTIONS = {
    'probes': Section(
        'Probes: what can be read from a latent',
        'Readouts of each quantity, fitted on frozen latents. Mean squared errors are of '
        'standardised targets: 0 is perfect, 1 means the quantity is not there. Velocity is the '
        'control: a single picture does not show it, several latents in a row should.', _probes),
    'surprise': Section(
        'Violation of expectation',
        'Surprise is the squared error of a predicted latent, relative to its mean on held-out '
        'episodes. A robot that jumps violates what the model has learnt about motion; the paper '
        'finds that this surprises far more than a change of colour.', _surprise),
    'straightness': Section(
        'Temporal straightness',
        'How straight the path of latents is, at model-step spacing. No loss term asks for it. '
        'The motion itself turns around, so the measured states give the value that a perfect map '
        'of them would have.', _straightness),
    'horizon': Section(
        'How far ahead it can imagine',
        'The predictor runs on its own predictions with the recorded actions. Copying the newest '
        'frame is what a model must beat; unrelated frames are what knowing nothing costs.',
        _horizon),
    'distances': Section(
        'Latent distance against physical distance',
        'The planner follows squared latent distance to the goal. Pairs of held-out frames that '
        'differ in one quantity only (every other within 1.5 bins; a bin is 0.1 rad, or 1/30 of '
        'what occurs) show how far it leads. Rule: flat from the smallest distance from which '
        'the median climbs to no later point (3 bins away or more) at over 10 % of its steepest '
        'slope; a dash means that it rises to the end. What follows from others, as the place of '
        'a tip from the joints, has no row.',
        _distances),
    'projection': Section(
        'The latent space on paper',
        'PCA and t-SNE of held-out latents. Colour that changes smoothly along a shape means that '
        'the quantity is laid out along it.', _projection),
    'grid': Section(
        'A grid of states',
        'The simulator is put into states that differ in two quantities, evenly, and t-SNE lays '
        'out the latents of their pictures: a sheet that is not torn or folded, with both colours '
        'smooth, is a map of the two. The number is the rank correlation (Spearman) of latent '
        'distances with those in the grid, each axis as a share of its length: 1 if farther '
        'apart is always farther apart, also across the whole grid.', _grid),
    'decoder': Section(
        'What a latent shows',
        'A small decoder, trained on frozen latents for these pictures only; the model never sees '
        "it. Blur is the decoder's uncertainty as much as the latent's.", _decoder),
}
