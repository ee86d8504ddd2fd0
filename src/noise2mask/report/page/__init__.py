"""The page of a report: one self-contained file with charts that can be asked.

May import :mod:`noise2mask.report` with its figures, and what that may import.
"""
