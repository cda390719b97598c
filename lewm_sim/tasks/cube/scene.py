"""OGBench's single-cube scene, put together from the descriptions in the package `ogbench`.

Only its files are read: MuJoCo alone loads them, so neither dm_control nor gymnasium is needed,
and nothing of theirs is part of this package. Kept: arm, gripper, cube, walls, contacts, time
step, light, camera. Changed:

- Shadows and multisampling are off: with them a software renderer needs 400 ms for a picture.
- The arm's links are not drawn. OGBench draws them at a tenth of full colour, so that they do not
  hide the cube; to draw them not at all saves most of the time of a picture.
- Of the gripper, fingers are drawn at half of full colour and its base as a cylinder; OGBench
  draws both at a tenth, but what moves has to be learnt. The linkage is not drawn.
- The floor has 20 x 20 quads instead of 200 x 200. OGBench's transparent target is left out: the
  goal is another picture.
- Joints take speeds: a position servo whose target moves at the commanded speed, and a servo of
  that speed, with the gains of OGBench's position servos. Together they do not lag behind.
- Gravity is compensated, as in the arm's own controller; OGBench's sinks while it stands still.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lewm_model.errors import ConfigError

if TYPE_CHECKING:
    from mujoco import MjModel, MjSpec

PACKAGE = 'ogbench'
INSTALL = "pip install 'lewm_ros[cube]' (or pip install --no-deps ogbench: 9 MB, its files only)"
ARM_JOINTS = ('shoulder_pan_joint', 'shoulder_lift_joint', 'elbow_joint', 'wrist_1_joint',
              'wrist_2_joint', 'wrist_3_joint')
FINGER_JOINT = 'finger_joint'
ARM, CUBE = 'ur5e/', 'cube/'       # what names of the scene begin with
GRIPPER = f'{ARM}robotiq/'
PINCH = f'{GRIPPER}pinch'          # the point between the fingers, a site
FINGER_CLOSED = 0.8                # of the finger joint, open: 0 [rad]
CUBE_HALF = 0.02                   # [m]
_GAINS = (4500, 4500, 4500, 2000, 2000, 500)     # of the joints, as OGBench sets them [N m/rad]
_DAMPING = (450, 450, 450, 200, 200, 50)         # [N m s/rad]
_FORCES = (150, 150, 150, 28, 28, 28)            # [N m], of each of the two servos
_PURPLE, _RED = (0.61, 0.28, 0.82), (0.96, 0.26, 0.33, 1.0)
_LARGEST_PX = 448
_NOT_DRAWN = ('base', 'base_mount', 'coupler', 'spring_link')   # meshes of the gripper


def descriptions() -> Path:
    """Return the folder of OGBench's MuJoCo files.

    Raises:
        ConfigError: If the package is not installed, or has no such files.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f'the scene of task cube is read from the package {PACKAGE}, which is '
                          f'not installed; {INSTALL}')
    folder = Path(list(spec.submodule_search_locations)[0]) / 'manipspace' / 'descriptions'
    if not (folder / 'floor_wall.xml').is_file():
        raise ConfigError(f'package {PACKAGE} has no {folder / "floor_wall.xml"}; task cube was '
                          f'written for its version 1.2: pip install --no-deps "ogbench>=1.2,<2"')
    return folder


def build() -> MjModel:
    """Return the compiled scene."""
    import mujoco

    return _assemble(mujoco, descriptions()).compile()


def _assemble(mujoco, folder: Path) -> MjSpec:
    scene = mujoco.MjSpec.from_file(str(folder / 'floor_wall.xml'))
    arm = mujoco.MjSpec.from_file(str(folder / 'universal_robots_ur5e' / 'ur5e.xml'))
    gripper = mujoco.MjSpec.from_file(str(folder / 'robotiq_2f85' / '2f85.xml'))
    cube = mujoco.MjSpec.from_file(str(folder / 'cube.xml'))
    for part in (scene, arm, gripper, cube):
        _physics(mujoco, part)
    _plain_arm(arm)
    _plain_gripper(mujoco, gripper)
    _own_cube(cube)
    arm.attach(gripper, prefix=GRIPPER.removeprefix(ARM), site=arm.site('attachment_site'))
    scene.attach(arm, prefix=ARM, frame=scene.worldbody.add_frame())
    scene.attach(cube, prefix=CUBE, frame=scene.worldbody.add_frame())
    _pictures(scene)
    _servos(mujoco, scene)
    return scene


