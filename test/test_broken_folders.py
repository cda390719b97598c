"""Bag folders whose metadata.yaml, splits or links are not as they should be.

docs/bags.md quotes these tests.
"""

import hashlib
import os
from pathlib import Path
import re
import shutil
import tempfile

from bag_factory import BagFactory
from lewm_model.bags import unpack
from lewm_model.bags.bag import Bag, find_bags
from lewm_model.errors import BagError
import mcap_builder
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin
import yaml

PARTS = [BagFactory().steps(4, first=4 * part) for part in range(3)]
SERIALIZED = [part.serialized() for part in PARTS]
TRUE = [(topic, time_ns, raw) for part in SERIALIZED for topic, _, time_ns, raw in part]
NAMES = [f'bag_{part}.mcap' for part in range(3)]


def splits(path: Path, *, metadata: dict | None = None, **changes) -> Path:
    """Write a bag of three splits; `changes` replace keys of its metadata, None removes them."""
    path.mkdir()
    for name, part in zip(NAMES, SERIALIZED, strict=True):
        (path / name).write_bytes(mcap_builder.build(part))
    information = {
        'version': 9, 'storage_identifier': 'mcap', 'relative_file_paths': NAMES,
        'message_count': len(TRUE), 'compression_format': '', 'compression_mode': '',
        'duration': {'nanoseconds': 1}, 'starting_time': {'nanoseconds_since_epoch': 1},
        'topics_with_message_count': [], 'files': [], 'custom_data': None,
        'ros_distro': 'kilted', **changes}
    information = {key: value for key, value in information.items() if value is not None}
    write_metadata(path, {'rosbag2_bagfile_information': information})
    return path


def write_metadata(path: Path, contents: object) -> None:
    (path / 'metadata.yaml').write_text(yaml.safe_dump(contents), encoding='utf-8')


def read(path: Path) -> tuple[list, tuple[str, ...]]:
    with Bag(path) as bag:
        messages = [(topic, time_ns, bytes(raw)) for topic, time_ns, raw in bag.raw_messages()]
        return messages, bag.notes


def test_splits_are_read_in_order_and_counted_together(tmp_path):
    """One iterator over all files; a single file can be read by itself."""
    path = splits(tmp_path / 'bag')
    assert read(path) == (TRUE, ())
    with Bag(path) as bag:
        assert sum(topic.count for topic in bag.topics) == len(TRUE)
        assert len(bag.topics) == 3
    messages, notes = read(path / NAMES[1])
    assert [raw for _, _, raw in messages] == [raw for _, _, _, raw in SERIALIZED[1]]
    assert notes == ()
    assert find_bags([path / NAMES[1], path]) == [path / NAMES[1], path]


@pytest.mark.parametrize('version', range(1, 10))
def test_every_metadata_version_is_read(tmp_path, version):
    """Keys that came later are missing, and up to version 3 paths name the folder."""
    since = {3: ('compression_format', 'compression_mode'), 5: ('files',), 6: ('custom_data',),
             8: ('ros_distro',)}
    absent = {key: None for first, keys in since.items() if version < first for key in keys}
    prefix = 'name_then/' if version < 4 else ''
    path = splits(tmp_path / 'bag', version=version, **absent,
                  relative_file_paths=[prefix + name for name in NAMES])
    assert read(path) == (TRUE, ())


@pytest.mark.parametrize(('changes', 'note'), [
    ({'version': 12, 'novelty': [1]}, 'version 12, newer than 9'),
    ({'storage_identifier': ''}, None),
    ({'storage_identifier': 'sqlite3'}, None),
    ({'version': None, 'duration': None, 'topics_with_message_count': None}, None),
    ({'message_count': 7}, f'metadata.yaml counts 7 messages, the files have {len(TRUE)}'),
    ({'relative_file_paths': NAMES[:2]}, 'bag_2.mcap: is not listed in metadata.yaml; read all'),
    ({'relative_file_paths': [*NAMES, 'bag_3.mcap']}, 'bag_3.mcap: is listed in metadata.yaml but '
                                                      'is not there'),
    ({'relative_file_paths': [*NAMES, NAMES[0]]}, 'bag_0.mcap: is listed twice'),
    ({'relative_file_paths': [*NAMES, 5, '']}, 'lists a int, which is no file name'),
    ({'relative_file_paths': [*NAMES, 'notes.txt']}, "lists 'notes.txt', which is no .mcap"),
    ({'relative_file_paths': 'bag_0.mcap'}, 'bag_0.mcap: is not listed'),
    ({'relative_file_paths': None}, 'bag_0.mcap: is not listed'),
])
def test_files_are_trusted_over_metadata(tmp_path, changes, note):
    """Whatever metadata.yaml says, every message of every split is read, and once."""
    messages, notes = read(splits(tmp_path / 'bag', **changes))
    assert messages == TRUE
    assert notes == () if note is None else any(note in text for text in notes)


