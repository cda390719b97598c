"""Surprise of a policy on toys whose errors are known, and what is ordinary on known numbers."""

from types import SimpleNamespace

from lewm_model.analysis.calibration import farthest_points
from lewm_model.assemble import make_policy
from lewm_model.base.quantile import quantile_with_interval
from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import BundleError, ConfigError
from lewm_model.ordinary import Ordinary, OrdinaryConfig, surprise_of, usual_errors
from lewm_model.planning.history import History
from lewm_model.planning.surprise import prediction_error
from lewm_model.types import Observation
from nano import tiny_bundle
import numpy as np
import pytest
import torch

DT_NS, K = 50_000_000, 5
CONFIG = OrdinaryConfig(mean_error=0.5, surprise_limit=8.0, surprise_quantile=0.9,
                        surprise_low=2.0, surprise_high=4.0, episodes=40, frames=900,
                        view_limit=3.0, view_scale=2.0, pictures=3, thumbnail_px=4,
                        read_errors={'x': 0.01})


class Summing:
    """Expects the last latent plus the sum of the block that leaves it."""

    def __init__(self, history=1):
        self.config = SimpleNamespace(history=history)

    def rollout(self, latents, past_blocks, candidates):
        assert latents.shape[1] == self.config.history
        return latents[:, -1:] + candidates.sum(dim=-1, keepdim=True)


def past(history=1, plan_history=1):
    return History(length=plan_history, steps_per_block=K, control_dt_s=0.05, action_dim=1,
                   most=history + 1)


def drive(memory, actions, place=0.0, first=0, executed=None):
    """Move by every action; tell what was `executed`, else the same. Return the errors."""
    errors = []
    for step, action in enumerate(actions, first):
        memory.observe(step * DT_NS, torch.tensor([place]))
        errors.append(prediction_error(Summing(), memory))
        told = action if executed is None else executed[step - first]
        memory.executed(step * DT_NS, np.array([told], np.float32))
        place += action
    return errors


def test_a_world_that_does_what_was_executed_surprises_nobody():
    """The first K frames have no prediction; all others are predicted exactly."""
    errors = drive(past(), np.linspace(-1, 1, 20))
    assert np.isnan(errors[:K]).all()
    assert np.abs(errors[K:]).max() < 1e-10


def test_what_was_executed_counts_not_what_was_planned():
    """The robot did half of what was planned: told the half, no surprise; told the plan, much."""
    planned = np.ones(12)
    halved = drive(past(), planned / 2, executed=planned / 2)
    deceived = drive(past(), planned / 2, executed=planned)
    assert max(halved[K:]) < 1e-10
    assert deceived[K:] == pytest.approx([2.5 ** 2] * 7)     # five steps, half a unit each


def test_a_joint_that_does_not_move_surprises_by_what_it_should_have_moved():
    """Five steps of 0.2 expected, none seen: an error of 1."""
    assert drive(past(), np.zeros(9), executed=np.full(9, 0.2))[K:] == pytest.approx([1.0] * 4)


def test_a_jump_surprises_for_one_block_and_then_life_goes_on():
    """The K frames after it are compared with frames before it; the next ones are not."""
    memory = past()
    drive(memory, np.zeros(10))
    errors = drive(memory, np.zeros(10), place=3.0, first=10)
    assert errors[:K] == pytest.approx([9.0] * K)
    assert errors[K:] == pytest.approx([0.0] * K)


def test_a_gap_is_not_known_and_ends():
    """One executed action is missing: no block that has it is judged, every other one is."""
    memory = past()
    drive(memory, np.zeros(8))
    memory.observe(8 * DT_NS, torch.zeros(1))      # nobody told what was executed here
    errors = drive(memory, np.zeros(9), first=9)
    assert np.isnan(errors[:5]).all()
    assert not np.isnan(errors[5:]).any()


def test_the_past_is_long_enough_whatever_the_planner_looks_at():
    """A model of three frames needs four; a planner of one frame still plans on one."""
    memory = past(history=3, plan_history=1)
    for step in range(3 * K + 1):
        memory.observe(step * DT_NS, torch.tensor([float(step)]))
        memory.executed(step * DT_NS, np.ones(1, np.float32))
        error = prediction_error(Summing(3), memory)
        assert np.isnan(error) if step < 3 * K else error == pytest.approx(0.0)
    assert memory.context().latents.shape[1] == 1


def ordinary():
    made = Ordinary(CONFIG, 16)
    made.latents.copy_(torch.arange(3.0)[:, None].expand(3, 16) * 10)
    made.thumbnails[2] = 200
    made.whitening.mul_(2)
    return made


def shown(policy, greys):
    """Show grey frames one control step apart, and tell of an action after each."""
    for step, grey in enumerate(greys):
        policy.observe(Observation(step * DT_NS, np.full((64, 64, 3), grey, np.uint8)))
        policy.executed(step * DT_NS, np.array([0.5, -0.5], np.float32))


