"""The `config.json` of a published checkpoint: from and to the sizes of a LeWorldModel.

It is a Hydra tree whose `_target_` entries name the classes to call. Here they are data: compared
with the classes that this project re-implements, and never imported. Every field has to be known,
since one that is ignored could be one that changes what the model computes.
"""

from __future__ import annotations

from typing import Any

from lewm_model.config import ModelConfig
from lewm_model.errors import BundleError, ConfigError

VIT_SIZES = {   # name: width, blocks, heads; an MLP is four times as wide
    'tiny': (192, 12, 3), 'small': (384, 12, 6), 'base': (768, 12, 12), 'large': (1024, 24, 16),
    'huge': (1280, 32, 16)}
_HYDRA = ('_target_', '_partial_', '_convert_', '_recursive_')
_NODES = ('encoder', 'predictor', 'action_encoder', 'projector', 'pred_proj')
_SMOOTHED_DIM, _EMBED_RATIO = 10, 4    # of the action encoder, the same in every release
_REQUIRED = object()


def parse_config(tree: Any, action_dim: int, frameskip: int) -> ModelConfig:
    """Read the sizes.

    Args:
        tree: The content of `config.json`.
        action_dim: A, which the file does not have.
        frameskip: K, which the file does not have; it has only K*A.

    Raises:
        BundleError: If a field is missing, unknown, or contradicts another or the arguments.
    """
    root = _Node({'config': tree}, 'config', 'LeWM', 'JEPA')
    nodes = {name: root.take(name, dict) for name in _NODES}
    root.finish()

    encoder = _Node(nodes, 'encoder', 'vit_hf')
    sizes = {name: encoder.take(name, str) for name in ('size', 'scale') if name in encoder.fields}
    size = next(iter(sizes.values()), 'tiny')   # 'scale' is what one early file calls it
    if size not in VIT_SIZES or len(set(sizes.values())) > 1:
        raise BundleError(f'encoder.size must be one of {", ".join(VIT_SIZES)}, got {sizes}')
    width, depth, heads = VIT_SIZES[size]
    encoder_dim = encoder.take('hidden_size', int, width)
    encoder.expect('intermediate_size', 4 * encoder_dim, 'four times the width', 4 * width)
    encoder.expect('use_mask_token', False, 'a mask token is not supported', True)
    encoder.take('pretrained', bool, False)     # where training started from; no matter here
    values = {
        'encoder_dim': encoder_dim,
        'encoder_depth': encoder.take('num_hidden_layers', int, depth),
        'encoder_heads': encoder.take('num_attention_heads', int, heads),
        'patch_size': encoder.take('patch_size', int, 16),
        'image_size': encoder.take('image_size', int, 224)}
    encoder.finish()

    predictor = _Node(nodes, 'predictor', 'Predictor', 'ARPredictor')
    latent_dim = predictor.take('input_dim', int)
    predictor.expect('output_dim', latent_dim, 'predictor.input_dim', latent_dim)
    predictor.expect('emb_dropout', 0, 'dropout of embeddings is not supported', 0)
    values |= {'latent_dim': latent_dim, 'dropout': predictor.take('dropout', float, 0.0),
               'predictor_head_dim': predictor.take('dim_head', int, 64)}
    values |= {name: predictor.take(field, int) for name, field in (
        ('history', 'num_frames'), ('predictor_dim', 'hidden_dim'), ('predictor_depth', 'depth'),
        ('predictor_heads', 'heads'), ('predictor_mlp_dim', 'mlp_dim'))}
    predictor.finish()

    actions = _Node(nodes, 'action_encoder', 'Embedder')
    actions.expect('input_dim', frameskip * action_dim,
                   f'frameskip {frameskip} times {action_dim} actions; give the statistics of '
                   f'as many actions as the model has, or another frameskip')
    actions.expect('emb_dim', latent_dim, 'predictor.input_dim')
    actions.expect('smoothed_dim', _SMOOTHED_DIM, 'as in all releases', _SMOOTHED_DIM)
    actions.expect('mlp_scale', _EMBED_RATIO, 'as in all releases', _EMBED_RATIO)
    actions.finish()

    projector_dim = _projector(nodes, 'projector', encoder_dim, 'the width of the encoder',
                               latent_dim)
    if _projector(nodes, 'pred_proj', latent_dim, 'predictor.input_dim',
                  latent_dim) != projector_dim:
        raise BundleError(f'pred_proj.hidden_dim must be {projector_dim} '
                          f'(projector.hidden_dim), got {nodes["pred_proj"]["hidden_dim"]!r}')
    try:
        return ModelConfig(action_dim=action_dim, frameskip=frameskip,
                           projector_dim=projector_dim, **values)
    except ConfigError as error:
        raise BundleError(str(error)) from error


