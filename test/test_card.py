"""The card says what the bundle recorded, and nothing else."""

from lewm_model.bundles.card import CARD_FILE, render_card, write_card
from lewm_model.errors import BundleError
from nano import tiny_bundle
import pytest

ANALYSIS = {'state_r_linear_worst': 0.9918, 'straightness': 0.161, 'components_for_95': 33,
            'colour_p': None, 'surprise': {'mean_error': 0.0028, 'threshold': 11.29,
                                           'quantile': 0.999, 'samples': 10500}}


def test_the_card_shows_the_analysis_that_was_saved():
    """Each recorded answer beside the paper's; a dash for what could not be measured."""
    card = render_card(tiny_bundle(metrics={'analysis': ANALYSIS}), 'tiny')
    assert '| linear r, worst quantity | 0.992 | .902 (Push-T block angle) |' in card
    assert '| mean cosine | 0.161 | about .6 (Push-T) |' in card
    assert '| principal components for 95 % of the variance | 33 | – |' in card
    assert '| p | – | not significant on Cube |' in card
    assert 'The 0.999 quantile of ordinary surprise is 11.3, over 10500 steps of held-out' in card
    assert 'Nothing acts on it.' in card and 'alarm' not in card
    assert 'teleport' not in card      # not recorded, so not claimed


def test_what_was_not_measured_is_left_out():
    """Straightness needs three frames in a clip; a model with one frame of history has two."""
    card = render_card(tiny_bundle(metrics={'training': {
        'prediction': 0.25, 'straightness': float('nan')}}), 'tiny')
    assert '| prediction | 0.25 |' in card
    assert 'nan' not in card and 'straightness' not in card


def test_a_card_without_analysis_has_no_such_section():
    """Nothing was looked at, so nothing is said."""
    assert 'What it knows' not in render_card(tiny_bundle(), 'tiny')


def test_a_card_that_cannot_be_written_says_so(tmp_path):
    """And the old one stays."""
    (tmp_path / CARD_FILE).mkdir()
    with pytest.raises(BundleError, match='cannot write .*README.md.*bundle itself is whole'):
        write_card(tiny_bundle(), tmp_path)