def _plain_arm(arm: MjSpec) -> None:
    """Take away what is not drawn or not wanted, and let the arm carry its own weight."""
    for one in [*arm.keys, *arm.lights, *arm.actuators]:
        arm.delete(one)
    for geom in [one for one in arm.geoms if one.classname.name == 'visual']:
        arm.delete(geom)
    for mesh in list(arm.meshes):
        arm.delete(mesh)
    for body in arm.bodies[1:]:
        body.gravcomp = 1.0


def _plain_gripper(mujoco, gripper: MjSpec) -> None:
    """Draw the base as a cylinder, and colour the gripper as OGBench does for pictures."""
    for body in gripper.bodies[1:]:
        body.gravcomp = 1.0
    for geom in [one for one in gripper.geoms if one.meshname in _NOT_DRAWN
                 and one.classname.name == 'visual']:
        gripper.delete(geom)
    for name in ('black', 'pad_gray'):
        gripper.material(name).rgba = (*_PURPLE, 0.5)
    gripper.add_material(name='base', rgba=(*_PURPLE, 1.0))
    gripper.body('base').add_geom(
        name='base_drawn', type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.036, 0.05, 0.0],
        pos=[0.0, 0.0, 0.04], material='base', contype=0, conaffinity=0, group=2, mass=0.0)


def _own_cube(cube: MjSpec) -> None:
    """Name what is asked for, and give the colour a material, which events can change."""
    cube.delete(cube.body('object_target_0'))
    cube.joint('object_joint_0').name = 'joint'
    cube.body('object_0').name = 'body'
    cube.add_material(name='colour', rgba=_RED)
    geom = cube.geom('object_0')
    geom.material, geom.rgba = 'colour', (0.5, 0.5, 0.5, 1.0)   # MuJoCo's default: the material's


def _physics(mujoco, part: MjSpec) -> None:
    """Set what holds for the whole scene; parts that differ would be a warning."""
    option = part.option
    option.timestep, option.impratio = 0.002, 10.0
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC


def _pictures(scene: MjSpec) -> None:
    """Set camera and view as OGBench does, but for the quality of pictures."""
    visual = scene.visual
    scene.stat.center, scene.stat.extent, scene.stat.meansize = (0.3, 0.0, 0.15), 0.7, 0.04
    visual.map.znear, visual.map.zfar = 0.1, 10.0
    visual.quality.shadowsize, visual.quality.offsamples = 0, 0
    visual.global_.offwidth = visual.global_.offheight = _LARGEST_PX
    scene.geom('floor').size[2] = 0.1     # edge of the quads it is drawn with [m]
    scene.worldbody.add_camera(name='front_pixels', pos=(1.053, -0.014, 0.639), fovy=45,
                               xyaxes=(0.0, 1.0, 0.0, -0.628, 0.001, 0.778))


def _servos(mujoco, scene: MjSpec) -> None:
    """Let joints take speeds: target and speed, each with a servo of its own."""
    for one in list(scene.actuators):    # of the gripper; those of the arm are gone already
        scene.delete(one)
    kinds = mujoco.mjtTrn
    for joint, gain, damping, force in zip(ARM_JOINTS, _GAINS, _DAMPING, _FORCES, strict=True):
        name = f'{ARM}{joint}'
        _servo(mujoco, scene, joint, name, kinds.mjTRN_JOINT, gain, damping, force,
               scene.joint(name).range)
    _servo(mujoco, scene, FINGER_JOINT, f'{GRIPPER}split', kinds.mjTRN_TENDON, 100.0, 10.0, 5.0,
           (0.0, FINGER_CLOSED))


def _servo(mujoco, scene: MjSpec, name: str, target: str, kind, gain: float, damping: float,
           force: float, ends) -> None:
    """Add the two actuators of one joint; `NAME_speed` takes the same control as `NAME`."""
    place = scene.add_actuator(name=name, target=target, trntype=kind)
    place.dyntype = mujoco.mjtDyn.mjDYN_INTEGRATOR
    place.gainprm[0], place.biasprm[1] = gain, -gain
    place.actlimited, place.actrange = 1, ends
    speed = scene.add_actuator(name=f'{name}_speed', target=target, trntype=kind)
    speed.gainprm[0], speed.biasprm[2] = damping, -damping
    for one in (place, speed):
        one.gaintype = mujoco.mjtGain.mjGAIN_FIXED
        one.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        one.forcelimited, one.forcerange = 1, (-force, force)
