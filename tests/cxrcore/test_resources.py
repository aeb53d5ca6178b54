"""Templates are found in their package, escape what goes into a page, and miss no name; freed memory is kept."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from cxrcore.resources import keep_freed_memory, load_template


def test_a_text_template_is_filled_as_it_is() -> None:
    text = load_template("cxrcore.publishing", "space_app.md").render(title="A <b>", model="m", space="user/film")
    assert text.startswith("# A <b>\n")
    assert text.endswith("overwritten.\n")


def test_a_page_escapes_and_a_missing_name_is_an_error() -> None:
    filters = dict.fromkeys(("number", "interval", "percent", "count", "p", "hundred", "rule", "where"), str)
    page = load_template("cxrcore.reporting", "report.html", **filters)
    assert "&lt;b&gt;" in page.render(model="<b>", evaluations=[], remarks=[], checklists=[])
    with pytest.raises(UndefinedError, match="'model' is undefined"):
        page.render(evaluations=[], remarks=[])


COUNT_FAULTS = """
import resource, torch
from cxrcore.resources import keep_freed_memory
kept = keep_freed_memory()
for _ in range(5):  # until the pages are there
    torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(10_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator is left alone")
@pytest.mark.parametrize(("setting", "kept"), [("", True), ("system", False)])
def test_freed_memory_is_kept_unless_the_environment_says_otherwise(setting: str, kept: bool) -> None:
    """Ten tensors of 40 MB one after the other take their pages once or each time; oracle: the kernel's count."""
    environment = {**os.environ, "CXR_ALLOCATOR": setting}
    done = subprocess.run([sys.executable, "-c", COUNT_FAULTS], env=environment, capture_output=True, text=True)
    said, faults = done.stdout.split()
    assert said == str(kept), done.stderr
    assert (int(faults) < 60_000) is kept  # of 97,656 pages; a system short of memory may take some back


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False