@pytest.mark.parametrize('contents', [
    b'', b'{', b'\xff\xfe\0', b'a: &a [*a]', b'- 1', b'rosbag2_bagfile_information: 5',
    b'!!python/object/apply:os.system ["touch /tmp/lewm_was_here"]', b'[' * 5000, None])
def test_without_usable_metadata_the_files_are_read_directly(tmp_path, contents):
    """Killed before it was written, cut short, or nonsense: all splits, by their numbers."""
    path = splits(tmp_path / 'bag')
    (path / 'metadata.yaml').unlink()
    if contents is not None:
        (path / 'metadata.yaml').write_bytes(contents)
    messages, notes = read(path)
    assert messages == TRUE
    assert 'metadata.yaml is missing or unreadable; read without it: bag_0.mcap' in notes[-1]
    assert not Path('/tmp/lewm_was_here').exists()


def test_more_than_nine_splits_are_in_the_order_of_their_numbers(tmp_path):
    """Split 10 comes after 9, not after 1."""
    path, expected = tmp_path / 'bag', []
    path.mkdir()
    for part in range(12):
        serialized = BagFactory().steps(2, first=2 * part).serialized()
        (path / f'bag_{part}.mcap').write_bytes(mcap_builder.build(serialized))
        expected += [time_ns for _, _, time_ns, _ in serialized]
    assert [time_ns for _, time_ns, _ in read(path)[0]] == expected


def test_empty_and_repeated_splits_cost_nothing(tmp_path):
    """A split of 0 bytes holds nothing, a copy of a split holds nothing new."""
    path = splits(tmp_path / 'bag')
    (path / 'bag_3.mcap').write_bytes(b'')
    shutil.copy(path / 'bag_1.mcap', path / 'bag_4.mcap')
    messages, notes = read(path)
    assert messages == TRUE
    assert 'bag_3.mcap: is empty (0 bytes)' in notes
    assert 'bag_4.mcap: is a copy of bag_1.mcap; read once' in notes


