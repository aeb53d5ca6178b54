"""``python -m dashboard``: serve the dashboard; CXR_HOST, CXR_PORT (8501) and CXR_MODEL as for the app."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def warm_up() -> None:
    """Import what every page needs while nobody waits; the first visitor would pay for it otherwise."""
    from importlib import import_module

    for name in ("pandas", "plotly.graph_objects", "pyarrow.csv", "pyarrow.parquet", "scipy.sparse", "dashboard.parts"):
        import_module(name)
    import_module("dashboard.choosing")


def main() -> None:
    """Hand over to Streamlit."""
    from streamlit.web import cli

    warm_up()
    here = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    host, port = os.environ.get("CXR_HOST", here), os.environ.get("CXR_PORT", "8501")
    script = Path(__file__).resolve().parent / "app.py"
    sys.argv = ["streamlit", "run", str(script), f"--server.address={host}", f"--server.port={port}", *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
