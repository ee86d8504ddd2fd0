"""Data: from what is published or lies in a folder to prepared cases in splits.

Knows no study and no network. May import the foundations (errors, files, seeds, progress,
plugins) alone; never torch. `formats` reads files, `download` fetches, `checks` doubts.
"""
