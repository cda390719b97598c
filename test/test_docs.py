"""The documentation is true: its commands parse, its links lead somewhere, its tables are made."""

import importlib.util
from pathlib import Path
import re
import shlex

from lewm_sim.cli import build_parser
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').glob('**/*.md'),
                *(ROOT / 'models').glob('*/README.md')])


def commands(page):
    """Yield the lines of the bash blocks, continued lines joined."""
    for block in re.findall(r'```bash\n(.*?)```', page.read_text(encoding='utf-8'), re.S):
        for line in block.replace('\\\n', ' ').splitlines():
            if line.strip() and not line.lstrip().startswith('#'):
                yield line.strip()


def test_pages_are_found():
    """The other tests look at something."""
    assert len(PAGES) >= 4
    assert sum(len(list(commands(page))) for page in PAGES) >= 10


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_lewm_command_parses(page):
    """Options in the documentation exist; a renamed one breaks this test."""
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words[:1] == ['lewm'] and '--help' not in words:
            chosen = next(word for word in words[1:] if not word.startswith('-'))
            try:
                build_parser(chosen).parse_args(words[1:])
            except SystemExit as error:
                raise AssertionError(f'{page.name}: {line!r} does not parse') from error


def test_every_make_target_exists():
    """`make X` in the documentation is a target of the Makefile."""
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.M))
    used = {match for page in PAGES for line in commands(page)
            for match in re.findall(r'^make ([a-z-]+)', line)}
    assert used and used <= targets


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    """Relative links and pictures exist."""
    for target in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', page.read_text(encoding='utf-8')):
        if not target.startswith('http'):
            assert (page.parent / target).exists(), f'{page.name}: {target}'


@pytest.mark.ros
def test_the_parameter_tables_are_those_of_the_code():
    """docs/parameters.md is what tools/parameter_docs.py writes now."""
    path = ROOT / 'tools' / 'parameter_docs.py'
    spec = importlib.util.spec_from_file_location('parameter_docs', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8') == module.render(), (
        'run: python tools/parameter_docs.py')
