"""Claims about the dynamics, `lewm_model.predictor`."""

from dataclasses import replace

from lewm_model.config import ModelConfig
from lewm_model.errors import ShapeError
from lewm_model.predictor import ActionEncoder, Predictor
import pytest
import torch
from torch import nn
from torch.nn import functional as F

EQUAL_WIDTHS = ModelConfig(action_dim=2, latent_dim=12, predictor_dim=12, predictor_depth=2,
                           predictor_heads=2, predictor_head_dim=4, predictor_mlp_dim=20,
                           dropout=0.0)
OTHER_WIDTHS = replace(EQUAL_WIDTHS, latent_dim=8)


def trained_predictor(config):
    """A predictor whose parameters, the gates included, are all far from initial; float64."""
    torch.manual_seed(0)
    predictor = Predictor(config).double()
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return predictor


def window(config, batch=2, length=3):
    """Random latents and action embeddings."""
    torch.manual_seed(1)
    return torch.randn(2, batch, length, config.latent_dim, dtype=torch.float64).unbind()


def reference(state, config, latents, actions):
    """The published equations, written from the tensor names, one position after the other."""
    def linear(name, x):
        return x @ state[f'{name}.weight'].T + state.get(f'{name}.bias', 0)

    def norm(x, eps, name=None):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()
        return x if name is None else x * state[f'{name}.weight'] + state[f'{name}.bias']

    def project(name, x):
        return linear(name, x) if f'{name}.weight' in state else x

    heads, size = config.predictor_heads, config.predictor_head_dim
    length = latents.shape[1]
    x = project('transformer.input_proj', latents + state['pos_embedding'][:, :length])
    condition = project('transformer.cond_proj', actions)
    for index in range(config.predictor_depth):
        layer = f'transformer.layers.{index}'
        six = linear(f'{layer}.adaLN_modulation.1', condition * condition.sigmoid()).chunk(6, -1)
        qkv = linear(f'{layer}.attn.to_qkv', norm(
            norm(x, 1e-6) * (1 + six[1]) + six[0], 1e-5, f'{layer}.attn.norm'))
        queries, keys, values = qkv.unflatten(-1, (3, heads, size)).unbind(-3)
        mixed = torch.zeros_like(queries)
        for k in range(length):
            scores = torch.einsum('bhd,bjhd->bjh', queries[:, k], keys[:, :k + 1]) / size ** 0.5
            mixed[:, k] = torch.einsum('bjh,bjhd->bhd', scores.softmax(1), values[:, :k + 1])
        x = x + six[2] * linear(f'{layer}.attn.to_out.0', mixed.flatten(-2))
        hidden = norm(norm(x, 1e-6) * (1 + six[4]) + six[3], 1e-5, f'{layer}.mlp.net.0')
        hidden = F.gelu(linear(f'{layer}.mlp.net.1', hidden))
        x = x + six[5] * linear(f'{layer}.mlp.net.4', hidden)
    return project('transformer.output_proj', norm(x, 1e-5, 'transformer.norm'))


def test_paper_size_has_the_measured_parameters():
    """10,791,360 in 81 tensors: 1,798,400 per block, 576 positions, 384 in the final norm."""
    predictor = Predictor(ModelConfig(action_dim=2))

    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())
    assert count(predictor) == 10_791_360
    assert len(predictor.state_dict()) == 81
    assert [count(layer) for layer in predictor.transformer.layers] == 6 * [1_798_400]
    assert predictor.pos_embedding.numel() == 576
    assert count(predictor.transformer.norm) == 384


@pytest.mark.parametrize('config', [EQUAL_WIDTHS, OTHER_WIDTHS], ids=['equal', 'other'])
@pytest.mark.parametrize('length', [1, 2, 3])
def test_predictor_follows_the_published_equations(config, length):
    """An independent transcription of the equations gives the same values within 1e-10."""
    predictor = trained_predictor(config)
    latents, actions = window(config, length=length)

    with torch.no_grad():
        predicted = predictor(latents, actions)
        expected = reference(predictor.state_dict(), config, latents, actions)

    torch.testing.assert_close(predicted, expected, atol=1e-10, rtol=0)


def test_projections_exist_only_where_widths_differ():
    """Equal widths add no tensor; others add a weight and a bias for input, condition, output."""
    added = set(Predictor(OTHER_WIDTHS).state_dict()) - set(Predictor(EQUAL_WIDTHS).state_dict())

    assert added == {f'transformer.{name}_proj.{part}' for name in ('input', 'cond', 'output')
                     for part in ('weight', 'bias')}


