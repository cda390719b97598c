"""Only pictures inside the allowed folder are read."""

import os
import struct

import cv2
from lewm_model.errors import ImageError, LewmError
from lewm_ros.goals.giving.files import MAX_BYTES, read_allowed, read_picture
from lewm_ros.wire.reasons import Code, ReasonedError
import numpy as np
import pytest

RGB = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def write(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), RGB[:, :, ::-1])


@pytest.fixture
def root(tmp_path):
    """A folder with a picture, beside a picture that must not be read."""
    write(tmp_path / 'goals' / 'a b.png')
    write(tmp_path / 'goals' / 'deep' / 'c.png')
    write(tmp_path / 'goals2' / 'secret.png')
    return tmp_path / 'goals'


def test_allowed_names_give_the_picture_in_rgb(root):
    """Relative, absolute and file:// names of the same picture, colours in order."""
    for uri in ('a b.png', str(root / 'a b.png'), f'file://{root}/a%20b.png', 'deep/c.png',
                f'file://localhost{root}/deep/c.png', 'deep/../a b.png'):
        np.testing.assert_array_equal(read_allowed(uri, str(root)), RGB)


def test_names_that_leave_the_folder_are_refused(root):
    """Dots, absolute paths, links to files and folders, sibling with the same prefix, URIs."""
    secret = root.parent / 'goals2' / 'secret.png'
    (root / 'link.png').symlink_to(secret)
    (root / 'away').symlink_to(secret.parent)
    for uri in ('../goals2/secret.png', str(secret), 'link.png', 'away/secret.png',
                f'file://{secret}', 'file://' + str(root) + '/%2e%2e/goals2/secret.png'):
        with pytest.raises(ReasonedError, match='is outside goal_root') as refusal:
            read_allowed(uri, str(root))
        assert refusal.value.reason.code is Code.NO_SUCH_GOAL


def test_without_a_root_nothing_is_read(root):
    """Off by default, and the message says how to turn it on."""
    with pytest.raises(ReasonedError, match='goal_root set to the folder') as refusal:
        read_allowed(str(root / 'a b.png'), '')
    assert refusal.value.reason.code is Code.NOT_SET_UP


@pytest.mark.parametrize('uri', [
    '', 'missing.png', 'http://host/a.png', 'file://host/a.png', 'a\0b.png', 'file://[', '~'])
def test_names_that_are_nothing_are_refused(root, uri):
    """Missing files, other machines and broken names are a reason, never a crash."""
    with pytest.raises(LewmError, match='goal file'):
        read_allowed(uri, str(root))


def test_the_text_of_a_missing_picture_has_each_path_once(root):
    """The name as it was asked for, the folder, and the system's reason."""
    with pytest.raises(ReasonedError) as refusal:
        read_allowed('missing.png', str(root))
    assert refusal.value.reason.code is Code.NO_SUCH_GOAL
    assert str(refusal.value) == (f"goal file 'missing.png' cannot be found below goal_root "
                                  f"'{root}': No such file or directory")


def test_what_is_not_a_picture_is_refused(root):
    """Folders, pipes, other suffixes, damaged and oversized files; each with its reason."""
    (root / 'notes.txt').write_text('secret')
    (root / 'text.png').write_text('secret')
    (root / 'folder.png').mkdir()
    os.mkfifo(root / 'pipe.png')
    (root / 'short.png').write_bytes((root / 'a b.png').read_bytes()[:40])
    (root / 'large.png').touch()
    os.truncate(root / 'large.png', MAX_BYTES + 1)
    for name, reason in (('notes.txt', 'must end in .png'), ('text.png', 'neither JPEG nor PNG'),
                         ('folder.png', 'not a regular file|directory'), ('pipe.png', 'regular'),
                         ('short.png', 'damaged'), ('large.png', f'more than {MAX_BYTES} bytes')):
        with pytest.raises(ImageError, match=reason):
            read_allowed(name, str(root))


def test_small_file_that_claims_an_enormous_picture_is_refused_before_decoding(root):
    """The claim is read from the header: PNG, and JPEG behind other segments."""
    png = bytearray((root / 'a b.png').read_bytes())
    png[16:24] = struct.pack('>II', 60_000, 60_000)
    (root / 'bomb.png').write_bytes(png)
    jpeg = bytearray(cv2.imencode('.jpg', RGB)[1].tobytes())
    frame = jpeg.index(b'\xff\xc0')
    jpeg[frame + 5:frame + 9] = struct.pack('>HH', 50_000, 60_000)
    jpeg[2:2] = b'\xff'  # fill bytes may precede any marker
    (root / 'bomb.jpg').write_bytes(jpeg)

    for name in ('bomb.png', 'bomb.jpg'):
        with pytest.raises(ImageError, match='60000x[56]0000, more than'):
            read_allowed(name, str(root))


def test_jpeg_and_upper_case_suffix(tmp_path):
    """A grey JPEG decodes to equal channels."""
    cv2.imwrite(str(tmp_path / 'x.jpg'), np.full((8, 8, 3), 77, np.uint8))
    (tmp_path / 'x.jpg').rename(tmp_path / 'x.JPG')
    assert np.abs(read_picture(tmp_path / 'x.JPG').astype(int) - 77).max() <= 1
