"""Reads and paints the latents of one bundle for people. No rclpy."""

from __future__ import annotations

from lewm_model.base import resources
from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import ConfigError
from lewm_model.robots.clicks import Clicks
from lewm_ros.show.scene import extent_of
from lewm_ros.show.things import Thing, things_of
from lewm_ros.wire.reports import GoalKind, GoalRequest
import numpy as np
import torch


class Mind:
    """A bundle as people see into it.

    Args:
        name: Of the bundle, or its folder.
        clicks: Of the robot file, see `things_of`.

    Attributes:
        things: What has a place that is read from latents.
        extent: Of these places in training [m]; 0 without things.
        notes: What cannot be shown, with what to do.
    """

    def __init__(self, name: str, clicks: Clicks | None = None) -> None:
        folder = resources.find_named('models', name)
        self.bundle = Bundle.load(folder)
        readout = self.bundle.readout
        self.things: tuple[Thing, ...] = (
            things_of(readout.readable, clicks) if readout else ())
        self.extent = 0.0
        if self.things:
            lows, highs = (np.array([getattr(one, end) for one in readout.readable])
                           for end in ('low', 'high'))
            self.extent = extent_of(self.things, lows, highs)
        self.notes = tuple(
            f'bundle {folder} has no {what}, so {lost} not shown; add one with '
            f'`lewm train-policy {folder} --kind {what} --data ...`'
            for what, lost in (('decoder', 'pictures are'), ('readout', 'paths are'))
            if getattr(self.bundle, what) is None)
        if readout and not self.things:
            self.notes += (f'bundle {folder} reads no place with x and y in metres, so paths are '
                           f'not shown',)

    def paint(self, latents: np.ndarray) -> list[np.ndarray | None]:
        """Return a picture, uint8 (64, 64, 3), of each latent (N, D); None without a decoder."""
        if self.bundle.decoder is None:
            return [None] * len(latents)
        return list(self.bundle.decoder.pictures(latents))

    def poses(self, latents: np.ndarray) -> dict[Thing, np.ndarray]:
        """Return the poses of each thing, (..., 4), in latents (..., D)."""
        if not self.things:
            return {}
        values = self.bundle.readout.read(torch.from_numpy(latents))
        return {thing: thing.poses(values) for thing in self.things}

    def goal_poses(self, goal: GoalRequest | None, latent: np.ndarray) -> dict[Thing, np.ndarray]:
        """Return the pose (4,) of each thing whose place a goal says; yaw NaN: any turn will do.

        Args:
            goal: Given; None: not heard of.
            latent: Of its picture, (D,); (0,): it has none.
        """
        said: dict[str, float] = {}
        if len(latent) and self.things:
            readout, counts = self.bundle.readout, goal.names if goal is not None else ()
            said = {one.name: value for one, value in zip(
                readout.readable, readout.read(torch.from_numpy(latent)), strict=True)
                if not counts or one.name in counts}
        elif goal is not None and goal.kind is GoalKind.PROBE:
            said = dict(zip(goal.names, goal.values, strict=True))
        poses = {thing: thing.pose_said(said) for thing in self.things}
        return {thing: pose for thing, pose in poses.items() if pose is not None}

    def goal_picture(self, goal: GoalRequest) -> np.ndarray | None:
        """Return a picture of a goal, uint8 (H, W, 3); None: there is nothing to show.

        A goal without a picture is shown by a recorded frame that has its quantities, decoded.

        Raises:
            ConfigError: If the bundle cannot read what it names.
        """
        if goal.kind is GoalKind.PICTURE:
            return goal.rgb
        readout = self.bundle.readout
        if goal.kind is not GoalKind.PROBE or self.bundle.decoder is None:
            return None
        if readout is None:
            raise ConfigError('the goal names quantities, and the bundle reads none')
        target = readout.target(goal.names, goal.values, goal.weights, goal.tolerances)
        return self.paint(readout.place(target)[None].numpy())[0]
