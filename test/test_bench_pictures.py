"""The picture benchmark measures what it says."""

import argparse
import re

import pytest

pytest.importorskip('mujoco')

from bench import pictures  # noqa: E402


def test_both_ways_show_the_same_and_latents_are_compared_in_order():
    """Half a grey level or so apart; decoding in part changes latents less than compression."""
    parser = argparse.ArgumentParser()
    pictures.add_arguments(parser)
    report = pictures.run(parser.parse_args(['--pictures', '3', '--rounds', '1']))

    assert [group.measured[0].units for group in report.groups] == [3] * 5
    for group in report.groups[:4]:
        mean = float(re.match(r'mean ([\d.]+)', group.notes['grey levels between both'])[1])
        assert 0 < mean < 2

    def median(name):
        return float(re.match(r'median ([\d.]+)', report.groups[4].notes[name])[1])

    assert median('JPEG in part - JPEG in full') < median('JPEG in part - raw, area')
