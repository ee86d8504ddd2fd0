"""Draws of masks from a trained network, and what is made of draws without a network.

May import :mod:`noise2mask.training` and what that may import.
"""
