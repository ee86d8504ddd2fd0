"""One training: its settings, its resumable loop, its checkpoints, its augmentation.

May import data, study, networks, diffusion and the foundations.
"""
