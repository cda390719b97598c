"""Conversions keep what a set says, bit by bit, or leave nothing."""

import os
from pathlib import Path
import sys

import h5py
from lewm_model.data import repack as repack_module
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.repack import repack
from lewm_model.data.rows import ChunkedRows
from lewm_model.errors import DatasetError, MissingPackageError
from lewm_model.images.decode import resize_square
from lewm_model.robots.robot import RobotDescription
from lewm_sim.cli import main
import numpy as np
import pytest


@pytest.fixture
def source(tmp_path):
    """A chunked public set: odd columns, attributes, an index, neither names nor lengths."""
    rng = np.random.default_rng(0)
    path = tmp_path / 'public.h5'
    frames = rng.integers(0, 6, (60, 12, 10, 3)).astype(np.uint8) * 40
    with h5py.File(path, 'w') as file:
        file.create_dataset('pixels', data=frames, chunks=(1, 12, 10, 3))
        file.create_dataset('goal', data=frames[::-1], chunks=(5, 12, 10, 3), compression='gzip')
        file.create_dataset('action', data=rng.normal(size=(60, 2)), chunks=(1, 2))
        file['ep_idx'] = np.repeat([0, 1], [25, 35]).astype(np.int32)
        file['reward'] = rng.normal(size=60).astype(np.float16)
        file['text'] = ['word'] * 60
        file['seed'] = 7
        file['empty'] = h5py.Empty('f4')
        file['info/more'] = [1, 2]
        file['reward'].attrs['unit'] = 'none'
        file.attrs.update({'env': 'Reacher', 'image_size': 12, 'limits': [1., 2.]})
    return path


def assert_all_equal(old, new, *, but=()):
    """Every data set, attribute and type of `old` is in `new`."""
    for name in old:
        if isinstance(old[name], h5py.Group):
            assert_all_equal(old[name], new[name])
        elif name not in but:
            assert (old[name].shape, old[name].dtype) == (new[name].shape, new[name].dtype)
            if old[name].shape is not None:
                np.testing.assert_array_equal(old[name][()], new[name][()])
            assert dict(old[name].attrs) == dict(new[name].attrs)


def stored(path, name='pixels'):
    with h5py.File(path) as file:
        column = file[name]
        filters = column.id.get_create_plist()
        return column.chunks, [filters.get_filter(index)[0]
                               for index in range(filters.get_nfilters())]


@pytest.mark.parametrize('codec', ['gzip', 'blosc'])
def test_there_and_back_is_equal(source, tmp_path, codec):
    """Mapped, compressed and mapped again: each holds every bit of the public set."""
    if codec == 'blosc':
        pytest.importorskip('hdf5plugin')
    mapped, packed, again = (tmp_path / f'{name}.h5' for name in ('mapped', 'packed', 'again'))
    results = [repack(source, mapped), repack(mapped, packed, storage='compressed', codec=codec),
               repack(packed, again)]

    for path in (mapped, packed, again):
        with h5py.File(source) as old, h5py.File(path) as new:
            assert_all_equal(old, new)
            assert (new.attrs['env'], new.attrs['limits'].tolist()) == ('Reacher', [1, 2])
    assert stored(mapped) == stored(again) == stored(mapped, 'goal') == (None, [])
    assert stored(mapped, 'action') == (None, [])
    assert stored(packed) == ((1, 12, 10, 3), [1 if codec == 'gzip' else 32001])
    assert stored(packed, 'goal') == stored(packed)
    assert len({result.pixels_sha256 for result in results}) == 1
    assert results[1].source_bytes == mapped.stat().st_size
    assert packed.stat().st_size == results[1].out_bytes < 0.8 * results[1].source_bytes
    files = [EpisodeFile.open(path) for path in (source, mapped, packed, again)]
    assert len({file.ep_id for file in files}) == 1   # the split stays
    assert isinstance(files[0].pixels, ChunkedRows) and isinstance(files[1].pixels, np.ndarray)
    assert [file.ep_len.tolist() for file in files] == [[25, 35]] * 4


def test_frames_can_be_made_smaller(source, tmp_path):
    """Each frame is what the live robot would have seen at that size; names and rest stay."""
    result = repack(source, tmp_path / 'small.h5', image_size=6)
    old, new = EpisodeFile.open(source), EpisodeFile.open(tmp_path / 'small.h5')

    assert (result.rows, result.episodes, new.attributes['image_size']) == (60, 2, 6)
    for row in (0, 31, 59):
        np.testing.assert_array_equal(new.pixels[row], resize_square(old.pixels[row], 6))
    assert new.ep_id == old.ep_id
    np.testing.assert_array_equal(new.action, old.action)


def test_large_sets_are_copied_in_blocks(source, tmp_path, monkeypatch):
    """Memory holds a block of frames; borders between blocks lose and repeat nothing."""
    monkeypatch.setattr(repack_module, '_BLOCK_BYTES', 7 * 12 * 10 * 3)
    seen = []
    repack(source, tmp_path / 'out.h5', on_rows=lambda *where: seen.append(where))

    with h5py.File(source) as old, h5py.File(tmp_path / 'out.h5') as new:
        assert_all_equal(old, new)
    steps = [*range(7, 60, 7), 60]
    assert seen == [(phase, done, 60) for phase in ('copied', 'verified') for done in steps]


