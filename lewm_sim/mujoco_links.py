"""The links of a MuJoCo scene. A body with several joints becomes several links, one for each."""

from __future__ import annotations

from dataclasses import replace

from lewm_sim.links import (
    CAMERA_LINK,
    Inertia,
    Link,
    ROOT_LINK,
    Rotation,
    Shape,
    STRAIGHT,
    Vector,
)
import mujoco
import numpy as np

_KINDS = {mujoco.mjtJoint.mjJNT_HINGE: 'continuous', mujoco.mjtJoint.mjJNT_SLIDE: 'prismatic',
          mujoco.mjtJoint.mjJNT_BALL: 'ball', mujoco.mjtJoint.mjJNT_FREE: 'floating'}
_LAST_DRAWN_GROUP = 2     # MuJoCo draws groups 0 to 2
_ENDLESS = 10.0           # edge of a plane without one [m]
_PLANE_THICK = 0.001      # [m]
_GREY = (0.5, 0.5, 0.5, 1.0)
_OPTICAL = np.array([0.0, 1.0, 0.0, 0.0])   # half a turn about x: MuJoCo's cameras look along -z
_SAME = 1e-9


def links_of(model: mujoco.MjModel, camera: str = '') -> tuple[Link, ...]:
    """Return the links of a scene, parents first; the root is the world, with what stands in it.

    Args:
        model: The scene.
        camera: Name of a camera that becomes a link, too; '': none.
    """
    names = _body_names(model)
    links = [Link(ROOT_LINK, '', shapes=_shapes(model, 0))]
    for body in range(1, model.nbody):
        links += _body_links(model, body, names)
    if camera:
        one = model.camera(camera)
        links.append(Link(CAMERA_LINK, names[int(one.bodyid[0])], position=_vector(one.pos),
                          rotation=_product(one.quat, _OPTICAL)))
    return tuple(links)


def poses_of(model: mujoco.MjModel, links: tuple[Link, ...], qpos: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray]:
    """Return where each link is in its parent, positions (n, 3) [m] and quaternions (n, 4)."""
    positions = np.array([one.position for one in links])
    rotations = np.array([one.rotation for one in links])
    for place, one in enumerate(links):
        if one.kind == 'fixed':
            continue
        start = int(model.jnt_qposadr[_joint_number(model, one.joint)])
        if one.kind == 'floating':
            positions[place], rotations[place] = qpos[start:start + 3], qpos[start + 3:start + 7]
        elif one.kind == 'ball':
            rotations[place] = _product(one.rotation, qpos[start:start + 4])
        elif one.kind == 'prismatic':
            positions[place] += _turned(np.array(one.axis) * qpos[start], one.rotation)
        else:
            rotations[place] = _product(one.rotation, _turn(one.axis, qpos[start]))
    return positions, rotations


def _body_links(model: mujoco.MjModel, body: int, names: list[str]) -> list[Link]:
    name, parent = names[body], names[model.body_parentid[body]]
    position, rotation = model.body_pos[body], model.body_quat[body]
    joints = range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])
    links = []
    for number in joints:
        kind = _KINDS[mujoco.mjtJoint(model.jnt_type[number])]
        anchor, axis = model.jnt_pos[number], model.jnt_axis[number]
        if kind == 'floating':      # its value is the whole pose
            position, rotation, anchor = np.zeros(3), np.array(STRAIGHT), np.zeros(3)
        place = position + _turned(anchor, rotation)
        zero = float(model.qpos0[model.jnt_qposadr[number]])
        if kind == 'continuous':
            rotation = _product(rotation, _turn(axis, -zero))
        if kind == 'prismatic':
            place = place - _turned(axis * zero, rotation)
        joint = _joint_name(model, number)
        links.append(Link(f'{name}_{joint}', parent, kind, joint, _vector(place),
                          _rotation(rotation), _vector(axis)))
        # the next one starts where the body's origin is: the joint turned about its anchor
        parent, position, rotation = links[-1].name, -anchor, np.array(STRAIGHT)
    whole = {'shapes': _shapes(model, body), 'inertia': _inertia(model, body)}
    if links and np.abs(position).max() < _SAME:
        return [*links[:-1], replace(links[-1], name=name, **whole)]
    return [*links, Link(name, parent, position=_vector(position), rotation=_rotation(rotation),
                         **whole)]


