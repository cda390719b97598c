"""Benchmarks: `lewm bench KIND`; every claim is a ratio of things measured side by side.

A kind is a module here with `add_arguments(parser)` and `run(args) -> Report`; the first line of
its docstring is its help. `side_by_side` measures, `report` writes numbers and picture. A module
whose name begins with an underscore, and those two, are no kinds.
"""
