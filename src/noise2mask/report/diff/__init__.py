"""What changed between two reports, and by what.

May import :mod:`noise2mask.report` and what that may import.
"""
