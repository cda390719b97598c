"""One of several training processes; run as a script: RANK SIZE FOLDER OPTIONS(JSON)."""

import dataclasses
import json
import os
from pathlib import Path
import signal
import sys

from lewm_model.errors import TrainingError
from lewm_model.training.distributed import Group
from lewm_model.training.health import Health
from lewm_model.training.loop import train
import torch
from torch import distributed

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from lewm_model.data.clips import ClipLoader, Clips  # noqa: E402
from lewm_model.preprocess import ActionNormalizer, FrameTransform  # noqa: E402
from test_training import Rows, SIZES, TINY  # noqa: E402


def run(folder: Path, group: Group, *, steps=1, dropout=0.0, terminate_at=None, fail_at=None,
        **changes):
    """Train; return the result, the gradients at the last step and the number of checks."""
    config = dataclasses.replace(TINY, steps=steps, validate_every=1, grad_clip=1e9, **changes)
    rows = Rows(length=29)
    clips = Clips(rows, ActionNormalizer.fit(rows.action), frameskip=5,
                  num_frames=config.clip_frames(SIZES.history))
    states = torch.randn(len(rows.pixels), 2, generator=torch.Generator().manual_seed(0))
    gradients, seen = {}, []

    def check(model):
        gradients.update({name: value.grad.clone() for name, value in model.named_parameters()
                          if value.grad is not None})
        seen.append(model)
        if len(seen) == fail_at:
            raise TrainingError('the latents have collapsed')
        return Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5)

    def report(progress):
        if progress.step == terminate_at:
            os.kill(os.getpid(), signal.SIGTERM)
    loader = ClipLoader(clips, config.batch_size, config.seed, rank=group.rank,
                        processes=group.size)
    result = train(dataclasses.replace(SIZES, dropout=dropout), config, loader,
                   run_folder=folder / 'run', transform=FrameTransform(64), check=check,
                   report=report, group=group, states=states)
    return result, gradients, len(seen)


def main() -> int:
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank,
                                   world_size=size)
    try:
        result, gradients, checks = run(folder, Group(rank, size), **json.loads(sys.argv[4]))
    except KeyboardInterrupt:
        return 130
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        distributed.destroy_process_group()
    torch.save({'losses': result.progress.losses, 'gradients': gradients, 'checks': checks,
                'model': result.model.state_dict()}, folder / f'rank_{rank}.pt')
    return 0


if __name__ == '__main__':
    status = main()
    sys.stderr.flush()
    os._exit(status)   # as the command line does, see lewm_sim.cli
