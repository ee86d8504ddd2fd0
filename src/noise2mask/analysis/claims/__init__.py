"""Claims of the paper and predictions of a study, each with a rule and a verdict.

May import the rest of :mod:`noise2mask.analysis` but `analyse`.
"""
