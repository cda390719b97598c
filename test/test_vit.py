"""Claims about the frame encoder, `lewm_model.vit`."""

from dataclasses import replace

from lewm_model.config import ModelConfig
from lewm_model.errors import ShapeError
from lewm_model.vit import VisionTransformer
import pytest
import torch
from torch import nn

TINY = ModelConfig(action_dim=2, image_size=16, patch_size=4, encoder_dim=24, encoder_depth=3,
                   encoder_heads=2)


def trained_vit(config=TINY):
    """A ViT whose parameters are all far from their initial values, in float64."""
    torch.manual_seed(0)
    vit = VisionTransformer(config).double()
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return vit


def torch_encoder(vit, config=TINY):
    """PyTorch's own transformer encoder with the weights of `vit`."""
    layers = []
    for block in vit.encoder['layer']:
        layer = nn.TransformerEncoderLayer(
            config.encoder_dim, config.encoder_heads, 4 * config.encoder_dim, dropout=0.0,
            activation='gelu', layer_norm_eps=1e-12, batch_first=True, norm_first=True,
            dtype=torch.float64)
        own, other = block.attention['attention'], layer.self_attn
        pairs = [(block.attention['output']['dense'], other.out_proj),
                 (block.intermediate['dense'], layer.linear1),
                 (block.output['dense'], layer.linear2),
                 (block.layernorm_before, layer.norm1), (block.layernorm_after, layer.norm2)]
        with torch.no_grad():
            for part in ('weight', 'bias'):
                getattr(other, f'in_proj_{part}').copy_(torch.cat(
                    [getattr(module, part) for module in (own.query, own.key, own.value)]))
            for source, target in pairs:
                target.load_state_dict(source.state_dict())
        layers.append(layer)
    return nn.Sequential(*layers, vit.layernorm)


def test_paper_size_has_the_measured_parameters():
    """The paper's encoder has 5,501,376 parameters in 198 tensors."""
    vit = VisionTransformer(ModelConfig(action_dim=2))

    assert sum(parameter.numel() for parameter in vit.parameters()) == 5_501_376
    assert len(vit.state_dict()) == 198


def test_output_is_the_class_token_of_a_full_pre_norm_encoder():
    """PyTorch's encoder with the same weights gives the same class token, shortcut or not."""
    vit = trained_vit()
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)

    with torch.no_grad():
        features = vit(images)
        expected = torch_encoder(vit)(vit.embeddings(images))[:, 0]

    torch.testing.assert_close(features, expected, atol=1e-10, rtol=0)


def test_patches_are_read_row_by_row_behind_the_class_token():
    """Changing the pixels of patch (row 1, column 2) changes token 1 + 1*4 + 2 and no other."""
    embeddings = trained_vit().embeddings
    images = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    changed = images.clone()
    changed[:, :, 4:8, 8:12] += 1

    with torch.no_grad():
        difference = (embeddings(changed) - embeddings(images)).abs().amax(dim=(0, 2))

    assert difference.nonzero().flatten().tolist() == [7]


def test_norms_do_not_damp_small_signals():
    """The epsilon is 1e-12: tokens of size 1e-4 leave a norm with spread 1 (1e-5 gives 0.03)."""
    vit = VisionTransformer(TINY)
    tokens = 1e-4 * torch.randn(64, 24)

    for norm in (vit.layernorm, vit.encoder['layer'][0].layernorm_before,
                 vit.encoder['layer'][0].layernorm_after):
        spread = norm(tokens).std(dim=-1, unbiased=False)
        torch.testing.assert_close(spread, torch.ones(64), atol=1e-3, rtol=0)


