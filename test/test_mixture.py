"""Mixtures of data policies: stated shares, drawn by seed, recorded with bags and data sets."""

import json
from pathlib import Path

from lewm_model.bags.bag import Bag
from lewm_model.config import DataConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError
from lewm_model.ingest.ingest import ingest
from lewm_model.recordings.streams import read_streams
from lewm_sim.mixture import Mixture
import pytest

KNOWN = ('expert', 'noisy_expert', 'random')
TEXT = 'expert:0.5,noisy_expert:0.3, random:0.2'


def test_shares_are_kept_and_episodes_are_drawn_apart():
    """2000 episodes: each share within 3 points; who acts depends on seed and index alone."""
    mixture = Mixture.parse(TEXT, KNOWN)
    counts = mixture.counts(3, range(2000))
    for name, share in mixture.shares:
        assert counts[name] / 2000 == pytest.approx(share, abs=0.03)
    first = [mixture.acting(3, index) for index in range(50)]
    assert first == [mixture.acting(3, index) for index in range(50)]
    assert first != [mixture.acting(4, index) for index in range(50)]


def test_one_policy_alone_is_a_mixture():
    """As before there were mixtures."""
    assert Mixture.parse('random', KNOWN).counts(0, range(9)) == {'random': 9}


@pytest.mark.parametrize(('text', 'words'), [
    ('expert:0.5,oracle:0.5', "there is no policy 'oracle'; there are expert, noisy_expert, ran"),
    ('expert:0.5,random:0.4', 'adds up to 0.9'),
    ('expert:0.5,expert:0.5', 'names every policy once'),
    ('expert,random', 'adds up to 2'),
    ('expert:half,random:0.5', r"a share is a number in \(0, 1\], got 'half'"),
    ('expert:0,random:1', r"a share is a number in \(0, 1\], got '0'"),
    ('expert:nan,random:0.5', "got 'nan'"),
    ('', "there is no policy ''"),
])
def test_what_is_no_mixture_is_refused(text, words):
    """The message says what is wrong, and what there is."""
    with pytest.raises(ConfigError, match=words):
        Mixture.parse(text, KNOWN)


@pytest.mark.sim
def test_bags_and_data_sets_say_who_acted(tmp_path, monkeypatch):
    """The mark of each bag names its policy; the set counts them, also when it is extended."""
    pytest.importorskip('mujoco')
    from lewm_sim.collect import collect, CollectConfig
    from lewm_sim.tasks import load_task

    monkeypatch.setenv('LEWM_TASKS', str(Path(__file__).parent / 'own_tasks'))
    config = CollectConfig(task='pusher', steps=24, image_size=32,
                           policy='random:0.5,expert:0.5')
    robot, out = load_task('pusher').robot, tmp_path / 'set.h5'
    for episodes in (4, 8):
        collect(config, episodes, tmp_path / 'bags')
        ingest([tmp_path / 'bags'], robot, out,
               DataConfig(image_size=32, control_dt_s=robot.control_dt_s))
        counts = config.mixture().counts(config.seed, range(episodes))
        assert min(counts.values()) > 0, 'choose another seed'
        said = EpisodeFile.open(out).attributes['acting']
        assert said == f'expert {counts["expert"]}, random {counts["random"]}'
    report = json.loads(Path(f'{out}.report.json').read_text())
    assert report['acting'] == counts
    with Bag(tmp_path / 'bags' / 'episode_000003') as bag:
        assert read_streams(bag, robot).acting == (config.mixture().acting(0, 3),)
    assert config.to_dict()['policy'] == 'random:0.5,expert:0.5'
