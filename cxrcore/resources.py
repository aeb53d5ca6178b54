"""Where the files that ship with the project lie: in an installed wheel, or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
ROOT = _PACKAGE.parent  # the checkout or the Space's folder; site-packages in an installed wheel
ASSETS = next((folder for folder in (_PACKAGE / "assets", ROOT / "assets") if folder.is_dir()), ROOT / "assets")
