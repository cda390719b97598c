"""Straightness, horizon, distances and projections: shapes whose answers are known."""

from types import SimpleNamespace

from lewm_model import LeWorldModel
from lewm_model.analysis.distances import distance_curves, saturation
from lewm_model.analysis.grid import distance_correlation, StateGrid
from lewm_model.analysis.horizon import open_loop_errors
from lewm_model.analysis.projection import affinities, pca, tsne
from lewm_model.analysis.straightness import checkpointed_models, straightness
from lewm_model.data.measured_states import Measured
from lewm_model.errors import TrainingError
from lewm_model.quantities import Quantity
from lewm_model.training.checkpoint import save_checkpoint
from nano import SIZES
import numpy as np
import pytest
import torch


def test_a_straight_line_has_straightness_1_and_there_and_back_minus_1():
    """Uneven speed does not matter, direction does."""
    line = torch.tensor([0.0, 1, 3, 4, 9])[None, :, None] * torch.tensor([1.0, -2, 0.5])
    assert straightness(line) == pytest.approx(1)
    assert straightness(torch.tensor([0.0, 1, 0, 1])[None, :, None]) == pytest.approx(-1)


@pytest.mark.parametrize('step', [0.1, 0.7, 2.0])
def test_a_circle_has_the_cosine_of_its_step(step):
    """Velocities on a circle turn by the step angle each time."""
    angle = torch.arange(20) * step
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)[None]
    assert straightness(circle) == pytest.approx(np.cos(step), abs=1e-5)


def test_checkpoints_come_in_the_order_of_training(tmp_path):
    """One model per step, the best one not twice, in eval mode; wrong sizes are said."""
    model = LeWorldModel(SIZES)
    for step in (20, 10):
        torch.nn.init.constant_(model.projector.net[3].bias, step)
        save_checkpoint(tmp_path / 'checkpoints', step,
                        {'step': step, 'model': model.state_dict()}, keep=5, best=True)
    found = list(checkpointed_models(tmp_path, SIZES))
    assert [step for step, _ in found] == [10, 20]
    for step, loaded in found:
        assert not loaded.training and loaded.projector.net[3].bias[0] == step
    with pytest.raises(TrainingError, match='has no checkpoints.*lewm train --run'):
        list(checkpointed_models(tmp_path / 'elsewhere', SIZES))
    from dataclasses import replace
    with pytest.raises(TrainingError, match='step_.*does not fit the bundle'):
        list(checkpointed_models(tmp_path, replace(SIZES, latent_dim=8)))


class Drift:
    """A rollout that adds each block and an error of 0.1 per step."""

    config = SimpleNamespace(history=3)

    def rollout(self, latents, past_blocks, candidates):
        assert past_blocks.shape[1] == latents.shape[1] - 1
        return latents[:, -1:] + (candidates + 0.1).cumsum(dim=1)


@pytest.mark.parametrize('context', [1, 3])
def test_open_loop_error_grows_as_the_drift_says_and_copying_as_the_motion(context):
    """Every block moves by 1: after k blocks the drift costs (0.1 k)^2, copying costs k^2."""
    blocks = torch.ones(5, context + 3, 2)
    latents = torch.cat([torch.zeros(5, 1, 2), blocks.cumsum(dim=1)], dim=1)
    found = open_loop_errors(Drift(), latents, blocks, context=context)
    torch.testing.assert_close(found.imagined, torch.tensor([0.01, 0.04, 0.09, 0.16]))
    torch.testing.assert_close(found.copied, torch.tensor([1.0, 4.0, 9.0, 16.0]))
    assert found.useful_blocks == 4 and found.unrelated == 0


def test_a_model_that_is_worse_than_copying_once_is_useful_only_before():
    """The horizon counts without gaps."""
    blocks = torch.zeros(2, 4, 1)
    latents = torch.tensor([0.0, 1.0, 0.0, 2.0, 3.0])[None, :, None].expand(2, -1, -1)
    found = open_loop_errors(Drift(), latents, blocks, context=1)   # imagined: .1, .2, .3, .4
    assert (found.imagined < found.copied).tolist() == [True, False, True, True]
    assert found.useful_blocks == 1


