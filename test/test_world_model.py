"""Claims about `lewm_model.world_model`: names, sizes, batch statistics and rollouts."""

from dataclasses import replace

from lewm_model.config import ModelConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.world_model import LeWorldModel
import pytest
import torch

TINY = ModelConfig(action_dim=2, frameskip=2, image_size=8, patch_size=4, encoder_dim=12,
                   encoder_depth=2, encoder_heads=2, latent_dim=8, projector_dim=16,
                   predictor_dim=12, predictor_depth=2, predictor_heads=2, predictor_head_dim=4,
                   predictor_mlp_dim=20, dropout=0.1)


def trained_model(config=TINY):
    """A model in eval mode whose parameters and running statistics are far from initial."""
    torch.manual_seed(0)
    model = LeWorldModel(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith('running_mean'):
                buffer.normal_()
            elif name.endswith('running_var'):
                buffer.uniform_(0.5, 2)
    return model


def normal(*shape):
    """Float64 standard normal numbers, always the same for a shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def released_tensors(block_dim=10):
    """Names and shapes of the released weights, as the reference lists them."""
    shapes = {'encoder.embeddings.cls_token': (1, 1, 192),
              'encoder.embeddings.position_embeddings': (1, 257, 192),
              'predictor.pos_embedding': (1, 3, 192)}

    def pair(name, *weight):
        shapes[f'{name}.weight'], shapes[f'{name}.bias'] = weight, weight[:1]

    pair('encoder.embeddings.patch_embeddings.projection', 192, 3, 14, 14)
    for n in range(12):
        layer = f'encoder.encoder.layer.{n}'
        for name in ('query', 'key', 'value'):
            pair(f'{layer}.attention.attention.{name}', 192, 192)
        pair(f'{layer}.attention.output.dense', 192, 192)
        pair(f'{layer}.intermediate.dense', 768, 192)
        pair(f'{layer}.output.dense', 192, 768)
        pair(f'{layer}.layernorm_before', 192)
        pair(f'{layer}.layernorm_after', 192)
    pair('encoder.layernorm', 192)
    for n in range(6):
        layer = f'predictor.transformer.layers.{n}'
        pair(f'{layer}.attn.norm', 192)
        shapes[f'{layer}.attn.to_qkv.weight'] = (3072, 192)
        pair(f'{layer}.attn.to_out.0', 192, 1024)
        pair(f'{layer}.mlp.net.0', 192)
        pair(f'{layer}.mlp.net.1', 2048, 192)
        pair(f'{layer}.mlp.net.4', 192, 2048)
        pair(f'{layer}.adaLN_modulation.1', 1152, 192)
    pair('predictor.transformer.norm', 192)
    pair('action_encoder.patch_embed', 10, block_dim, 1)
    pair('action_encoder.embed.0', 768, 10)
    pair('action_encoder.embed.2', 192, 768)
    for module in ('projector', 'pred_proj'):
        pair(f'{module}.net.0', 2048, 192)
        pair(f'{module}.net.1', 2048)
        shapes[f'{module}.net.1.running_mean'] = shapes[f'{module}.net.1.running_var'] = (2048,)
        shapes[f'{module}.net.1.num_batches_tracked'] = ()
        pair(f'{module}.net.3', 192, 2048)
    return shapes


@pytest.mark.parametrize('action_dim', [2, 5])
def test_paper_size_has_the_tensors_of_the_released_weights(action_dim):
    """Exactly 303 names with their shapes: released files load strictly, without a map."""
    model = LeWorldModel(ModelConfig(action_dim=action_dim))

    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}

    assert len(shapes) == 303
    assert shapes == released_tensors(block_dim=5 * action_dim)


def test_paper_size_has_the_measured_parameters():
    """18,034,478 trainable parameters, in the measured parts, and 8,194 BatchNorm numbers."""
    model = LeWorldModel(ModelConfig(action_dim=2))

    counts = {name: sum(parameter.numel() for parameter in module.parameters())
              for name, module in model.named_children()}

    assert counts == {'encoder': 5_501_376, 'predictor': 10_791_360, 'action_encoder': 156_206,
                      'projector': 792_768, 'pred_proj': 792_768}
    assert sum(counts.values()) == 18_034_478
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == 18_042_672


def test_latents_are_projected_class_tokens_frame_by_frame():
    """Clip b, step t of the answer is what that frame alone gives, through the projector."""
    model = trained_model()
    frames = normal(2, 3, 3, 8, 8)

    with torch.no_grad():
        latents = model.encode(frames)

        for b in range(2):
            for t in range(3):
                expected = model.projector(model.encoder(frames[b, t][None]))[0]
                torch.testing.assert_close(latents[b, t], expected, atol=1e-12, rtol=0)


def test_training_pools_batch_statistics_over_all_frames_of_all_clips():
    """One encode is one BatchNorm update, with the mean over all B*T rows and momentum 0.1."""
    model = LeWorldModel(TINY).double().train()
    frames = normal(4, 3, 3, 8, 8)

    latents = model.encode(frames)

    linear, norm, *_ = model.projector.net
    rows = linear(model.encoder(frames.flatten(0, 1)))
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, 0.1 * rows.mean(dim=0), atol=1e-12, rtol=0)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * rows.var(dim=0), atol=1e-12, rtol=0)
    assert not torch.allclose(latents[:1], model.encode(frames[:1]))


def test_prediction_goes_through_the_action_encoder_and_the_projection():
    """Predict is pred_proj(predictor(latents, action_encoder(blocks))), position by position."""
    model = trained_model()
    latents, blocks = normal(2, 3, 8), normal(2, 3, 4)

    with torch.no_grad():
        predicted = model.predict(latents, blocks)

        features = model.predictor(latents, model.action_encoder(blocks))
        for k in range(3):
            torch.testing.assert_close(predicted[:, k], model.pred_proj(features[:, k]),
                                       atol=1e-12, rtol=0)


def test_rollout_from_one_frame_uses_windows_of_1_2_3_3_3():
    """Five steps, unrolled by hand with `predict`, give the same latents."""
    model = trained_model()
    start, candidates = normal(1, 1, 8), normal(6, 5, 4)

    with torch.no_grad():
        imagined = model.rollout(start, candidates[:1, :0], candidates)

        z0 = start.expand(6, 1, 8)
        z1 = model.predict(z0, candidates[:, :1])[:, -1:]
        z2 = model.predict(torch.cat([z0, z1], 1), candidates[:, :2])[:, -1:]
        z3 = model.predict(torch.cat([z0, z1, z2], 1), candidates[:, :3])[:, -1:]
        z4 = model.predict(torch.cat([z1, z2, z3], 1), candidates[:, 1:4])[:, -1:]
        z5 = model.predict(torch.cat([z2, z3, z4], 1), candidates[:, 2:5])[:, -1:]

    torch.testing.assert_close(imagined, torch.cat([z1, z2, z3, z4, z5], 1), atol=1e-10, rtol=0)


@pytest.mark.parametrize('config', [TINY, replace(TINY, history=1), replace(TINY, history=4),
                                    replace(TINY, predictor_depth=1, latent_dim=12)])
@pytest.mark.parametrize('seen', [1, 2, 3, 5])
def test_rollout_equals_the_naive_loop(config, seen):
    """For every context length, history and width: a loop over the last position of `predict`."""
    model = trained_model(config)
    context, past = normal(1, seen, config.latent_dim), normal(1, seen - 1, 4)
    candidates = normal(3, 4, 4)

    with torch.no_grad():
        imagined = model.rollout(context, past, candidates)

        latents = context.expand(3, -1, -1)
        blocks = torch.cat([past.expand(3, -1, -1), candidates], dim=1)
        for end in range(seen, seen + 4):
            recent = slice(max(0, end - config.history), end)
            following = model.predict(latents[:, recent], blocks[:, recent])[:, -1:]
            latents = torch.cat([latents, following], dim=1)

    torch.testing.assert_close(imagined, latents[:, seen:], atol=1e-10, rtol=0)


@pytest.mark.parametrize('step', [0, 1, 2, 3])
def test_a_block_changes_what_follows_it_for_its_own_candidate_only(step):
    """Another block t alters latents from step t on, of that candidate and of no other."""
    model = trained_model()
    context, candidates = normal(1, 1, 8), normal(3, 4, 4)
    changed = candidates.clone()
    changed[1, step] += 1

    with torch.no_grad():
        before = model.rollout(context, candidates[:1, :0], candidates)
        change = (model.rollout(context, candidates[:1, :0], changed) - before).abs().amax(-1)

    assert torch.all(change[1, step:] > 1e-6)
    change[1, step:] = 0
    assert change.max() < 1e-12


def test_every_candidate_may_have_its_own_context():
    """S contexts at once give what S rollouts of one candidate give."""
    model = trained_model()
    contexts, past, candidates = normal(3, 2, 8), normal(3, 1, 4), normal(3, 4, 4)

    with torch.no_grad():
        together = model.rollout(contexts, past, candidates)
        apart = [model.rollout(contexts[s:s + 1], past[s:s + 1], candidates[s:s + 1])
                 for s in range(3)]

    torch.testing.assert_close(together, torch.cat(apart), atol=1e-12, rtol=0)


def test_initial_model_ignores_actions_and_learns_them():
    """At first a rollout does not depend on the candidate; after a few training steps it does."""
    torch.manual_seed(0)
    model = LeWorldModel(TINY)
    context, candidates = torch.randn(1, 1, 8), torch.randn(8, 3, 4)
    before = model.eval().rollout(context, candidates[:1, :0], candidates)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(20):
        latents, blocks = torch.randn(32, 3, 8), torch.randn(32, 3, 4)
        target = torch.cat([blocks, blocks], dim=-1)
        optimiser.zero_grad()
        (model.predict(latents, blocks) - target).square().mean().backward()
        optimiser.step()

    after = model.eval().rollout(context, candidates[:1, :0], candidates)

    assert before.std(dim=0).max() < 1e-6
    assert after.std(dim=0).mean() > 0.1


def test_bf16_autocast_stays_close_to_float32():
    """The usual training precision changes latents and predictions by a few per cent."""
    model = trained_model().float()
    frames, blocks = normal(4, 3, 3, 8, 8).float(), normal(4, 3, 4).float()

    with torch.no_grad():
        latents = model.encode(frames)
        predicted = model.predict(latents, blocks)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            low_latents, low_predicted = model.encode(frames), model.predict(latents, blocks)

    assert (low_latents - latents).norm() < 0.05 * latents.norm()
    assert (low_predicted - predicted).norm() < 0.05 * predicted.norm()


def test_rollout_in_training_mode_is_refused():
    """Batch statistics would mix candidates; the message has the fix."""
    with pytest.raises(PlanningError, match=r'call model\.eval\(\)'):
        trained_model().train().rollout(normal(1, 1, 8), normal(1, 0, 4), normal(3, 2, 4))


@pytest.mark.parametrize('call, message', [
    (lambda m: m.encode(normal(2, 3, 8, 8)), r'\(B, T, 3, H, W\), got \(2, 3, 8, 8\)'),
    (lambda m: m.encode(normal(2, 3, 8, 8, 3)), r'got \(2, 3, 8, 8, 3\)'),
    (lambda m: m.predict(normal(2, 3, 9), normal(2, 3, 4)), r'\(B, L, 8\).*got \(2, 3, 9\)'),
    (lambda m: m.predict(normal(2, 3, 8), normal(2, 3, 7)),
     r'frameskip=2 actions of action_dim=2 each, got \(2, 3, 7\)'),
    (lambda m: m.predict(normal(2, 3, 8), normal(2, 2, 4)), 'every latent needs the block'),
    (lambda m: m.predict(normal(2, 4, 8), normal(2, 4, 4)), 'history=3 frames, got 4'),
    (lambda m: m.rollout(normal(1, 2, 8), normal(1, 2, 4), normal(3, 5, 4)),
     'got 2 latents and 2 past blocks'),
    (lambda m: m.rollout(normal(1, 1, 8), normal(1, 0, 4), normal(3, 5, 5)),
     r'candidates must be \(B, L, 4\)'),
])
def test_wrong_shapes_are_named(call, message):
    """Every shape error has what was needed and what arrived."""
    with pytest.raises(ShapeError, match=message):
        call(trained_model())


@pytest.mark.gpu
def test_cuda_gives_the_latents_and_rollouts_of_the_cpu():
    """On CUDA (fused attention) and on the CPU (plain) values agree within 1e-9 in float64."""
    if not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')
    model = trained_model()
    frames, past, candidates = normal(1, 2, 3, 8, 8), normal(1, 1, 4), normal(5, 4, 4)

    with torch.no_grad():
        latents = model.encode(frames)
        imagined = model.rollout(latents, past, candidates)
        model.cuda()
        cuda_latents = model.encode(frames.cuda())
        cuda_imagined = model.rollout(cuda_latents, past.cuda(), candidates.cuda())

    torch.testing.assert_close(cuda_latents.cpu(), latents, atol=1e-9, rtol=0)
    torch.testing.assert_close(cuda_imagined.cpu(), imagined, atol=1e-9, rtol=0)
