from __future__ import annotations

from dataclasses import replace
import logging
import time

from engine_models import alive_bundle, PLAN_2
from lewm_model.assemble import make_policy
from lewm_model.base import cuda_graph
from lewm_model.base.cuda_graph import CapturedByShape, CapturedFunction
from lewm_model.config import PlanConfig
from lewm_model.engines.choose import make_engine
from lewm_model.engines.nvidia.cuda_graph_engine import CudaGraphEngine
from lewm_model.engines.parity import check_parity
from lewm_model.errors import EngineError, PlanningError, ShapeError
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.graphed import GraphedSolver
from lewm_model.planning.objectives import all_steps_distance
from lewm_model.planning.registry import make_solver
from lewm_model.planning.sampling import SamplingSolver
from lewm_model.types import Context, Goal, Observation, Plan
from nano import SIZES
import numpy as np
import pytest
import torch

A, K, T = 2, 5, 3
BOUNDS = (torch.tensor([-1.0, -0.5]), torch.tensor([0.5, 1.0]))
GOAL = Goal(latent=torch.tensor([3.0, -2.0]))
CPU = torch.device('cpu')


class RunningSum:
    """The latent is the running sum of all actions; every n-th candidate breaks."""

    def __init__(self, broken_every=0, value=float('nan')):
        self.broken_every, self.value = broken_every, value

    def rollout(self, context, blocks):
        latents = context.latents[:, -1:] + blocks.unflatten(-1, (K, A)).sum(dim=2).cumsum(dim=1)
        if self.broken_every and len(blocks) > 1:
            latents[1::self.broken_every] = self.value
        return latents


def context(frames=1):
    return Context(latents=torch.linspace(0, 1, 2 * frames).reshape(1, frames, 2),
                   past_blocks=torch.ones(1, frames - 1, K * A), stamps_ns=tuple(range(frames)))


def both(dynamics=None, start=None, **settings):
    """Return the usual solver and the captured one, with equal generators."""
    config = PlanConfig(**{'horizon': T, 'receding_horizon': T, 'num_candidates': 60,
                           'num_elites': 10, 'iterations': 6, **settings})
    solvers = []
    for kind in (SamplingSolver, GraphedSolver):
        generator = torch.Generator().manual_seed(3)
        candidates = Candidates(config, action_dim=A, block_dim=K * A, generator=generator,
                                bounds=BOUNDS if config.clip else None)
        extra = (generator,) if kind is GraphedSolver else ()
        solvers.append(kind(config, dynamics or RunningSum(), all_steps_distance, candidates,
                            *extra, start))
    return solvers


def assert_equal(ours: Plan, theirs: Plan):
    torch.testing.assert_close(ours.blocks, theirs.blocks, rtol=1e-4, atol=1e-4)
    for name in ('cost', 'start_cost', 'elite_std'):
        expected = pytest.approx(getattr(theirs, name), rel=1e-3, abs=1e-5)
        assert getattr(ours, name) == expected, name
    assert ours.iterations == theirs.iterations


OPTIONS = [
    {}, {'noise': 'held'}, {'noise': 'coloured'}, {'noise': 'knots'},
    {'noise': 'held', 'free_blocks': 1}, {'clip': True}, {'momentum': 0.3, 'min_std': 0.4},
    {'keep_elites': 3}, {'keep_elites': 3, 'answer': 'best'}, {'answer': 'best'},
    {'keep_elites': 10, 'answer': 'best', 'clip': True, 'noise': 'coloured', 'momentum': 0.1},
    {'solver': 'mppi'}, {'solver': 'mppi', 'keep_elites': 2, 'answer': 'best'},
    {'num_elites': 60}, {'iterations': 1}, {'num_candidates': 3, 'num_elites': 2,
                                           'keep_elites': 2}]


@pytest.mark.parametrize('broken', [0, 3, 'all but four'])
@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_the_branchless_search_finds_the_plans_of_the_usual_one(options, broken):
    """From the same noise, for two solves in a row; also where candidates are not finite."""
    dynamics = RunningSum(broken or 0)
    if broken == 'all but four':
        class Few(RunningSum):
            def rollout(self, context, blocks):
                latents = super().rollout(context, blocks)
                if len(blocks) > 1:
                    latents[2:-2] = float('inf')
                return latents
        dynamics = Few()
    usual, captured = both(dynamics, **options)
    for _ in range(2):
        assert_equal(captured.solve(context(), GOAL), usual.solve(context(), GOAL))


def test_what_a_solve_is_given_is_used_and_then_forgotten():
    """Start, committed actions, frames and goal, and none of them in the next solve."""
    usual, captured = both(clip=True, keep_elites=2)
    start, committed = 0.3 * torch.ones(T, K * A), torch.full((7, A), 0.2)
    for given in ({'initial_mean': start, 'committed': committed}, {},
                  {'committed': committed[:0]}, {'initial_mean': start}):
        for frames in (1, 2, 1):
            plans = [solver.solve(context(frames), GOAL, **given) for solver in (captured, usual)]
            assert_equal(*plans)
            if len(given.get('committed', ())):
                torch.testing.assert_close(plans[0].blocks.reshape(-1, A)[:7], committed)
    other = Goal(latent=torch.tensor([-1.0, 0.5]))
    assert_equal(captured.solve(context(), other), usual.solve(context(), other))


