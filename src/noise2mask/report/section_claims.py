"""The part of a report that says what became of the claims of the paper, from their table alone."""

import pandas as pd

from noise2mask.report.markdown import escaped, grid


def claims_section(claims: pd.DataFrame) -> str:
    """Each claim with its verdict, then the numbers behind it and their scale; or nothing."""
    if claims.empty:
        return ""
    text = (
        "Verdicts of this study at its scale: confirmed if interval and p-value lie wholly inside "
        "what is claimed, refuted if wholly outside, undecided otherwise; not tested where the "
        "study has not what the claim needs. Another scale may decide otherwise. With fewer than "
        "three seeds a verdict is about these trained networks alone. Each rule is in the "
        "docstring of its claim in `analysis/claims/`.\n"
    )
    shown = ("name", "statement", "objective", "scope", "verdict")
    rows = [[escaped(told(row, name)) for name in shown] for _, row in claims.iterrows()]
    numbers = [
        f"* **{escaped(str(row['name']))}** "
        + escaped(" ".join(filter(None, [told(row, "numbers"), f"({told(row, 'remark')})"])))
        for _, row in claims.iterrows()
    ]
    table = grid(["", "Claim", "Decided on", "About", "Verdict"], rows, left=5)
    return "\n".join(["## Claims of the paper\n", text, table, "\n".join(numbers) + "\n"])


def told(row: pd.Series, name: str) -> str:
    """A text of a row, nothing where it has none."""
    return str(row[name]) if isinstance(row[name], str) else ""
