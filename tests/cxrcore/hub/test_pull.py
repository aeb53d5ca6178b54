"""Pull through the real client against a localhost hub: what opens, what is refused, what is said."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, snapshot_download
from safetensors.torch import load_file, save_file

import cxrcore
from cxrcore import storage
from cxrcore.errors import BundleNotFound, CxrError, HubError, InvalidBundle
from cxrcore.hub import client
from cxrcore.hub.cache import cached_references
from cxrcore.hub.client import cache_folder
from cxrcore.hub.pull import newer_revision, pull_bundle
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.ensemble import make_ensemble
from cxrcore.publishing.push import push_bundle
from tests.hub import Hub
from tests.hub.fixtures import PHANTOM, REPO, contents, quiet, unreachable


def test_a_model_opens_by_its_name_on_the_hub_and_then_without_it(hub: Hub, ready: Path, film) -> None:
    sha = hub.add(REPO, contents(ready))
    model = cxrcore.load(REPO)
    assert contents(model.folder) == contents(ready)
    assert model.info["hub"] == f"{REPO}@{sha[:12]}"
    prediction = model.predict(film)
    assert prediction.model.endswith(f"({REPO}@{sha[:12]})")
    assert prediction.probabilities == cxrcore.load(PHANTOM).predict(film).probabilities
    asked = len(hub.requests)
    for reference in (REPO, f"{REPO}@main", f"{REPO}@{sha}"):
        assert cxrcore.load(reference).folder == model.folder
    assert len(hub.requests) == asked


def test_a_moved_branch_is_offered_and_swapped_only_by_a_pull(hub: Hub, ready: Path) -> None:
    files = contents(ready)
    old = hub.add(REPO, files)
    first = find_bundle(REPO)
    assert newer_revision(REPO, old) is None
    new = hub.add(REPO, files | {"README.md": b"# newer"})
    assert find_bundle(REPO) == first
    assert newer_revision(REPO, old) == newer_revision(REPO, old[:12]) == new
    assert newer_revision(REPO, new[:12]) is None
    pulled = pull_bundle(REPO, say=quiet)
    assert (pulled.name, (pulled / "README.md").read_bytes()) == (new, b"# newer")
    assert find_bundle(REPO) == pulled
    assert contents(find_bundle(f"{REPO}@{old}")) == files


def test_a_pull_into_a_folder_is_a_bundle_of_its_own(hub: Hub, ready: Path, tmp_path: Path) -> None:
    hub.add(REPO, contents(ready) | {"notes.txt": b"x", "run.py": b"x", "pytorch_model.bin": b"x"})
    out = pull_bundle(REPO, out=tmp_path / "mine", say=quiet)
    assert contents(out) == contents(ready)
    assert not any(path.is_symlink() for path in out.rglob("*"))
    with pytest.raises(CxrError, match="is in use"):
        pull_bundle(REPO, out=out, say=quiet)


def test_half_a_copy_is_cleared_away(hub: Hub, ready: Path, tmp_path: Path, monkeypatch) -> None:
    hub.add(REPO, contents(ready))
    pull_bundle(REPO, say=quiet)
    copy = shutil.copyfile

    def full(source, target):
        if Path(target).name == "model.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CxrError, match="the disk is full where 'mine' is; make room, or choose another --out"):
        pull_bundle(REPO, out=tmp_path / "mine", say=quiet)
    monkeypatch.undo()
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("path", ["model.safetensors", "config.json", "evaluation/phantom-test/metrics.json"])
def test_a_damaged_file_is_refused_and_removed(hub: Hub, ready: Path, path: str) -> None:
    hub.add(REPO, contents(ready))
    hub.faults.corrupt = {path}
    with pytest.raises(HubError, match=r"arrived damaged \(not the Hub's checksum\) and was removed; run it again"):
        pull_bundle(REPO, say=quiet)
    assert not [found for found in cache_folder().rglob(Path(path).name) if "phantom-val" not in found.parts]
    with pytest.raises(HubError, match="damaged"):
        cxrcore.load(REPO)
    hub.faults.corrupt = set()
    assert contents(pull_bundle(REPO, say=quiet)) == contents(ready)


def test_a_cut_connection_is_gone_on_with(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    hub.faults.drop_after, hub.faults.drops = 5_000_000, 1
    assert contents(pull_bundle(REPO, say=quiet)) == contents(ready)


def test_a_download_that_keeps_breaking_is_told(hub: Hub, ready: Path, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.add(REPO, contents(ready))
    hub.faults.drop_after, hub.faults.drops = 5_000_000, 1000
    with pytest.raises(HubError, match="the line broke; files that arrived whole are kept: run it again"):
        pull_bundle(REPO, say=quiet)
    hub.faults.drops = 0
    assert contents(pull_bundle(REPO, say=quiet)) == contents(ready)


def test_an_unreachable_hub_is_told_with_what_opens_all_the_same(hub: Hub, ready: Path, monkeypatch) -> None:
    sha = hub.add(REPO, contents(ready))
    pull_bundle(REPO, say=quiet)
    unreachable(hub, monkeypatch)
    monkeypatch.setattr(time, "sleep", no_retry)
    for call in (lambda: pull_bundle(REPO, say=quiet), lambda: cxrcore.load("tester/other")):
        with pytest.raises(HubError, match=rf"cannot be reached.*{REPO}@{sha[:12]}, .*phantom"):
            call()
    with pytest.raises(HubError, match="cannot be reached"):
        newer_revision(REPO, sha)
    assert cxrcore.load(REPO).info["hub"] == f"{REPO}@{sha[:12]}"


def test_a_silent_hub_is_given_up_after_one_request(hub: Hub, ready: Path, monkeypatch) -> None:
    assert client.TIMEOUT_S == 5
    monkeypatch.setattr(client, "TIMEOUT_S", 0.3)
    hub.add(REPO, contents(ready))
    hub.faults.silent = 60
    with pytest.raises(HubError, match="cannot be reached"):
        pull_bundle(REPO, say=quiet)
    assert hub.requests == [f"GET /api/models/{REPO}/revision/main"]


def no_retry(seconds: float) -> None:
    raise AssertionError(f"waits {seconds} s to ask again")


def edited(ready: Path, change) -> dict[str, bytes]:
    config = json.loads((ready / "config.json").read_text())
    change(config)
    return contents(ready) | {"config.json": json.dumps(config).encode()}


def without(ready: Path, *paths: str) -> dict[str, bytes]:
    return {path: content for path, content in contents(ready).items() if path not in paths}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda r: without(r, "config.json"), "has no config.json"),
        (lambda r: without(r, "model.safetensors"), "has no weights"),
        (
            lambda r: without(r, "model.safetensors") | {"pytorch_model.bin": b"\x80\x04"},
            "only in pytorch_model.bin, which can run code when it is opened",
        ),
        (lambda r: edited(r, lambda c: c["cxrcore"].update(schema=2)), "schema version 2 and this program reads 1"),
        (lambda r: edited(r, lambda c: c.update(num_classes=14)), "head has 14 outputs and its label set"),
        (lambda r: edited(r, lambda c: c.update(auto_map={"AutoModel": "x.y"})), "code of its own"),
        (lambda r: edited(r, lambda c: c["pretrained_cfg"].update(custom_load=True)), "code of its own"),
        (lambda r: edited(r, lambda c: c["pretrained_cfg"].update(url="http://x/w.bin")), "points outside its folder"),
        (lambda r: edited(r, lambda c: c["model_args"].update(checkpoint_path="/w.pth")), "points outside its folder"),
        (lambda r: edited(r, lambda c: c.update(architecture="hf-hub:a/b")), "points outside its folder"),
        (lambda r: contents(r) | {"config.json": b"{"}, "cannot be read"),
    ],
)
def test_what_cannot_be_trusted_is_refused_before_its_weights_come(hub: Hub, ready: Path, make, said: str) -> None:
    hub.add(REPO, make(ready))
    with pytest.raises(InvalidBundle) as raised:
        cxrcore.load(REPO)
    print(raised.value)
    assert said in str(raised.value)
    assert ";" in str(raised.value) or "so it is no model" in str(raised.value)  # and what to do
    assert not any("resolve" in line and "safetensors" in line for line in hub.requests)


def on_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file"))


def on_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(storage, "disk_usage", lambda folder: usage(10, 9, 1_000_000))


@pytest.mark.parametrize(
    ("happens", "said"),
    [(on_a_file, "their cache may not be written to; set HF_HOME"), (on_a_full_disk, "needs 11 MB.* 1 MB are free")],
)
def test_a_cache_that_takes_nothing(hub: Hub, ready: Path, monkeypatch, tmp_path: Path, happens, said: str) -> None:
    hub.add(REPO, contents(ready))
    happens(monkeypatch, tmp_path)
    with pytest.raises(HubError, match=said):
        pull_bundle(REPO, say=quiet)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("tester/absent", "there is no model tester/absent on the Hub, or it is private"),
        ("tester/set", "tester/set is a dataset on the Hub and no model"),
        ("tester/secret", "there is no model tester/secret on the Hub, or it is private"),
        (f"{REPO}@v9", "tester/film has no revision 'v9'"),
    ],
)
def test_names_that_lead_nowhere(hub: Hub, ready: Path, monkeypatch, reference: str, said: str) -> None:
    hub.add(REPO, contents(ready))
    hub.add("tester/set", {"a.csv": b"a"}, "datasets")
    hub.add("tester/secret", contents(ready), private=True)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError) as raised:
        cxrcore.load(reference)
    print(raised.value)
    assert said in str(raised.value)


def test_half_a_snapshot_is_completed_or_told(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    snapshot_download(REPO, endpoint=hub.url, cache_dir=cache_folder(), allow_patterns=["config.json"])
    hub.faults.down = True
    with pytest.raises(HubError, match=f"only a part of {REPO} was downloaded"):
        cxrcore.load(REPO)
    hub.faults.down = False
    assert contents(cxrcore.load(REPO).folder) == contents(ready)


def test_what_another_program_fetched_is_checked_before_it_opens_offline(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    place = snapshot_download(REPO, endpoint=hub.url, cache_dir=cache_folder())
    hub.faults.down = True
    assert cxrcore.load(REPO).folder == Path(place)
    weights = Path(place) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0xFF
    weights.resolve().write_bytes(content)
    with pytest.raises(HubError, match="only a part"):
        cxrcore.load(REPO)
    assert not weights.exists()


def test_a_folder_here_comes_before_the_hub(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(BundleNotFound):
        find_bundle("runs/mistyped")
    shutil.copytree(PHANTOM, tmp_path / "tester" / "film")
    assert find_bundle(REPO) == Path(REPO)
    assert hub.requests == []


@pytest.mark.slow
def test_an_ensemble_goes_there_and_back(hub: Hub, tmp_path: Path, film) -> None:
    other = tmp_path / "other"
    shutil.copytree(PHANTOM, other)
    tensors = load_file(other / "model.safetensors")
    tensors["fc.weight"] *= 2
    save_file(tensors, other / "model.safetensors")
    make_ensemble([PHANTOM, other], tmp_path / "pair")
    push_bundle(tmp_path / "pair", REPO, say=quiet)
    model = cxrcore.load(REPO)
    assert model.predict(film).probabilities == cxrcore.load(tmp_path / "pair").predict(film).probabilities
    assert model.id.endswith(")")
    card = ModelCard(hub.files(REPO)["README.md"].decode())
    assert (card.data.get("license"), card.data.get("library_name")) == ("apache-2.0", "timm")


def test_what_a_screen_calls_a_model_opens_it_again_without_the_hub(hub: Hub, ready: Path, monkeypatch) -> None:
    sha = hub.add(REPO, contents(ready))
    pulled = pull_bundle(REPO, say=quiet)
    assert cached_references() == [f"{REPO}@{sha[:12]}"]
    unreachable(hub, monkeypatch)
    assert find_bundle(f"{REPO}@{sha[:12]}") == find_bundle(f"{REPO}@{sha[:7]}") == pulled
    with pytest.raises(HubError, match="cannot be reached"):
        find_bundle(f"{REPO}@{'0' * 12}")


def test_a_part_of_a_commits_name_that_is_not_here(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    with pytest.raises(HubError, match=r"no revision '0123456789ab'; .* \(a commit by all its 40 digits\)"):
        find_bundle(f"{REPO}@0123456789ab")


def test_nobodys_token_opens_what_everybody_sees(hub: Hub, ready: Path, monkeypatch) -> None:
    """A visitor of a public host: neither the Hub nor the host's cache gives away what the host's owner may see."""
    secret = "tester/secret"
    shas = {name: hub.add(name, contents(ready), private=name == secret) for name in (REPO, secret)}
    for name in shas:
        find_bundle(name)
    assert len(cached_references()) == 2
    assert cached_references(token=False) == [f"{REPO}@{shas[REPO][:12]}"]
    assert find_bundle(REPO, token=False) == find_bundle(REPO)
    for name in (secret, f"{secret}@{shas[secret]}"):
        with pytest.raises(HubError, match="there is no model tester/secret on the Hub, or it is private"):
            cxrcore.load(name, token=False)
    with pytest.raises(HubError, match="there is no model"):
        newer_revision(secret, shas[secret], token=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in (f"{secret}@{shas[secret]}", "tester/other"):
        with pytest.raises(HubError, match="cannot be reached") as raised:
            cxrcore.load(name, token=False)
        assert secret not in str(raised.value)
    assert find_bundle(secret).name == shas[secret]  # its owner has it still


def test_a_model_that_became_private_is_so_here_too_once_the_hub_was_asked(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    pull_bundle(REPO, say=quiet)
    assert cached_references(token=False)
    hub.repos["models", REPO].private = True
    pull_bundle(REPO, say=quiet)
    assert not cached_references(token=False)


def test_more_than_a_screen_may_fetch_is_refused_before_any_of_it_comes(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    with pytest.raises(HubError, match=r"has 11 MB of files and at most 5 MB are fetched here; use cxr pull"):
        cxrcore.load(REPO, limit_bytes=5_000_000)
    assert not any("resolve" in line for line in hub.requests)
    assert find_bundle(REPO, limit_bytes=50_000_000).is_dir()
    assert find_bundle(REPO, limit_bytes=1).is_dir()  # nothing is left to fetch
