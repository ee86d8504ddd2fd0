"""What can be read of a noisy mask without its image, exactly or by a known estimator.

May import evaluation and the foundations.
"""