def test_a_broken_split_costs_only_itself(tmp_path):
    """MCAP files too: what is garbage is left out, what is cut gives its beginning."""
    path = splits(tmp_path / 'bag')
    (path / NAMES[0]).write_bytes(b'garbage' * 100)
    cut = (path / NAMES[1]).read_bytes()
    (path / NAMES[1]).write_bytes(cut[:len(cut) // 2])
    messages, notes = read(path)
    first, second = (len(part) for part in SERIALIZED[:2])
    assert messages[-len(SERIALIZED[2]):] == TRUE[first + second:]
    kept = len(messages) - len(SERIALIZED[2])
    assert messages[:kept] == TRUE[first:first + kept]
    assert notes[0].startswith('bag_0.mcap: left out: bag_0.mcap is no MCAP file')


def test_an_empty_bag_is_a_bag(tmp_path):
    """Nothing was recorded: no topics or topics without messages, no error."""
    BagFactory().write(tmp_path / 'a')
    BagFactory().write(tmp_path / 'b', storage=StoragePlugin.SQLITE3)
    for name in 'ab':
        with Bag(tmp_path / name) as bag:
            assert (bag.topics, list(bag.raw_messages())) == ((), [])


@pytest.mark.parametrize('entry', [
    '../secret/other_0.mcap', '/etc/passwd.mcap', 'sub/../../secret/other_0.mcap',
    'C:\\secret\\x.mcap', '..\\secret\\other_0.mcap'])
def test_paths_that_leave_the_bag_are_refused(tmp_path, entry):
    """metadata.yaml cannot make the reader open anything elsewhere."""
    path = splits(tmp_path / 'bag', relative_file_paths=[*NAMES, entry])
    with pytest.raises(BagError, match='which leads out of the bag; .*relative_file_paths'):
        Bag(path)


def test_links_that_leave_the_bag_are_refused(tmp_path):
    """A link inside the bag is as good as a file; one that leads out is not followed."""
    path = splits(tmp_path / 'bag')
    (path / 'data').mkdir()
    (path / NAMES[2]).rename(path / 'data' / 'x')
    (path / NAMES[2]).symlink_to(Path('data') / 'x')
    assert read(path)[0] == TRUE
    (tmp_path / 'link').symlink_to(path)    # the bag itself may be reached by a link
    assert read(tmp_path / 'link')[0] == TRUE

    secret = tmp_path / 'secret.mcap'
    secret.write_bytes(mcap_builder.build(SERIALIZED[0]))
    (path / 'bag_3.mcap').symlink_to(secret)
    with pytest.raises(BagError, match=r'bag_3.mcap is a link that leads out of its bag'):
        Bag(path)
    (path / 'bag_3.mcap').unlink()
    (path / 'metadata.yaml').unlink()
    (path / 'metadata.yaml').symlink_to(tmp_path / 'elsewhere.yaml')
    with pytest.raises(BagError, match=r'metadata.yaml is a link that leads out of its bag'):
        Bag(path)
    (path / 'metadata.yaml').unlink()
    (path / 'bag_3.mcap').symlink_to('bag_3.mcap')
    with pytest.raises(BagError):
        Bag(path)
    (path / 'bag_3.mcap').unlink()
    os.mkfifo(path / 'bag_3.mcap')          # reading it would wait for ever
    with pytest.raises(BagError, match='is neither a file nor a link to one'):
        Bag(path)


def test_several_recordings_in_one_folder_are_not_mixed(tmp_path):
    """Without metadata.yaml a folder is one bag only if its files are splits of one."""
    for name in ('b.mcap', 'a.mcap', 'run_007.mcap', 'run_008.mcap'):   # ROS pads no numbers
        (tmp_path / name).write_bytes(mcap_builder.build(SERIALIZED[0]))
    with pytest.raises(BagError, match=r'several recordings \(a, b, run_007, run_008\)'):
        Bag(tmp_path)
    assert [path.name for path in find_bags([tmp_path])] == [
        'a.mcap', 'b.mcap', 'run_007.mcap', 'run_008.mcap']


@pytest.mark.parametrize('storage', list(StoragePlugin))
def test_compressed_files_are_read_from_a_read_only_folder(tmp_path, monkeypatch, storage):
    """Nothing is written into the bag, and nothing is left behind."""
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(scratch))
    factory = BagFactory().steps(30)
    path = factory.write(tmp_path / 'bag', storage=storage, compression=CompressionMode.FILE)
    assert [file.suffix for file in sorted(path.iterdir())] == ['.zstd', '.yaml']
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    try:
        with Bag(path) as bag:
            streams = [bag.raw_messages(), bag.raw_messages()]    # at the same time
            pairs = list(zip(*streams, strict=True))
            assert len(list(scratch.iterdir())) == 1
    finally:
        path.chmod(0o755)
    assert all(one == other for one, other in pairs)
    assert [raw for (_, _, raw), _ in pairs] == [raw for *_, raw in factory.serialized()]
    assert list(scratch.iterdir()) == []
    assert before == {file.name: (file.read_bytes(), file.stat().st_mtime_ns)
                      for file in path.iterdir()}


@pytest.mark.parametrize('packing', ['zstd', 'lz4'])
def test_a_compressed_file_cut_short_gives_its_beginning(tmp_path, packing):
    """As the uncompressed file would; the note tells both places."""
    serialized = BagFactory().steps(300).serialized()
    data = mcap_builder.PACK[packing](mcap_builder.build(serialized, packing='', crc=False))
    path = tmp_path / f'bag_0.mcap.{packing}'
    path.write_bytes(data)
    assert read(path) == ([(topic, time, raw) for topic, _, time, raw in serialized], ())
    path.write_bytes(data[:len(data) * 2 // 3])
    messages, notes = read(path)
    assert messages == [(topic, time, raw) for topic, _, time, raw in serialized][:len(messages)]
    assert f'the {packing} data is cut short at byte {len(data) * 2 // 3}' in notes[0]


def test_an_uncompressed_split_wins_over_its_compressed_twin(tmp_path):
    """Killed while compressing, both are there, and the compressed one may be half."""
    path = splits(tmp_path / 'bag')
    (path / f'{NAMES[0]}.zstd').write_bytes(
        mcap_builder.PACK['zstd']((path / NAMES[0]).read_bytes())[:100])
    messages, notes = read(path)
    assert messages == TRUE
    assert 'bag_0.mcap.zstd: is there uncompressed as well, which is read instead' in notes


def test_compressed_files_are_bounded(tmp_path, monkeypatch):
    """A file that grows beyond the limit, or beyond the temporary disk, is left out."""
    path = splits(tmp_path / 'bag')
    bomb = mcap_builder.PACK['zstd'](mcap_builder.HEAD + bytes(40 << 20))
    assert len(bomb) < 10_000
    (path / 'bag_3.mcap.zstd').write_bytes(bomb)
    monkeypatch.setattr(unpack, 'MAX_FILE_BYTES', 4 << 20)
    messages, notes = read(path)
    assert messages == TRUE
    assert any('grows beyond' in note for note in notes)
    monkeypatch.setattr(unpack, 'KEPT_FREE_BYTES', 1 << 60)
    messages, notes = read(path)
    assert messages == TRUE
    assert any('set TMPDIR to a folder on a larger disk' in note for note in notes)


def test_aliases_in_metadata_do_not_explode(tmp_path):
    """A list that would print as 10 ** 30 words is not even built; a plain one is named."""
    path = splits(tmp_path / 'bag')
    lines = ['a0: &a0 [x]'] + [f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 10)}]'
                               for n in range(1, 31)]
    (path / 'metadata.yaml').write_text(
        '\n'.join(lines) + '\nrosbag2_bagfile_information: {relative_file_paths: [*a30]}')
    messages, notes = read(path)
    assert messages == TRUE
    assert any('its aliases stand for more than' in note for note in notes)
    (path / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information: {relative_file_paths: [[x]]}')
    messages, notes = read(path)
    assert messages == TRUE
    assert 'metadata.yaml lists a list, which is no file name; ignored' in notes


def test_the_list_of_notes_is_bounded(tmp_path):
    """A bag with very many faults still has a readable report."""
    path = splits(tmp_path / 'bag', relative_file_paths=[f'{n}.mcap' for n in range(1000)])
    with Bag(path) as bag:
        assert len(bag.notes) == 201
        assert bag.notes[-1] == 'there is more damage than is listed here'


def test_the_table_of_damage_names_tests_that_exist():
    """docs/bags.md says of each behaviour where it is shown."""
    here = Path(__file__).parent
    named = set(re.findall(r'`(test_\w+)`', (here.parent / 'docs' / 'bags.md').read_text()))
    defined = {name for file in here.glob('test_*.py')
               for name in re.findall(r'^def (test_\w+)', file.read_text(encoding='utf-8'), re.M)}
    assert len(named) > 40
    assert named - defined == set()


def test_a_bag_is_never_modified(tmp_path):
    """Not even its sqlite3 files, and the hash names the same bytes before and after."""
    path = BagFactory().steps(20).write(tmp_path / 'bag', storage=StoragePlugin.SQLITE3)
    file = path / 'bag.db3'
    before = file.read_bytes(), file.stat().st_mtime_ns, sorted(os.listdir(path))
    with Bag(path) as bag:
        assert bag.sha256() == hashlib.sha256(before[0]).hexdigest()
        list(bag.raw_messages())
    assert before == (file.read_bytes(), file.stat().st_mtime_ns, sorted(os.listdir(path)))
    with Bag(file) as bag:
        assert bag.sha256() == hashlib.sha256(before[0]).hexdigest()
