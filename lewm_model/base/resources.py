"""Find the files that ship beside the code: `msg/`, `config/`, `models/`.

The same relative name works from a checkout, after `pip install` and after `colcon build`.
"""

from pathlib import Path

from lewm_model.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]     # lewm_model


def roots() -> list[Path]:
    """List the folders that may hold shipped files, the checkout first."""
    found = []
    if (_PACKAGE.parent / 'package.xml').is_file():
        found.append(_PACKAGE.parent)
    found.append(_PACKAGE / 'share')  # filled by pip, see setup.py
    # colcon: <prefix>/lib/python3.x/site-packages/lewm_model -> <prefix>/share/lewm_ros
    found += [parent / 'share' / 'lewm_ros' for parent in Path(__file__).absolute().parents]
    return [root for root in found if root.is_dir()]


def find(relative: str) -> Path:
    """Return the shipped file or folder called `relative`, such as 'config/train/nano.yaml'.

    Raises:
        ConfigError: If no root has it; the message lists where it was looked for.
    """
    for root in roots():
        if (root / relative).exists():
            return root / relative
    raise ConfigError(f'{relative!r} was not found in any of {[str(root) for root in roots()]}; '
                      f'is the installation complete?')


def find_named(folder: str, name: str, suffix: str = '') -> Path:
    """Return `name` itself if it is a path that exists, else the shipped `folder/name+suffix`.

    Raises:
        ConfigError: If neither exists; the message lists the shipped names.
    """
    if Path(name).exists() and ('/' in name or (suffix and name.endswith(suffix))):
        return Path(name)
    known = sorted({path.name.removesuffix(suffix)
                    for root in roots() if (root / folder).is_dir()
                    for path in (root / folder).iterdir() if path.name.endswith(suffix)})
    if name not in known:
        raise ConfigError(f'{name!r} is neither an existing path nor one of the shipped '
                          f'{folder}: {", ".join(known) or "none"}')
    return find(f'{folder}/{name}{suffix}')
