"""The quickstart runs from top to bottom, in a real kernel, with the embedded model."""

import nbformat
import pytest
from nbclient import NotebookClient

from cxrcore.findings import PHANTOM5
from tests.conftest import ROOT


@pytest.mark.slow
def test_quickstart_runs():
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    resources = {"metadata": {"path": str(ROOT / "notebooks")}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.get("text", "") for output in outputs)
    for expected in ("Consolidation", "AUROC", "= the logit the probability"):
        assert expected in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) == len(PHANTOM5)
