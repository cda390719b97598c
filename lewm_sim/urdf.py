"""A robot description (URDF) of a simulated scene, for viewers.

Ranges of joints are left out on purpose. The command node keeps to those of a `robot_description`
and slows down well before them, which is right for a robot and would change how every simulated
task moves near its rim; MuJoCo keeps the ranges of the scene by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from xml.etree import ElementTree

from lewm_sim.links import Inertia, Link, Rotation, Shape, Vector
import numpy as np

# Of links that carry others: parsers refuse moving links without mass.
_CARRIER = Inertia(1e-6, (1e-9, 1e-9, 1e-9))
_TYPES = {'ball': 'floating'}     # a URDF has no ball joint


def urdf_of(links: Sequence[Link], name: str) -> str:
    """Return the description of links as XML text."""
    robot = ElementTree.Element('robot', name=name)
    for one in links:
        link = ElementTree.SubElement(robot, 'link', name=one.name)
        if one.parent:
            _add_inertia(link, one.inertia or _CARRIER)
        for number, shape in enumerate(one.shapes):
            _add_shape(link, shape, f'{one.name}_colour_{number}')
        if one.parent:
            _add_joint(robot, one)
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding='unicode')


def _add_joint(robot: ElementTree.Element, link: Link) -> None:
    joint = ElementTree.SubElement(robot, 'joint', name=link.joint or f'{link.name}_fixed',
                                   type=_TYPES.get(link.kind, link.kind))
    ElementTree.SubElement(joint, 'parent', link=link.parent)
    ElementTree.SubElement(joint, 'child', link=link.name)
    _add_origin(joint, link.position, link.rotation)
    if link.kind in ('continuous', 'prismatic'):
        ElementTree.SubElement(joint, 'axis', xyz=_text(link.axis))
    if link.kind == 'prismatic':   # must be there; 0: nobody filled it in
        ElementTree.SubElement(joint, 'limit', effort='0', velocity='0')


def _add_inertia(link: ElementTree.Element, inertia: Inertia) -> None:
    element = ElementTree.SubElement(link, 'inertial')
    _add_origin(element, inertia.position, inertia.rotation)
    ElementTree.SubElement(element, 'mass', value=f'{inertia.mass:.9g}')
    xx, yy, zz = (f'{one:.9g}' for one in inertia.moments)
    ElementTree.SubElement(element, 'inertia', ixx=xx, iyy=yy, izz=zz, ixy='0', ixz='0', iyz='0')


def _add_shape(link: ElementTree.Element, shape: Shape, colour: str) -> None:
    visual = ElementTree.SubElement(link, 'visual')
    _add_origin(visual, shape.position, shape.rotation)
    geometry = ElementTree.SubElement(visual, 'geometry')
    if shape.kind == 'box':
        ElementTree.SubElement(geometry, 'box', size=_text(shape.size))
    elif shape.kind == 'cylinder':
        radius, length = (_text([one]) for one in shape.size)
        ElementTree.SubElement(geometry, 'cylinder', radius=radius, length=length)
    else:
        ElementTree.SubElement(geometry, 'sphere', radius=_text(shape.size))
    material = ElementTree.SubElement(visual, 'material', name=colour)
    ElementTree.SubElement(material, 'color', rgba=_text(shape.rgba))


def _add_origin(element: ElementTree.Element, position: Vector, rotation: Rotation) -> None:
    ElementTree.SubElement(element, 'origin', xyz=_text(position), rpy=_text(rpy_of(rotation)))


def rpy_of(rotation: Rotation) -> Vector:
    """Return roll, pitch and yaw [rad] of a unit quaternion, w first: turns about x, y, then z."""
    w, x, y, z = rotation
    sine = max(-1.0, min(1.0, 2 * (w * y - x * z)))
    if abs(sine) > 1 - 1e-9:    # straight up or down: roll and yaw are one
        up = math.copysign(1.0, sine)
        return 0.0, up * math.pi / 2, -2 * up * math.atan2(x, w)
    return (math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)), math.asin(sine),
            math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def _text(numbers: Sequence[float]) -> str:
    return ' '.join(f'{float(one) + 0.0:.9g}' for one in np.asarray(numbers, float))
