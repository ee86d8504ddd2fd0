"""A study: what its file may say, whether it holds together, what follows from it.

May import :mod:`noise2mask.data` and the foundations; never torch, as the Snakefile imports it.
"""
