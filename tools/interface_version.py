"""Hold config/interfaces.yaml true: the version of every message, service and action.

    python tools/interface_version.py           # says which definitions have changed
    python tools/interface_version.py --bump    # raises the versions of those, writes the file

A version is raised when what travels changes: a field's name, type or place, a constant, or a type
of ours that a field has. Comments and spacing do not count. No ROS needed.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
import re
import sys

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'config' / 'interfaces.yaml'
KINDS = ('msg', 'srv', 'action')
_OURS = re.compile(r'(?:lewm_ros/)?([A-Z]\w*)')   # the type of a field, without an array's bound
_HEAD = """\
# The version of every interface and the SHA-256 of its definition, without comments and spacing
# and with the definitions of our own types that it has as fields. Written by
# `python tools/interface_version.py --bump`, which raises the version of what has changed; a test
# fails while a definition and its entry differ. What travelled under an older version:
# `git log -p` of this file names the commit.
"""


def canonical(text: str) -> list[str]:
    """Return the lines of a definition that say something, with one space between words."""
    lines = [' '.join(_without_comment(line).split()) for line in text.splitlines()]
    return [re.sub(r' ?= ?', '=', line) for line in lines if line]


def _without_comment(line: str) -> str:
    """Cut a comment off; the `#` in the value of a text constant is none."""
    quoted = re.match(r"""[^#'"]*=\s*(?:'[^']*'|"[^"]*")""", line)
    end = quoted.end() if quoted else 0
    return line[:end] + line[end:].partition('#')[0]


def digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every definition under `root`, by 'msg/Name'."""
    texts = {f'{kind}/{path.stem}': canonical(path.read_text(encoding='utf-8'))
             for kind in KINDS for path in sorted((root / kind).glob(f'*.{kind}'))}

    def whole(name: str, seen: tuple[str, ...]) -> list[str]:
        nested = sorted({f'msg/{match[1]}' for line in texts[name]
                         if (match := _OURS.match(line))} & texts.keys() - set(seen))
        return [*texts[name], *(line for item in nested
                                for line in ('', item, *whole(item, (*seen, name))))]

    return {name: hashlib.sha256('\n'.join(whole(name, ())).encode()).hexdigest()
            for name in texts}


def raised(known: dict[str, dict], found: dict[str, str]) -> dict[str, dict]:
    """Return the entries with a version more where the digest is another; new ones get 1."""
    entries = {}
    for name, digest in found.items():
        before = known.get(name, {'version': 0, 'sha256': ''})
        entries[name] = {'version': before['version'] + (before['sha256'] != digest),
                         'sha256': digest}
    return entries


def problems(known: dict[str, dict], found: dict[str, str]) -> list[str]:
    """Say what differs between the file and the definitions."""
    changed = [f'{name} has changed since version {known[name]["version"]}'
               for name in found.keys() & known.keys() if known[name]['sha256'] != found[name]]
    new = [f'{name} has no version yet' for name in found.keys() - known.keys()]
    gone = [f'{name} has a version but no definition' for name in known.keys() - found.keys()]
    return sorted(changed + new + gone)


def load(page: Path = PAGE) -> dict[str, dict]:
    """Return the entries of the file, none if it does not exist."""
    return yaml.safe_load(page.read_text(encoding='utf-8')) or {} if page.is_file() else {}


def write(entries: dict[str, dict], page: Path = PAGE) -> None:
    """Write the file."""
    lines = [f'{name}: {{version: {entry["version"]}, sha256: {entry["sha256"]}}}\n'
             for name, entry in entries.items()]
    page.write_text(_HEAD + ''.join(lines), encoding='utf-8')


def main() -> int:
    """Run; return 1 if versions have to be raised and are not."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('--bump', action='store_true', help='raise the versions, write the file')
    bump = parser.parse_args().bump
    known, found = load(), digests(ROOT)
    wrong = problems(known, found)
    for line in wrong:
        print(line)
    if bump and wrong:
        write(raised(known, found))
        print(f'wrote {PAGE.relative_to(ROOT)}; say in CHANGELOG.md what changes for users')
    return int(bool(wrong) and not bump)


if __name__ == '__main__':
    sys.exit(main())
