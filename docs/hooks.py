"""What the site adds to the files of ``docs/``: the reference, and the documents of the repository's root.

Each package of ``cxrcore`` gets a reference page with the docstrings of its modules. Links to files outside ``docs/``
work in the repository; on the site their text stays and the link goes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
FROM_ROOT = {"contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}
STAGES = (  # in the order of a film's way
    "films",
    "datasets",
    "bundle",
    "hub",
    "models",
    "explain",
    "predictions",
    "metrics",
    "evaluation",
    "reporting",
    "publishing",
    "serving",
    "training",
    "phantom",
)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def on_config(config: Any) -> None:
    """Put the reference pages into the navigation."""
    section = next(entry for entry in config.nav if "Reference" in entry)
    names = ("cxrcore", *(f"cxrcore.{stage}" for stage in STAGES))
    section["Reference"] = [{name: f"reference/{name}.md"} for name in names]


def on_files(files: Files, config: Any) -> None:
    """Add the reference pages, and the documents of the repository's root."""
    for page, source in FROM_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    pages = {f"cxrcore.{stage}": modules(ROOT / "cxrcore" / stage) for stage in STAGES}
    alone = [f"cxrcore.{path.stem}" for path in sorted((ROOT / "cxrcore").glob("*.py")) if path.stem != "__init__"]
    for name, members in {"cxrcore": ["cxrcore", *alone], **pages}.items():
        text = "\n\n".join([f"# `{name}`", *(f"::: {member}" for member in members)])
        files.append(File.generated(config, f"reference/{name}.md", content=text + "\n"))


def modules(package: Path) -> list[str]:
    """The dotted names of a package's modules; the package itself where it is one module."""
    found = [f"cxrcore.{package.name}.{path.stem}" for path in sorted(package.glob("[!_]*.py"))]
    return found or [f"cxrcore.{package.name}"]


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Follow links as the repository has them; drop those that leave ``docs/``."""
    here = Path(".") if page.file.src_uri in FROM_ROOT else Path("docs") / Path(page.file.src_uri).parent

    def relink(match: re.Match[str]) -> str:
        text, target = match.groups()
        if "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path, _, anchor = target.partition("#")
        place = (ROOT / here / path).resolve().relative_to(ROOT).as_posix()
        for name, source in FROM_ROOT.items():
            place = f"docs/{name}" if place == source else place
        if place.startswith("docs/") and files.get_file_from_path(place.removeprefix("docs/")):
            up = "../" * page.file.src_uri.count("/")
            return f"[{text}]({up}{place.removeprefix('docs/')}{'#' + anchor if anchor else ''})"
        if not (ROOT / place).exists():
            raise ValueError(f"{page.file.src_uri} links to {target}, which is not there")
        return text

    return _LINK.sub(relink, markdown)
