"""The Cartesian velocity controller of the arm: a twist of the gripper to targets of the joints.

Damped least squares on the arm's own kinematics. It works on where the joints' targets are, not on
where the joints are, so load and contact do not let the gripper drift; the fingers point down.
"""

from __future__ import annotations

from lewm_sim.tasks.cube import scene
import mujoco
import numpy as np

WORKSPACE = np.array([[0.25, -0.35, 0.02], [0.6, 0.35, 0.35]])   # of the point between the fingers
#                                    [m], OGBench's
HOME = np.array([-1.5708, -1.5708, 1.5708, -1.5708, -1.5708, 0.0])   # of the arm [rad]
STROKE = 0.085                     # between the open fingers [m]
_DAMPING = 0.01                    # of the least squares [m] and [rad]
_MAX_JOINT_SPEED = 3.1             # of a UR5e [rad/s]
_MAX_LAG = 0.02                    # the target waits for a gripper that is held back this far [m]
_MAX_SQUEEZE = 0.08                # and that of the fingers [rad]; 0.05 is all their force
# The fingers are nearly parallelograms: what their joints do while the driver closes by 1 rad,
# measured in motion; the loops then close within 0.2 mm.
_LINKAGE = {'driver': 1.0, 'spring_link': 0.9985, 'coupler': 0.0, 'follower': -0.959}
_LOST = 0.5                        # a target this far away belongs to another state [rad]


class Arm:
    """Kinematics and targets of one scene.

    Args:
        model: The scene; kept as `model`.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self._scratch = mujoco.MjData(model)   # only its kinematics are used
        self._site = model.site(scene.PINCH).id
        joints = [model.joint(f'{scene.ARM}{name}') for name in scene.ARM_JOINTS]
        self.qpos = np.array([joint.qposadr[0] for joint in joints])
        self.dofs = np.array([joint.dofadr[0] for joint in joints])
        self.finger = model.joint(f'{scene.GRIPPER}right_driver_joint')
        names = (*scene.ARM_JOINTS, scene.FINGER_JOINT)
        self._targets = np.array([model.actuator(name).actadr[0] for name in names])
        self._controls = np.array([[model.actuator(name).id, model.actuator(f'{name}_speed').id]
                                   for name in names])
        self._ends = np.array([model.actuator(name).actrange for name in names])

    def move(self, data: mujoco.MjData, twist: np.ndarray, opening: float, seconds: float) -> None:
        """Set speeds of all joints.

        Args:
            data: Of the scene.
            twist: (4,) of the gripper: x, y, z [m/s] and about the vertical [rad/s].
            opening: How fast the fingers open [m/s].
            seconds: For which the speeds are right; they count until the next call.
        """
        targets = data.act[self._targets]
        here, turn = self.pose(targets[:6])
        linear = np.array(twist[:3])
        lag = here - data.site_xpos[self._site]
        ahead = linear @ lag
        if np.linalg.norm(lag) > _MAX_LAG and ahead > 0:
            linear -= ahead / (lag @ lag) * lag
        # outside the workspace, where a start may be, only the way back is left, never a jump
        there = np.clip(here + linear * seconds, np.minimum(WORKSPACE[0], here),
                        np.maximum(WORKSPACE[1], here))
        speeds = (self.solve(there, turn + twist[3] * seconds, targets[:6], 3)
                  - targets[:6]) / seconds
        speeds *= min(1.0, _MAX_JOINT_SPEED / max(np.abs(speeds).max(), 1e-9))
        finger = -opening / STROKE * scene.FINGER_CLOSED
        squeeze = targets[6] - data.qpos[self.finger.qposadr[0]]
        if abs(squeeze) > _MAX_SQUEEZE and squeeze * finger > 0:
            finger = 0.0
        data.ctrl[self._controls] = np.array([*speeds, finger])[:, None]

    def hold(self, data: mujoco.MjData) -> None:
        """Stand still; targets of another state (a pose without targets) go to the joints."""
        if np.abs(data.act[self._targets[:6]] - data.qpos[self.qpos]).max() > _LOST:
            self.put_targets(data)
        data.ctrl[self._controls] = 0.0

    def put_targets(self, data: mujoco.MjData) -> None:
        """Let every joint's target be where the joint is."""
        data.act[self._targets] = np.clip([*data.qpos[self.qpos],
                                           data.qpos[self.finger.qposadr[0]]], *self._ends.T)

    def put_fingers(self, data: mujoco.MjData, closed: float) -> None:
        """Put both fingers where the driven joint is closed by so much, 0 to 0.8 rad."""
        for side in ('right', 'left'):
            for name, share in _LINKAGE.items():
                data.joint(f'{scene.GRIPPER}{side}_{name}_joint').qpos[0] = share * closed

    def pose(self, joints: np.ndarray) -> tuple[np.ndarray, float]:
        """Return where the gripper is at joints (6,): (3,) [m], and how it is turned [rad]."""
        data = self._scratch
        data.qpos[self.qpos] = joints
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        return data.site_xpos[self._site].copy(), yaw_of(data.site_xmat[self._site])

    def solve(self, place: np.ndarray, yaw: float, joints: np.ndarray, iterations: int
              ) -> np.ndarray:
        """Return joints (6,) with the gripper at a place (3,), turned by `yaw`, pointing down."""
        joints, data = np.array(joints), self._scratch
        wanted = np.array([[np.cos(yaw), np.sin(yaw), 0.0], [np.sin(yaw), -np.cos(yaw), 0.0],
                           [0.0, 0.0, -1.0]])
        jacobian = np.empty((6, self.model.nv))
        for _ in range(iterations):
            here, _ = self.pose(joints)
            axes = data.site_xmat[self._site].reshape(3, 3)
            error = np.concatenate([place - here, 0.5 * np.cross(axes, wanted, axis=0).sum(1)])
            mujoco.mj_jacSite(self.model, data, jacobian[:3], jacobian[3:], self._site)
            ours = jacobian[:, self.dofs]
            step = ours.T @ np.linalg.solve(ours @ ours.T + _DAMPING ** 2 * np.eye(6), error)
            joints += step * min(1.0, 0.5 / max(np.abs(step).max(), 1e-9))
        return joints


def yaw_of(axes: np.ndarray) -> float:
    """Return how a frame (9,) is turned about the vertical [rad]."""
    return float(np.arctan2(axes[3], axes[0]))
