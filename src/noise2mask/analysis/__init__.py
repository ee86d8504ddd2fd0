"""What the tables say: where the information is, fingerprints of datasets, verdicts on claims.

May import :mod:`noise2mask.evaluation` and what that may import, not the baselines. Inside it
`oracles` comes before `information`, then `fingerprints`, then `claims`, then `analyse`.
"""
