"""Record episodes of a simulated task as rosbag2 bags, faster than real time, without ROS.

Topics, types and stamps are those of the running system, so that one ingest serves simulated and
real recordings. One bag folder per episode, a pure function of (settings, episode index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass
from functools import cache
import os
from pathlib import Path
import shutil

from lewm_model.bags.interfaces import import_rosbags
from lewm_model.base.folder_lock import locked
from lewm_model.base.workers import run_jobs
from lewm_model.config import Config
from lewm_model.errors import BagError, ConfigError, SimulationError, without_path
from lewm_sim.mixture import Mixture
from lewm_sim.tasks import Act, load_task
import numpy as np
import yaml

SETTINGS_FILE = 'collection.yaml'
_UNFINISHED = '.unfinished'


@dataclass(frozen=True)
class CollectConfig(Config):
    """What makes recordings of one set alike; stored beside them."""

    task: str = 'reacher'
    steps: int = 60              # actions per episode, one frame more; a policy may end sooner
    image_size: int = 64         # square [px]
    seed: int = 0                # episode i draws from (seed, i)
    policy: str = 'random'       # who acts, of the task's `policies`, or several with shares,
    #                              see `Mixture`

    def __post_init__(self) -> None:
        try:
            self.mixture()
        except ConfigError as error:
            raise ConfigError(f'task {self.task!r}: {error}') from error
        for name, least in (('steps', 1), ('image_size', 8), ('seed', 0)):
            if getattr(self, name) < least:
                raise ConfigError(f'CollectConfig.{name} must be at least {least}, '
                                  f'got {getattr(self, name)}')

    def mixture(self) -> Mixture:
        """Return who acts."""
        return Mixture.parse(self.policy, tuple(load_task(self.task).policies))


def collect(config: CollectConfig, episodes: int, out: str | Path, *, workers: int = 1,
            command: str = '',
            on_episode: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Record the episodes that `out` does not hold yet.

    Interrupt it at any time and run it again: complete episodes stay, others start over.

    Args:
        config: What to record.
        episodes: How many the set shall hold; existing ones count.
        out: Folder of the set; gets one bag folder per episode.
        workers: Processes; the recordings do not depend on their number.
        command: How to record the set again, kept beside it for the model's card.
        on_episode: Called with (episodes present, episodes).

    Returns:
        How many episodes were recorded now.

    Raises:
        ConfigError: If `out` was begun with other settings.
        BagError: If the disk is full or not writable, or another process records into `out`.
        SimulationError: If the task cannot be simulated or rendered here.
    """
    if episodes < 1:
        raise ConfigError(f'episodes must be at least 1, got {episodes}')
    import_rosbags()
    out = Path(out)
    try:
        _claim(out, config, command)
        with _alone(out):
            # Whatever an interrupted run left is of no use: the episode is recorded again.
            shutil.rmtree(out / _UNFINISHED, ignore_errors=True)
            missing = [index for index in range(episodes) if not (out / _name(index)).exists()]
            present = episodes - len(missing)
            on_episode(present, episodes)
            for done in _record_all(config, out, missing, workers):
                on_episode(present + done, episodes)
            shutil.rmtree(out / _UNFINISHED, ignore_errors=True)
    except OSError as error:
        raise BagError(f'cannot write recordings to {out}: {without_path(error)}; free disk space '
                       f'and run the command again, it goes on where it stopped') from error
    return len(missing)


def _claim(out: Path, config: CollectConfig, command: str) -> None:
    """Write the settings into the folder, or check that they are the same as last time."""
    path = out / SETTINGS_FILE
    if path.exists():
        before = CollectConfig.from_yaml(path, 'settings')
        changes = [f'{name}: {value!r} before, {config.to_dict()[name]!r} now'
                   for name, value in before.to_dict().items()
                   if value != config.to_dict()[name]]
        if changes:
            raise ConfigError(f'{out} was begun with other settings ({"; ".join(changes)}); use '
                              f'them again or record into another folder')
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(f'{out} is not empty and has no {SETTINGS_FILE}; record into a new '
                          f'folder')
    out.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix('.tmp')
    unfinished.write_text(yaml.safe_dump({'command': command, 'settings': config.to_dict()},
                                         sort_keys=False), encoding='utf-8')
    os.replace(unfinished, path)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes from recording into a folder: each would remove what others begin."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(out, wait=False))
        except BlockingIOError as error:
            raise BagError(f'another process is recording into {out}; wait for it, or record '
                           f'into another folder') from error
        yield


