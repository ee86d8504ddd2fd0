"""Reference implementations that the networks of a study are compared with, a file each.

Each runs in an environment of its own and defines two functions: ``fit(job, *, <options>)``, which
trains on the prepared cases, and ``load(folder, device)``, which gives what was trained. See
:mod:`noise2mask.references.contract`.
"""
