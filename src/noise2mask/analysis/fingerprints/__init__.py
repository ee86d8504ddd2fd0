"""A dataset's masks: their geometry, until which noise they are read, schedules that follow.

May import `analysis.information` and what that may import.
"""
