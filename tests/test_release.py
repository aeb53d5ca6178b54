"""The version is the same wherever it stands, as ``make release-check`` asks."""

import importlib.util

import cxrcore
from tests.conftest import ROOT


def test_the_citation_and_the_changelog_name_this_version() -> None:
    spec = importlib.util.spec_from_file_location("release_check", ROOT / ".ci" / "release_check.py")
    assert spec is not None
    assert spec.loader is not None
    release_check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(release_check)
    versions = release_check.versions()
    assert versions["CITATION.cff"] == versions["cxrcore/__init__.py"] == cxrcore.__version__
    assert versions["CHANGELOG.md"] in (cxrcore.__version__, "Unreleased")
