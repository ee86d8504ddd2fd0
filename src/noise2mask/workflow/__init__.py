"""What runs around Snakemake and DVC: one command for a study, records of its outputs.

May import report, study and data.
"""
