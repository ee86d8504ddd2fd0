"""Who may import whom: a package those above it in the plan, never back, never in a circle."""

import ast
import re
from pathlib import Path

import pytest
from helpers.project import ROOT

PACKAGE = ROOT / "src" / "noise2mask"

FOUNDATIONS = {"errors", "files", "patterns", "plugins", "progress", "seeds"}
# What each package may import, besides itself.
ROWS = {
    "data": FOUNDATIONS,
    "networks": {"errors"},
    "diffusion": {"networks", "errors", "plugins"},
    "study": {"data"} | FOUNDATIONS,
    "training": {"data", "study", "networks", "diffusion"} | FOUNDATIONS,
    "sampling": {"data", "study", "networks", "diffusion", "training"} | FOUNDATIONS,
    "evaluation": {"data", "study", "networks", "diffusion", "training", "sampling"} | FOUNDATIONS,
}
ROWS["inference"] = ROWS["evaluation"] | {"evaluation"}
ROWS["baselines"] = ROWS["evaluation"] | {"evaluation"}
ROWS["analysis"] = ROWS["evaluation"] | {"evaluation"}
ROWS["report"] = {"data", "study", "sampling", "evaluation", "analysis"} | FOUNDATIONS
ROWS["workflow"] = {"data", "study", "report"} | FOUNDATIONS
ROWS["cli"] = set(ROWS) | FOUNDATIONS  # inside functions
# Sub-packages in the order in which they may import one another; plain modules come first but
# for those named here, which come last.
INSIDE = {
    "data": ("formats", "download", "checks", "layouts"),
    "analysis": ("oracles", "information", "fingerprints", "claims"),
    "report": ("figures", "diff", "page"),
}
WITH_TORCH = {
    "networks", "diffusion", "training", "baselines", "sampling.sample", "sampling.tta",
    "inference", "evaluation.cost", "evaluation.timing", "evaluation.flops",
    "analysis.information.measure", "analysis.information.measurement",
}  # fmt: skip


def modules() -> dict[str, Path]:
    found = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    return dict(sorted(found.items()))


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


def package_of(module: str) -> str:
    return module.partition(".")[0]


def test_few_modules_lie_at_the_top_and_every_package_has_a_row():
    assert len([name for name in modules() if "." not in name]) <= 8
    packages = {package_of(name) for name in modules() if "." in name}
    assert packages == set(ROWS)


@pytest.mark.parametrize("module", modules())
def test_what_is_imported_of_ours_is_there(module):
    """Imports inside functions too, which mypy does not miss and --help does not run."""
    packages = {name.rpartition(".")[0] for name in modules()} | {""}
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("noise2mask"):
            source = node.module.removeprefix("noise2mask").lstrip(".")
            assert source in modules() or source in packages, f"{module} imports {node.module}"


@pytest.mark.parametrize("folder", sorted({path.parent for path in modules().values()}))
def test_every_package_says_what_lives_there(folder):
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", modules())
def test_imports_point_downward(module):
    package = package_of(module)
    if module == "__main__":
        return
    if "." not in module:
        wrong = {other for other in ours(modules()[module]) if "." in other}
        assert not wrong, f"the foundation {module} imports {wrong}"
        return
    allowed = ROWS[package] | {package}
    wrong = {other for other in ours(modules()[module]) if package_of(other) not in allowed}
    assert not wrong, f"{module} imports {wrong}"


@pytest.mark.parametrize("module", [name for name in modules() if name.count(".") == 2])
def test_sub_packages_are_in_order(module):
    package, sub, _ = module.split(".")
    order = INSIDE[package]
    for other in ours(modules()[module]):
        if package_of(other) == package and other.count(".") == 2:
            assert order.index(other.split(".")[1]) <= order.index(sub), f"{module} imports {other}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: ours(path) for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def torch_free() -> list[str]:
    return [
        name
        for name in modules()
        if not any(name == each or name.startswith(f"{each}.") for each in {*WITH_TORCH, "cli"})
    ]


@pytest.mark.parametrize("module", torch_free())
def test_the_others_never_import_torch(module):
    reached, waiting = set(), [module]
    known = modules()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        outside = {package_of(other) for other in imports(known[name])}
        assert not outside & {"torch", "accelerate", "monai"}, name
        waiting += ours(known[name])


PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_on_architecture_has_these_rows():
    told = {
        package: set() if words.startswith(("nothing", "everything")) else set(words.split(", "))
        for package, words in re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    }
    rows = {name: allowed - FOUNDATIONS for name, allowed in ROWS.items()}
    assert told == rows | {"cli": set()}
    named = re.search(r"The foundations are .*?: (.*?)\.", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", named[1])) == FOUNDATIONS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:\w+\.)+[A-Za-z_]+)`", PAGE))))
def test_what_the_page_on_architecture_names_is_there(name):
    """A module, or a function, class or constant of one."""
    module, _, last = name.rpartition(".")
    if name in modules() or (ROOT / name).exists() or last in {"csv", "npz", "md", "html"}:
        return
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    known = {getattr(node, "name", "") for node in tree.body}
    known |= {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    assert last in known
