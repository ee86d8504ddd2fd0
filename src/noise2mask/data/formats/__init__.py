"""One file for each way in which a dataset lies on a disk: `sources` lists, `load` reads.

May import the plain modules of :mod:`noise2mask.data` and the foundations.
"""
