"""Frozen settings that refuse nonsense when they are built. No torch at import.

Command-line options, YAML files and bundles all end in these classes, so a range is checked once.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.base.settings import Config, load_described, load_yaml, require

__all__ = ['Config', 'DataConfig', 'ENCODERS', 'LOSSES', 'ModelConfig', 'NOISES', 'PlanConfig',
           'SOLVERS', 'STARTS', 'TrainConfig', 'load_described', 'load_yaml', 'require']

SOLVERS = ('cem', 'mppi', 'gradient', 'prior', 'inverse', 'gcbc')
STARTS = ('last', 'prior', 'memory')
ENCODERS = ('vit', 'frozen')
LOSSES = ('lewm', 'pldm', 'prediction')
NOISES = ('independent', 'held', 'coloured', 'knots')


@dataclass(frozen=True)
class ModelConfig(Config):
    """Sizes of a LeWorldModel; the defaults are the paper's, 18,034,478 parameters at A = 2."""

    action_dim: int                  # A, numbers in one robot action
    frameskip: int = 5               # K, control steps per block
    image_size: int = 224            # H = W the encoder was built for [px]
    patch_size: int = 14             # [px], divides image_size
    encoder_dim: int = 192           # ViT width
    encoder_depth: int = 12          # ViT blocks
    encoder_heads: int = 3           # divides encoder_dim
    latent_dim: int = 192            # D, width of what is predicted and compared
    projector_dim: int = 2048        # hidden width of projector and pred_proj
    history: int = 3                 # L the predictor was built for, frames
    predictor_dim: int = 192         # width inside the predictor
    predictor_depth: int = 6
    predictor_heads: int = 16
    predictor_head_dim: int = 64     # inner width is heads * head_dim
    predictor_mlp_dim: int = 2048
    dropout: float = 0.1             # in the predictor only, [0, 1)
    encoder: str = 'vit'             # 'vit', trained; or 'frozen', to compare with: tokens of a
    #                                  small ImageNet network in DINO-WM's manner, latent_dim all
    #                                  of them in a row; patch_size, encoder_* and projector_dim
    #                                  have no meaning then

    def __post_init__(self) -> None:
        require(self.encoder in ENCODERS, 'ModelConfig.encoder', f'one of {", ".join(ENCODERS)}',
                self.encoder)
        for name, value in self.to_dict().items():
            if name not in ('dropout', 'encoder'):
                require(value >= 1, f'ModelConfig.{name}', 'at least 1', value)
                most = 1000 if name.endswith('_depth') else 65536
                require(value <= most, f'ModelConfig.{name}', f'at most {most}', value)
        require(0 <= self.dropout < 1, 'ModelConfig.dropout', 'in [0, 1)', self.dropout)
        if self.encoder == 'frozen':
            count = (self.image_size // 16) ** 2
            require(self.image_size % 16 == 0, 'ModelConfig.image_size',
                    'a multiple of 16 with encoder frozen', self.image_size)
            require(self.latent_dim == 112 * count, 'ModelConfig.latent_dim',
                    f'{112 * count}, 112 for each of {count} tokens of 16 px', self.latent_dim)
            return
        require(self.image_size % self.patch_size == 0, 'ModelConfig.patch_size',
               f'a divisor of image_size={self.image_size}', self.patch_size)
        require(self.encoder_dim % self.encoder_heads == 0, 'ModelConfig.encoder_heads',
               f'a divisor of encoder_dim={self.encoder_dim}', self.encoder_heads)

    @property
    def block_dim(self) -> int:
        """K*A, the length of one action block."""
        return self.frameskip * self.action_dim


@dataclass(frozen=True)
class DataConfig(Config):
    """How recorded streams become rows of a data set."""

    image_size: int = 64             # stored frames, square [px]
    control_dt_s: float = 0.05       # one row per control step [s]
    max_gap: float = 1.5             # frame gaps above this many periods split an episode
    min_rows: int = 20               # shorter episodes hold no training clip and are dropped
    max_bad_share: float = 0.1       # of a topic's messages may be broken and left out; a bag
    #                                  with more is refused

    def __post_init__(self) -> None:
        require(self.image_size >= 8, 'DataConfig.image_size', 'at least 8', self.image_size)
        require(self.control_dt_s > 0, 'DataConfig.control_dt_s', 'positive', self.control_dt_s)
        require(self.max_gap > 1, 'DataConfig.max_gap', 'above 1', self.max_gap)
        require(self.min_rows >= 2, 'DataConfig.min_rows', 'at least 2', self.min_rows)
        require(0 <= self.max_bad_share <= 1, 'DataConfig.max_bad_share', 'in [0, 1]',
                self.max_bad_share)


@dataclass(frozen=True)
class TrainConfig(Config):
    """One training run; the defaults are the reference's."""

    batch_size: int = 128            # clips; the SIGReg weight is tied to it
    steps: int | None = None         # optimiser steps; None: `epochs` decides
    epochs: int = 10                 # the paper's; the reference's file says 100
    learning_rate: float = 5e-5
    weight_decay: float = 1e-3
    decay_norms: bool = True         # also of biases and norms, as the reference
    warmup: float = 0.01             # share of all steps, linear from 0, then cosine to 0
    grad_clip: float = 1.0           # global norm
    loss: str = 'lewm'               # beside the prediction: SIGReg ('lewm'); to compare with,
    #                                  the terms of 'pldm', or nothing ('prediction'), which goes
    #                                  with a frozen encoder
    sigreg_weight: float = 0.09      # lambda: the code's value, peak of the paper's ablation
    sigreg_projections: int = 1024   # M
    sigreg_knots: int = 17           # equally spaced from the first to the last; the code's
    sigreg_first_knot: float = 0.0   # range is [0, 3], the paper's appendix says [0.2, 4], which
    sigreg_last_knot: float = 3.0    # changes the scale of SIGReg: search the weight again
    pldm_std: float = 18.0           # weights of loss 'pldm', as its authors' comparison with
    pldm_cov: float = 12.0           # LeWM has them; std and cov need more clips in a batch than
    pldm_std_time: float = 0.7       # there are latent dimensions
    pldm_alignment: float = 0.2
    inverse_weight: float = 0.0      # of an auxiliary network that tells the actions from the
    #                                  latents around them; 0: none, as LeWM and PLDM
    decoder_weight: float = 0.0      # of an auxiliary decoder that paints the frames from their
    #                                  latents; 0: none, as the paper; try 1 where a probe is lost
    state_weight: float = 0.0        # of an auxiliary linear readout of the robot's own measured
    #                                  states, velocities apart; 0: none, as the paper
    rollout_weight: float = 0.0      # of the error of predictions that go on from predictions, 2
    rollout_steps: int = 3           # to so many blocks ahead; 0: none, as the paper
    light_jitter: float = 0.0        # [0, 1), how far exposure, white balance and gamma vary from
    #                                  frame to frame in the second half of the steps, so that
    #                                  latents forget them; 0: not at all, as the paper
    camera_jitter: float = 0.0       # [0, 0.5), how far pictures shift, as a share of their size,
    #                                  and roll [rad] from frame to frame, likewise; 0: not at all
    frame_statistics: str = 'imagenet'   # what colours are normalised by, as the paper; or
    #                                  'data', by mean and spread of the training frames, which
    #                                  learns sooner where they are nearly all white, or dark
    validation_split: float = 0.1    # share held out
    split: str = 'episodes'          # hold out 'episodes', by hash of their id; 'starts', all
    #                                  episodes that begin alike together; or 'clips', at random
    #                                  as in the reference: neighbours of one episode then fall on
    #                                  both sides, so its held-out numbers are optimistic
    precision: str = 'bf16'          # bf16, fp32, or auto: bf16 where the processor has it;
    #                                  SIGReg is always fp32
    compile: bool = False            # torch.compile the forward pass
    norm_batches: int = 16           # training batches over which BatchNorm's statistics are
    #                                  measured before checks, checkpoints and the bundle; 0: the
    #                                  running averages of torch, as the reference, which lag
    seed: int = 3072
    log_every: int = 20              # steps between TensorBoard points
    validate_every: int = 500        # steps between health checks
    checkpoint_every: int = 500      # steps between checkpoints
    checkpoint_minutes: float = 5.0  # and at least this often [min]
    keep_checkpoints: int = 2        # newest ones kept, besides the best
    # Health. The measured values behind the thresholds are in docs/training.md; they may change
    # when a run goes on, since they do not change what is trained.
    unhealthy_checks: int = 3        # bad checks in a row that stop the run; 0: never
    grace_steps: int = 500           # checks before this step, or in warm-up, are not judged:
    #                                  the actions of a healthy run had no effect at step 100
    collapse_std: float = 0.1        # latent std that is a collapse: healthy is 1, lambda 0 .02
    collapse_sigreg: float = 0.3     # SIGReg per clip of the batch, in training and held out,
    #                                  that is a collapse: .402 is one point, .016 a Gaussian
    blind_action_effect: float = 0.01  # change of the prediction under foreign actions, in units
    #                                    of what moves in a step, that is no effect; healthy: .5 on
    lost_probe: float = 0.5          # R2 of a probe that is a warning; healthy: .77 at step 500

    def __post_init__(self) -> None:
        for name in ('batch_size', 'epochs', 'sigreg_projections', 'log_every', 'validate_every',
                     'checkpoint_every', 'keep_checkpoints'):
            require(getattr(self, name) >= 1, f'TrainConfig.{name}', 'at least 1',
                   getattr(self, name))
        require(self.rollout_steps >= 2, 'TrainConfig.rollout_steps', 'at least 2',
               self.rollout_steps)
        require(self.steps is None or self.steps >= 1, 'TrainConfig.steps', 'at least 1',
               self.steps)
        require(self.sigreg_knots >= 2, 'TrainConfig.sigreg_knots', 'at least 2',
               self.sigreg_knots)
        require(0 <= self.sigreg_first_knot < self.sigreg_last_knot,
                'TrainConfig.sigreg_first_knot',
                f'in [0, sigreg_last_knot={self.sigreg_last_knot})', self.sigreg_first_knot)
        for name in ('learning_rate', 'grad_clip', 'checkpoint_minutes'):
            require(getattr(self, name) > 0, f'TrainConfig.{name}', 'positive',
                   getattr(self, name))
        require(self.loss in LOSSES, 'TrainConfig.loss', f'one of {", ".join(LOSSES)}', self.loss)
        for name in ('weight_decay', 'sigreg_weight', 'pldm_std', 'pldm_cov', 'pldm_std_time',
                     'pldm_alignment', 'inverse_weight', 'decoder_weight', 'state_weight',
                     'rollout_weight', 'norm_batches',
                     'unhealthy_checks', 'grace_steps', 'collapse_std', 'collapse_sigreg',
                     'blind_action_effect'):
            require(getattr(self, name) >= 0, f'TrainConfig.{name}', 'not negative',
                   getattr(self, name))
        for name in ('warmup', 'light_jitter'):
            require(0 <= getattr(self, name) < 1, f'TrainConfig.{name}', 'in [0, 1)',
                    getattr(self, name))
        require(0 <= self.camera_jitter < 0.5, 'TrainConfig.camera_jitter', 'in [0, 0.5)',
                self.camera_jitter)
        require(0 < self.validation_split < 1, 'TrainConfig.validation_split', 'in (0, 1)',
               self.validation_split)
        require(self.split in ('episodes', 'starts', 'clips'), 'TrainConfig.split',
               "'episodes', 'starts' or 'clips'", self.split)
        require(self.frame_statistics in ('imagenet', 'data'), 'TrainConfig.frame_statistics',
               "'imagenet' or 'data'", self.frame_statistics)
        require(self.precision in ('bf16', 'fp32', 'auto'), 'TrainConfig.precision',
               "'bf16', 'fp32' or 'auto'", self.precision)

    def clip_frames(self, history: int) -> int:
        """Return the frames in a training clip of a model that sees `history` of them."""
        return history + (self.rollout_steps if self.rollout_weight else 1)


@dataclass(frozen=True)
class PlanConfig(Config):
    """Receding-horizon planning; counts are model steps (blocks) unless said otherwise."""

    solver: str = 'cem'              # 'cem'; 'mppi'; 'gradient', down the imagined cost;
    #                                  'prior': no search, the world model picks one of T plans of
    #                                  the bundle's prior; without any world model: 'inverse', the
    #                                  prior alone, or 'gcbc', behaviour cloning to the goal
    horizon: int = 5                 # T, blocks imagined
    receding_horizon: int = 5        # R, blocks executed before replanning, [1, horizon]
    replan_steps: int | None = None  # control steps executed before replanning, at most a plan's,
    #                                  where R blocks are too coarse; None: R blocks
    history: int = 1                 # L, frames in the context; the reference plans with 1
    num_candidates: int = 300        # S, sequences per iteration
    num_elites: int = 30             # kept for the refit, [2, num_candidates]
    iterations: int = 30
    sample_std: float = 1.0          # initial spread, normalised units
    min_std: float = 0.0             # floor of the spread; the reference has none
    noise: str = 'independent'       # 'independent' per control step (reference); 'held': one
    #                                  action per block, repeated K times; 'coloured': slow changes
    #                                  are likelier (iCEM); 'knots': linear between a few actions
    colour: float = 2.0              # coloured: power falls with frequency to this exponent
    knots: int = 3                   # knots: actions drawn, evenly spaced over the horizon
    free_blocks: int | None = None   # independent, held: blocks with noise of their own, the later
    #                                  ones share the last one's: a long reach with few
    #                                  dimensions; None: all
    cost: str = 'last'               # 'last' step (reference) or 'all' steps; 'all' pairs with
    #                                  receding_horizon 1, 'last' with the whole horizon
    initial: str = 'last'            # where CEM starts: the 'last' plan, see warm_start, what
    #                                  the bundle's 'prior' would do, or what the training set did
    #                                  between such frames, from the bundle's 'memory'
    fuse: bool = False               # cem, mppi: fuse that start with the bundle's Gaussian over
    #                                  plans, by precision; sample_std is the start's own
    recalled: int = 0                # cem, mppi: first candidates from the bundle's memory, below
    #                                  num_candidates
    arrival: int | None = None       # inverse: blocks from a new goal to its arrival, counted down
    #                                  to 1; None: always as many as the bundle plans for
    way_points: int = 0              # blocks from one way-point to the next, at most, on the way
    #                                  to a goal that is further, by the bundle's 'reach'; 0: none
    warm_start: bool = True          # unexecuted tail of the last plan is the next initial mean
    momentum: float = 0.0            # share of the old mean and spread that stays, [0, 1); iCEM .1
    keep_elites: int = 0             # elites that are candidates again in the next iteration
    answer: str = 'mean'             # the 'mean' of the last elites (reference), or the 'best'
    #                                  candidate of all, if it is cheaper
    temperature: float = 0.5         # mppi: cost difference that divides a weight by e
    learning_rate: float = 0.1       # gradient: of AdamW, normalised units per step
    clip: bool = False               # keep candidates inside the robot's limits and, where the
    #                                  bundle knows it, what the data has shown
    budget_ms: float | None = None   # stop iterating when this much time is gone [ms]
    seed: int = 42

    def __post_init__(self) -> None:
        require(self.solver in SOLVERS, 'PlanConfig.solver', f'one of {", ".join(SOLVERS)}',
                self.solver)
        require(self.initial in STARTS, 'PlanConfig.initial', f'one of {", ".join(STARTS)}',
                self.initial)
        samples = self.solver in ('cem', 'mppi')
        require(samples or not self.fuse, 'PlanConfig.fuse', f'false with solver={self.solver!r}',
                self.fuse)
        require(0 <= self.recalled < (self.num_candidates if samples else 1),
                'PlanConfig.recalled', f'in [0, num_candidates={self.num_candidates})' if samples
                else f'0 with solver={self.solver!r}', self.recalled)
        require(0 <= self.way_points <= self.horizon, 'PlanConfig.way_points',
                f'in [0, horizon={self.horizon}]', self.way_points)
        require(self.arrival is None or self.arrival >= 1, 'PlanConfig.arrival', 'at least 1',
                self.arrival)
        for name in ('horizon', 'history', 'num_candidates', 'iterations'):
            require(getattr(self, name) >= 1, f'PlanConfig.{name}', 'at least 1',
                   getattr(self, name))
        require(1 <= self.receding_horizon <= self.horizon, 'PlanConfig.receding_horizon',
               f'in [1, horizon={self.horizon}]', self.receding_horizon)
        require(self.replan_steps is None or self.replan_steps >= 1, 'PlanConfig.replan_steps',
               'at least 1', self.replan_steps)
        require(2 <= self.num_elites <= self.num_candidates, 'PlanConfig.num_elites',
               f'in [2, num_candidates={self.num_candidates}]', self.num_elites)
        require(self.sample_std > 0, 'PlanConfig.sample_std', 'positive', self.sample_std)
        require(self.min_std >= 0, 'PlanConfig.min_std', 'not negative', self.min_std)
        require(self.noise in NOISES, 'PlanConfig.noise', f'one of {", ".join(NOISES)}',
                self.noise)
        require(self.free_blocks is None or 1 <= self.free_blocks <= self.horizon,
                'PlanConfig.free_blocks', f'in [1, horizon={self.horizon}]', self.free_blocks)
        require(self.free_blocks is None or self.noise in ('independent', 'held'),
                'PlanConfig.free_blocks', f'absent with noise={self.noise!r}', self.free_blocks)
        require(self.colour >= 0, 'PlanConfig.colour', 'not negative', self.colour)
        require(self.knots >= 2, 'PlanConfig.knots', 'at least 2', self.knots)
        require(0 <= self.momentum < 1, 'PlanConfig.momentum', 'in [0, 1)', self.momentum)
        require(0 <= self.keep_elites <= self.num_elites, 'PlanConfig.keep_elites',
                f'in [0, num_elites={self.num_elites}]', self.keep_elites)
        require(self.keep_elites < self.num_candidates, 'PlanConfig.keep_elites',
                f'below num_candidates={self.num_candidates}', self.keep_elites)
        require(self.answer in ('mean', 'best'), 'PlanConfig.answer', "'mean' or 'best'",
                self.answer)
        for name in ('temperature', 'learning_rate'):
            require(getattr(self, name) > 0, f'PlanConfig.{name}', 'positive',
                    getattr(self, name))
        require(self.cost in ('last', 'all'), 'PlanConfig.cost', "'last' or 'all'", self.cost)
        require(self.budget_ms is None or self.budget_ms > 0, 'PlanConfig.budget_ms',
               'positive', self.budget_ms)

    def steps_per_plan(self, frameskip: int) -> int:
        """Return the control steps executed before replanning, for blocks of `frameskip` steps.

        Raises:
            ConfigError: If a plan has fewer.
        """
        most = self.horizon * frameskip
        steps = self.replan_steps or self.receding_horizon * frameskip
        require(steps <= most, 'PlanConfig.replan_steps', f'at most {most} control steps, which '
                f'horizon={self.horizon} blocks of {frameskip} are', steps)
        return steps

    @property
    def networks(self) -> frozenset[str]:
        """What a bundle needs beside its model for these settings, see `bundles.networks`."""
        asked = {'prior': self.solver in ('prior', 'inverse') or self.initial == 'prior',
                 'gcbc': self.solver == 'gcbc', 'plan_prior': self.fuse,
                 'memory': self.initial == 'memory' or self.recalled > 0,
                 'reach': self.way_points > 0}
        return frozenset(name for name, needed in asked.items() if needed)
