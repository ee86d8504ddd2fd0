"""The part of a report that says what became of the claims of the paper, from their table alone."""

import pandas as pd

from noise2mask.report.markdown import escaped, grid


def claims_section(claims: pd.DataFrame) -> str:
    """Each claim with its verdict, then the numbers behind it and their scale; or nothing."""
    if claims.empty:
        return ""
    text = (
        "Verdicts of this study at its scale: confirmed if the interval lies wholly inside what is "
        "claimed, refuted if wholly outside, undecided otherwise. Another scale may decide "
        "otherwise. Each rule is in the docstring of its claim, `analysis/*claims.py`; those of C3 "
        "to C6 were chosen after a first look at phantoms, unlike P1 to P7.\n"
    )
    rows = [
        [escaped(str(row[name])) for name in ("claim", "statement", "verdict")]
        for _, row in claims.iterrows()
    ]
    numbers = [
        f"* **{escaped(str(row['claim']))}** "
        + escaped(" ".join(filter(None, [str(row["numbers"]), f"({row['remark']})"])))
        for _, row in claims.iterrows()
    ]
    table = grid(["", "Claim", "Verdict"], rows, left=3)
    return "\n".join(["## Claims of the paper\n", text, table, "\n".join(numbers) + "\n"])
