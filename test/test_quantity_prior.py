"""What acts for goals of quantities: in a toy world of known blocks, and as a part of a bundle."""

from dataclasses import replace
import math
from types import SimpleNamespace

from engine_models import with_prior
from episode_sets import episode, write_set
from lewm_model import Bundle
from lewm_model.assemble import make_policy
from lewm_model.errors import BundleError, DatasetError
from lewm_model.heads.quantity_prior import QuantityPriorConfig
from lewm_model.heads.readable import Readable, ReadoutConfig
from lewm_model.heads.readout import Readout
from lewm_model.training import quantity_prior
from lewm_model.training.policies import fit_quantity_prior, judge, PolicyTrainConfig, train_policy
from lewm_model.training.quantity_prior import things, Wanted
from lewm_model.types import Observation
from nano import PLAN, SIZES, tiny_bundle
import numpy as np
import pytest
from readout_bundles import bundle_that_reads
from test_prior import Episodes, toy_bundle, toy_pairs, TRAINING
from test_sampling import A, K
import torch

READ = ('along', 'across')


def readable(name, kind='position', of='', low=-9.0, high=9.0):
    return Readable(name, kind, of=of, read_error=0.01, read_error_95=0.02, low=low, high=high)


class Places(torch.nn.Module):
    """Read the toy world's latents, which are places, as they are."""

    readable = tuple(map(readable, READ))
    mean, std = torch.zeros(A), torch.ones(A)

    def forward(self, latents):
        return latents


@pytest.fixture(scope='module')
def toy():
    """A network of the random walks, and what it learnt from."""
    data, bundle = Episodes(), toy_bundle()
    bundle.readout = Places()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantity_prior, 'measured', lambda data: [
            SimpleNamespace(quantity=one, values=data.latents[:, [place]].numpy())
            for place, one in enumerate(Places.readable)])
        wanted = Wanted(SimpleNamespace(data=data, bundle=bundle), data.latents, 0)
    sizes = QuantityPriorConfig(hidden_dim=64, hidden_layers=2)
    return fit_quantity_prior(bundle, toy_pairs(data=data), wanted, sizes, TRAINING,
                              lambda progress: None), wanted


def went(network, wanted, asked, steps_left=K, here=(0.0, 0.0)):
    """Return where one block leads."""
    here = torch.tensor([here])
    block = network(here, here, torch.tensor([wanted]), torch.tensor([asked]),
                    torch.tensor([steps_left]))
    return block.unflatten(1, (K, A)).sum(1)[0]


def test_it_goes_for_what_is_asked_and_nothing_else(toy):
    """Both axes, or one: then the other's number does not matter, and nothing is done for it."""
    network, wanted = toy
    torch.testing.assert_close(went(network, [3.0, -4.0], [True, True]),
                               torch.tensor([3.0, -4.0]), atol=0.8, rtol=0)
    for other in (8.0, -8.0):
        answer = went(network, [4.0, other], [True, False])
        assert answer[0] == pytest.approx(4.0, abs=0.8) and abs(answer[1]) < 0.8
    assert judge(network, toy_pairs(seed=5), K, wanted) < 0.6


def test_it_counts_from_here_and_in_time(toy):
    """The same place from elsewhere is another way; in three blocks the first is a third."""
    network, _ = toy
    further = went(network, [4.0, 0.0], [True, False], here=(1.0, 2.0))
    assert further[0] == pytest.approx(3.0, abs=0.8)
    share = went(network, [6.0, -6.0], [True, True], steps_left=3 * K) / torch.tensor([6.0, -6.0])
    assert (share > 0.1).all() and (share < 0.6).all()


def test_what_counts_is_drawn_by_things_by_chance_and_all_together(toy):
    """An angle's two columns go together; the parts of a block do in half of all goals."""
    wanted = toy[1]
    together = Wanted.__new__(Wanted)
    reads = (readable('pusher'), readable('x', of='block'), readable('turn', 'angle', of='block'))
    together._things, together._columns = things(reads), torch.tensor([1, 1, 2])
    together._chance = torch.Generator().manual_seed(0)
    assert things(reads).tolist() == [[True, False, False], [False, True, True]]
    asked = together.asked(20000)
    assert asked.shape == (20000, 4) and asked.any(dim=1).all()
    assert torch.equal(asked[:, 2], asked[:, 3])
    share = {key: (asked == torch.tensor(key)).all(dim=1).float().mean().item()
             for key in ((0, 1, 1, 1), (1, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 0))}
    # By chance: one of three for sure, each of the others every second time.
    assert share[0, 1, 1, 1] == pytest.approx(0.5 / 2 + 0.4 / 6, abs=0.02)
    assert share[1, 0, 0, 0] == pytest.approx(0.5 / 2 + 0.4 / 12, abs=0.02)
    assert share[1, 1, 1, 1] == pytest.approx(0.1 + 0.4 / 4, abs=0.02)
    assert share[0, 1, 0, 0] == pytest.approx(0.4 / 12, abs=0.02)
    assert wanted.asked(5).shape == (5, A)


