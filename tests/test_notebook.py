"""The quickstart runs from top to bottom, in a real kernel, with the embedded model."""

import nbformat
from nbclient import NotebookClient

from tests.conftest import ROOT


def test_quickstart_runs():
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    text = "".join(
        output.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )
    assert "Pneumonia" in text
    assert "AUROC" in text
    assert "= the logit difference" in text
    images = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(images) == 2
