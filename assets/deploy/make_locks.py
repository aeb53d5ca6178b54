"""Write the locks that a deployed screen installs: ``python assets/deploy/make_locks.py`` (needs uv).

A lock pins what one screen needs of ``requirements.txt``. CUDA packages are not locked, since torch pins its own:
so the same lock installs torch from PyPI and, from an index of CPU wheels, without them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cxrcore.publishing.spaces import PYTHON

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE.parent.parent / "requirements.txt"
PLATFORM = "x86_64-manylinux_2_28"
LEFT_OUT = {"app": {"plotly", "streamlit"}, "dashboard": {"gradio", "typer"}}
# What a Gradio Space installs beside its requirements, in the same resolution: extras of gradio pin pydantic.
BESIDE = {"app": ("gradio[oauth,mcp]", "uvicorn>=0.14.0", "websockets>=10.4", "spaces"), "dashboard": ()}
CUDA = re.compile(r"^(nvidia-[\w-]+|cuda-[\w-]+|triton)==", re.M)


def requirements(screen: str) -> list[str]:
    """The lines of requirements.txt that a screen needs, and what its host adds."""
    lines = (line.split(" #")[0].strip() for line in REQUIREMENTS.read_text("utf-8").splitlines())
    named = [line for line in lines if line and not line.startswith("#")]
    return [line for line in named if re.split(r"[^\w-]", line)[0] not in LEFT_OUT[screen]] + list(BESIDE[screen])


def lock(screen: str, uv: str) -> str:
    """The lock's text, as uv resolves it now."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.in"
        asked.write_text("\n".join(requirements(screen)), "utf-8")
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url"]
        command += ["--python-version", PYTHON, "--python-platform", PLATFORM, str(asked)]
        pins = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [line for line in pins.splitlines() if not CUDA.match(line)]
    head = f"# The {screen}'s packages on Python {PYTHON}, made by assets/deploy/make_locks.py from requirements.txt."
    return "\n".join([head, *kept]) + "\n"


def main() -> None:
    """Write app.txt and dashboard.txt."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        sys.exit("uv is missing; pip install uv")
    for screen in LEFT_OUT:
        (HERE / f"{screen}.txt").write_text(lock(screen, uv), "utf-8")


if __name__ == "__main__":
    main()
