"""One file for each kind of figure; all of them draw tables and compute nothing.

May import the plain modules of :mod:`noise2mask.report` that do not build the text.
"""
