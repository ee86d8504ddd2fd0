"""Who may import whom: never upward, never sideways."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "noise2mask"

# From the bottom up; a module may import those of lower rows and its own package's shared blocks.
ROWS = (
    {"errors"},
    {
        "rng", "storage", "catalogue", "atlas", "progress", "labels", "splits", "resizing",
        "meters", "cost_tables",
    },
    {"questions"},
    {"controls"},
    {"config", "cases", "environments"},
    {"draws"},
    {"layout", "retrieval.*", "plan"},
    {"naming", "mistakes", "folders", "points"},
    {"designs", "contradictions"},
    {"provenance", "studies", "declaration", "drawing"},
    {
        "metrics", "reliability", "calibration", "fusion", "transforms", "views",
        "checkpoints", "resampling", "references.contract",
        "networks.*", "datasets.*", "diffusion.schedule", "diffusion.targets",
        "diffusion.respacing", "diffusion.variational", "diffusion.weighting",
    },
    {
        "statistics", "temperature", "marks", "markdown", "runs", "record", "diffusion.process",
        "diffusion.samplers",
    },
    {"figures", "cost_figures", "diffusion.losses", "analysis.*", "counting"},
    {"diffusion.modes", "analysis_figures", "report_input", "pricing"},
    {"preparing", "training", "sampling", "evaluation", "reading", "resolving", "describing"},
    {"references.*", "costing"},
    {"tables", "report", "inspection.*", "measuring", "referring"},
    {"analysing"},
    {"reporting", "recording.*", "collection"},
    {"reproducing", "comparison.*", "arguments", "choosing"},
    {"cli"},
    {"__main__"},
)  # fmt: skip
WITH_TORCH = {
    "analysis.measurement",
    "transforms",
    "networks.*",
    "diffusion.*",
    "views",
    "references.*",
    "referring",
    "counting",
    "pricing",
    "costing",
    "checkpoints",
    "runs",
    "training",
    "sampling",
    "measuring",
}
# Parts of one subject in two files, the first built on the second.
INSIDE = {("calibration", "reliability")}


def modules() -> dict[str, Path]:
    found = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    return dict(sorted(found.items()))


def row_of(module: str) -> int:
    for number, row in enumerate(ROWS):
        if module in row or f"{module.partition('.')[0]}.*" in row:
            return number
    raise AssertionError(f"{module} belongs to no row: place it in ROWS")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def ours(path: Path) -> set[str]:
    known = modules()
    names = {name.removeprefix("noise2mask.") for name in imports(path)}
    return {name for name in names if name in known}


@pytest.mark.parametrize("module", modules())
def test_imports_point_downward(module):
    for other in ours(modules()[module]):
        same_package = "." in module and module.partition(".")[0] == other.partition(".")[0]
        downward = row_of(other) < row_of(module)
        sideways = row_of(other) == row_of(module) and (same_package or (module, other) in INSIDE)
        assert downward or sideways, f"{module} imports {other}"


def torch_free() -> list[str]:
    named = {name for name in modules() if name in WITH_TORCH}
    named |= {name for name in modules() if f"{name.partition('.')[0]}.*" in WITH_TORCH}
    return [name for name in modules() if name not in named]


@pytest.mark.parametrize("module", torch_free())
def test_the_others_never_import_torch(module):
    reached, waiting = set(), [module]
    known = modules()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        outside = {other.partition(".")[0] for other in imports(known[name])}
        assert name == "cli" or not outside & {"torch", "accelerate", "monai"}, name
        waiting += [] if name == "cli" else ours(known[name])
