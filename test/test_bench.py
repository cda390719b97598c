"""Benchmarks compare fairly: measured in turns, ratios paired by round."""

import argparse
from importlib import import_module
import json
from pathlib import Path

from lewm_model.errors import ConfigError
from lewm_sim.cli import main
from lewm_sim.commands.bench import kinds
import numpy as np
import pytest
import torch

from bench._memory import memory_of_mib
from bench._peer import NAME
from bench._rivals import PEER_BF16, peer_precision
from bench.report import Group, Report, STEPS
from bench.side_by_side import Measured, ratio, side_by_side, Variant


class FakeClock:
    """Time that only passes when a variant spends it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def spend(self, seconds):
        def call():
            self.now += seconds
        return call


def test_variants_take_turns_and_warm_up_is_not_counted():
    """Every round calls each once, in alternating order; only the measured rounds have times."""
    calls, clock = [], FakeClock()
    measured = side_by_side(
        {'a': Variant(lambda: calls.append('a')), 'b': Variant(lambda: calls.append('b'))},
        rounds=2, warmup=1, clock=clock)
    assert calls == ['a', 'b', 'b', 'a', 'a', 'b']
    assert len(measured['a'].seconds) == len(measured['b'].seconds) == 2


def test_preparation_is_not_timed():
    """Setting threads or emptying caches before a call costs the variant nothing."""
    clock = FakeClock()
    measured = side_by_side({'a': Variant(clock.spend(1.0), prepare=clock.spend(100.0))},
                            rounds=3, warmup=0, clock=clock)
    assert measured['a'].seconds == (1.0, 1.0, 1.0)


def test_the_ratio_counts_units_and_survives_a_slow_spell():
    """Twice the work in half the time is four times; a machine that slows for a round cancels."""
    slow = Measured('slow', (4.0, 40.0, 4.0), units=1)
    fast = Measured('fast', (2.0, 20.0, 2.0), units=2)
    assert ratio(slow, fast) == pytest.approx((4.0, 4.0, 4.0))


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='needs Linux')
def test_memory_of_a_call_is_what_it_took_not_what_was_taken_before():
    """100 MiB that were held and freed before do not count; 40 MiB in the call do."""
    before = np.ones(100 * 2 ** 17)
    del before
    assert memory_of_mib(lambda: np.ones(40 * 2 ** 17).sum()) == pytest.approx(40, abs=4)
    assert memory_of_mib(lambda: None) < 4


def test_nothing_to_measure_is_refused():
    """An empty benchmark says so instead of dividing by zero later."""
    with pytest.raises(ConfigError, match='at least 1 round, got 0 variants'):
        side_by_side({})


def test_a_report_has_the_same_numbers_for_people_and_programs(tmp_path):
    """The table and the JSON agree, the machine is named, and the picture is there."""
    group = Group('one plan', (Measured('eager', (0.2, 0.2)), Measured('tuned', (0.05, 0.05))),
                  'plan', {'cost error': 1e-5})
    path = Report('plan', (group,), 'lewm bench plan').write(tmp_path)
    written = json.loads(path.read_text())
    tuned = written['groups'][0]['measured'][1]
    assert tuned['times_faster_than_first']['median'] == pytest.approx(4.0)
    assert '4.00 (4.00-4.00)' in group.text() and 'cost error: 1e-05' in group.text()
    assert written['machine']['cores'] >= 1 and written['command'] == 'lewm bench plan'
    assert (tmp_path / 'plan.png').stat().st_size > 1000


def test_every_kind_explains_itself():
    """`lewm bench --help` has one line for each benchmark, and helpers are no benchmarks."""
    assert 'side_by_side' not in kinds()
    assert all(kinds().values())


def test_a_planner_is_worse_only_if_chance_is_no_explanation():
    """On the same pairs: two of forty lost may be chance, twelve are not."""
    from lewm_model.config import PlanConfig
    from lewm_sim.evaluate.trials import Trial
    from lewm_sim.tasks import Outcome, Tolerance

    from bench.success import Judged

    def judged(solved):
        return Judged('one', PlanConfig(), 'torch', tuple(
            Trial(pair, 0, [Outcome({'x': 1.0}), Outcome({'x': 0.0 if pair < solved else 1.0})],
                  []) for pair in range(40)), (Tolerance('own', {'x': 0.1}, {'x': 'm'}),), 'fp32')

    assert judged(38).not_clearly_worse(judged(40)) and judged(40).not_clearly_worse(judged(38))
    assert not judged(28).not_clearly_worse(judged(40))


def test_a_plan_that_is_executed_longer_costs_less_per_step():
    """Plans of 25 and of 5 executed steps that take as long: equal per plan, 5 times per step."""
    group = Group('planners', (Measured('whole', (0.2, 0.2), facts={STEPS: 25}),
                               Measured('replanned', (0.2, 0.2), facts={STEPS: 5})), 'plan')
    whole, replanned = group.text().splitlines()[2:4]
    assert whole.split()[-2:] == ['8.000', '1.00']
    assert replanned.split()[-2:] == ['40.000', '0.20']


def test_raw_seconds_are_kept():
    """Whoever doubts a median can compute it again."""
    assert Measured('eager', (0.2, 0.4)).to_dict()['seconds'] == [0.2, 0.4]


def test_the_reference_is_also_measured_in_bf16():
    """Under autocast a product is bf16, under the plain name it is not."""
    left = torch.ones(2, 2)
    for name, dtype in ((NAME, torch.float32), (PEER_BF16, torch.bfloat16)):
        with peer_precision(name, 'cpu'):
            assert (left @ left).dtype == dtype


def test_rivals_plan_in_processes_of_their_own(tmp_path, capsys):
    """The smallest plan, for real: per plan and per executed step, dtype and engine named.

    One iteration from the longest history is measured so, too, with its frames encoded.
    """
    assert main(['bench', 'plan', '--model', 'reacher-nano', '--candidates', '8', '--elites', '4',
                 '--iterations', '1', '--rounds', '1', '--warmup', '1', '--threads', '1',
                 '--no-peer', '--backends', 'torch', 'torch-tuned:fp32',
                 '--out', str(tmp_path)]) == 0
    plans, iterations = json.loads((tmp_path / 'plan.json').read_text())['groups']
    assert [(item['name'], item['facts']['dtype'], item['facts'][STEPS], len(item['seconds']))
            for item in plans['measured']] == [('torch', 'fp32', 25, 1),
                                               ('torch-tuned:fp32', 'fp32', 25, 1)]
    assert [(item['name'], item['facts']['dtype'], len(item['seconds']))
            for item in iterations['measured']] == [('torch', 'fp32', 4),
                                                    ('torch-tuned:fp32', 'fp32', 4)]
    assert '3 frames of its history encoded' in iterations['title']
    assert plans['title'].endswith('a process each') and iterations['title'].endswith('each')
    said = capsys.readouterr().out
    assert 'ms/executed step' in said and '  torch (fp32) ' in said


def test_a_rival_encodes_every_frame_of_its_history():
    """As the reference does within its rollout; equal frames are no reason to encode one."""
    from lewm_model.engines.torch.eager import TorchEngine

    from bench._subject import Subject

    class Counting(TorchEngine):
        """Notes what it encodes."""

        def encode(self, rgb):
            """Encode."""
            seen.append(rgb)
            return super().encode(rgb)

    seen, subject = [], Subject.load('reacher-nano')
    context = subject.context(Counting(subject.bundle), 3)
    assert len(seen) == 3 and context.latents.shape == (1, 3, 64)
    assert context.past_blocks.shape == (1, 2, 10)


@pytest.mark.parametrize('kind', kinds())
def test_a_benchmark_takes_seven_rounds_unless_told_otherwise(kind):
    """So that its quantiles are no interpolation of three numbers."""
    parser = argparse.ArgumentParser()
    import_module(f'bench.{kind}').add_arguments(parser)
    assert parser.get_default('rounds') >= 7


def test_loops_of_training_name_their_dtype(monkeypatch):
    """Ours takes bf16 where it pays; what a name asks for holds."""
    from bench import train

    for pays, ours in ((True, 'bf16'), (False, 'fp32')):
        monkeypatch.setattr(train, '_bf16_pays', lambda device, pays=pays: pays)
        assert [train._dtype(name, 'cpu') for name in (
            'ours', 'ours, compiled', 'ours, fp32', 'plain loop, 2 workers',
            'plain loop, 2 workers, bf16')] == [ours, ours, 'fp32', 'fp32', 'bf16']
