"""The mathematics: schedules, targets, losses, training modes, samplers.

A library: may import :mod:`noise2mask.networks` and the foundations; knows no study and no file.
"""
