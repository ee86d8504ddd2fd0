"""The notebooks run as they stand, and show what they then give."""

import nbformat
import pytest
from helpers.project import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def told(notebook) -> list[str]:
    """Printed lines and values of each cell, without progress and pictures."""
    return [
        text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result" or output.get("name") == "stdout"
        for text in [output.get("text") or output["data"]["text/plain"]]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_shows(path, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    shown = told(notebook)
    assert shown, "a notebook is committed with its outputs"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": tmp_path}}).execute()
    assert told(notebook) == shown
