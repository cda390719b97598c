"""The documentation is true: its commands parse, its links lead somewhere, its tables are made."""

import ast
from dataclasses import fields
import importlib.util
from pathlib import Path
import re
import shlex

from lewm_ros.startup.options import SystemOptions
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


def test_the_goal_of_the_readme_is_in_the_folder_that_its_system_reads():
    """The goal node reads no other: launch and request stand in one block, and go together."""
    lines = list(commands(ROOT / 'README.md'))
    number, line = next((number, line) for number, line in enumerate(lines)
                        if '/goal_node/set_goal' in line)
    root = re.search(r' goal_root:=\$PWD/(\S+)', lines[number - 1])
    assert root and (ROOT / root[1] / re.search(r'uri: ([\w.]+)', line)[1]).is_file()


def launch_names(file: str) -> set[str]:
    """Return the arguments of a launch file, without launch: its `_NAMES`, or every option."""
    tree = ast.parse((ROOT / 'launch' / file).read_text(encoding='utf-8'))
    names = [ast.literal_eval(node.value) for node in tree.body
             if isinstance(node, ast.Assign) and node.targets[0].id == '_NAMES']
    return set(names[0]) if names else {item.name for item in fields(SystemOptions)}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_launch_command_has_arguments_that_exist(page):
    """And values that are allowed; launch itself accepts an argument that nobody declared."""
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words[:3] == ['ros2', 'launch', 'lewm_ros'] and '--show-args' not in words:
            given = dict(word.split(':=', 1) for word in words[4:])
            assert set(given) <= launch_names(words[3]), f'{page.name}: {line}'
            fixed = {'record': 'true'} if words[3] == 'record.launch.py' else {}
            SystemOptions.from_text({**given, **fixed})


@pytest.mark.ros
@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_bringup_command_parses(page):
    """Options in the documentation exist."""
    from lewm_ros.startup import bringup

    for line in commands(page):
        words = shlex.split(line, comments=True)
        if words[:3] == ['python', '-m', 'lewm_ros.startup.bringup'] and '--help' not in words:
            bringup.build_parser().parse_args(words[3:])


@pytest.mark.ros
def test_the_parameter_tables_are_those_of_the_code():
    """docs/parameters.md is what tools/parameter_docs.py writes now."""
    path = ROOT / 'tools' / 'parameter_docs.py'
    spec = importlib.util.spec_from_file_location('parameter_docs', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8') == module.render(), (
        'run: python tools/parameter_docs.py')


def test_what_tests_wait_for_is_on_the_page():
    """Whatever a test skips itself without: docs/testing.md says how it is run."""
    text = '\n'.join(path.read_text(encoding='utf-8') for path in (ROOT / 'test').glob('*.py'))
    waited = {name.partition('.')[0] for name in re.findall(r"importorskip\('([\w.]+)'", text)}
    always = set(re.findall(r'"(\w+)[>=\[]', (ROOT / 'pyproject.toml').read_text().partition(
        '[project.optional-dependencies]')[0]))
    page = (ROOT / 'docs' / 'testing.md').read_text(encoding='utf-8')
    missing = {name for name in waited - always - {'lewm_ros'} if f'`{name}`' not in page}
    assert len(waited) > 10 and not missing
