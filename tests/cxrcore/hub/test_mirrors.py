"""Hubs that tell less than the Hub does, such as mirrors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cxrcore.errors import HubError
from cxrcore.hub.client import cache_folder
from cxrcore.hub.pull import pull_bundle
from cxrcore.publishing.push import push_bundle
from cxrcore.publishing.space_upload import deploy_space
from cxrcore.publishing.spaces import plan_space
from tests.hub import Hub
from tests.hub.fixtures import PHANTOM, REPO, contents, quiet


@pytest.mark.slow
def test_a_hub_that_names_files_and_says_no_more_is_asked_for_its_tree(hub: Hub, ready: Path, tmp_path: Path) -> None:
    hub.faults.names_only = True
    pushed = push_bundle(PHANTOM, REPO, say=quiet)
    assert push_bundle(PHANTOM, REPO, say=quiet).unchanged
    assert deploy_space(plan_space("tester/page", REPO, say=quiet), say=quiet).revision
    assert deploy_space(plan_space("tester/page", REPO, say=quiet), say=quiet).unchanged
    assert contents(pull_bundle(f"{REPO}@{pushed.revision}", say=quiet)) == contents(ready)
    shutil.rmtree(cache_folder())
    hub.faults.corrupt = {"model.safetensors"}
    with pytest.raises(HubError, match="arrived damaged"):
        pull_bundle(REPO, say=quiet)
