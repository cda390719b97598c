"""What a person may choose: the arguments of the launch files and of `bringup`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, MISSING
import re
from typing import Any

from lewm_model.errors import ConfigError
from lewm_ros.startup.discovery import CHOICES as DISCOVERY

SOURCES = ('planner', 'explore', 'teleop', 'none')
CLICKS = ('', 'bank', 'render', 'quantities')    # see lewm_model.robots.clicks
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
_NAMESPACE = re.compile(r'(/?[A-Za-z_][A-Za-z0-9_]*)(/[A-Za-z_][A-Za-z0-9_]*)*')
_REMAP = re.compile(r'([a-z0-9_]+:)?[^\s:=]+:=[^\s:=]+')


def _option(default: Any, text: str, kind: type | None = None,
            choices: Sequence[str] = ()) -> Any:
    """Describe one option; an option without a value (default None) needs its `kind`."""
    return field(default=default, metadata={'help': text, 'kind': kind or type(default),
                                            'choices': tuple(choices)})


@dataclass(frozen=True)
class SystemOptions:
    """One value per launch argument; the words are nav2's where nav2 has the thing."""

    sim: bool = _option(False, 'start the simulated robot too')
    task: str = _option('reacher', 'what is simulated')
    robot: str = _option('', 'robot description, name or file; empty: the one of the task')
    bundle: str = _option('', 'model bundle, name or folder; empty: <task>-nano')
    plan: str = _option('', 'planner settings, a name of config/plan or a file; empty: as the '
                        'bundle recommends')
    backend: str = _option('torch-tuned:fp32', 'engine that runs the model, see docs/engines.md')
    device: str = _option('cpu', 'where the model runs: cpu, cuda, cuda:1')
    goal_image: str = _option('', 'picture that is the goal from the start; empty: none')
    goal_root: str = _option('', 'the only folder from which goals are read; empty: none')
    goal_bank: str = _option('', 'folder of a goal bank to pick goals from; a relative path '
                             'starts at goal_root; empty: none')
    clicks: str = _option('', f'what a click becomes, one of {", ".join(CLICKS[1:])}; empty: as '
                          'the robot file says', choices=CLICKS)
    params_file: str = _option('', 'YAML file with parameters of the nodes, in the usual form; '
                               'empty: none. An argument that is given here wins over the file, '
                               'the file over the default of an argument')
    use_sim_time: bool | None = _option(None, 'nodes take the time from /clock; empty: as sim. '
                                        'For other simulators and `ros2 bag play --clock`', bool)
    namespace: str = _option('', 'namespace of all nodes and topics; with sim, also of the clock')
    remap: str = _option('', 'rules for topics and services of all nodes, separated by spaces, '
                         'such as "image:=/camera/image_raw e_stop:=/e_stop"')
    dry_run: bool = _option(False, 'plan and report, but never move the robot')
    autostart: bool = _option(True, 'configure and activate the lifecycle nodes')
    configure_timeout: float = _option(900.0, 'how long one node may take to configure; a first '
                                       'TensorRT build takes minutes [s]')
    use_respawn: bool = _option(False, 'start nodes again that died, and activate them; the '
                                'command node is never started again: its end ends everything')
    respawn_delay: float = _option(2.0, 'how long a dead node stays away before that [s]')
    source: str = _option('planner', f'who drives, one of {", ".join(SOURCES)}; explore: random '
                          'motion of the simulated robot; teleop: a person, on '
                          'teleop_command; none: somebody else', choices=SOURCES)
    imagination: bool = _option(False, 'show what the planner imagines, on topics for people: see '
                                'docs/imagination.md; needs source planner')
    rviz: bool = _option(False, 'start RViz with config/rviz/plan.rviz, and with source planner '
                         'imagination too')
    rviz_config: str = _option('', 'display configuration for RViz; empty: the one that ships')
    record: bool = _option(False, 'start the recorder of episodes too')
    root: str = _option('recordings', 'folder of recordings; the recorder writes nowhere else')
    episodes: int = _option(10, 'how many to explore')
    steps: int = _option(60, 'control steps per explored episode')
    first: int = _option(0, 'number of the first explored episode')
    seed: int = _option(0, 'of the exploration')
    real_time_factor: float = _option(1.0, 'simulated seconds per real second to aim for')
    image_size: int = _option(0, 'height and width of the simulated camera picture [px]; 0: the '
                              'usual one of the task')
    dds_profile: str = _option('auto', 'transport settings for Fast DDS, of the nodes that read '
                               'cameras; auto: room for large pictures, unless the environment '
                               'chooses; none; or a file')
    discovery: str = _option('auto', 'who can find the nodes; auto: this machine only, unless the '
                             'environment chooses; localhost; subnet: also other machines; '
                             'system: as the middleware is configured', choices=DISCOVERY)
    log_level: str = _option('info', f'one of {", ".join(LOG_LEVELS)}', choices=LOG_LEVELS)

    def __post_init__(self) -> None:
        for name in ('clicks', 'discovery', 'log_level', 'source'):
            choices = type(self).__dataclass_fields__[name].metadata['choices']
            if getattr(self, name) not in choices:
                raise ConfigError(f'{name} must be one of {", ".join(filter(None, choices))}, '
                                  f'got {getattr(self, name)!r}')
        if self.source == 'explore' and not (self.sim and self.record):
            raise ConfigError('source explore moves the simulated robot for the recorder; add '
                              'sim and record')
        if self.imagination and self.source != 'planner':
            raise ConfigError(f'imagination shows what the planner imagines, and with source '
                              f'{self.source} none plans; leave it away')
        if self.namespace.strip('/') and not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigError(f'namespace must be names joined by "/", such as "cell_1/left", '
                              f'got {self.namespace!r}')
        for rule in self.remap.split():
            if not _REMAP.fullmatch(rule):
                raise ConfigError(f'remap must be rules such as "image:=/camera/image_raw", '
                                  f'separated by spaces, got {rule!r}')
        for name, low in (('configure_timeout', 1.0), ('respawn_delay', 0.0)):
            if not low <= getattr(self, name) < float('inf'):
                raise ConfigError(f'{name} must be at least {low:g} s, got {getattr(self, name)}')

    @property
    def root_namespace(self) -> str:
        """The namespace of all nodes, absolute."""
        return '/' + self.namespace.strip('/')

    @property
    def sim_time(self) -> bool:
        """Whether the nodes take the time from /clock."""
        return self.sim if self.use_sim_time is None else self.use_sim_time

    @classmethod
    def from_text(cls, values: dict[str, str]) -> SystemOptions:
        """Build from texts, as launch arguments are.

        Raises:
            ConfigError: If a switch is neither true nor false, a number is none, or a value
                is not allowed.
        """
        return cls(**{item.name: _value(item, values[item.name])
                      for item in fields(cls) if item.name in values})


