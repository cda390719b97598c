"""A release's config.json is read as it is published, and refused where it says anything else."""

import json

from lewm_model import load_released, ModelConfig
from lewm_model.bundles.released_config import parse_config, render_config
from lewm_model.errors import BundleError
import pytest
from released_factory import FACTS, small_release

PUBLISHED = {   # config.json of the published Push-T and Reacher models
    '_target_': 'stable_worldmodel.wm.lewm.LeWM',
    'encoder': {'_target_': 'stable_pretraining.backbone.utils.vit_hf', 'size': 'tiny',
                'patch_size': 14, 'image_size': 224, 'pretrained': False,
                'use_mask_token': False},
    'predictor': {'_target_': 'stable_worldmodel.wm.lewm.module.Predictor', 'num_frames': 3,
                  'input_dim': 192, 'hidden_dim': 192, 'output_dim': 192, 'depth': 6, 'heads': 16,
                  'mlp_dim': 2048, 'dim_head': 64, 'dropout': 0.1, 'emb_dropout': 0.0},
    'action_encoder': {'_target_': 'stable_worldmodel.wm.lewm.module.Embedder', 'input_dim': 10,
                       'emb_dim': 192},
    **{name: {'_target_': 'stable_worldmodel.wm.lewm.module.MLP', 'input_dim': 192,
              'output_dim': 192, 'hidden_dim': 2048,
              'norm_fn': {'_target_': 'torch.nn.BatchNorm1d', '_partial_': True}}
       for name in ('projector', 'pred_proj')}}


@pytest.fixture
def released(tmp_path):
    """Return a small checkpoint in the published format."""
    return small_release(tmp_path / 'released')


def edit_config(folder, change):
    """Change config.json."""
    tree = json.loads((folder / 'config.json').read_text())
    change(tree)
    (folder / 'config.json').write_text(json.dumps(tree))


def test_the_published_sizes_are_the_defaults_of_the_model():
    """The published config is the paper's model, and is what we would write for it."""
    assert parse_config(PUBLISHED, 2, 5) == ModelConfig(action_dim=2)
    assert render_config(ModelConfig(action_dim=2)) == PUBLISHED


@pytest.mark.parametrize('node, change, message', [
    (None, {'encoder': None}, r'config\.encoder must be of type dict, got None'),
    (None, {'_target_': 'stable_worldmodel.wm.pldm.PLDM'}, r'_target_ must name a class LeWM'),
    (None, {'decoder': {}}, r'config has fields that this version does not know: decoder'),
    ('encoder', {'_target_': 'os.system'}, r"vit_hf, the only one supported.*'os\.system'"),
    ('encoder', {'size': 'giant'}, r"one of tiny, small, .*'giant'"),
    ('encoder', {'scale': 'small'}, r"encoder\.size must be one of .*'scale': 'small'"),
    ('encoder', {'use_mask_token': True}, r'encoder\.use_mask_token must be False'),
    ('encoder', {'hidden_act': 'relu'}, r'encoder has fields .* hidden_act'),
    ('encoder', {'intermediate_size': 48}, r'encoder\.intermediate_size must be 96'),
    ('encoder', {'image_size': 60}, r'divisor of image_size=60'),
    ('encoder', {'num_hidden_layers': 2}, r'missing encoder\.encoder\.layer\.1\.'),
    ('predictor', {'depth': '1'}, r"predictor\.depth must be of type int, got '1'"),
    ('predictor', {'output_dim': 8}, r'predictor\.output_dim must be 16 \(predictor\.input_dim'),
    ('predictor', {'emb_dropout': 0.1}, r'predictor\.emb_dropout must be 0'),
    ('predictor', {'num_frames': 4}, r'pos_embedding is \(1, 3, 16\), the model has \(1, 4, 16\)'),
    ('action_encoder', {'input_dim': 25}, r'input_dim must be 10 \(frameskip 5 times 2 actions'),
    ('action_encoder', {'smoothed_dim': 12}, r'action_encoder\.smoothed_dim must be 10'),
    ('action_encoder', {'emb_dim': 8}, r'action_encoder\.emb_dim must be 16'),
    ('projector', {'input_dim': 16}, r'projector\.input_dim must be 24 \(the width of the enc'),
    ('projector', {'norm_fn': {'_target_': 'torch.nn.LayerNorm'}},
     r'projector\.norm_fn\._target_ must name a class BatchNorm1d'),
    ('pred_proj', {'hidden_dim': 64}, r'pred_proj\.hidden_dim must be 32 \(projector\.hidden_di'),
])
def test_a_config_that_is_unknown_or_contradicts_itself_or_the_weights_is_refused(
        released, node, change, message):
    """Each field is known, of the right type, and agrees with the others and with the weights."""
    edit_config(released, lambda tree: (tree[node] if node else tree).update(change))
    with pytest.raises(BundleError, match=message):
        load_released(released, **FACTS)


@pytest.mark.parametrize('node, field', [
    ('predictor', 'num_frames'), ('predictor', 'heads'), ('action_encoder', 'input_dim'),
    ('projector', 'hidden_dim'), ('pred_proj', 'norm_fn')])
def test_a_field_without_a_default_in_the_reference_is_required(released, node, field):
    """Nothing is guessed."""
    edit_config(released, lambda tree: tree[node].pop(field))
    with pytest.raises(BundleError, match=rf'{node}\.{field} (is missing|must be a mapping)'):
        load_released(released, **FACTS)


def test_an_early_config_that_says_scale_is_read():
    """One published file calls the size of the encoder `scale`."""
    encoder = {**PUBLISHED['encoder'], 'scale': 'tiny'}
    del encoder['size']
    assert parse_config({**PUBLISHED, 'encoder': encoder}, 2, 5) == ModelConfig(action_dim=2)


def test_a_target_is_never_imported(released):
    """A module that a `_target_` names is not loaded, wherever it stands."""
    import sys
    edit_config(released, lambda tree: tree['encoder'].update(_target_='antigravity.vit_hf'))
    load_released(released, **FACTS)
    assert 'antigravity' not in sys.modules
