"""``cxr app`` and ``cxr dashboard``: the two screens, started with the settings of their environment variables."""

from __future__ import annotations

import os
from collections.abc import Sequence


def serve_app(
    model: str | None, host: str | None, port: int | None, cases: Sequence[str] = (), mcp: bool = False
) -> int:
    """Serve the app until it is stopped, with ``mcp`` to language models, too; returns its exit code."""
    import app

    given = {"--model": model, "--host": host, "--port": port}
    words = [word for option, value in given.items() if value is not None for word in (option, str(value))]
    words += [word for path in cases for word in ("--cases", path)]
    return app.main([*words, *(["--mcp"] if mcp else [])])


def serve_dashboard(model: str | None, host: str | None, port: int | None) -> None:
    """Serve the dashboard until it is stopped."""
    from dashboard.__main__ import main

    given = {"CXR_MODEL": model, "CXR_HOST": host, "CXR_PORT": port}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    main([])
