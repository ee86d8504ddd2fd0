"""Tables, figures and text of a study, and what changed between two of them.

May import analysis, evaluation, study and data; never torch.
"""