def add_arguments(parser: argparse.ArgumentParser, names: Sequence[str] = ()) -> None:
    """Declare options on a command line, `--like-this`; all of them unless `names` are given."""
    for item in fields(SystemOptions):
        if names and item.name not in names:
            continue
        about, default = item.metadata['help'], default_text(item.name)
        kind = ({'action': argparse.BooleanOptionalAction} if item.metadata['kind'] is bool
                else {'metavar': item.name.upper(), 'type': item.metadata['kind']})
        parser.add_argument(f'--{item.name.replace("_", "-")}', **kind,
                            help=f'{about} ({default})' if default else about)


def default_text(name: str) -> str:
    """Return the default of an option as people write it; empty for one without a value."""
    value = SystemOptions.__dataclass_fields__[name].default
    assert value is not MISSING
    if value is None:
        return ''
    return str(value).lower() if isinstance(value, bool) else str(value)


def switch(name: str, text: str) -> bool:
    """Read a switch in one of its usual spellings; raises ConfigError."""
    if text.lower() in ('true', '1', 'yes', 'on'):
        return True
    if text.lower() in ('false', '0', 'no', 'off'):
        return False
    raise ConfigError(f'{name} must be true or false, got {text!r}')


def _value(item: Any, text: str) -> Any:
    kind = item.metadata['kind']
    if text == '' and item.default is None:
        return None
    if kind is bool:
        return switch(item.name, text)
    try:
        return kind(text)
    except ValueError as error:
        raise ConfigError(f'{item.name} must be of type {kind.__name__}, got {text!r}') from error
