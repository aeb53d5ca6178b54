"""What tests of the page handle: the command that starts it, and a visit to it."""

from __future__ import annotations

import base64
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.servers import Server

ROOT = Path(__file__).resolve().parents[2]
NEVER = "Hernia"  # the finding whose evidence level no film reaches


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "app.py"), *arguments]


@dataclass
class Visit:
    """A page as a visitor sees it, and what its browser noticed."""

    page: Any
    server: Server
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        urls = [urlsplit(url) for url in self.requests]
        return {url.hostname or "" for url in urls if url.scheme not in ("data", "blob")}

    def upload(self, file: Any) -> None:
        self.page.set_input_files("#film-upload input[type=file]", file)

    def wait(self, state: str) -> None:
        """Until the page is empty, reading, or shows a result."""
        self.page.wait_for_selector(f'.cxr[data-state="{state}"]', timeout=60_000)

    def analyse(self, file: Any) -> None:
        self.upload(file)
        self.wait("result")

    def error(self) -> str:
        self.page.wait_for_selector(".cxr .alert:not([hidden])", timeout=60_000)
        return self.page.inner_text(".cxr .alert")

    def choose(self, finding: str) -> None:
        row = self.page.locator(f'.finding[data-finding="{finding}"]')
        if not row.is_visible():
            self.page.click("[data-part=fold]")
        row.click()

    def probabilities(self) -> dict[str, float]:
        """As printed, in [0, 1]; bounds such as "< 0.1 %" as the bound."""
        rows = self.page.query_selector_all(".finding")
        printed = {row.get_attribute("data-finding"): row.query_selector(".probability").inner_text() for row in rows}
        return {name: float(re.sub(r"[^0-9.]", "", text)) / 100 for name, text in printed.items()}

    def canvas(self) -> np.ndarray:
        """The heatmap's own pixels, uint8 (H, W, 4)."""
        width, height, data = self.page.evaluate(
            """() => { const c = document.querySelector("[data-part=canvas]");
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            let text = ""; for (const byte of d) text += String.fromCharCode(byte);
            return [c.width, c.height, btoa(text)]; }"""
        )
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
