"""Formulas of the pages as pictures of the site, so that no page fetches a script to show them.

A hook of MkDocs (``hooks`` in mkdocs.yml): what stands between dollars outside code is drawn by
matplotlib, with its source as the picture's text.
"""

import base64
import html
import io
import re
from functools import cache

from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image

SIZE = 10.5
"""Of letters, pt; a page's are 16 px."""
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_FORMULA = re.compile(
    r"\$\$(?P<shown>.+?)\$\$|(?<![\w$\\])\$(?P<inline>[^$\n]+?)\$(?!\w)", re.DOTALL
)
# What TeX reads and matplotlib does not.
_SPELT = (
    (re.compile(r"\\[lr]Vert\b"), r"\\|"),
    (re.compile(r"\\le\b"), r"\\leq"),
    (re.compile(r"\\(sqrt)\s*(\\[a-zA-Z]+|[A-Za-z0-9])"), r"\\\1{\2}"),
    (re.compile(r"\\frac\s*([A-Za-z0-9])\s*([A-Za-z0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*([A-Za-z0-9])\s*\{"), r"\\frac{\1}{"),
)


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with its formulas drawn."""
    parts, last = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_drawn(markdown[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*parts, _drawn(markdown[last:])])


def _drawn(text: str) -> str:
    return _FORMULA.sub(
        lambda found: picture(found["shown"] or found["inline"], bool(found["shown"])), text
    )


@cache
def picture(tex: str, alone: bool) -> str:
    """An image element of a formula.

    Args:
        tex: between the dollars.
        alone: on a line of its own.

    Raises:
        ValueError: matplotlib cannot read it.
    """
    tex = " ".join(tex.split())
    spelt = tex
    for pattern, other in _SPELT:
        spelt = pattern.sub(other, spelt)
    if alone:
        spelt = spelt.replace(r"\frac", r"\dfrac")
    buffer = io.BytesIO()
    size = SIZE * (1.15 if alone else 1)
    depth = math_to_image(f"${spelt}$", buffer, prop=FontProperties(size=size), format="svg")
    code = base64.b64encode(buffer.getvalue()).decode()
    place = "display:block;margin:1em auto" if alone else f"vertical-align:-{depth:.1f}pt"
    return f'<img alt="{html.escape(tex)}" style="{place}" src="data:image/svg+xml;base64,{code}">'
