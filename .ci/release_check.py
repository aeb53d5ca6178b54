"""``make release-check``: one version everywhere, a clean tree, and a wheel and source archive with valid metadata."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHERE = {
    "cxrcore/__init__.py": r'^__version__ = "([^"]+)"',
    "CITATION.cff": r"^version: (\S+)",
    "CHANGELOG.md": r"^## (\S+)",
}


def versions() -> dict[str, str]:
    """The version as each file gives it; CHANGELOG.md's is its top entry, e.g. "Unreleased"."""
    found = {name: re.search(pattern, (ROOT / name).read_text("utf-8"), re.M) for name, pattern in WHERE.items()}
    return {name: match[1] if match else "none" for name, match in found.items()}


def problems_of_versions() -> list[str]:
    """Empty where every file names the same version."""
    told = versions()
    if len(set(told.values())) == 1:
        return []
    return [f"the version differs: {', '.join(f'{version} in {name}' for name, version in told.items())}"]


def problems_of_tree() -> list[str]:
    """Empty where everything is committed."""
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout
    return [f"not committed: {line.strip()}" for line in changed.splitlines()]


def problems_of_wheel() -> list[str]:
    """Build ``dist/`` anew; empty where both archives are there and the wheel's metadata is complete."""
    for folder in ("build/lib", "dist", "cxrcore.egg-info"):  # an older build's files would get into the wheel
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(ROOT / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    wheels, archives = list((ROOT / "dist").glob("*.whl")), list((ROOT / "dist").glob("*.tar.gz"))
    if done.returncode or len(wheels) != 1 or len(archives) != 1:
        return [
            f"the build failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.stdout[-300:]}"
        ]
    with zipfile.ZipFile(wheels[0]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    asked = ("Name", "Version", "Summary", "License-Expression", "Requires-Python", "Description-Content-Type")
    missing = [f"the wheel's metadata has no {key}" for key in asked if not metadata[key]]
    if metadata["Version"] != versions()["cxrcore/__init__.py"]:
        missing.append(f"the wheel is of version {metadata['Version']}")
    if wheels[0].stat().st_size > 100_000_000:
        missing.append("the wheel is larger than the 100 MB that PyPI takes")
    return missing


def main() -> None:
    """Print every problem; exit 1 where there is one."""
    problems = [*problems_of_versions(), *problems_of_tree(), *problems_of_wheel()]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"version {versions()['cxrcore/__init__.py']}: dist/ holds the wheel and the source archive")


if __name__ == "__main__":
    main()