def _record_all(config: CollectConfig, out: Path, indices: list[int], workers: int
                ) -> Iterator[int]:
    """Yield the number of recorded episodes after each one."""
    if workers <= 1 or len(indices) <= 1:
        recorder = EpisodeRecorder(config, out)
        try:
            for done, index in enumerate(indices, start=1):
                recorder.record(index)
                yield done
        finally:
            recorder.close()
        return
    jobs = [(config, out, index) for index in indices]
    killed = SimulationError('a recording process was killed, perhaps for lack of memory; run the '
                             'command again with fewer workers')
    for done, _ in enumerate(run_jobs(_record_in_worker, jobs, workers, killed=killed), start=1):
        yield done


def _record_in_worker(config: CollectConfig, out: Path, index: int) -> None:
    _recorder(config, out).record(index)


@cache
def _recorder(config: CollectConfig, out: Path) -> EpisodeRecorder:
    """Keep one recorder per worker process: a renderer is expensive to start."""
    return EpisodeRecorder(config, out)


def acted(folder: Path) -> dict[str, int]:
    """Return in how many episodes of a set each policy acts; {} of other folders."""
    if not (folder / SETTINGS_FILE).is_file():
        return {}
    config = CollectConfig.from_yaml(folder / SETTINGS_FILE, 'settings')
    return config.mixture().counts(config.seed, [
        int(path.name.rpartition('_')[2]) for path in folder.glob(_name('*'))])


def _name(index: int | str) -> str:
    return f'episode_{index:06d}' if isinstance(index, int) else f'episode_{index}'


class EpisodeRecorder:
    """Records single episodes; keeps one simulated world.

    Attributes:
        world: The simulation that it records.
    """

    def __init__(self, config: CollectConfig, out: Path) -> None:
        self._config = config
        self._out = out
        self._task, self._mixture = load_task(config.task), config.mixture()
        self.world = self._task.make_world(config.image_size)

    def close(self) -> None:
        """Free the renderer."""
        self.world.close()

    def begin(self, index: int) -> tuple[str, Act]:
        """Put the world into the start of episode `index`; return who acts in it, and how."""
        rng = np.random.default_rng([self._config.seed, index])
        self.world.start(rng)
        acting = self._mixture.acting(self._config.seed, index)
        return acting, self._task.policy(acting, rng)

    def record(self, index: int) -> Path:
        """Record episode `index`; the folder appears when it is complete.

        Frame t, then the command of [t, t + dt), both stamped t.
        """
        from lewm_sim.episode_bag import EpisodeBag

        config, task, world = self._config, self._task, self.world
        acting, act = self.begin(index)
        # Sim time runs on over the set, with a pause in between: no stamp occurs twice, none is 0.
        dt_ns = task.robot.control_dt_ns
        start_ns = 1_000_000_000 + index * ((config.steps + 1) * dt_ns + 1_000_000_000)
        unfinished = self._out / _UNFINISHED / _name(index)
        unfinished.parent.mkdir(exist_ok=True)
        with EpisodeBag(unfinished, task.robot, world, task.quantities) as bag:
            bag.begin(start_ns, episode_id=_name(index), index=index, task=task.name,
                      metadata={**config.to_dict(), 'acting': acting, 'robot': task.robot.robot,
                                'start_state': world.state().tolist()})
            for step in range(config.steps + 1):
                stamp_ns = start_ns + step * dt_ns
                bag.observe(stamp_ns)
                action = act(world.truth()) if step < config.steps else None
                if action is None:
                    break
                bag.execute(stamp_ns, action)
                world.apply(action)
                world.advance(task.control_dt_s)
        final = self._out / _name(index)
        os.replace(unfinished, final)
        return final
