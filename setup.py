"""The pip side of the package: what pyproject.toml cannot say.

The folders that a checkout keeps at its top (`action`, `config`, `models`, `msg`, `srv`) travel
inside `lewm_model/share`, where `lewm_model.base.resources` finds them.
"""

from setuptools import find_packages, setup

SHARED = {f'lewm_model.share.{folder}': folder
          for folder in ('action', 'config', 'models', 'msg', 'srv')}

setup(
    packages=[*find_packages(include=['lewm_model*', 'lewm_sim*']), *SHARED],
    package_dir=SHARED,
    options={'build': {'build_base': '.setup/pip-build'}},  # colcon's build folder is `build`
    package_data={'lewm_sim.tasks': ['*/*.xml', '*/*.yaml'],
                  **{package: ['**/*'] for package in SHARED}},
)
