"""What spoils results before they exist: leaks, duplicates, damaged or inverted masks.

May import everything else in :mod:`noise2mask.data` and the foundations.
"""
