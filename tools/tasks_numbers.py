"""What tools/reproduce_tasks.sh measured, taken over into docs/results/tasks.json; no program.

`tools/tasks_page.py --collect` calls it. A task in the file has `results`, evaluations by name
without their trials, `models`, what they were trained with, and `demo`, the live one. Each has a
`source`, and stays as it is where the folder has nothing newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
import json
from pathlib import Path
import re
from typing import Any

from lewm_model.config import load_yaml, PlanConfig

ROOT = Path(__file__).resolve().parents[1]
KEPT = ('model_id', 'loss', 'protocol', 'part', 'pairs', 'trainings', 'goal_offset', 'budget',
        'seed', 'planner_seeds', 'threads', 'backend', 'vary', 'late',
        'plan_seconds_median', 'plan_seconds_p95', 'efforts', 'scores', 'comparisons', 'choice')
KEPT_LIVE = ('episodes', 'successes', 'plan_ms', 'camera_to_command_ms', 'control_rate_hz',
             'plans', 'plans_late', 'commands', 'deadline_misses')
TRAINED = ('parameters', 'frame_px', 'episodes', 'steps', 'training_minutes')


def collect(doc: dict[str, Any], work: Path, shipped: Path = ROOT / 'models') -> None:
    """Take over into `doc` what shipped bundles say, then what a folder of the stages has."""
    for path in sorted(shipped.glob('*/bundle.yaml')):
        settings = load_yaml(path)
        _from_bundle(_task(doc, settings['task']), path.parent, settings)
    for folder in sorted(one for one in work.iterdir() if one.is_dir()):
        _from_stages(_task(doc, folder.name), folder)


def _from_bundle(task: dict[str, Any], folder: Path, settings: Mapping[str, Any]) -> None:
    """Take over what a shipped bundle was trained with, and how it was judged with --save."""
    source = f'models/{folder.name}/bundle.yaml'
    task['models'][folder.name] = _trained(settings, source)
    evaluation = settings['metrics'].get('evaluation')
    if evaluation:
        if 'efforts' not in evaluation:      # of an older version; operations need no clock
            evaluation = {**evaluation, 'efforts': count_efforts(folder, evaluation)}
        found = _kept(task, evaluation, source)
        task['results'][found['protocol'].replace('-', '_')] = found


def _from_stages(task: dict[str, Any], folder: Path) -> None:
    """Take over what the stages of one task have left in their folder."""
    # Copies of a model come last, so that it is called by its own name.
    for path in sorted([*folder.glob('*/bundle.yaml'), *folder.glob('rivals/*/bundle.yaml')],
                       key=lambda path: (not _own_run(path.parent), path)):
        model = _trained(load_yaml(path), _source(path))
        if model['model_id'] not in [one.get('model_id') for one in task['models'].values()]:
            task['models'][path.parent.name] = model
    for name, paths in _results(folder).items():
        found = read(paths[0]) if len(paths) == 1 else _pool(paths)
        task['results'][name] = _kept(task, found, _source(paths[-1]))
    for path in folder.glob('eval_ros/*/ros.json'):
        found = read(path)
        task['results']['ros'] = {**_kept(task, found, _source(path)),
                                  'live': _only(found['live'], KEPT_LIVE)}
    for path in folder.glob('live/summary.json'):
        task['demo'] = {'source': _source(path), **_only(read(path), KEPT_LIVE)}


def count_efforts(folder: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Count what a decision costs in an evaluation that does not say so, by its own settings."""
    from lewm_model.bundles.bundle import Bundle  # torch, which the page does not need
    from lewm_sim.evaluate.effort import count_effort

    plans = evaluation.get('plans') or {evaluation['scores'][0]['policy']: evaluation['plan']}
    bundle = Bundle.load(folder)
    return {name: count_effort(bundle, PlanConfig.from_dict(plan)).to_dict()
            for name, plan in plans.items()}


def _pool(paths: list[Path]) -> dict[str, Any]:
    from lewm_sim.evaluate.pool import pool
    return pool(paths)


def _task(doc: dict[str, Any], name: str) -> dict[str, Any]:
    return doc.setdefault(name, {'models': {}, 'results': {}})


def _trained(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what a model was trained with, and what its latents keep."""
    made = settings['provenance']
    return {'source': source, 'model_id': settings['weights_sha256'][:12], **_only(made, TRAINED),
            'latent_dim': settings['model']['latent_dim'],
            'terms': {key: value for key, value in made.items()
                      if (key.endswith('_weight') or key.endswith('_jitter')) and value},
            'probes': settings['metrics'].get('training', {}).get('probes', {})}


def _own_run(bundle: Path) -> bool:
    """Tell whether a bundle of the stages was trained, not copied."""
    return (bundle.parent / 'runs' / bundle.name).exists()


def _results(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each result; trainings that differ in their seed are one."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob('results/*.json')):
        seed = re.fullmatch(r'seed_\d+(.*)', path.stem)
        found.setdefault(f'seeds{seed[1]}' if seed else path.stem, []).append(path)
    for path in sorted(folder.glob('rivals/*.json')):
        if path.stem != 'table' and not path.stem.endswith('_choose'):
            found[f'rival_{path.stem}'] = [path]
    return found


def _kept(task: Mapping[str, Any], results: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return results without their trials and settings, with the names of their models."""
    names = {one.get('model_id'): name for name, one in task['models'].items()}
    bundle = ', '.join(names.get(one, one) for one in results['model_id'].split(' + '))
    return {'source': source, 'bundle': bundle, 'protocol': 'held-out', **_only(results, KEPT)}


def _only(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def read(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding='utf-8'))


def _source(path: Path) -> str:
    day = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).date()
    return f'tools/reproduce_tasks.sh, {day}'


def dump(value: Any, depth: int = 0) -> str:
    """Return JSON with one line for each mapping that has no other within it."""
    text = json.dumps(value, ensure_ascii=False)
    if '{' not in text[1:]:
        return text
    lines = [f'{json.dumps(key)}: {dump(one, depth + 1)}' for key, one in value.items()
             ] if isinstance(value, dict) else [dump(one, depth + 1) for one in value]
    pad = '\n' + ' ' * (depth + 1)
    return text[0] + pad + f',{pad}'.join(lines) + pad[:-1] + text[-1]
