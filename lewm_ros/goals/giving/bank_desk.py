"""What a goal bank offers to people: its list, its gallery, its places, a click on its gallery.

Gallery and markers are published once and latched: a bank does not change while it is open, who
looks later gets them, and nobody pays again.
"""

from __future__ import annotations

from pathlib import Path

from geometry_msgs.msg import Point
from lewm_model.errors import ConfigError, LewmError
from lewm_model.images.gallery import draw_gallery
from lewm_model.robots.clicks import Clicks
from lewm_model.robots.robot import RobotDescription
from lewm_ros.goals.giving.bank import OpenBank
from lewm_ros.goals.giving.resolve import Found
from lewm_ros.node.plain import PlainNode
from lewm_ros.srv import ListGoals
from lewm_ros.wire import qos
from lewm_ros.wire.gallery import Place, places_to_markers
from lewm_ros.wire.goal_specs import GoalWish, pixel_of
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.refusals import refuse
from lewm_ros.wire.reports import GoalSource
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

GALLERY_TOPIC = '~/gallery'
NO_BANK = ('there is no goal bank; start the goal node with its parameter goal_bank set to a '
           'folder that "lewm goal-bank" wrote')
_MARKER_SHARE = 0.06     # length of an arrow, as a share of the area of goals


class BankDesk:
    """Opens a bank, shows it and answers for it. One that cannot be opened is told, and is none.

    Attributes:
        bank: The open bank, or None.
        problem: Why there is none though one was asked for; '' if all is well.

    Args:
        node: Owner of topics and services.
        folder: Of the bank; '': none.
        robot: Of the node.
        clicks: What clicks stand for, for the places of entries.
    """

    def __init__(self, node: PlainNode, folder: str | Path, robot: RobotDescription,
                 clicks: Clicks | None) -> None:
        self.bank: OpenBank | None = None
        self.problem = ''
        node.always.service(ListGoals, '~/list_goals', self._on_list_goals)
        if not str(folder):
            return
        try:
            bank = OpenBank(folder, robot)
            entries = bank.bank.entries
            self._gallery = draw_gallery([bank.picture(one) for one in entries],
                                         [bank.bank.lines(one) for one in entries])
        except LewmError as error:
            self.problem = f'the goal bank cannot be used: {error}'
            return
        self.bank = bank
        picture = node.always.publisher(Image, GALLERY_TOPIC, qos.LATCHED)
        picture.publish(rgb_to_image(self._gallery.rgb, 0))
        places = [] if clicks is None else places_of(bank, clicks)
        if places:
            markers = node.always.publisher(MarkerArray, f'{GALLERY_TOPIC}_markers', qos.LATCHED)
            low_x, high_x, low_y, high_y = clicks.within
            markers.publish(places_to_markers(places, clicks.frame, _MARKER_SHARE * max(
                high_x - low_x, high_y - low_y)))

    def find(self, wish: GoalWish) -> Found:
        """Return the entry that a wish names.

        Raises:
            ReasonedError: NOT_SET_UP: there is no bank, or NO_SUCH_GOAL.
            ImageError: If its picture cannot be used.
        """
        if self.bank is None:
            raise ReasonedError(Code.NOT_SET_UP, self.problem or NO_BANK)
        try:
            entry = self.bank.bank.entry(wish.uri)
        except ConfigError as error:
            raise ReasonedError(Code.NO_SUCH_GOAL, str(error)) from error
        return Found(self.bank.picture(entry), goal_id=entry.name,
                     text=self.bank.bank.text(entry))

    def clicked(self, message: Point) -> GoalWish:
        """Return the wish of a click into the gallery.

        Raises:
            LewmError: If no picture is there.
        """
        number = self._gallery.at(*pixel_of(message))
        return GoalWish(GoalSource.BANK, uri=self.bank.bank.entries[number].name)

    def _on_list_goals(self, request: ListGoals.Request, response: ListGoals.Response):
        if self.bank is None:
            return refuse(response, Reason(Code.NOT_SET_UP, self.problem or NO_BANK))
        bank, response.success = self.bank.bank, True
        response.names = [one.name for one in bank.entries]
        response.texts = [bank.text(one) for one in bank.entries]
        return response


def places_of(bank: OpenBank, clicks: Clicks) -> list[Place]:
    """Return where the entries are, by the quantities of clicks; [] if they do not say."""
    known = {one.name for one in bank.bank.quantities if one.width == 1}
    if not {clicks.x, clicks.y} <= known:
        return []
    places = []
    for one in bank.bank.entries:
        values = bank.bank.named(one)
        places.append(Place(one.name, float(values[clicks.x][0]), float(values[clicks.y][0]),
                            clicks.arrow(float(values[clicks.yaw][0])) if clicks.yaw in known
                            else None))
    return places
