"""Why something is not as it should be: a code for programs, a text for people.

The codes are those of `msg/Reason.msg`; a test holds both equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lewm_model.errors import LewmError


class Code(IntEnum):
    """See the comments in `msg/Reason.msg`."""

    OK = 0
    BAD_ARGUMENT = 1
    NOT_SET_UP = 2
    BUSY = 3
    NOTHING_UNDER_WAY = 4
    NO_ANSWER = 5
    NO_SUCH_GOAL = 10
    NO_PUBLISHER = 20
    DISK_FAILED = 21
    NO_FRAME = 100
    FRAME_STALE = 101
    FRAME_FUTURE = 102
    FRAME_UNREADABLE = 103
    FRAME_MISFIT = 104
    FRAME_FROZEN = 105
    NO_ROBOT_STATE = 106
    NO_GOAL = 110
    GOAL_REFUSED = 111
    ENGINE_FAILED = 120
    PLAN_INVALID = 121
    PLANNER_STUCK = 122
    PLANNER_FAILED = 123
    RESET = 130
    INACTIVE = 131
    NO_PROGRESS = 132
    SURPRISED = 133
    VIEW_UNFAMILIAR = 134
    GOAL_UNFAMILIAR = 135
    NOT_ENABLED = 200
    E_STOP = 201
    STOPPED_BY_CALL = 202
    PLANNER_SILENT = 203
    OBSERVATION_STALE = 204
    OBSERVATION_FUTURE = 205
    WAITING_FOR_PLAN = 206
    PLAN_GAP = 207
    PLAN_ENDED = 208
    PLAN_WITHDRAWN = 209
    CHUNK_REFUSED = 210
    CHUNK_MALFORMED = 211
    NO_JOINT_STATE = 212
    JOINT_STATE_CONFLICT = 213
    FOREIGN_COMMANDS = 214
    NO_LISTENER = 215
    SECOND_PLANNER = 216
    PROCESS_PAUSED = 217
    GUARD_MISSING = 218
    GUARD_ACTED = 219
    POSITION_LIMIT = 220
    MESSAGE_REFUSED = 230
    INTERNAL = 240


@dataclass(frozen=True)
class Reason:
    """A code and its text; false when all is well."""

    code: Code = Code.OK
    text: str = ''

    def __bool__(self) -> bool:
        return self.code is not Code.OK

    def __str__(self) -> str:
        return self.text


class ReasonedError(LewmError):
    """An error that knows its code."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.reason = Reason(code, str(self))


def reason_of(error: Exception, otherwise: Code) -> Reason:
    """Return the reason that an error carries, or one of its text with the code `otherwise`."""
    return error.reason if isinstance(error, ReasonedError) else Reason(otherwise, str(error))