def _inertia(model: mujoco.MjModel, body: int) -> Inertia | None:
    if model.body_mass[body] <= 0:
        return None
    return Inertia(float(model.body_mass[body]), _vector(model.body_inertia[body]),
                   _vector(model.body_ipos[body]), _rotation(model.body_iquat[body]))


def _shapes(model: mujoco.MjModel, body: int) -> tuple[Shape, ...]:
    found: list[Shape] = []
    first = model.body_geomadr[body]
    for geom in range(first, first + model.body_geomnum[body]):
        rgba = _colour(model, geom)
        if model.geom_group[geom] <= _LAST_DRAWN_GROUP and rgba[3] > 0:
            found += _solids(model, geom, rgba)
    return tuple(found)


def _solids(model: mujoco.MjModel, geom: int, rgba: tuple[float, float, float, float]
            ) -> list[Shape]:
    """Return the solids of a geom; what a URDF has no word for becomes the box around it."""
    kind, kinds = model.geom_type[geom], mujoco.mjtGeom
    size, at = model.geom_size[geom], model.geom_pos[geom]
    turn = model.geom_quat[geom]

    def solid(name: str, numbers: tuple[float, ...], offset: np.ndarray) -> Shape:
        return Shape(name, tuple(float(one) for one in numbers), _vector(
            at + _turned(offset, turn)), _rotation(turn), rgba)

    middle = np.zeros(3)
    if kind == kinds.mjGEOM_PLANE:
        edges = [2 * one if one > 0 else _ENDLESS for one in size[:2]]
        return [solid('box', (*edges, _PLANE_THICK), np.array([0, 0, -_PLANE_THICK / 2]))]
    if kind == kinds.mjGEOM_SPHERE:
        return [solid('sphere', (size[0],), middle)]
    if kind == kinds.mjGEOM_CYLINDER:
        return [solid('cylinder', (size[0], 2 * size[1]), middle)]
    if kind == kinds.mjGEOM_CAPSULE:
        ends = np.array([0, 0, size[1]])
        return [solid('cylinder', (size[0], 2 * size[1]), middle),
                solid('sphere', (size[0],), ends), solid('sphere', (size[0],), -ends)]
    if kind == kinds.mjGEOM_BOX:
        return [solid('box', tuple(2 * size), middle)]
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    return [solid('box', tuple(2 * half), centre)]


def _colour(model: mujoco.MjModel, geom: int) -> tuple[float, float, float, float]:
    """Return the colour that is drawn: the material's, unless the geom has one of its own."""
    own, material = model.geom_rgba[geom], model.geom_matid[geom]
    drawn = model.mat_rgba[material] if material >= 0 and np.allclose(own, _GREY) else own
    return tuple(float(one) for one in drawn)


def _body_names(model: mujoco.MjModel) -> list[str]:
    return [ROOT_LINK, *(model.body(number).name or f'body_{number}'
                         for number in range(1, model.nbody))]


def _joint_name(model: mujoco.MjModel, number: int) -> str:
    return model.joint(number).name or f'joint_{number}'


def _joint_number(model: mujoco.MjModel, name: str) -> int:
    return next(number for number in range(model.njnt) if _joint_name(model, number) == name)


def _turn(axis: np.ndarray | Vector, angle: float) -> np.ndarray:
    found = np.empty(4)
    mujoco.mju_axisAngle2Quat(found, np.asarray(axis, float), angle)
    return found


def _turned(vector: np.ndarray, rotation: np.ndarray | Rotation) -> np.ndarray:
    found = np.empty(3)
    mujoco.mju_rotVecQuat(found, np.asarray(vector, float), np.asarray(rotation, float))
    return found


def _product(first: np.ndarray | Rotation, second: np.ndarray) -> Rotation:
    found = np.empty(4)
    mujoco.mju_mulQuat(found, np.asarray(first, float), np.asarray(second, float))
    return _rotation(found)


def _vector(values: np.ndarray) -> Vector:
    return tuple(float(one) for one in values)


def _rotation(values: np.ndarray) -> Rotation:
    unit = np.asarray(values, float)
    return tuple(float(one) for one in unit / np.linalg.norm(unit))
