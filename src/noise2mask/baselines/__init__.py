"""Other people's networks, each in an environment of its own, trained on our cases.

May import :mod:`noise2mask.evaluation` and what that may import; imports of the foreign packages
stay inside the functions that run in the baseline's environment.
"""
