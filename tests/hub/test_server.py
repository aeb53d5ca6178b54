"""The localhost hub against the real client: what is pushed is what is pulled, and errors are the Hub's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import Hub


@pytest.fixture
def hub():
    with Hub() as running:
        yield running


@pytest.fixture
def client(hub: Hub, tmp_path: Path):
    """``client(code)`` runs code with the real client in a fresh process; what it prints last is JSON, returned."""

    def run(code: str, token: str | None = "hf_localhost_only"):
        environment = os.environ | hub.environment(tmp_path / "home", token)
        if not token:
            environment.pop("HF_TOKEN", None)
        prelude = "import json, pathlib\nfrom huggingface_hub import *\napi = HfApi()\n"
        done = subprocess.run(
            [sys.executable, "-c", prelude + code], env=environment, cwd=tmp_path, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        return json.loads(done.stdout.decode().strip().splitlines()[-1])

    return run


PUSH = """
folder = pathlib.Path("bundle")
(folder / "evaluation").mkdir(parents=True)
(folder / "config.json").write_text("{}")
(folder / "README.md").write_text("---\\nlicense: apache-2.0\\n---\\n# A model")
(folder / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
(folder / "evaluation" / "metrics.json").write_text('{"n": 1}')
"""


def test_a_folder_pushed_is_the_folder_pulled(client, hub: Hub) -> None:
    seen = client(
        PUSH
        + """
print(api.create_repo("tester/film"), api.whoami()["name"])
again = api.create_repo("tester/film", exist_ok=True).repo_id
commit = api.upload_folder(repo_id="tester/film", folder_path="bundle", commit_message="First")
same = api.upload_folder(repo_id="tester/film", folder_path="bundle")
pulled = pathlib.Path(snapshot_download("tester/film"))
info = api.model_info("tester/film", files_metadata=True)
tree = [f.path for f in api.list_repo_tree("tester/film", recursive=True)]
top = sorted(f.path for f in api.list_repo_tree("tester/film"))
paths = api.get_paths_info("tester/film", ["model.safetensors", "evaluation", "absent"])
print(json.dumps({
    "again": again, "commit": commit.oid, "same": same.oid, "sha": info.sha, "tree": tree, "top": top,
    "files": {str(f.relative_to(pulled)): f.read_bytes() == (folder / f.relative_to(pulled)).read_bytes()
              for f in pulled.rglob("*") if f.is_file()},
    "lfs": {s.rfilename: s.lfs is not None for s in info.siblings},
    "sha256": next(p.lfs.sha256 for p in paths if p.path == "model.safetensors"), "found": len(paths),
    "bad": len(api.verify_repo_checksums("tester/film").mismatches),
    "titles": [c.title for c in api.list_repo_commits("tester/film")],
}))
"""
    )
    assert seen["again"] == "tester/film"
    assert seen["commit"] == seen["sha"] == seen["same"]  # pushing the same again is no commit
    assert seen["files"] == dict.fromkeys(
        ("README.md", "config.json", "evaluation/metrics.json", "model.safetensors"), True
    )
    assert seen["lfs"]["model.safetensors"]
    assert not seen["lfs"]["config.json"]
    assert "evaluation/metrics.json" in seen["tree"]
    assert seen["top"] == ["README.md", "config.json", "evaluation", "model.safetensors"]
    assert seen["found"] == 2
    assert seen["sha256"] in hub.large
    assert seen["bad"] == 0
    assert seen["titles"] == ["First", "initial commit"]


def test_branches_tags_and_older_revisions_stay_reachable(client, hub: Hub) -> None:
    first = hub.add("tester/film", {"config.json": b"one"})
    second = hub.add("tester/film", {"config.json": b"two", "old/a.txt": b"a", "old/b.txt": b"b"})
    seen = client(
        f"""
api.create_branch("tester/film", branch="dev/x")
api.upload_file(repo_id="tester/film", path_or_fileobj=b"three", path_in_repo="config.json", revision="dev/x")
api.create_tag("tester/film", tag="v1", revision="{first}")
api.delete_folder("old", "tester/film", revision="dev/x")
api.delete_file("config.json", "tester/film", revision="main")
read = lambda revision: open(hf_hub_download("tester/film", "config.json", revision=revision)).read()
refs = api.list_repo_refs("tester/film")
gone = not file_exists("tester/film", "config.json")
api.delete_tag("tester/film", tag="v1")
api.delete_branch("tester/film", branch="dev/x")
print(json.dumps({{"v1": read("{first}"), "second": read("{second}"), "gone": gone,
    "branches": [b.name for b in refs.branches], "tags": {{t.name: t.target_commit for t in refs.tags}}}}))
"""
    )
    assert seen["v1"] == "one"
    assert seen["second"] == "two"
    assert seen["gone"]
    assert seen["branches"] == ["main", "dev/x"]
    assert seen["tags"] == {"v1": first}


def test_a_branch_is_pulled_by_its_name(client, hub: Hub) -> None:
    hub.add("tester/film", {"config.json": b"one"})
    seen = client(
        """
api.create_branch("tester/film", branch="dev/x")
api.upload_file(repo_id="tester/film", path_or_fileobj=b"three", path_in_repo="config.json", revision="dev/x")
folder = snapshot_download("tester/film", revision="dev/x")
print(json.dumps([open(folder + "/config.json").read(), api.repo_info("tester/film", revision="dev/x").sha]))
"""
    )
    assert seen == ["three", hub.repos["models", "tester/film"].branches["dev/x"]]
    assert hub.files("tester/film")["config.json"] == b"one"


def test_datasets_and_spaces_have_their_own_names(client, hub: Hub) -> None:
    seen = client(
        """
pathlib.Path("app.py").write_text("print(1)")
pathlib.Path("films.parquet").write_bytes(b"PAR1" * 9)
api.create_repo("tester/x", repo_type="space", space_sdk="gradio")
api.upload_file(repo_id="tester/x", path_or_fileobj="app.py", path_in_repo="app.py", repo_type="space")
api.create_repo("tester/x", repo_type="dataset", private=True)
films = dict(path_or_fileobj="films.parquet", path_in_repo="data/films.parquet", repo_type="dataset")
api.upload_file(repo_id="tester/x", **films)
space = api.space_info("tester/x")
film = hf_hub_download("tester/x", "data/films.parquet", repo_type="dataset")
api.update_repo_settings("tester/x", private=True, repo_type="space")
app = open(hf_hub_download("tester/x", "app.py", repo_type="space")).read()
exists = [repo_exists("tester/x"), repo_exists("tester/x", repo_type="space")]
api.delete_repo("tester/x", repo_type="space")
print(json.dumps([space.sdk, open(film).read(), app, api.dataset_info("tester/x").private, *exists]))
"""
    )
    assert seen == ["gradio", "PAR1" * 9, "print(1)", True, False, True]
    assert list(hub.repos) == [("datasets", "tester/x")]


def test_errors_arrive_as_the_clients_own_classes(client, hub: Hub) -> None:
    head = hub.add("tester/film", {"a.txt": b"a"})
    hub.add("tester/film", {"a.txt": b"b"})
    hub.add("tester/secret", {"a.txt": b"s"}, private=True)
    hub.faults.create_status = {"space": 402}
    names = """
def name(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__} {getattr(getattr(error, 'response', None), 'status_code', '')}".strip()
"""
    seen = client(
        names
        + f"""
pathlib.Path("one").mkdir()
pathlib.Path("one/a.txt").write_text("c")
print(json.dumps([
    name(lambda: api.model_info("tester/absent")),
    name(lambda: api.model_info("tester/film", revision="v9")),
    name(lambda: hf_hub_download("tester/film", "absent.txt")),
    name(lambda: api.upload_folder(repo_id="tester/film", folder_path="one", parent_commit="{head}")),
    name(lambda: api.create_repo("tester/film")),
    name(lambda: api.create_repo("someone/film")),
    name(lambda: api.create_repo("tester/s", repo_type="space", space_sdk="docker")),
    name(lambda: api.create_tag("tester/film", tag="main2", revision="v9")),
]))
"""
    )
    assert seen == [
        "RepositoryNotFoundError 404",
        "RevisionNotFoundError 404",
        "RemoteEntryNotFoundError 404",
        "HfHubHTTPError 412",
        "HfHubHTTPError 409",
        "HfHubHTTPError 403",
        "HfHubHTTPError 402",
        "RevisionNotFoundError 404",
    ]
    anonymous = client(
        names
        + """
print(json.dumps([
    name(lambda: api.model_info("tester/secret")),
    name(lambda: api.upload_file(repo_id="tester/film", path_or_fileobj=b"c", path_in_repo="a.txt")),
    open(hf_hub_download("tester/film", "a.txt")).read(),
]))
""",
        token=None,
    )
    assert anonymous == ["RepositoryNotFoundError 401", "HfHubHTTPError 401", "b"]


def test_a_cut_connection_is_resumed_and_a_flipped_byte_goes_unnoticed_by_the_client(
    client, hub: Hub, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 60_000  # the client writes pieces of 10 MB: only those survive a cut
    hub.add("tester/film", {"model.safetensors": content, "config.json": b"{}"})
    hub.faults.drop_after, hub.faults.drops, hub.faults.corrupt = 12_000_000, 1, {"model.safetensors"}
    seen = client(
        """
path = hf_hub_download("tester/film", "model.safetensors", local_dir="pulled")
print(json.dumps(pathlib.Path(path).stat().st_size))
"""
    )
    assert seen == len(content)
    assert (tmp_path / "pulled" / "model.safetensors").read_bytes() != content
    assert next(line for line in hub.requests if "bytes=" in line).endswith("bytes=10485760-")
