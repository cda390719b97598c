"""All bags of a data set show the same view: as many cameras, cropped alike, of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from pathlib import Path

from lewm_model.images.view import View
from lewm_model.ingest.convert_bag import read_attribute, VIEW
from lewm_model.ingest.report import BagReport
from lewm_model.ingest.scratch import Scratch

_log = logging.getLogger(__name__)


def view_of_set(path: Path) -> View | None:
    """Return the view of an existing set; None, with a warning, if it was made before views.

    Raises:
        DatasetError: If the set cannot be read.
    """
    view = View.from_json(read_attribute(path, VIEW))
    if view is None:
        _log.warning('%s does not say what shape its pictures had: new bags are not compared with '
                     'those that it holds', path)
    return view


def leave_out_other_views(found: Sequence[BagReport], scratch: Scratch, view: View | None
                          ) -> tuple[list[BagReport], View | None]:
    """Refuse bags with another view than the set, or than the first bag of a new one.

    Args:
        found: All bags, in their order.
        scratch: Where their parts are.
        view: Of the set that they are added to; None: the first bag decides.

    Returns:
        The reports, with the error where a bag is left out, and the view of all others.
    """
    kept, first = [], 'the set' if view else ''
    for report in found:
        part = scratch.part(report.bag)
        if report.rows and part.is_file():    # else it is in the set already
            own = View.from_json(read_attribute(part, VIEW))
            if own is not None and view is None:
                view, first = own, report.bag
            difference = view.difference(own) if own is not None and view is not None else ''
            if difference:
                report = BagReport(
                    bag=report.bag, sha256=report.sha256, notes=report.notes,
                    error=f'{report.bag}: {difference} as in {first}: the same thing would look '
                          f'different; ingest it into another set')
                _log.warning('%s: left out: %s', report.bag, report.error)
        kept.append(report)
    return kept, view
