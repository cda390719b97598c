"""Every service says why it did nothing: a code for programs beside the text, one for each cause.

That nodes give them for their causes is shown where the nodes are tested; `Graph.call` holds that
each is one that the service lists.
"""

from pathlib import Path
import re

from import_rules import ROOT
from lewm_model.errors import ConfigError
from lewm_ros.wire.checks import MessageError
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.refusals import code_of, refusal_of, refuse
import pytest

_CONSTANT = re.compile(r'uint(?:8|16) ([A-Z_]+) = (\d+)')
_FIELD = re.compile(r'([\w/\[\]]+) ([a-z_]+)')
_ROW = re.compile(r'\| ([A-Z_]+) \| (\d+) \| .+ \| ([\w, ]+) \|')


def constants(text: str) -> dict[str, int]:
    """Return the numbers that a definition gives names."""
    return {match[1]: int(match[2]) for match in map(_CONSTANT.match, text.splitlines()) if match}


def problems(services: dict[str, str], known: dict[str, int]) -> list[str]:
    """Say what is wrong with the answers of services.

    Args:
        services: Their definitions, by name.
        known: The numbers of `msg/Reason.msg`.
    """
    found = []
    for name, text in services.items():
        answer = text.partition('---')[2]
        fields = {match[2]: match[1] for match in map(_FIELD.match, answer.splitlines()) if match}
        for field, kind in (('success', 'bool'), ('code', 'uint8'), ('message', 'string')):
            if fields.get(field) != kind:
                found.append(f'{name} has no {kind} {field}')
        codes = constants(answer)
        found += [f'{name} does not list {code}' for code in ('OK', 'INTERNAL')
                  if code not in codes]
        found += [f'{name}: {code} = {number}, msg/Reason.msg has {known.get(code)}'
                  for code, number in codes.items() if known.get(code) != number]
    return found


@pytest.fixture(scope='module')
def services() -> dict[str, str]:
    """Return the definitions of our services, by name."""
    return {path.stem: path.read_text(encoding='utf-8')
            for path in sorted((ROOT / 'srv').glob('*.srv'))}


def test_every_service_has_code_and_text_and_a_name_has_one_number(services):
    """That of `msg/Reason.msg`, so the same in all services; each fits into a uint8."""
    assert len(services) >= 10
    known = constants((ROOT / 'msg' / 'Reason.msg').read_text(encoding='utf-8'))
    assert len(set(known.values())) == len(known) and max(known.values()) < 256
    assert not problems(services, known)


@pytest.mark.parametrize(('old', 'new', 'says'), [
    ('uint8 code', 'uint8 kind', 'no uint8 code'), ('uint8 OK = 0\n', '', 'not list OK'),
    ('string message', '', 'no string message'), ('BUSY = 3', 'BUSY = 4', 'BUSY = 4, .* has 3'),
    ('BUSY = 3', 'BUZY = 3', 'BUZY = 3, .* has None')])
def test_the_check_can_fail(old, new, says):
    """On a definition that lacks one thing."""
    good = ('uint8 wanted\n---\nuint8 OK = 0\nuint8 BUSY = 3   # why\nuint8 INTERNAL = 240\n\n'
            'bool success\nuint8 code\nstring message\n')
    known = {'OK': 0, 'BUSY': 3, 'INTERNAL': 240}
    assert problems({'Do': good}, known) == []
    assert old in good
    found, = problems({'Do': good.replace(old, new)}, known)
    assert re.search(says, found)


def test_the_table_of_codes_is_that_of_the_definitions(services):
    """docs/operator.md: name, number, and which services give it."""
    page = Path(ROOT / 'docs' / 'operator.md').read_text(encoding='utf-8')
    section = page.partition('## What services answer')[2].partition('\n## ')[0]
    rows = {match[1]: (int(match[2]), match[3])
            for match in map(_ROW.fullmatch, section.splitlines()) if match}
    listed = {name: constants(text.partition('---')[2]) for name, text in services.items()}
    expected = {}
    for code in sorted({code for codes in listed.values() for code in codes}):
        users = sorted(name for name, codes in listed.items() if code in codes)
        others = sorted(listed.keys() - users)
        expected[code] = (int(Code[code]), 'all' if not others else
                          f'all but {others[0]}' if len(others) == 1 else ', '.join(users))
    assert rows == expected


class Answer:
    """As a response of ours."""

    def __init__(self) -> None:
        self.success, self.code, self.message, self.goal_id = True, 0, '', 'kept'


class Plain:
    """As one of std_srvs, which has no code."""

    def __init__(self) -> None:
        self.success, self.message = True, ''


@pytest.mark.parametrize(('why', 'code'), [
    (Reason(Code.INACTIVE, 'words'), Code.INACTIVE),
    (ReasonedError(Code.NO_SUCH_GOAL, 'words'), Code.NO_SUCH_GOAL),
    (MessageError('words'), Code.BAD_ARGUMENT), (ConfigError('words'), Code.GOAL_REFUSED)])
def test_a_refusal_has_the_code_of_its_text(why, code):
    """One without gets that of what was being done; where there is no place for it, none."""
    answer = refuse(Answer(), why, otherwise=Code.GOAL_REFUSED)
    assert (answer.success, answer.code, answer.message) == (False, code, 'words')
    assert answer.goal_id == 'kept'
    assert (code_of(answer), refusal_of(answer)) == (code, 'words')
    plain = refuse(Plain(), why)
    assert (plain.success, plain.message, code_of(plain)) == (False, 'words', None)


def test_a_code_of_another_version_is_none():
    """Its text still counts; a success has neither."""
    answer = Answer()
    assert (code_of(answer), refusal_of(answer)) == (Code.OK, '')
    answer.success, answer.code = False, 99
    assert (code_of(answer), refusal_of(answer)) == (None, 'no reason was given')