def test_initial_weights_follow_the_reference():
    """Weights, class token and positions have spread 0.02, biases are 0, norms are 1 and 0."""
    torch.manual_seed(0)
    vit = VisionTransformer(ModelConfig(action_dim=2, encoder_depth=2))

    for name, parameter in vit.named_parameters():
        if 'layernorm' in name:
            assert torch.all(parameter == float(name.endswith('weight'))), name
        elif name.endswith('bias'):
            assert torch.all(parameter == 0), name
        else:
            error = 5 * 0.02 / (2 * parameter.numel()) ** 0.5  # five standard errors of a spread
            assert abs(parameter.std() - 0.02) < error, name


def test_positions_of_the_own_image_size_are_not_interpolated():
    """At the configured size the position table is used as it is."""
    embeddings = VisionTransformer(TINY).embeddings

    assert embeddings.positions(4, 4) is embeddings.position_embeddings


def cubic_weight(distance):
    """The cubic convolution kernel with a = -0.75."""
    x = abs(distance)
    if x <= 1:
        return 1.25 * x ** 3 - 2.25 * x ** 2 + 1
    return -0.75 * (x ** 3 - 5 * x ** 2 + 8 * x - 4) if x < 2 else 0.0


def test_interpolated_positions_keep_rows_columns_and_class_apart():
    """A table that changes along rows only does so on an 8 x 6 grid, cubically; class stays."""
    embeddings = VisionTransformer(TINY).embeddings
    table = torch.tensor([0.0, 1.0, 4.0, 9.0])
    with torch.no_grad():
        embeddings.position_embeddings[:, 0] = 77.0
        embeddings.position_embeddings[:, 1:] = table.repeat_interleave(4)[None, :, None]

        positions = embeddings.positions(8, 6)

    assert positions.shape == (1, 49, 24)
    assert torch.all(positions[:, 0] == 77.0)
    grid = positions[0, 1:, 0].unflatten(0, (8, 6))
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 6), atol=1e-5, rtol=0)
    for row in (3, 4):  # the two rows that need nothing from beyond the border
        centre = (row + 0.5) / 2 - 0.5
        expected = sum(cubic_weight(centre - source) * table[source] for source in range(4))
        torch.testing.assert_close(grid[row, 0], expected, atol=1e-5, rtol=0)


def test_other_image_sizes_use_the_interpolated_positions():
    """A 24 x 20 image gives the class token that PyTorch's encoder gives for 6 x 5 patches."""
    vit = trained_vit()
    images = torch.randn(2, 3, 24, 20, dtype=torch.float64)

    with torch.no_grad():
        patches = vit.embeddings.patch_embeddings['projection'](images).flatten(2).mT
        tokens = torch.cat([vit.embeddings.cls_token.expand(2, -1, -1), patches], dim=1)
        expected = torch_encoder(vit)(tokens + vit.embeddings.positions(6, 5))[:, 0]

        torch.testing.assert_close(vit(images), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize('shape', [(2, 3, 18, 16), (2, 3, 16, 2)])
def test_images_that_do_not_split_into_patches_are_refused(shape):
    """The message has the patch size and the size of the image."""
    with pytest.raises(ShapeError, match=rf'patch_size=4, got {shape[2]} x {shape[3]}'):
        VisionTransformer(TINY)(torch.zeros(shape))


def test_images_with_other_axes_are_refused():
    """Channels last is the likely mistake; the message has the shape that arrived."""
    with pytest.raises(ShapeError, match=r'\(N, 3, H, W\), got \(2, 16, 16, 3\)'):
        VisionTransformer(TINY)(torch.zeros(2, 16, 16, 3))


def test_gradients_reach_every_parameter():
    """The class-token shortcut cuts no parameter off: each one gets a gradient."""
    vit = trained_vit(replace(TINY, encoder_depth=2))

    vit(torch.randn(2, 3, 16, 16, dtype=torch.float64)).square().sum().backward()

    for name, parameter in vit.named_parameters():
        # Softmax ignores what is added to every key alike, so key biases have gradient zero.
        assert parameter.grad is not None, name
        assert name.endswith('key.bias') or parameter.grad.abs().max() > 1e-9, name
