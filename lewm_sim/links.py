"""What viewers are told of a scene: links, joints and shapes, as a URDF says it. No mujoco."""

from __future__ import annotations

from dataclasses import dataclass

ROOT_LINK = 'world'
CAMERA_LINK = 'camera_optical_frame'   # z forward, x to the right, y down, as ROS has it
KINDS = ('fixed', 'continuous', 'prismatic', 'ball', 'floating')

Vector = tuple[float, float, float]
Rotation = tuple[float, float, float, float]   # unit quaternion, w first
STRAIGHT: Rotation = (1.0, 0.0, 0.0, 0.0)
ORIGIN: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Shape:
    """One solid of a link."""

    kind: str            # box (edges), cylinder (radius, length) or sphere (radius)
    size: tuple[float, ...]   # [m]
    position: Vector     # in the link [m]
    rotation: Rotation
    rgba: tuple[float, float, float, float]


@dataclass(frozen=True)
class Inertia:
    """Mass and moments about the principal axes."""

    mass: float          # [kg]
    moments: Vector      # [kg m^2]
    position: Vector = ORIGIN   # of the centre of mass, in the link [m]
    rotation: Rotation = STRAIGHT


@dataclass(frozen=True)
class Link:
    """One rigid part, with the joint that holds it."""

    name: str            # unique, also the name of its frame
    parent: str          # '' for the root
    kind: str = 'fixed'  # one of KINDS
    joint: str = ''      # name; '' where it is fixed
    position: Vector = ORIGIN       # of the joint in the parent, where its value is 0 [m]
    rotation: Rotation = STRAIGHT
    axis: Vector = (0.0, 0.0, 1.0)  # that it turns about or slides along
    shapes: tuple[Shape, ...] = ()
    inertia: Inertia | None = None  # None: it carries others and has no mass
