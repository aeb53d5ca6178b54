"""Where the files that ship with the project lie: in an installed wheel, or in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

_PACKAGE = Path(__file__).resolve().parent
ROOT = _PACKAGE.parent  # the checkout or the Space's folder; site-packages in an installed wheel
ASSETS = next((folder for folder in (_PACKAGE / "assets", ROOT / "assets") if folder.is_dir()), ROOT / "assets")


def load_template(package: str, name: str, **filters: Any) -> Template:
    """Load a Jinja template from ``templates/`` of a package; a name that ends in .html is filled with escaped text.

    A name that the template uses and the caller does not give raises ``jinja2.UndefinedError``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