def test_a_policy_says_what_it_expected_of_the_newest_frame():
    """Nothing at first, after a reset, and for a twin; then the model's own answer."""
    policy = make_policy(tiny_bundle())
    assert policy.expectation() is None and np.isnan(policy.prediction_error())
    shown(policy, range(0, 10 * (3 * K + 1), 10))
    found = policy.expectation()
    torch.testing.assert_close(found.seen, policy.newest_latent)
    assert policy.prediction_error() == pytest.approx(
        (found.expected - found.seen).square().mean().item()) and found.error > 0
    assert policy.twin().expectation() is None
    policy.reset()
    assert policy.expectation() is None


def test_several_robots_are_expected_as_each_alone():
    """Two that saw different things and one that saw nothing, in one batch."""
    first = make_policy(tiny_bundle())
    second, blind = first.twin(), first.twin()
    shown(first, range(0, 10 * (3 * K + 1), 10))
    shown(second, [50] * (3 * K + 1))
    found = first.expectations_of([first, blind, second])
    assert found[1] is None
    for one, policy in ((found[0], first), (found[2], second)):
        torch.testing.assert_close(one.expected, policy.expectation().expected)


def test_an_error_counts_relative_to_what_is_usual_in_its_direction():
    """Usual errors are 3 one way and 0.5 across; one of 3 is ordinary or very surprising."""
    chance = torch.Generator().manual_seed(0)
    along, across = torch.tensor([0.6, 0.8]), torch.tensor([-0.8, 0.6])
    sizes = torch.randn(20000, 2, generator=chance) * torch.tensor([3.0, 0.5])
    errors = sizes[:, :1] * along + sizes[:, 1:] * across
    whitening = usual_errors(errors)
    assert surprise_of(errors, whitening).mean().item() == pytest.approx(1)
    assert surprise_of(3 * along, whitening).item() == pytest.approx(0.5, rel=0.1)
    assert surprise_of(3 * across, whitening).item() == pytest.approx(18, rel=0.2)


def test_rounding_surprises_nobody():
    """No error was ever seen across; a hundredth of the usual ones is still no surprise there."""
    errors = torch.linspace(-1, 1, 101)[:, None] * torch.tensor([1.0, 0.0])
    assert surprise_of(torch.tensor([0.0, 0.006]), usual_errors(errors)).item() < 0.05


def test_a_view_is_as_far_as_the_nearest_picture():
    """All 16 numbers differ by 0.5: a squared distance of 4, twice the usual; 1: four times."""
    near = ordinary().likeness(torch.full((16,), 10.5))
    assert (near.index, near.familiar) == (1, True)
    assert near.distance == pytest.approx(2.0)
    far = ordinary().likeness(torch.full((16,), 21.0))
    assert (far.index, far.familiar) == (2, False)
    assert far.distance == pytest.approx(8.0)


def test_a_bundle_keeps_what_is_ordinary(tmp_path):
    """Saved and loaded it is the same; a damaged number is refused with its name."""
    folder = tiny_bundle(ordinary=ordinary()).save(tmp_path / 'b')
    again = Bundle.load(folder).ordinary
    assert again.config == CONFIG
    assert again.surprise(torch.zeros(16), torch.ones(16)).item() == pytest.approx(4)
    assert again.thumbnails[2].unique().tolist() == [200]
    torch.testing.assert_close(again.latents, ordinary().latents)
    settings = (folder / 'bundle.yaml').read_text()
    (folder / 'bundle.yaml').write_text(settings.replace('mean_error: 0.5', 'mean_error: .nan'))
    with pytest.raises(BundleError, match='mean_error must be a positive number, got nan'):
        Bundle.load(folder)


@pytest.mark.parametrize(('name', 'value'), [
    ('mean_error', 0.0), ('surprise_limit', float('inf')), ('view_limit', -1.0),
    ('surprise_low', 5.0), ('pictures', 0), ('surprise_quantile', 1.0),
    ('read_errors', {'x': 0.0})])
def test_numbers_that_cannot_be_are_refused(name, value):
    """Each is named."""
    with pytest.raises(ConfigError, match=name):
        OrdinaryConfig(**{**CONFIG.to_dict(), name: value})


def test_a_quantile_has_the_interval_of_the_textbook():
    """The median of 20 ordered numbers: the 6th and the 15th bound it with 95 %."""
    found = quantile_with_interval(np.arange(1, 21), 0.5)
    assert (found.value, found.low, found.high, found.high_is_bound) == (10.5, 6, 15, True)


def test_too_few_pieces_have_no_upper_bound():
    """Of 5 numbers none bounds their 0.9 quantile from above; the largest is given."""
    found = quantile_with_interval(np.arange(5), 0.9)
    assert (found.high, found.high_is_bound) == (4, False)


def test_the_interval_covers_the_true_quantile():
    """In 400 draws of 50 exponential numbers the true 0.9 quantile is inside at least 95 %."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        found = quantile_with_interval(rng.exponential(size=50), 0.9)
        hits += found.low <= -np.log(0.1) <= found.high
    assert 0.93 <= hits / 400 <= 1.0


def test_farthest_points_cover_all_clusters():
    """Three clusters far apart give one point each, whatever their sizes."""
    latents = torch.cat([torch.zeros(50, 2), torch.full((3, 2), 9.0), torch.full((1, 2), -9.0)])
    latents += 0.01 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    chosen = farthest_points(latents, 3)
    assert {int(latents[index, 0].round()) for index in chosen} == {0, 9, -9}
