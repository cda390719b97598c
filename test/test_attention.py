"""Claims about `lewm_model.attention`."""

from lewm_model.attention import attention, merge_heads, plain_attention, split_heads
import pytest
import torch
from torch.nn import functional as F


@pytest.mark.parametrize('causal', [False, True])
def test_plain_attention_equals_the_fused_kernel(causal):
    """The CPU form and scaled_dot_product_attention agree within 1e-5 in float32."""
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (3 * torch.randn(5, 4, 7, 16, generator=generator)
                             for _ in range(3))

    mixed = plain_attention(queries, keys, values, causal=causal)

    expected = F.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=0)


def test_dropout_leaves_the_mean_and_removes_whole_weights():
    """With equal keys and values of one, each answer is k / (V * (1 - p)), k weights kept."""
    torch.manual_seed(0)
    queries, keys = torch.zeros(64, 2, 8, 4), torch.zeros(64, 2, 8, 4)

    mixed = attention(queries, keys, torch.ones(64, 2, 8, 4), dropout=0.5)

    kept = mixed * 8 * 0.5
    torch.testing.assert_close(kept, kept.round(), atol=1e-5, rtol=0)
    assert kept.min() < 3 and kept.max() > 5
    assert abs(mixed.mean() - 1) < 0.05  # 1024 queries of sd 0.35: five standard errors


def test_heads_split_and_merge_without_mixing():
    """Head h holds features h*d to (h+1)*d, and merging undoes splitting."""
    tokens = torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)

    heads = split_heads(tokens, 4)

    assert torch.equal(heads[1, 2], tokens[1, :, 4:6])
    assert torch.equal(merge_heads(heads), tokens)


@pytest.mark.gpu
@pytest.mark.parametrize('causal', [False, True])
def test_cuda_attention_equals_the_cpu_form(causal):
    """Where CUDA is present, both devices give the same answer within 1e-5 in float32."""
    if not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(5, 4, 7, 16, generator=generator) for _ in range(3)]

    mixed = attention(*(part.cuda() for part in parts), causal=causal)

    torch.testing.assert_close(mixed.cpu(), attention(*parts, causal=causal), atol=1e-5, rtol=0)
