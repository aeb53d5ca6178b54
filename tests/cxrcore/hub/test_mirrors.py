"""Hubs that tell less than the Hub does, such as mirrors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cxrcore.errors import HubError
from cxrcore.hub import pull as hub_pull
from cxrcore.publishing.push import pull_bundle, push_bundle
from cxrcore.publishing.space_upload import deploy_space
from cxrcore.publishing.spaces import plan_space
from tests.hub import Hub
from tests.hub.fixtures import PHANTOM, REPO, contents, quiet


def test_a_hub_that_names_files_and_says_no_more_is_asked_for_its_tree(hub: Hub, ready: Path, tmp_path: Path) -> None:
    hub.faults.names_only = True
    pushed = push_bundle(PHANTOM, REPO, say=quiet)
    assert push_bundle(PHANTOM, REPO, say=quiet).unchanged
    assert deploy_space(plan_space("tester/page", REPO, say=quiet), say=quiet).revision
    assert deploy_space(plan_space("tester/page", REPO, say=quiet), say=quiet).unchanged
    assert contents(pull_bundle(f"{REPO}@{pushed.revision}", say=quiet)) == contents(ready)
    shutil.rmtree(hub_pull.cache_folder())
    hub.faults.corrupt = {"model.safetensors"}
    with pytest.raises(HubError, match="arrived damaged"):
        pull_bundle(REPO, say=quiet)
