"""Way-points: learnt times between places, and shortest ways over them."""

from types import SimpleNamespace

from lewm_model.assemble import make_policy
from lewm_model.heads.reach import Reach, ReachConfig
from lewm_model.planning.route import Route
from lewm_model.training.reach import fit_reach, Followed, spread
from lewm_model.types import Observation
from nano import tiny_bundle
import numpy as np
import pytest
import torch

FRAMESKIP = 5


class Ring(Reach):
    """Places at whole degrees on a ring with a wall at 0: 10 degrees take a block."""

    def __init__(self, *degrees: int, most: int = 5) -> None:
        super().__init__(ReachConfig(most=most, places=len(degrees)), latent_dim=2)
        self.places.copy_(torch.stack([place(one) for one in degrees]))
        self.survey()

    def blocks(self, latents, goals):
        here, there = (torch.rad2deg(torch.atan2(one[:, 1], one[:, 0])) % 360
                       for one in (latents, goals))
        time = ((here - there).abs() / 10).clamp(min=1)
        return torch.where(time <= self.config.most + 1e-3, time, torch.inf)


def place(degrees: float) -> torch.Tensor:
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    return torch.stack([angle.cos(), angle.sin()])


def degrees(latent: torch.Tensor) -> int:
    return round(float(torch.rad2deg(torch.atan2(latent[1], latent[0])) % 360))


def test_the_way_leads_around_what_the_distance_does_not_show():
    """From 10 to 350 degrees, with a wall in between, over all places from below 60 upwards."""
    route, here, ways = Route(Ring(*range(10, 351, 20)), hop=5), 10, []
    while here != 350:
        here = degrees(route.next(place(here), place(350)))
        ways.append(here)
    assert ways == [50, 90, 130, 170, 210, 250, 290, 330, 350]


def test_a_near_goal_is_gone_to_straight_and_so_is_one_to_which_no_way_is_known():
    """Planning is then what it would be without way-points."""
    route = Route(Ring(20, 40, 200), hop=3)
    assert degrees(route.next(place(10), place(39))) == 39
    assert degrees(route.next(place(10), place(300))) == 300
    assert degrees(route.next(place(100), place(10))) == 10     # no place near the robot


def test_a_smaller_hop_takes_nearer_way_points():
    """Of places every 10 degrees; a second route over them does not share the goal."""
    ring = Ring(*range(10, 351, 10))
    route = Route(ring, hop=2)
    assert degrees(route.next(place(10), place(100))) == 30
    other = route.empty()
    assert degrees(other.next(place(100), place(10))) == 80
    assert degrees(route.next(place(30), place(100))) == 50


def walkers(episodes: int = 60, steps: int = 40) -> tuple[SimpleNamespace, torch.Tensor]:
    """Return a subject whose robots walk on a line from 0 to 10, 0.1 to 0.3 per step."""
    rng = np.random.default_rng(0)
    paths = []
    for _ in range(episodes):
        at, path = rng.uniform(0, 10), []
        way = rng.choice([-1, 1])
        for _ in range(steps):
            way = -way if not 0 < at + 0.2 * way < 10 or rng.random() < 0.03 else way
            at = float(np.clip(at + way * rng.uniform(0.1, 0.3), 0, 10))
            path.append(at)
        paths.append(path)
    latents = torch.tensor(np.concatenate(paths), dtype=torch.float32)[:, None] / 5 - 1
    bundle = SimpleNamespace(
        model_config=SimpleNamespace(frameskip=FRAMESKIP), plan_config=SimpleNamespace(horizon=4),
        new_network=lambda kind, sizes: Reach(sizes, latent_dim=1))
    data = SimpleNamespace(ep_len=np.full(episodes, steps),
                           ep_offset=np.arange(episodes) * steps)
    return SimpleNamespace(data=data, bundle=bundle, kept=np.arange(episodes - 10),
                           held_out=np.arange(episodes - 10, episodes)), latents


def test_pairs_that_followed_each_other_have_their_time_and_others_are_further():
    """Nine to one; a block is K steps, begun ones count."""
    subject, latents = walkers()
    here, there, classes = Followed(subject, latents, subject.kept, 4, seed=1).draw(2000)
    assert (classes[1800:] == 4).all() and (classes[:1800] < 4).all()
    far = (here - there).abs().squeeze(1)[:1800] * 5
    assert all(float(far[classes[:1800] == one].max()) <= 0.3 * FRAMESKIP * (one + 1) + 1e-4
               for one in range(4))


def test_times_are_learnt_and_far_is_far():
    """On a line: further takes longer, the other end is further, unseen episodes agree."""
    from lewm_model.training.policies import fit, PolicyTrainConfig
    subject, latents = walkers()
    config = PolicyTrainConfig(batch_size=256, steps=1000, learning_rate=3e-3)
    reach, judged = fit_reach(subject, latents, ReachConfig(most=4, places=30, hidden_dim=64,
                                                            hidden_layers=2), 0, 256,
                              lambda build, loss: fit(build, loss, config, lambda told: None))
    start = torch.full((4, 1), -0.5)
    blocks = reach.blocks(start, start + torch.tensor([[0.2], [0.45], [0.7], [1.3]]))
    assert blocks[0] < blocks[1] < blocks[2] and blocks[3].isinf()
    assert judged['near_of_followed'] > 0.95 > 0.8 > judged['near_of_any']
    places = reach.places.squeeze(1).sort().values
    assert (places[0], places[-1]) == (latents[:2000].min(), latents[:2000].max())
    assert (places[1:] - places[:-1]).max() < 0.15
    assert bool((reach.between <= 5).all())
    route = Route(reach, hop=3)
    here, ways = latents[:2000].min()[None], []
    for _ in range(12):
        here = route.next(here, torch.tensor([0.9]))
        ways.append(float(here))
    assert ways == sorted(ways) and ways[-1] == pytest.approx(0.9)


def test_places_are_spread_and_repeated_only_when_there_are_no_more():
    """Each the farthest from those before it."""
    latents = torch.tensor([[0.0], [0.1], [1.0], [0.5]])
    assert sorted(spread(latents, 3, seed=0).flatten().tolist())[-1] == 1.0
    assert len(set(spread(latents, 4, seed=0).flatten().tolist())) == 4
    assert spread(latents, 6, seed=0).shape == (6, 1)


def test_a_policy_plans_to_the_way_point_and_measures_the_distance_to_the_goal():
    """Also the policies of a fleet, each over its own goal."""
    from dataclasses import replace
    bundle = tiny_bundle()
    width = bundle.model_config.latent_dim
    reach = Reach(ReachConfig(places=2), width)
    reach.places.copy_(torch.eye(2, width))
    bundle = replace(bundle, reach=reach.eval())
    policy = make_policy(bundle, replace(bundle.plan_config, way_points=1))
    frame = np.zeros((64, 64, 3), np.uint8)
    goal = policy.set_goal_image(frame + 200)
    policy.observe(Observation(0, frame))
    asked = []

    def next_place(latent, wanted):
        asked.append((latent, wanted))
        return reach.places[1]

    policy.aim._route.next = next_place
    assert torch.equal(policy.request(0).goal.latent, reach.places[1])
    assert torch.equal(asked[0][1], goal.latent)
    assert policy.goal is goal
    assert policy.twin().aim._route is not policy.aim._route
