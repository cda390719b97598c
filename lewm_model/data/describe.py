"""Say in words and pictures what a data set or a bag holds, so that people can trust it."""

from __future__ import annotations

from lewm_model.data.alignment import action_lag
from lewm_model.data.describe_bag import describe_bag
from lewm_model.data.describe_data import contact_sheet, describe_data_set

__all__ = ['action_lag', 'contact_sheet', 'describe_bag', 'describe_data_set']
