"""Losses along the noise, and the bits that an image tells of its mask.

May import `analysis.oracles` and what that may import.
"""
