"""Diffusion of masks: schedules, targets, training modes and samplers."""
