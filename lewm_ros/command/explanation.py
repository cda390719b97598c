"""Why the robot does not follow a plan, in one reason: the code that helps most, all the texts."""

from __future__ import annotations

from lewm_ros.wire.reasons import Code, Reason

# There is no row to follow; a chunk that was refused says more about why.
_NO_ROW = (Code.WAITING_FOR_PLAN, Code.PLAN_GAP, Code.PLAN_ENDED)


def explain(reason: Reason, *, blind: str, unreadable: str, refusal: str,
            others: tuple[str, ...] = ()) -> Reason:
    """Return what the state says.

    Args:
        reason: Of the watchdog.
        blind: The planner lives without frames, and why; or nothing.
        unreadable: Why a planner's heartbeats are not taken for one; or nothing.
        refusal: Why the newest chunk is not followed; or nothing.
        others: More that a person should know.
    """
    code, text = reason.code, reason.text
    if code is Code.PLANNER_SILENT:
        text = blind or text
        code = Code.MESSAGE_REFUSED if unreadable and not blind else code
    texts = [text, blind, unreadable]
    if refusal and refusal != text:
        texts.append(f'last chunk refused: {refusal}')
        code = Code.CHUNK_REFUSED if code in _NO_ROW else code
    return Reason(code, '; '.join(dict.fromkeys(filter(None, [*texts, *others]))))