def test_initial_predictor_is_a_norm_and_ignores_actions():
    """With gates at zero the output is LN(latents + positions) whatever the action."""
    torch.manual_seed(0)
    predictor = Predictor(EQUAL_WIDTHS).double()
    latents, actions = window(EQUAL_WIDTHS)

    with torch.no_grad():
        predicted = predictor(latents, actions)
        expected = F.layer_norm(latents + predictor.pos_embedding, (12,))

        torch.testing.assert_close(predicted, expected, atol=1e-12, rtol=0)
        assert torch.equal(predicted, predictor(latents, -3 * actions))


def test_a_few_optimiser_steps_make_the_actions_matter():
    """AdaLN-zero can learn: the next latent is the action, and 30 steps remove half the error."""
    torch.manual_seed(0)
    predictor = Predictor(EQUAL_WIDTHS)
    optimiser = torch.optim.AdamW(predictor.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        latents, actions = torch.randn(2, 64, 3, 12).unbind()
        loss = F.mse_loss(predictor(latents, actions), actions)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    latents, actions = torch.randn(2, 64, 3, 12).unbind()

    with torch.no_grad():
        change = predictor(latents, actions) - predictor(latents, actions.flip(0))

    assert losses[-1] < 0.5 * losses[0]
    assert change.std() > 0.1


@pytest.mark.parametrize('changed', ['latents', 'actions'])
@pytest.mark.parametrize('k', [0, 1, 2])
def test_prediction_k_is_the_first_to_see_frame_and_action_k(changed, k):
    """Changing frame or action k leaves predictions before k as they are and alters the rest."""
    predictor = trained_predictor(OTHER_WIDTHS)
    latents, actions = window(OTHER_WIDTHS)
    other_latents, other_actions = latents.clone(), actions.clone()
    (other_latents if changed == 'latents' else other_actions)[:, k] += 1

    with torch.no_grad():
        change = (predictor(other_latents, other_actions) - predictor(latents, actions)).abs()

    assert change[:, :k].sum() == 0
    assert torch.all(change[:, k:].amax(dim=-1) > 1e-4)


@pytest.mark.parametrize('length', [1, 2, 3])
def test_last_only_is_the_last_position_of_the_whole(length):
    """The shortcut of the rollout gives [:, -1:] of the full answer."""
    predictor = trained_predictor(OTHER_WIDTHS)
    latents, actions = window(OTHER_WIDTHS, length=length)

    with torch.no_grad():
        last = predictor.predict(latents, predictor.modulate(actions), last_only=True)

        torch.testing.assert_close(last, predictor(latents, actions)[:, -1:],
                                   atol=1e-12, rtol=0)


def test_windows_longer_than_the_history_are_refused():
    """The message names both lengths."""
    latents, actions = window(OTHER_WIDTHS, length=4)

    with pytest.raises(ShapeError, match='history=3 frames, got 4'):
        trained_predictor(OTHER_WIDTHS)(latents, actions)


def test_dropout_acts_in_training_and_not_in_evaluation():
    """Two training passes differ; in evaluation the equations hold, which know no dropout."""
    predictor = trained_predictor(replace(OTHER_WIDTHS, dropout=0.3))
    latents, actions = window(OTHER_WIDTHS)

    with torch.no_grad():
        assert not torch.equal(predictor(latents, actions), predictor(latents, actions))
        predictor.eval()
        predicted = predictor(latents, actions)

        expected = reference(predictor.state_dict(), OTHER_WIDTHS, latents, actions)
    torch.testing.assert_close(predicted, expected, atol=1e-10, rtol=0)


def test_attention_weights_are_dropped_too():
    """With every dropout layer switched off, training passes still differ: attention drops."""
    predictor = trained_predictor(replace(OTHER_WIDTHS, dropout=0.3))
    for module in predictor.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    latents, actions = window(OTHER_WIDTHS)

    with torch.no_grad():
        assert not torch.equal(predictor(latents, actions), predictor(latents, actions))


@pytest.mark.parametrize('action_dim, parameters', [(2, 156_206), (5, 156_356)])
def test_action_encoder_has_the_measured_parameters(action_dim, parameters):
    """The width 10 behind the first layer does not grow with the block: 5 actions add 150."""
    encoder = ActionEncoder(ModelConfig(action_dim=action_dim))

    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert len(encoder.state_dict()) == 6


def test_action_encoder_is_the_convolution_of_the_reference():
    """A kernel-1 convolution over blocks, then Linear, SiLU, Linear, gives the same values."""
    torch.manual_seed(0)
    encoder = ActionEncoder(OTHER_WIDTHS).double()
    blocks = torch.randn(4, 3, 10, dtype=torch.float64)
    hidden, _, output = encoder.embed

    with torch.no_grad():
        smoothed = encoder.patch_embed(blocks.transpose(1, 2)).transpose(1, 2)
        expected = output(nn.functional.silu(hidden(smoothed)))

        torch.testing.assert_close(encoder(blocks), expected, atol=1e-12, rtol=0)