GRID = np.arange(0.05, 3, 0.1)


def test_a_curve_with_a_knee_is_flat_from_the_knee():
    """min(x, 1) stops rising at 1."""
    assert saturation(GRID, np.minimum(GRID, 1)) == pytest.approx(1, abs=0.1)
    noise = np.random.default_rng(0).normal(size=len(GRID)) * 0.01
    assert saturation(GRID, 40 * (np.minimum(GRID, 1) + noise)) == pytest.approx(1, abs=0.15)


def test_what_rises_to_its_end_is_never_flat():
    """Neither a line nor a parabola saturates, nor a curve too short to say."""
    assert saturation(GRID, 3 * GRID) is None
    assert saturation(GRID, GRID ** 2) is None
    assert saturation(GRID[:4], np.ones(4)) is None


def test_a_curve_that_falls_counts_as_flat_from_its_crest():
    """A cost that falls with distance is worse than a flat one."""
    assert saturation(GRID, np.sin(GRID)) < np.pi / 2
    assert saturation(GRID, -GRID) == GRID[0]
    assert saturation(GRID, np.zeros(len(GRID))) == GRID[0]


def test_a_second_climb_is_not_flat():
    """A terrace that ends is no plateau: flat only from the second knee."""
    terrace = np.minimum(GRID, 0.5) + np.clip(GRID - 1.5, 0, 0.5)
    assert saturation(GRID, terrace) == pytest.approx(2, abs=0.1)


def states(**columns):
    """Return measured quantities from (kind, values) by name."""
    return [Measured(Quantity(name, kind), np.asarray(values, float)[:, None])
            for name, (kind, values) in columns.items()]


def test_angles_are_compared_around_the_turn():
    """Angles of 3.1 and -3.1 are 0.083 rad apart, positions of 3.1 and -3.1 m are 6.2 m apart."""
    values = np.repeat([3.1, -3.1], 20)
    latents = torch.from_numpy(values[:, None])
    (angle,) = distance_curves(latents, states(a=('angle', values)))
    (place,) = distance_curves(latents, states(a=('position', values)))
    assert angle.distance.max() < 0.1 and angle.unit == 'rad'
    assert place.distance.max() == pytest.approx(6.2, abs=0.2) and place.unit == 'm'


def test_curves_see_only_their_own_quantity():
    """Latents: the angle is laid out along a line of slope 2, the position is capped at 1 m."""
    rng = np.random.default_rng(0)
    angle, place = rng.uniform(0, 3, size=(2, 600))
    latents = torch.from_numpy(np.stack([2 * angle, np.minimum(place, 1)], axis=1))
    straight, capped = distance_curves(latents, states(
        straight=('angle', angle), capped=('position', place)))
    assert (straight.quantity.name, capped.quantity.name) == ('straight', 'capped')
    np.testing.assert_allclose(straight.median[3:25], (2 * straight.distance[3:25]) ** 2,
                               rtol=0.05, atol=0.1)
    assert straight.saturation is None
    assert capped.median.max() < 1.2 and capped.bin == pytest.approx(0.1, rel=0.01)
    assert straight.pairs > 1000 and (straight.low <= straight.median).all()


def test_what_follows_from_the_joints_gets_no_curve_and_spoils_none():
    """The tip moves whenever a joint does; a constant has no distances; pixels have other bins."""
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 3, size=(2, 500))
    latents = torch.from_numpy(np.stack([first, second], axis=1))
    tip = np.cos(first) + np.cos(first + second)
    curves = distance_curves(latents, states(
        first=('angle', first), second=('angle', second), tip=('position', tip),
        still=('number', np.ones(500))))
    assert [curve.quantity.name for curve in curves] == ['first', 'second']
    assert min(curve.pairs for curve in curves) > 500
    wide = distance_curves(latents, states(first=('position', 512 * first),
                                           second=('position', 512 * second)))
    assert [round(curve.bin) for curve in wide] == [51, 51]


