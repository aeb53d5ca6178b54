"""What the tests of both screens ask of axe, Deque's checker of accessibility."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe

GRAVE = {"serious", "critical"}


def violations(page: Any) -> list[str]:
    """The serious and critical ones on a Playwright page, in a line each; none where all is well."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['impact']}: {one['help']} ({', '.join(str(node['target']) for node in one['nodes'][:3])})"
        for one in found
        if one["impact"] in GRAVE
    ]