def test_a_world_that_is_all_nan_is_the_same_error():
    """And the next solve is not spoiled by it."""
    dynamics = RunningSum(broken_every=1)
    usual, captured = both(dynamics, num_candidates=20)
    for solver in (usual, captured):
        with pytest.raises(PlanningError, match='only 1 of 20 candidates have a finite cost'):
            solver.solve(context(), GOAL)
    dynamics.broken_every = 0
    assert captured.solve(context(), GOAL).blocks.isfinite().all()


def test_a_start_of_another_shape_is_refused():
    """The message has both shapes."""
    with pytest.raises(ShapeError, match=r'must be \(3, 10\), got \(2, 10\)'):
        both()[1].solve(context(), GOAL, initial_mean=torch.zeros(2, K * A))


def test_another_solver_s_plan_is_the_start():
    """In the place of what the caller gives."""
    class Start:
        def solve(self, context, goal, *, initial_mean=None, committed=None):
            return Plan(torch.full((T, K * A), 0.1), 0.0, 0.0, 0.0, 0.0, 0)

    usual, captured = both(start=Start())
    plans = [solver.solve(context(), GOAL, initial_mean=torch.ones(T, K * A))
             for solver in (captured, usual)]
    assert_equal(*plans)
    assert plans[0].start_cost != both()[0].solve(context(), GOAL).start_cost


def test_a_time_budget_is_kept(monkeypatch):
    """With a clock that counts readings, as many iterations as the usual solver's rule allows."""
    ticks = iter(range(10 ** 6))
    monkeypatch.setattr(time, 'perf_counter', lambda: next(ticks) * 1e-3)
    _, captured = both(budget_ms=4.0, iterations=30)
    plan = captured.solve(context(), GOAL)
    assert 1 <= plan.iterations < 6
    assert len(plan.considered) == plan.iterations      # one of each, none of an earlier solve
    assert captured.solve(context(), GOAL).iterations == plan.iterations
    monkeypatch.undo()
    usual, captured = both(budget_ms=1e9)
    assert_equal(captured.solve(context(), GOAL), usual.solve(context(), GOAL))


def test_several_robots_are_planned_for_uncaptured():
    """The same answer as from the usual solver."""
    usual, captured = both()
    contexts, goals = [context(), context()], [GOAL, GOAL]
    for ours, theirs in zip(captured.solve_batch(contexts, goals),
                            usual.solve_batch(contexts, goals), strict=True):
        assert_equal(ours, theirs)


def test_a_function_of_tensors_keeps_inputs_per_shape_and_results_apart():
    """A result is the caller's: the next call does not change it. Old shapes are given up."""
    calls = []
    double = CapturedByShape(lambda value: calls.append(value.data_ptr()) or 2 * value, CPU)
    first, second = double(torch.ones(3)), double(torch.full((3,), 5.0))
    assert first.tolist() == [2, 2, 2] and second.tolist() == [10, 10, 10]
    assert calls[0] == calls[1]
    for size in range(1, 20):
        assert double(torch.ones(size)).sum() == 2 * size
    assert len(double._graphs) == CapturedByShape.MOST


def test_what_cannot_be_captured_runs_as_it_is(monkeypatch, caplog):
    """With a warning, once; the answer is the same."""
    def fail(self):
        raise RuntimeError('operation not permitted when stream is capturing')

    class NoDevice:
        def __init__(self, device): ...
        def __enter__(self): ...
        def __exit__(self, *error): ...

    monkeypatch.setattr(CapturedFunction, '_capture', fail)
    monkeypatch.setattr(cuda_graph.torch.cuda, 'device', NoDevice)
    run = CapturedFunction(lambda: 7, torch.device('cuda'), name='seven')
    with caplog.at_level(logging.WARNING):
        assert [run(), run()] == [7, 7]
    assert caplog.text.count('seven cannot be captured as a CUDA graph (operation not') == 1


def test_the_engine_agrees_with_eager_and_its_solver_is_the_captured_one():
    """On the CPU, uncaptured: all but the capture itself."""
    bundle = alive_bundle()
    engine = CudaGraphEngine(bundle, PLAN_2, 'fp32')
    check_parity(engine, bundle, PLAN_2)
    check_parity(engine, bundle, PLAN_2, (48, 90))
    assert isinstance(make_solver(PLAN_2, bundle, engine), GraphedSolver)
    for robots, frames in ((4, 2), (1, 2), (4, 1)):   # several robots, or a prior's attempts
        seen = Context(torch.randn(robots, frames, SIZES.latent_dim),
                       torch.randn(robots, frames - 1, SIZES.block_dim), tuple(range(frames)))
        blocks = torch.randn(4, 3, SIZES.block_dim)
        torch.testing.assert_close(engine.rollout(seen, blocks),
                                   make_engine('torch', bundle).rollout(seen, blocks),
                                   rtol=1e-4, atol=1e-4)