def render_config(config: ModelConfig) -> dict[str, Any]:
    """Return the tree that stable-worldmodel builds the same model from.

    Raises:
        BundleError: If the reference has no such model.
    """
    if config.predictor_heads == 1 and config.predictor_head_dim == config.predictor_dim:
        raise BundleError(f'the reference has no output projection in a predictor of one head '
                          f'that is as wide as the predictor ({config.predictor_dim}), this '
                          f'project has; such a model cannot be written as a release')
    width, depth, heads = config.encoder_dim, config.encoder_depth, config.encoder_heads
    size = next((name for name, sizes in VIT_SIZES.items() if sizes == (width, depth, heads)),
                None)
    # Sizes without a name are keyword arguments, which vit_hf hands on to ViTConfig.
    own = {} if size else {'hidden_size': width, 'num_hidden_layers': depth,
                           'num_attention_heads': heads, 'intermediate_size': 4 * width}
    module = 'stable_worldmodel.wm.lewm.module'

    def projector(width_in: int) -> dict[str, Any]:
        return {'_target_': f'{module}.MLP', 'input_dim': width_in,
                'output_dim': config.latent_dim, 'hidden_dim': config.projector_dim,
                'norm_fn': {'_target_': 'torch.nn.BatchNorm1d', '_partial_': True}}

    return {
        '_target_': 'stable_worldmodel.wm.lewm.LeWM',
        'encoder': {'_target_': 'stable_pretraining.backbone.utils.vit_hf',
                    'size': size or 'tiny', 'patch_size': config.patch_size,
                    'image_size': config.image_size, 'pretrained': False,
                    'use_mask_token': False, **own},
        'predictor': {'_target_': f'{module}.Predictor', 'num_frames': config.history,
                      'input_dim': config.latent_dim, 'hidden_dim': config.predictor_dim,
                      'output_dim': config.latent_dim, 'depth': config.predictor_depth,
                      'heads': config.predictor_heads, 'mlp_dim': config.predictor_mlp_dim,
                      'dim_head': config.predictor_head_dim, 'dropout': config.dropout,
                      'emb_dropout': 0.0},
        'action_encoder': {'_target_': f'{module}.Embedder', 'input_dim': config.block_dim,
                           'emb_dim': config.latent_dim},
        'projector': projector(config.encoder_dim),
        'pred_proj': projector(config.latent_dim)}


def _projector(nodes: dict[str, Any], name: str, width_in: int, why: str, latent_dim: int) -> int:
    """Read one of the two projectors and return its hidden width."""
    node = _Node(nodes, name, 'MLP')
    node.expect('input_dim', width_in, why)
    node.expect('output_dim', latent_dim, 'predictor.input_dim', width_in)
    hidden = node.take('hidden_dim', int)
    _Node(node.fields, 'norm_fn', 'BatchNorm1d', inside=f'{name}.').finish()
    node.take('norm_fn', dict)
    node.finish()
    return hidden


class _Node:
    """One node of the tree: fields are taken one by one, and none may be left over."""

    def __init__(self, tree: dict[str, Any], name: str, *classes: str, inside: str = '') -> None:
        self.name = inside + name
        node = tree.get(name)
        if not isinstance(node, dict):
            raise BundleError(f'{self.name} must be a mapping with a _target_, got {node!r}')
        target = node.get('_target_')
        if not isinstance(target, str) or target.rpartition('.')[2] not in classes:
            raise BundleError(f'{self.name}._target_ must name a class {" or ".join(classes)}, '
                              f'the only one supported there, got {target!r}')
        self.fields = {key: value for key, value in node.items() if key not in _HYDRA}

    def take(self, field: str, kind: type, default: Any = _REQUIRED) -> Any:
        """Remove and return a field; the default is the reference's, if it has one."""
        value = self.fields.pop(field, default)
        if value is _REQUIRED:
            raise BundleError(f'{self.name}.{field} is missing')
        if type(value) is int and kind is float:
            value = float(value)
        if type(value) is not kind:   # exact: True is no int
            raise BundleError(f'{self.name}.{field} must be of type {kind.__name__}, '
                              f'got {value!r}')
        return value

    def expect(self, field: str, expected: Any, why: str, default: Any = _REQUIRED) -> None:
        """Take a field that can have one value only."""
        value = self.fields.pop(field, default)
        if value is _REQUIRED:
            raise BundleError(f'{self.name}.{field} is missing')
        if isinstance(value, bool) != isinstance(expected, bool) or value != expected:
            raise BundleError(f'{self.name}.{field} must be {expected} ({why}), got {value!r}')

    def finish(self) -> None:
        """Refuse what was not taken."""
        if self.fields:
            raise BundleError(f'{self.name} has fields that this version does not know: '
                              f'{", ".join(map(str, self.fields))}')
