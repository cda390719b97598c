"""Answers of services that did not do what was asked: `success`, `code` and `message`.

The code is that of whoever made the text (`ReasonedError`); an error without one gets that of
what was being done. Services of other packages, such as std_srvs/Trigger, have no code.
"""

from __future__ import annotations

from typing import Any, TypeVar

from lewm_ros.wire.checks import MessageError
from lewm_ros.wire.reasons import Code, Reason, reason_of

Response = TypeVar('Response')


def refuse(response: Response, why: Reason | Exception, otherwise: Code = Code.INTERNAL
           ) -> Response:
    """Fill an answer with the reason why nothing was done; return it.

    Args:
        response: Of any service; of its fields those that it has are filled.
        why: The reason, or the error that has it.
        otherwise: The code of an error that has none.
    """
    reason = why if isinstance(why, Reason) else reason_to_refuse(why, otherwise)
    for field, value in (('success', False), ('code', int(reason.code)),
                         ('message', reason.text)):
        if hasattr(response, field):
            setattr(response, field, value)
    return response


def reason_to_refuse(error: Exception, otherwise: Code) -> Reason:
    """Return the reason of an error; a field of the request that cannot be is BAD_ARGUMENT."""
    return reason_of(error, Code.BAD_ARGUMENT if isinstance(error, MessageError) else otherwise)


def refusal_of(answer: Any) -> str:
    """Return why a service did not do what was asked; '': it did."""
    return '' if answer.success else answer.message or 'no reason was given'


def code_of(answer: Any) -> Code | None:
    """Return the code of an answer; None: it has none, or one that is not known here."""
    try:
        return Code(answer.code)
    except (AttributeError, ValueError):
        return None