def test_a_policy_plans_on_it_as_on_eager(monkeypatch):
    """Both with the same seed, over several plans with a warm start."""
    plans = []
    make = {'torch': make_engine, 'captured': lambda name, bundle, config: CudaGraphEngine(
        bundle, config, 'fp32')}
    for name in make:
        monkeypatch.setattr('lewm_model.assemble.make_engine', make[name])
        policy = make_policy(alive_bundle())
        policy.set_goal_image(np.full((64, 64, 3), 200, np.uint8))
        for stamp in range(1, 4):
            policy.observe(Observation(stamp_ns=stamp * 50_000_000,
                                       rgb=np.full((64, 64, 3), 20 * stamp, np.uint8)))
            policy.plan(stamp * 50_000_000)
        plans.append(policy.last_plan.blocks)
    torch.testing.assert_close(*plans, rtol=0, atol=1e-3)


def test_without_a_gpu_the_backend_says_so():
    """Asked for by name it is an error that names both devices; `auto` leaves it out."""
    with pytest.raises(EngineError, match='cuda-graph runs on cuda, the model is on cpu'):
        make_engine('cuda-graph', alive_bundle())


def test_warming_up_and_capturing_use_up_no_random_numbers(monkeypatch):
    """With a stand-in for the GPU whose replay runs the function: draws are those of no graph."""
    from contextlib import nullcontext

    class Graph:
        def __init__(self):
            self.generators = []

        def register_generator_state(self, generator):
            self.generators.append(generator)

        def replay(self):
            assert self.generators == [generator]
            draw()

    class Stream:
        def wait_stream(self, other): ...

    generator, drawn = torch.Generator().manual_seed(5), torch.zeros(3)

    def draw():
        return drawn.copy_(torch.randn(3, generator=generator))

    for name, value in (('device', nullcontext), ('Stream', Stream), ('CUDAGraph', Graph),
                        ('current_stream', Stream), ('stream', nullcontext),
                        ('graph', lambda graph, capture_error_mode: nullcontext())):
        monkeypatch.setattr(cuda_graph.torch.cuda, name, value)
    run = CapturedFunction(draw, torch.device('cuda'), generators=(generator,))
    captured = [run().tolist() for _ in range(3)]
    generator.manual_seed(5)
    assert captured == [draw().tolist() for _ in range(3)]


@pytest.mark.gpu
def test_a_replay_draws_new_numbers_and_repeats_with_the_seed():
    """Two replays differ; another capture with the same seed repeats both."""
    def draws(seed):
        generator = torch.Generator('cuda').manual_seed(seed)
        kept = torch.zeros(4, device='cuda')
        run = CapturedFunction(lambda: kept.copy_(torch.randn(
            4, generator=generator, device='cuda')), torch.device('cuda'), generators=(generator,))
        return [run().tolist() for _ in range(2)]

    assert draws(1)[0] != draws(1)[1]
    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.gpu
@pytest.mark.parametrize('options', [
    {}, {'noise': 'coloured', 'keep_elites': 2, 'answer': 'best'}, {'solver': 'mppi'},
    {'budget_ms': 1e6}], ids=str)
def test_captured_plans_are_those_of_the_uncaptured_search(options, caplog):
    """On the GPU: captured indeed, equal to the usual solver, for growing contexts."""
    bundle = alive_bundle()
    bundle = replace(bundle, model=bundle.model.to('cuda'))
    config = replace(PLAN_2, **options)
    engine = CudaGraphEngine(bundle, config, 'fp32')
    check_parity(engine, bundle, config)
    solvers = [make_solver(config, bundle, dynamics) for dynamics in (
        engine, make_engine('torch', bundle, config))]
    goal = Goal(latent=torch.ones(SIZES.latent_dim, device='cuda'))
    for frames in (1, 2, 1):
        seen = Context(torch.zeros(1, frames, SIZES.latent_dim, device='cuda'),
                       torch.zeros(1, frames - 1, SIZES.block_dim, device='cuda'),
                       tuple(range(frames)))
        ours, theirs = (solver.solve(seen, goal) for solver in solvers)
        torch.testing.assert_close(ours.blocks, theirs.blocks, rtol=0, atol=1e-2)
    assert 'cannot be captured' not in caplog.text


@pytest.mark.gpu
@pytest.mark.slow
def test_compiled_kernels_agree():
    """torch.compile inside the graph computes the model."""
    bundle = alive_bundle()
    bundle = replace(bundle, model=bundle.model.to('cuda'))
    assert make_engine('cuda-graph-compiled:fp32', bundle, PLAN_2).name == 'cuda-graph-compiled'
