"""Every error this project raises on purpose; messages name the thing, the value and the fix."""

import re

_LONGEST = 1500   # characters of a text


class LewmError(Exception):
    """Root of all deliberate errors; catching it never hides a bug.

    A text that repeats what a file or a peer said is cut: a message with ten thousand numbers in
    it must not become a line of log with as many.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(_cut(item) if isinstance(item, str) else item for item in arguments))


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    head, tail = text[:_LONGEST * 2 // 3], text[-_LONGEST // 4:]
    return f'{head} ... ({len(text)} characters) ... {tail}'


def without_path(error: Exception) -> str:
    """Say what is wrong with a file, for a text that names the file itself.

    The text of an OSError is a number, the reason and the path once more; HDF5 and Arrow have the
    reason amid texts of their own.
    """
    amid = re.search(r"(?:error message = '|Detail: \[errno \d+\] )([^']+)", str(error))
    return amid[1] if amid else getattr(error, 'strerror', None) or str(error)


class ConfigError(LewmError):
    """A setting is out of range, unknown or contradicts another setting."""


class ShapeError(LewmError):
    """An array or tensor does not have the agreed axes."""


class ImageError(LewmError):
    """An image message or file cannot be turned into RGB."""


class BagError(LewmError):
    """A recording is unreadable or lacks what the robot description asks for."""


class DatasetError(LewmError):
    """A data set is malformed or cannot be written safely."""


class BundleError(LewmError):
    """A model bundle is incomplete, contradicts itself or does not fit the robot."""


class TrainingError(LewmError):
    """Training cannot start, cannot save, or went wrong beyond repair."""


class PlanningError(LewmError):
    """No trustworthy plan exists for the present observation and goal."""


class EngineFailure(PlanningError):
    """The engine raised in the middle of work, or answered with numbers that are not finite."""


class NotFinite(EngineFailure):
    """The engine answered, and the latent, the costs or the plan have numbers that are none."""


class Interrupted(LewmError):
    """Whoever asked for a search wants its answer no more."""


class SimulationError(LewmError):
    """The simulator cannot be built, rendered or stepped."""


class EngineError(LewmError):
    """A backend cannot run this model here, or does not compute what the model computes."""


class MissingPackageError(LewmError):
    """An optional package is not installed; the message has the pip command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f'{purpose} needs the Python package {package!r}, which is not installed; '
            f'run: pip install "lewm_ros[{extra}]"')
        self._arguments = (package, extra, purpose)

    def __reduce__(self) -> tuple:
        return type(self), self._arguments  # so that it crosses a process pool
