"""The whole analysis on a tiny data set: parts, report, command, and what they refuse."""

from dataclasses import replace
from html.parser import HTMLParser
import json
import re
import sys

from episode_sets import episode, SQUARE_ROWS as ROWS, square_set, SQUARES, write_set
from lewm_model.analysis import paper, parts, sections
from lewm_model.analysis.grid import StateGrid
from lewm_model.analysis.parts import Size
from lewm_model.analysis.report import look_up, render_html, show, to_document
from lewm_model.analysis.run import analyse, subject_of
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.data.measured_states import Measured
from lewm_model.errors import BundleError, ConfigError, DatasetError, MissingPackageError
from lewm_model.held_out import HeldOut
from lewm_model.quantities import Quantity
from lewm_model.training.divide import list_trained
from lewm_sim import cli
from lewm_sim.commands.analyse import PARTS
from nano import tiny_bundle
import numpy as np
import pytest
import torch

SMALL = replace(Size.quick(), mlp_steps=5, projection_steps=5, decoder_steps=2)


@pytest.fixture(scope='module')
def data_path(tmp_path_factory):
    """Episodes of a bright square whose place follows two joints; actions count up."""
    return square_set(tmp_path_factory.mktemp('data') / 'square.h5', lambda number: (
        np.arange(ROWS * 2).reshape(ROWS, 2) + 1000 * number))


@pytest.fixture
def subject(data_path):
    return HeldOut(tiny_bundle(provenance={'validation_split': 0.3}), EpisodeFile.open(data_path))


def about():
    return {'bundle': 'square <nano>', 'model_id': 'abc', 'task': 'reacher', 'parameters': 12345,
            'latent_dim': 16, 'data': 'square.h5', 'episodes': 12, 'held_out_episodes': 4,
            'new_data': False, 'lewm_version': '0', 'created': 'today', 'quick': True,
            'robot': 'sim_reacher', 'commands': ['lewm train "a & b"']}


class Page(HTMLParser):
    """Collects every attribute that could refer to something, and the numbered cells."""

    def __init__(self, text):
        super().__init__()
        self.references, self.cells, self._key = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.references += [values[name] for name in ('src', 'href', 'srcset', 'data', 'action')
                            if name in values]
        if tag in ('link', 'script', 'iframe'):
            self.references.append(tag)
        if 'data-key' in values:
            self._key = values['data-key']
            self.cells[self._key] = ''

    def handle_data(self, data):
        if self._key:
            self.cells[self._key] += data

    def handle_endtag(self, tag):
        if tag == 'td':
            self._key = None


def test_the_report_is_one_file_with_the_numbers_of_the_json(subject):
    """Nothing is loaded from outside; every numbered cell shows what the JSON has there."""
    analysis = analyse(subject, SMALL, [
        name for name in PARTS if name not in ('surprise', 'grid')])   # they need a simulator
    document = json.loads(json.dumps(to_document(analysis, about()), allow_nan=False))
    text = render_html(document, analysis.pictures)
    page = Page(text)
    assert len(page.references) >= 5
    assert all(value.startswith('data:image/png;base64,iVBOR') for value in page.references)
    assert not re.search(r'https?://|url\(|@import', text)
    assert 'square &lt;nano&gt;' in text and 'a &amp; b' in text and 'QUICK RUN' in text
    assert len(page.cells) > 60
    for key, cell in page.cells.items():
        assert cell == show(look_up(document, key)), key
    assert {key.split('/')[0] for key in page.cells} == {*analysis.numbers, 'summary'}
    assert {'probes', 'horizon', 'distances'} < set(analysis.numbers)


def test_the_page_shows_the_rows_of_the_paper_and_the_json_has_them(subject):
    """Beside our probes, LeWM with PLDM and DINO-WM, cell by cell."""
    analysis = analyse(subject, SMALL, ['probes'])
    document = to_document(analysis, about())
    text = render_html(document, analysis.pictures)
    assert len(document['paper']['probes']) == len(paper.PROBES) > 20
    for row in document['paper']['probes']:
        assert '<tr>' + ''.join(f'<td class="paper">{cell}</td>'
                                for cell in row.values()) + '</tr>' in text
    told = {(row['quantity'], row['model']) for row in document['paper']['probes']}
    assert ('Cube gripper', 'LeWM') in told and ('Push-T block angle', 'PLDM') in told


