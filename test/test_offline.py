"""The whole way without ROS, by its commands: collect, ingest, inspect, train, evaluate, goals."""

import json

from lewm_model import Bundle
from lewm_sim.cli import main
import pytest
import yaml

RECIPE = {
    'model': {'image_size': 64, 'patch_size': 32, 'encoder_dim': 24, 'encoder_depth': 1,
              'encoder_heads': 3, 'latent_dim': 16, 'projector_dim': 32, 'predictor_dim': 24,
              'predictor_depth': 1, 'predictor_heads': 2, 'predictor_head_dim': 8,
              'predictor_mlp_dim': 32, 'dropout': 0.0},
    'train': {'batch_size': 8, 'steps': 6, 'learning_rate': 1.0e-3, 'validate_every': 3,
              'sigreg_projections': 16, 'validation_split': 0.3, 'log_every': 2},
    'plan': {'horizon': 3, 'receding_horizon': 1, 'num_candidates': 8, 'num_elites': 2,
             'iterations': 1, 'noise': 'held', 'cost': 'all', 'clip': True}}


@pytest.mark.sim
def test_the_commands_lead_from_nothing_to_a_judged_bundle(tmp_path, monkeypatch, capsys):
    """Each command takes what the one before made; the bundle knows how it came about."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(RECIPE))
    for line in ('collect --episodes 12 --steps 40 --out bags/arm',
                 'ingest bags/arm --robot sim_reacher --out data/arm.h5',
                 'inspect data/arm.h5',
                 'train data/arm.h5 --config tiny.yaml --out models/arm',
                 'evaluate models/arm --data data/arm.h5 --episodes 2 --out result.json --save',
                 'goals models/arm --data data/arm.h5 --count 2'):
        assert main(line.split()) == 0, line
    bundle = Bundle.load('models/arm')
    assert (bundle.robot, bundle.task) == ('sim_reacher', 'reacher')
    assert bundle.action_names == ('shoulder', 'wrist')
    assert bundle.control_dt_s == 0.05
    assert bundle.provenance['steps'] == 6
    assert bundle.provenance['episodes'] == 12
    assert [line.split()[:2] for line in bundle.provenance['commands']] == [
        ['lewm', 'collect'], ['lewm', 'ingest'], ['lewm', 'train']]
    result = json.loads((tmp_path / 'result.json').read_text())
    assert result['pairs'] == 2
    assert {(row['policy'], row['tolerance']) for row in result['scores']} == {
        (policy, tolerance) for policy in ('planner', 'uniform', 'still', 'exploration')
        for tolerance in ('0.05 rad', '0.1 rad', '0.15 rad')}
    assert len(result['trials']['planner'][0]['errors']['wrist']) == 51
    card = (tmp_path / 'models' / 'arm' / 'README.md').read_text()
    assert '## Results' in card and 'curves.png' in card
    assert (tmp_path / 'models' / 'arm' / 'goals' / 'goal_01.png').stat().st_size > 100
    assert list((tmp_path / 'runs' / 'arm' / 'tensorboard').iterdir())
    # Judged with other settings, the bundle recommends those; the weights stay.
    (tmp_path / 'other.yaml').write_text(yaml.safe_dump({**RECIPE['plan'], 'iterations': 2}))
    again = 'evaluate models/arm --data data/arm.h5 --episodes 2 --plan other.yaml --save'
    assert main([*again.split(), '--recommend']) == 0
    other = Bundle.load('models/arm')
    assert (other.plan_config.iterations, other.model_id) == (2, bundle.model_id)
    assert other.metrics['evaluation']['plan']['iterations'] == 2
    assert '| iterations | 2 |' in (tmp_path / 'models' / 'arm' / 'README.md').read_text()
    # Once more: a finished run is not trained again, and says the same.
    capsys.readouterr()
    assert main(['train', 'data/arm.h5', '--config', 'tiny.yaml', '--out', 'models/arm']) == 0
    assert bundle.model_id in capsys.readouterr().out


@pytest.mark.parametrize(('line', 'message'), [
    ('train none.h5 --out models/x', 'none.h5'),
    ('evaluate nothing --data none.h5', "'nothing' is neither an existing path nor one of"),
    ('evaluate nothing --data none.h5 --plan cem --recommend', '--recommend needs --plan'),
    ('ingest none --robot sim_reacher --out x.h5', 'none'),
])
def test_a_wrong_argument_gives_one_clean_line(line, message, tmp_path, monkeypatch, capsys):
    """Exit status 2 and a message without a traceback."""
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error and 'Traceback' not in error