def test_pca_finds_the_plane_that_points_lie_in():
    """Points in a plane: two components hold all the variance, distances are kept."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(100, 2, generator=generator) * torch.tensor([3.0, 1.0])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q[:2]
    coordinates, share = pca(flat @ turn + 4, 2)
    assert share[:2].sum() == pytest.approx(1, abs=1e-6) and share[0] > share[1]
    torch.testing.assert_close(torch.cdist(coordinates, coordinates), torch.cdist(flat, flat),
                               atol=1e-3, rtol=0)


def test_affinities_have_the_perplexity_asked_for():
    """A point has about 10 neighbours in effect, near points more of the weight."""
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    found = affinities(points, perplexity=10)
    assert found.sum() == pytest.approx(1) and torch.equal(found, found.T)
    equal = affinities(torch.eye(40), perplexity=20)     # all others are equally far
    assert equal[0, 1:].max() == pytest.approx(equal[0, 1:].min().item())
    one_sided = affinities(points * 1e3, perplexity=10)  # scale does not matter
    torch.testing.assert_close(found, one_sided, atol=1e-9, rtol=0)


def test_tsne_keeps_separate_what_is_separate():
    """Three far clusters in ten dimensions: the nearest neighbour on paper is of the same one."""
    generator = torch.Generator().manual_seed(0)
    cluster = torch.arange(90) % 3
    points = torch.randn(90, 10, generator=generator) + 20 * torch.eye(10)[cluster]
    layout = tsne(points, perplexity=10, steps=300)
    distance = torch.cdist(layout, layout).fill_diagonal_(float('inf'))
    assert (cluster[distance.argmin(dim=1)] == cluster).all()
    centres = torch.stack([layout[cluster == index].mean(dim=0) for index in range(3)])
    spread = max((layout[cluster == index] - centres[index]).norm(dim=1).max()
                 for index in range(3))
    assert torch.pdist(centres).min() > 2 * spread


# Grids of states --------------------------------------------------------------------------------


def grid_over(first, second, side=10):
    """Return a grid without pictures, from two quantities with their ranges."""
    places = np.stack(np.meshgrid(*(np.linspace(*bounds, side) for _, bounds in (first, second)),
                                  indexing='ij'), axis=-1).reshape(-1, 2)
    return StateGrid((Measured(first[0], places[:, :1]), Measured(second[0], places[:, 1:])),
                     np.zeros((side * side, 1, 1, 3), np.uint8), left_out=0)


ROOM = (Quantity('x', 'position'), (-1.0, 1.0)), (Quantity('y', 'position'), (0.0, 10.0))


def test_an_encoder_that_is_the_true_place_keeps_order_and_neighbours():
    """Distances rank as in the grid, each axis by its share; t-SNE puts neighbours side by side.

    Shuffled, nothing is left of it.
    """
    grid = grid_over(*ROOM)
    latents = torch.from_numpy(grid.places) / torch.tensor([2.0, 10.0])
    assert distance_correlation(latents, grid) == pytest.approx(1, abs=1e-6)
    shuffled = latents[torch.randperm(len(latents), generator=torch.Generator().manual_seed(0))]
    assert abs(distance_correlation(shuffled, grid)) < 0.1
    layout = tsne(latents, perplexity=8, steps=400)
    nearest = torch.cdist(layout, layout).fill_diagonal_(torch.inf).argmin(dim=1)
    steps = (torch.arange(100) // 10 - nearest // 10).abs() + (
        torch.arange(100) % 10 - nearest % 10).abs()
    assert (steps == 1).float().mean() > 0.9


def test_a_grid_over_an_angle_is_compared_around_the_turn():
    """On a circle the far ends are neighbours: sine and cosine rank well, the bare number not."""
    angle = Quantity('turn', 'angle'), (-np.pi, 0.9 * np.pi)
    grid = grid_over(angle, (Quantity('y', 'position'), (0.0, 0.0)))
    turn = torch.from_numpy(grid.places[:, :1])
    assert distance_correlation(torch.cat([turn.sin(), turn.cos()], dim=1), grid) > 0.99
    assert distance_correlation(turn, grid) < 0.8
