"""What the tests of both screens ask of axe, Deque's checker of accessibility."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe

GRAVE = {"serious", "critical"}


def violations(page: Any, patience: int = 3) -> list[str]:
    """The serious and critical ones on a Playwright page, in a line each; none where all is well.

    A page that still fades in is asked again, ``patience`` times: half-transparent text has too little contrast.
    """
    found = Axe().run(page).response["violations"]
    grave = [
        f"{one['impact']}: {one['help']} ({', '.join(str(node['target']) for node in one['nodes'][:3])})"
        for one in found
        if one["impact"] in GRAVE
    ]
    if not grave or not patience:
        return grave
    page.wait_for_timeout(1000)
    return violations(page, patience - 1)
