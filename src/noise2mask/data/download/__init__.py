"""Fetch archives by name: transfers that resume, checksums, safe unpacking.

May import the plain modules of :mod:`noise2mask.data` and the foundations.
"""
