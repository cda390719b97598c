"""A flying bar pushes a free block; the goal is a picture of both. Made up, for tests and docs."""

from lewm_model.quantities import Quantity
from lewm_sim.tasks import Impossible, MujocoTask, noisy, smooth
from lewm_sim.world import Sensed
import numpy as np

AXES = ('bar_x', 'bar_y', 'bar_z', 'bar_tilt', 'bar_yaw')   # actuators, in order of the action


class Pusher(MujocoTask):
    """The bar pushes the block."""

    quantities = (
        Quantity('bar x', 'position', of='bar'), Quantity('bar y', 'position', of='bar'),
        Quantity('bar yaw', 'angle', of='bar'),
        Quantity('block x', 'position', of='block'), Quantity('block y', 'position', of='block'),
        Quantity('block turn', 'quaternion', of='block'))

    def start(self, model, data, rng):
        """Bar and block anywhere, apart from each other."""
        bar = rng.uniform(-0.35, 0.35, 2)
        way = rng.uniform(-np.pi, np.pi)
        data.joint('bar_x').qpos[0], data.joint('bar_y').qpos[0] = bar
        data.joint('bar_yaw').qpos[0] = rng.uniform(-np.pi, np.pi)
        data.joint('block').qpos[:2] = bar + 0.22 * np.array([np.cos(way), np.sin(way)])
        half = rng.uniform(-np.pi, np.pi) / 2
        data.joint('block').qpos[3:] = [np.cos(half), 0.0, 0.0, np.sin(half)]

    def command(self, model, data, action):
        """Speeds along the bar's own axes."""
        action = np.clip(action, self.robot.min_command, self.robot.max_command)
        yaw = data.joint('bar_yaw').qpos[0]
        forward, left = action[:2]
        world = [forward * np.cos(yaw) - left * np.sin(yaw),
                 forward * np.sin(yaw) + left * np.cos(yaw), *action[2:]]
        for name, value in zip(AXES, world, strict=True):
            data.actuator(name).ctrl[0] = value

    def sensed(self, model, data):
        """Odometry: pose in the world, speeds of the body."""
        pose = np.array([data.joint(name).qpos[0] for name in ('bar_x', 'bar_y', 'bar_yaw')])
        vx, vy, turn = (data.joint(name).qvel[0] for name in ('bar_x', 'bar_y', 'bar_yaw'))
        cos, sin = np.cos(pose[2]), np.sin(pose[2])
        return Sensed(pose, np.array([vx * cos + vy * sin, vy * cos - vx * sin, turn]))

    def truth(self, model, data):
        """Where bar and block are."""
        yaw = data.joint('bar_yaw').qpos[0]
        return np.array([data.joint('bar_x').qpos[0], data.joint('bar_y').qpos[0],
                         (yaw + np.pi) % (2 * np.pi) - np.pi,
                         *data.body('block').xpos[:2], *data.body('block').xquat])

    def errors(self, truth, goal):
        """Distances of bar and block, and how far the block is turned."""
        here, there = self.named(truth), self.named(goal)
        turn = self.quantities[-1]
        return {'bar': float(np.linalg.norm(truth[:2] - goal[:2])),
                'block': float(np.linalg.norm(truth[3:5] - goal[3:5])),
                'turn': float(turn.error(here[turn.name], there[turn.name]))}

    @property
    def policies(self):
        """Random motion, and somebody who runs into the block."""
        return {'random': lambda rng: smooth(self.robot, rng, time_constant_s=0.5, share=0.6),
                'expert': self._expert,
                'noisy_expert': lambda rng: noisy(self._expert(rng), self.robot, rng, share=0.3)}

    def _expert(self, rng):
        def act(truth):
            towards = truth[3:5] - truth[:2]
            yaw = truth[2]
            ahead = np.array([np.cos(yaw) * towards[0] + np.sin(yaw) * towards[1],
                              np.cos(yaw) * towards[1] - np.sin(yaw) * towards[0]])
            speeds = 0.4 * ahead / max(np.linalg.norm(ahead), 1e-6)
            return np.clip([*speeds, 0.0, 0.0, 0.0], self.robot.min_command,
                           self.robot.max_command)
        return act

    def impossible(self):
        """Also the block alone can be somewhere else."""
        def move(world, elsewhere):
            here = world.state()
            world.reset(elsewhere)
            block = world.data.joint('block').qpos.copy()
            world.reset(here)
            world.data.joint('block').qpos[:] = block
            world.reset(world.state())
        return {**super().impossible(),
                'teleport block': Impossible('the block is suddenly somewhere else', move)}