def test_a_new_set_is_fitted_on_one_half_and_judged_on_the_other(data_path, tmp_path, capsys):
    """Whole, disjoint halves; without the option it is another set, and the page says which."""
    seen = write_set(tmp_path / 'seen.h5', map(episode, range(4)))
    bundle = tiny_bundle(provenance=list_trained(Fingerprint.of(seen), range(4)))
    data = EpisodeFile.open(data_path)
    with pytest.raises(DatasetError, match='is another set: .* or --new-data'):
        subject_of(bundle, data)
    subject = subject_of(bundle, data, new_data=True)
    whole = HeldOut(bundle, data, new_data=True)
    np.testing.assert_array_equal(subject.kept, whole.part('choose'))
    np.testing.assert_array_equal(subject.held_out, whole.part('report'))
    assert sorted([*subject.kept, *subject.held_out]) == list(range(SQUARES))
    probes = analyse(subject, replace(SMALL, fit_frames=10_000, score_frames=10_000),
                     ['probes']).numbers['probes']
    assert probes['fit_frames'] == len(subject.kept) * (ROWS - 10)
    assert probes['held_out_frames'] == len(subject.held_out) * (ROWS - 10)
    bundle.save(tmp_path / 'tiny')
    line = ['analyse', str(tmp_path / 'tiny'), '--data', str(data_path), '--quick', '--only',
            'straightness', '--out', str(tmp_path / 'report')]
    assert cli.main(line) == cli.USAGE_ERROR
    assert 'is another set' in capsys.readouterr().err
    assert cli.main([*line, '--new-data']) == 0
    assert (f'{SQUARES} episodes, all new to the model: readouts are fitted on '
            f'{len(subject.kept)} and everything is judged on the other {len(subject.held_out)}'
            ) in (tmp_path / 'report/analysis.html').read_text()


def test_a_square_that_shows_both_joints_is_read_better_than_chance(subject):
    """Even an untrained encoder carries where a bright square is; velocity is not in a frame."""
    analysis = analyse(subject, SMALL, ['probes'])
    scores = analysis.numbers['probes']['scores']
    assert scores['shoulder']['linear']['r'] > 0.5
    assert scores['shoulder velocity']['linear']['r'] < 0.5
    assert set(scores) == {
        'shoulder', 'wrist', 'shoulder velocity', 'wrist velocity',
        'shoulder velocity, 3 frames', 'wrist velocity, 3 frames'}


def test_the_simulator_is_asked_for_the_rows_that_are_probed_and_no_others(subject):
    """What it adds has a probe for each coordinate; a set of 100,000 rows is not simulated."""
    asked = []

    class Simulator:
        def positions(self, qpos):
            asked.append(len(qpos))
            return {'tip position': np.cos(qpos)}

    scores = analyse(subject, SMALL, ['probes'], simulator=Simulator()).numbers['probes']['scores']
    assert asked == [min(SMALL.fit_frames, len(subject.kept) * (ROWS - 10))
                     + min(SMALL.score_frames, len(subject.held_out) * (ROWS - 10))]
    assert {'tip position x', 'tip position y'} < set(scores)
    assert scores['tip position x']['kind'] == 'position'


def test_a_grid_is_shown_where_a_simulator_sets_one(subject):
    """Its number is in table, JSON and overview; without a simulator the part says what it needs.

    A bright square is where the state says, and its place is the latent: 1 for that map.
    """
    with pytest.raises(ConfigError, match='part grid needs a simulated task that names grids'):
        analyse(subject, SMALL, ['grid'])

    class Simulator:
        def grids(self, side, progress):
            places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)
            frames = np.full((side ** 2, 64, 64, 3), 40, np.uint8)
            for frame, (x, y) in zip(frames, 9 * places, strict=True):
                frame[y:y + 16, x:x + 16] = 220
            return [StateGrid(tuple(Measured(Quantity(name, 'position'), column[:, None])
                                    for name, column in zip('xy', places.T, strict=True)),
                              frames, left_out=3)]

    def place(frames):
        return torch.stack([torch.from_numpy((frames[..., 0] > 200).any(axis=axis)).int().argmax(
            dim=1) for axis in (1, 2)], dim=1).double()

    subject.encode = place
    analysis = analyse(subject, SMALL, ['grid'], simulator=Simulator())
    document = to_document(analysis, about())
    found = document['grid']['grids']['x and y']
    assert (found['states'], found['left_out']) == (SMALL.grid_side ** 2, 3)
    assert found['rank_r'] == document['summary']['grid_rank_r'] == pytest.approx(1, abs=1e-6)
    page = Page(render_html(document, analysis.pictures))
    assert page.cells['grid/grids/x and y/rank_r'] == show(found['rank_r'])
    assert len(page.references) == 1