@pytest.fixture
def arm(tmp_path):
    """A bundle that reads the joints of a small data set."""
    data = write_set(tmp_path / 'set.h5', map(episode, range(8)))
    bundle = tiny_bundle()
    readout = Readout(ReadoutConfig([
        {'name': name, 'kind': 'angle', 'of': 'joint', 'read_error': 0.1, 'read_error_95': 0.2,
         'low': -math.pi, 'high': math.pi} for name in ('shoulder', 'wrist')], 8, 1, 4),
        SIZES.latent_dim).eval()
    return replace(bundle, readout=readout), data


def test_it_is_made_from_pictures_and_survives_the_bundle(arm, tmp_path):
    """Trained on frames and joints, saved, loaded: the same numbers, those of the readout too."""
    bundle, data = arm
    few = PolicyTrainConfig(batch_size=8, steps=2)
    network, measured = train_policy(bundle, data, 'quantity_prior', None, few)
    assert network.config == QuantityPriorConfig(columns=4)
    assert measured['held_out_error'] and torch.equal(network.mean, bundle.readout.mean)
    again = Bundle.load(replace(bundle, quantity_prior=network).save(tmp_path / 'bundle'))
    for name, value in again.quantity_prior.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name


def test_what_is_missing_is_named(arm):
    """The readout, a quantity of the set, a number of it; before anything is trained."""
    bundle, data = arm
    with pytest.raises(BundleError, match='add it first with `lewm train-policy --kind readout`'):
        train_policy(replace(bundle, readout=None), data, 'quantity_prior')
    data.columns['qpos'][3, 0] = np.nan
    with pytest.raises(DatasetError, match='not all of what the bundle reads was recorded every'):
        train_policy(bundle, data, 'quantity_prior')
    other = Readout(ReadoutConfig([{**bundle.readout.config.quantities[0], 'name': 'elbow'}],
                                  8, 1, 4), SIZES.latent_dim).eval()
    with pytest.raises(DatasetError, match='the bundle reads elbow, which this data set does not'):
        train_policy(replace(bundle, readout=other), data, 'quantity_prior')


def test_goals_of_quantities_go_by_it_and_pictures_by_the_prior(tmp_path):
    """In a policy: each goal by its own network; one of another readout is refused."""
    bundle = with_prior(bundle_that_reads())
    width = len(bundle.readout.mean)
    torch.manual_seed(3)
    aimed = bundle.new_network('quantity_prior', QuantityPriorConfig(width, 8, 1)).eval()
    aimed.mean.copy_(bundle.readout.mean)
    bundle = replace(bundle, quantity_prior=aimed)
    policy = make_policy(bundle, replace(PLAN, solver='inverse', horizon=1))
    frame = np.full((64, 64, 3), 9, np.uint8)
    policy.observe(Observation(stamp_ns=0, rgb=frame))
    latent = policy.newest_latent[None]
    left = torch.tensor([bundle.plan_config.horizon * K])
    goal = policy.set_goal_quantities([bundle.readout.readable[0].name], [0.25])
    with torch.inference_mode():
        expected = aimed(latent, bundle.readout(latent), goal.target.columns[None],
                         goal.target.shares[None] > 0, left)
        np.testing.assert_allclose(policy.plan(0).actions, expected.reshape(-1, A), atol=1e-6)
        picture = policy.set_goal_image(np.full((64, 64, 3), 200, np.uint8))
        np.testing.assert_allclose(
            policy.plan(0).actions,
            bundle.prior(latent, picture.latent[None], left).reshape(-1, A), atol=1e-6)
    aimed.mean.add_(1)
    with pytest.raises(BundleError, match='was trained with another readout; train it again'):
        make_policy(bundle, replace(PLAN, solver='inverse', horizon=1))
