"""Measure every backend that runs here, side by side, as a table in Markdown (docs/engines.md).

    OMP_NUM_THREADS=1 python tools/measure_engines.py nano
    OMP_NUM_THREADS=1 python tools/measure_engines.py paper --history 3

`nano` is the shipped bundle at its own budget; `paper` has the paper's sizes with random weights
and 300 candidates. Each round runs all backends in turn. Processor time counts, the shortest of
all rounds: whatever else the machine does only makes a run longer. The backends are not refused
for what they compute; how far they are off is in the table.
"""

import argparse
from dataclasses import replace
import time

from lewm_model import LeWorldModel, ModelConfig, PlanConfig
from lewm_model.base import resources
from lewm_model.bundles.bundle import Bundle
from lewm_model.engines.parity import measure_parity
from lewm_model.engines.parity_cases import make_cases
from lewm_model.engines.registry import BACKENDS
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import LewmError
from lewm_model.preprocess import FrameTransform
from lewm_model.types import Context
import numpy as np
import torch


def paper_bundle(nano):
    """Give the nano bundle a model of the paper's sizes with random weights, gates open."""
    torch.manual_seed(0)
    model = LeWorldModel(ModelConfig(action_dim=2)).eval().requires_grad_(False)
    for layer in model.predictor.transformer.layers:
        layer.adaLN_modulation[1].weight.normal_(std=0.02)
        layer.adaLN_modulation[1].bias.normal_(std=0.02)
    return replace(nano, model=model, frame_transform=FrameTransform(224), prior=None,
                   plan_config=PlanConfig())


def autocast(bundle):
    """Build eager with bf16 autocast, the usual way to bf16."""
    engine = TorchEngine(bundle)

    def wrapped(method):
        def run(*arguments):
            with torch.autocast('cpu', torch.bfloat16):
                return method(*arguments).float()
        return run

    engine.encode, engine.rollout = wrapped(engine.encode), wrapped(engine.rollout)
    return engine


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition('\n')[0])
    parser.add_argument('model', choices=('nano', 'paper'))
    parser.add_argument('--history', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    nano = Bundle.load(resources.find('models/reacher-nano'))
    bundle = nano if args.model == 'nano' else paper_bundle(nano)
    config = replace(bundle.plan_config, history=args.history)
    engines = {'torch (eager fp32)': TorchEngine(bundle),
               'eager, bf16 autocast': autocast(bundle)}
    for name, spec in BACKENDS.items():
        for precision in spec.precisions if name != 'torch' and 'cpu' in spec.devices else ():
            try:
                engines[f'{name}:{precision}'] = spec.build(bundle, config, precision)
            except LewmError as error:
                print(f'without {name}:{precision}: {error}')
    sizes = bundle.model_config
    frame = np.random.default_rng(0).integers(
        0, 256, (sizes.image_size, sizes.image_size, 3), dtype=np.uint8)
    context = Context(torch.randn(1, args.history, sizes.latent_dim),
                      torch.randn(1, args.history - 1, sizes.block_dim),
                      tuple(range(args.history)))
    blocks = torch.randn(config.num_candidates, config.horizon, sizes.block_dim)
    best = {name: [float('inf')] * 2 for name in engines}
    for _ in range(args.rounds + 1):   # the first warms up; it is rarely the shortest
        for name, engine in engines.items():
            for graph, (call, repeats) in enumerate((
                    (lambda engine=engine: engine.encode(frame), 5),
                    (lambda engine=engine: engine.rollout(context, blocks), 1))):
                for _ in range(repeats):
                    started = time.process_time()
                    call()
                    best[name][graph] = min(best[name][graph], time.process_time() - started)
    print(f'{args.model}: {config.num_candidates} candidates x {config.horizon} blocks, history '
          f'{args.history}, {torch.get_num_threads()} thread(s)\n\n'
          '| backend | encode | gain | rollout | gain | encode error | rollout error '
          '| rank correlation | regret |\n|---|---|---|---|---|---|---|---|---|')
    cases = make_cases(bundle, config)
    first = best['torch (eager fp32)']
    for name, (encode, rollout) in best.items():
        parity = measure_parity(engines[name], bundle, config, cases=cases)
        print(f'| {name} | {encode * 1e3:.2f} ms | {first[0] / encode:.1f} | '
              f'{rollout * 1e3:.1f} ms | {first[1] / rollout:.1f} | {parity.encode_error:.1g} | '
              f'{parity.rollout_error:.1g} | {parity.rank_correlation:.5f} | '
              f'{parity.regret:.1g} |')


if __name__ == '__main__':
    main()
