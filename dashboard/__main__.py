"""``python -m dashboard``: serve the dashboard; CXR_HOST, CXR_PORT (8501) and CXR_MODEL as for the app."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def warm_up() -> None:
    """Import what every page needs before the first visit, which would be slower otherwise."""
    from importlib import import_module

    for name in ("pandas", "plotly.graph_objects", "pyarrow.csv", "pyarrow.parquet", "scipy.sparse", "dashboard.parts"):
        import_module(name)
    import_module("dashboard.sources.choosing")


def parse(arguments: list[str]) -> list[str]:
    """Set CXR_MODEL from ``--model`` and return Streamlit's options. Exits with one line on a mistake."""
    from cxrcore.errors import CxrError
    from cxrcore.serving.deployment import read_deployment

    parser = argparse.ArgumentParser(
        "python -m dashboard", description="Serve the dashboard; other options: Streamlit's."
    )
    parser.add_argument(
        "--model",
        help="what is open at first: an embedded model, a folder, a predictions table, or user/repo[@revision] on the "
        "Hub (also: CXR_MODEL)",
    )
    known, rest = parser.parse_known_args(arguments)
    if known.model:
        os.environ["CXR_MODEL"] = known.model
    try:
        read_deployment()
    except CxrError as error:
        parser.exit(2, f"dashboard: {error}\n")
    return rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the dashboard with Streamlit; ``arguments``: the command line's if None."""
    rest = parse(list(sys.argv[1:] if arguments is None else arguments))
    from streamlit.web import cli

    warm_up()
    here = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    host, port = os.environ.get("CXR_HOST", here), os.environ.get("CXR_PORT", "8501")
    script = Path(__file__).resolve().parent / "app.py"
    sys.argv = ["streamlit", "run", str(script), f"--server.address={host}", f"--server.port={port}", *rest]
    cli.main()


if __name__ == "__main__":
    main()