def test_windows_pair_each_frame_with_the_block_leaving_it(subject):
    """Row t of every episode has action (2t, 2t+1): frame k's block starts at its own row."""
    windows = subject.held_out_windows(4, 1000, np.random.default_rng(0))
    assert len(windows.rows) == len(subject.held_out) * (ROWS - 15)
    steps = windows.rows % ROWS
    assert (np.diff(windows.rows, axis=1) == 5).all() and (np.diff(steps, axis=1) == 5).all()
    assert set(windows.rows[:, 0] // ROWS) == set(subject.held_out)
    first = windows.blocks[:, :, 0].numpy() % 1000     # the tiny bundle normalises by 1
    np.testing.assert_array_equal(first, 2 * steps[:, :-1])
    assert not set(subject.kept) & set(subject.held_out)


def test_what_does_not_fit_is_refused(subject, data_path):
    """No split, other actions, another rate, short episodes, unknown parts: each says the fix."""
    data = EpisodeFile.open(data_path)
    with pytest.raises(BundleError, match='no provenance.validation_split'):
        HeldOut(tiny_bundle(provenance={}), data)
    with pytest.raises(DatasetError, match='control step of 0.05 s, the bundle of 0.1 s'):
        HeldOut(tiny_bundle(control_dt_s=0.1), data)
    with pytest.raises(DatasetError, match='has the 46 rows of 10 frames 5 control steps apart'):
        subject.held_out_windows(10, 5, np.random.default_rng(0))
    with pytest.raises(ConfigError, match='no part probe; parts: probes, surprise'):
        analyse(subject, only=['probe'])


def test_a_folder_that_cannot_be_written_is_noticed_first(tmp_path, capsys):
    """A file in the way of --out costs no analysis."""
    (tmp_path / 'taken').write_text('')
    tiny_bundle().save(tmp_path / 'tiny')
    assert cli.main(['analyse', str(tmp_path / 'tiny'), '--data', 'no.h5', '--out',
                     str(tmp_path / 'taken')]) == cli.USAGE_ERROR
    assert 'cannot write a report to' in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named_at_once(subject, monkeypatch):
    """Not after minutes of work."""
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(MissingPackageError, match=r'pip install "lewm_ros\[train\]"'):
        analyse(subject, only=['decoder'])


def test_command_parts_and_sections_are_the_same_parts():
    """The command offers what exists, and the report has a section for each."""
    assert PARTS == tuple(parts.PARTS) == tuple(sections.SECTIONS)


def test_numbers_are_written_with_about_three_digits():
    """As the page shows them."""
    values = (0.99981, 0.01234, 36.67, 1234.5, -0.25, 0.0, 7, None, 2e-20)
    assert [show(value) for value in values] == [
        '1.000', '0.0123', '36.7', '1234', '-0.250', '0.0', '7', '–', '2.0e-20']


@pytest.mark.sim
def test_the_command_writes_the_report_and_saves_the_threshold(data_path, tmp_path, monkeypatch,
                                                               capsys):
    """`--save` adds `metrics: analysis:` to a bundle that is otherwise the same."""
    bundle = tiny_bundle(provenance={'validation_split': 0.3}, metrics={'training': {'a': 1}})
    bundle.save(tmp_path / 'tiny')
    before = Bundle.load(tmp_path / 'tiny')
    quick = Size.quick()
    monkeypatch.setattr(parts, 'Size', type('Small', (), {
        '__new__': lambda cls: quick, 'quick': lambda: quick}))
    command = ['analyse', str(tmp_path / 'tiny'), '--data', str(data_path), '--out',
               str(tmp_path / 'report'), '--only', 'surprise', 'straightness']
    assert cli.main([*command, '--quick', '--save']) == cli.USAGE_ERROR
    assert 'and not --quick' in capsys.readouterr().err
    assert cli.main([*command, '--save']) == 0
    document = json.loads((tmp_path / 'report/analysis.json').read_text())
    assert set(document) == {'about', 'summary', 'surprise', 'straightness', 'paper'}
    assert document['surprise']['trajectories'] == quick.trajectories
    after = Bundle.load(tmp_path / 'tiny')
    assert after.metrics['training'] == {'a': 1} and after.model_id == before.model_id
    assert after.metrics['analysis']['surprise'] == document['surprise']['calibration']
    assert after.metrics['analysis']['surprise']['threshold'] > 1
    assert 'share of teleports above nearly all ordinary surprise' in capsys.readouterr().out
    assert (tmp_path / 'report/analysis.html').stat().st_size > 20_000