def test_an_interrupted_conversion_leaves_nothing_and_can_be_repeated(source, tmp_path):
    """At every phase; what killed runs of this machine left behind is cleared, others' is not."""
    for phase in ('copied', 'verified'):
        def interrupt(where, done, total, phase=phase):
            if where == phase:
                raise KeyboardInterrupt
        with pytest.raises(KeyboardInterrupt):
            repack(source, tmp_path / 'out.h5', on_rows=interrupt)
        assert list(tmp_path.iterdir()) == [source]
    host = os.uname().nodename
    names = [f'.out.h5.{host}.4194305.tmp',            # above every process number
             f'.out.h5.{host}.{os.getppid()}.tmp', '.out.h5.elsewhere.4194305.tmp']
    for name in names:
        (tmp_path / name).write_bytes(b'')
    repack(source, tmp_path / 'out.h5')
    assert {path.name for path in tmp_path.iterdir()} == {'public.h5', 'out.h5', *names[1:]}


@pytest.mark.parametrize('name', ['pixels', 'reward', 'text'])
def test_what_reads_back_differently_is_not_kept(source, tmp_path, monkeypatch, name):
    """A failing disk shows before the original is deleted; the message names the column."""
    def damage(file, *arguments, verify=repack_module._verify):
        with h5py.File(arguments[0], 'a') as written:
            value = written[name][40]
            written[name][40] = b'other' if name == 'text' else value + 1
        verify(file, *arguments)

    monkeypatch.setattr(repack_module, '_verify', damage)
    with pytest.raises(DatasetError, match=f'^{name} read back from the new file differ'):
        repack(source, tmp_path / 'out.h5')
    assert list(tmp_path.iterdir()) == [source]


def test_nothing_is_replaced_by_accident(source, tmp_path, monkeypatch):
    """Neither another file without --force, nor ever the source; space is looked at before."""
    out = tmp_path / 'out.h5'
    out.write_bytes(b'mine')
    with pytest.raises(DatasetError, match='out.h5 exists; choose another name'):
        repack(source, out)
    with pytest.raises(DatasetError, match='is the data set to convert'):
        repack(source, tmp_path / '..' / tmp_path.name / 'public.h5', force=True)
    assert out.read_bytes() == b'mine'
    repack(source, out, force=True)
    assert len(EpisodeFile.open(out)) == 60
    monkeypatch.setattr(repack_module, '_SPARE_BYTES', 1 << 60)
    with pytest.raises(DatasetError, match=r'new.h5 would need .* GB, .* has .* GB free'):
        repack(source, tmp_path / 'new.h5')
    for options, message in (({'storage': 'small'}, "'small'"), ({'codec': 'lzf'}, "'lzf'"),
                             ({'image_size': 0}, 'got 0')):
        with pytest.raises(DatasetError, match=message):
            repack(source, tmp_path / 'new.h5', **options)


def test_blosc_is_asked_for_by_its_package(source, tmp_path, monkeypatch):
    """No other codec is used instead in silence."""
    monkeypatch.setitem(sys.modules, 'hdf5plugin', None)
    with pytest.raises(MissingPackageError, match=r"'hdf5plugin'.*lewm_ros\[blosc\]"):
        repack(source, tmp_path / 'out.h5', storage='compressed', codec='blosc')
    assert list(tmp_path.iterdir()) == [source]


def test_the_robot_is_added_where_the_set_does_not_say_it(source, tmp_path):
    """The converted set trains without further options; facts of another robot are refused."""
    repack(source, tmp_path / 'out.h5', robot=RobotDescription.from_yaml('sim_reacher'),
           attributes={'convert_command': 'lewm convert-data'})
    facts = EpisodeFile.open(tmp_path / 'out.h5').attributes

    assert (facts['robot'], facts['control_dt_s']) == ('sim_reacher', 0.05)
    assert facts['action_names'] == ['shoulder', 'wrist']
    assert (facts['convert_command'], facts['converted_from']) == ('lewm convert-data',
                                                                   'public.h5')


def test_the_command_says_what_it_did(source, tmp_path, capsys, monkeypatch):
    """Sizes before and after, and the hash by which pixels were compared."""
    monkeypatch.chdir(tmp_path)
    assert main(['convert-data', 'public.h5', 'small.h5', '--storage', 'compressed']) == 0
    said = capsys.readouterr().out

    before, after = (Path(name).stat().st_size / 1e6 for name in ('public.h5', 'small.h5'))
    assert f'public.h5 ({before:.1f} MB) -> small.h5 ({after:.1f} MB, ' in said
    assert '60 rows in 2 episodes, read back and found equal; sha256 of the frames ' in said
    assert EpisodeFile.open('small.h5').attributes['convert_command'] == (
        'lewm convert-data public.h5 small.h5 --storage compressed')
    assert main(['convert-data', 'public.h5', 'small.h5', '--storage', 'mapped']) == 2
    assert 'small.h5 exists' in capsys.readouterr().err
