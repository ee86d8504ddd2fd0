"""Scores, calibration, intervals, differences and costs, as tables.

May import :mod:`noise2mask.sampling` and what that may import; all but the measuring of costs
is free of torch.
"""
