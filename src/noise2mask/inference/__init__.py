"""A trained network on anybody's images: masks with their doubt, and bundles to pass on.

May import everything but analysis, report, workflow and the command line.
"""
