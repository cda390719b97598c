"""Does `action[t]` lead from row t to row t + 1? If not, a set trains, and the model plans badly.

Two tests. `action_lag` correlates joint motion with joint velocities. `measure_alignment` works
for any action and needs pictures only: it predicts how the picture changes next from what it
shows and how it just changed, and asks which action improves that most.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from lewm_model.data.episodes import EpisodeFile
import numpy as np

LAGS = (-2, -1, 0, 1, 2)
_SIDE = 16              # px, to which pictures are reduced
_MAX_ROWS, _MAX_EPISODES, _FOLDS = 6000, 100, 4
_CHANGES, _MOVES = 24, 12          # principal components
_MAX_FEATURES = 350                # of actions times picture, per lag
_RIDGE = 0.1            # of the mean square of a feature
_CERTAIN = 4.0          # standard errors by which the best action must win
_ENOUGH = 0.005         # of the change of the picture that it must explain
_LEAD = 0.1             # of that, by which it must lead: in a set that says nothing all are alike


@dataclass(frozen=True)
class Alignment:
    """How much of the next change each action explains beyond what was known without it."""

    witness: str                # 'pixels', 'proprio' or 'qpos'
    gains: dict[int, float]     # by lag: share of the squared change that action[t + lag] adds
    best: int                   # lag
    margin: float               # by which it beats the second, in standard errors over episodes
    episodes: int
    rows: int

    @property
    def verdict(self) -> str:
        """'aligned', 'shifted' or 'unclear'."""
        gain = self.gains[self.best]
        second = max(other for lag, other in self.gains.items() if lag != self.best)
        if self.margin < _CERTAIN or gain < _ENOUGH or gain - second < _LEAD * gain:
            return 'unclear'
        return 'shifted' if self.best else 'aligned'

    def text(self) -> str:
        """Put it into words."""
        values = ', '.join(f'{_row(lag)} {gain:.3f}' for lag, gain in self.gains.items())
        said = {'aligned': 'as it should be',
                'shifted': f'SHIFTED by {self.best:+d}: the action of row t must lead from t to '
                           f't+1' + ', or the robot follows that late' * (self.best < 0),
                'unclear': 'which one matters most cannot be told from this data'}[self.verdict]
        return (f'of the change of {self.witness} from row t to t+1, the action adds to what was '
                f'known at t ({self.episodes} episodes, {self.rows} rows): row {values}; best is '
                f'{_row(self.best)}, by {self.margin:.1f} standard errors; {said}')


def _row(lag: int) -> str:
    return f't{lag:+d}' if lag else 't'


def action_lag(file: EpisodeFile, lags: tuple[int, ...] = (-1, 0, 1)) -> dict[int, float] | None:
    """Correlate the motion from row t to t + 1 with the action of row t + lag.

    Only for actions that are joint velocities.

    Returns:
        Mean correlation over joints by lag; None where it makes no sense.
    """
    qpos = file.columns.get('qpos')
    if qpos is None or file.attributes.get('interface') != 'joint_velocity':
        return None
    reach = max(map(abs, lags))
    rows = np.concatenate([offset + np.arange(reach, max(length - 1 - reach, reach))
                           for offset, length in zip(file.ep_offset, file.ep_len, strict=True)])
    rows = rows[np.isfinite(file.action[rows]).all(axis=1)]
    motion = qpos[rows + 1] - qpos[rows] if len(rows) else np.empty((0, 1))
    if len(rows) < 10 or motion.shape[1] != file.action.shape[1] or not (
            motion.std(axis=0) > 0).all():
        return None

    def correlate(lag: int) -> float:
        actions = np.nan_to_num(file.action[rows + lag])
        return float(np.mean([np.corrcoef(motion[:, joint], actions[:, joint])[0, 1]
                              for joint in range(motion.shape[1])]))

    return {lag: correlate(lag) for lag in lags}


def measure_alignment(file: EpisodeFile, witness: str = 'pixels') -> Alignment | None:
    """Find the action that best explains how a column changes from each row to the next.

    The change from t to t + 1 is predicted by ridge regression from the state at t and its last
    change, cross-validated over episodes, once for each lag with `action[t + lag]` besides, alone
    and times the state (the same action moves the picture differently in every pose). The last
    change has to be among the features: with smooth actions, or motors that lag behind, the
    action before explains almost as much by itself, but nothing that is not yet to be seen.

    Args:
        file: The data set; at most 100 episodes and 6000 rows of it are read.
        witness: 'pixels', or a column of numbers such as 'proprio'.

    Returns:
        The finding; None where there is too little data, or nothing moves.
    """
    found = _gather(file, witness)
    if found is None:
        return None
    states, moves, changes, actions, episode = found
    components = max(4, min(32, _MAX_FEATURES // actions.shape[2] - 1))
    state = np.column_stack([np.ones(len(states)), _components(states, states, components)])
    target = _components(changes, changes, _CHANGES, scaled=False)
    move = _components(moves, changes, _CHANGES)
    known = np.concatenate([state, _products(move, state[:, :_MOVES])], axis=1)
    guess = np.concatenate([state, move, _products(state[:, :_MOVES], state[:, 1:_MOVES])], axis=1)
    blocks = [_products(_news(actions[:, place], guess), state) for place in range(len(LAGS))]
    errors = _cross_validate(known, blocks, target, episode)
    without, *with_lag = errors
    total = float((target ** 2).sum())
    if not total:
        return None
    gains = [float((without - error).sum() / total) for error in with_lag]
    best, second = np.argsort(gains)[::-1][:2]
    ahead = np.bincount(episode, with_lag[second] - with_lag[best])
    error = ahead.std(ddof=1) / np.sqrt(len(ahead))
    return Alignment(
        witness=witness, gains=dict(zip(LAGS, gains, strict=True)), best=LAGS[best],
        margin=float(ahead.mean() / error) if error > 0 else 0.0, episodes=len(ahead),
        rows=len(episode))


def _gather(file: EpisodeFile, witness: str) -> tuple[np.ndarray, ...] | None:
    """Return states, last changes, next changes, actions (n, lags, A) and episode numbers."""
    reach = max(LAGS)
    usable = np.flatnonzero(file.ep_len >= 2 * reach + 3)
    if len(usable) < 2 * _FOLDS:
        return None
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, _MAX_EPISODES).astype(int))]
    per_episode = _MAX_ROWS // len(chosen) + 2 * reach + 1
    parts = []
    for number, episode in enumerate(chosen):
        offset, length = int(file.ep_offset[episode]), min(int(file.ep_len[episode]), per_episode)
        action = file.action[offset:offset + length].astype(np.float64)
        values = _reduced(file, witness, offset, length)
        steps = np.arange(reach, length - 1 - reach)
        around = np.stack([action[steps + lag] for lag in LAGS], axis=1)
        good = np.isfinite(around).all(axis=(1, 2)) & np.isfinite(
            np.stack([values[steps + lag] for lag in (-1, 0, 1)])).all(axis=(0, 2))
        steps = steps[good]
        parts.append((values[steps], values[steps] - values[steps - 1],
                      values[steps + 1] - values[steps], around[good],
                      np.full(len(steps), number)))
    states, moves, changes, actions, numbers = map(np.concatenate, zip(*parts, strict=True))
    moving = actions.std(axis=(0, 1)) > 1e-9
    present = np.unique(numbers)
    if len(numbers) < 100 or len(present) < 2 * _FOLDS or not moving.any():
        return None
    return (states, moves, changes, actions[:, :, moving].astype(np.float64),
            np.searchsorted(present, numbers))


def _reduced(file: EpisodeFile, witness: str, offset: int, length: int) -> np.ndarray:
    """Return the first rows of an episode as vectors, float32 (length, V)."""
    if witness != 'pixels':
        values = np.asarray(file.columns[witness][offset:offset + length], dtype=np.float32)
        return values.reshape(length, -1)
    return np.stack([
        cv2.resize(np.asarray(file.pixels[row]), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        for row in range(offset, offset + length)]).reshape(length, -1).astype(np.float32)


def _components(values: np.ndarray, of: np.ndarray, count: int, *, scaled: bool = True
                ) -> np.ndarray:
    """Project values on the principal components of `of`; scaled to unit variance."""
    centred = of - of.mean(axis=0)
    variances, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred / len(of))
    kept = np.flatnonzero(variances > 1e-9 * max(variances[-1], 1e-30))[::-1][:count]
    projected = (values - values.mean(axis=0)) @ vectors[:, kept]
    spread = projected.std(axis=0)
    return projected / np.where(spread > 0, spread, 1) if scaled else projected


def _news(actions: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Return what an action says that the state does not, at unit variance, (n, A).

    A position is mostly where the robot is already; only the small rest makes it move.
    """
    gram = guess.T @ guess + 1e-6 * len(guess) * np.eye(guess.shape[1])
    rest = actions - guess @ np.linalg.solve(gram, guess.T @ actions)
    spread = rest.std(axis=0)
    return rest / np.where(spread > 1e-6 * (actions.std(axis=0) + 1e-30), spread, np.inf)


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left[:, :, None] * right[:, None]).reshape(len(left), -1)


def _cross_validate(known: np.ndarray, blocks: list[np.ndarray], target: np.ndarray,
                    episode: np.ndarray) -> list[np.ndarray]:
    """Return squared errors by row, (n,), without any block and with each of them in turn."""
    fold = np.random.default_rng(0).permutation(episode.max() + 1)[episode] % _FOLDS
    everything = np.concatenate([known, *blocks], axis=1)
    ends = np.cumsum([known.shape[1]] + [block.shape[1] for block in blocks])
    base = np.arange(ends[0])
    choices = [base, *(np.concatenate([base, np.arange(start, end)])
                       for start, end in zip(ends[:-1], ends[1:], strict=True))]
    errors = [np.zeros(len(target)) for _ in choices]
    for held_out in range(_FOLDS):
        train, test = fold != held_out, fold == held_out
        gram = everything[train].T @ everything[train]
        cross = everything[train].T @ target[train]
        ridge = _RIDGE * train.sum()
        for choice, error in zip(choices, errors, strict=True):
            weights = np.linalg.solve(gram[np.ix_(choice, choice)] + ridge * np.eye(len(choice)),
                                      cross[choice])
            error[test] = ((target[test] - everything[test][:, choice] @ weights) ** 2).sum(axis=1)
    return errors
