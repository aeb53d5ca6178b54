"""Spaces: what their folder holds, and what deploying it does on the localhost hub, through the real client."""

from __future__ import annotations

import importlib.util
import re
import shutil
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from huggingface_hub import RepoCard, SpaceCardData
from packaging.requirements import Requirement

from cxrcore.bundle.reference import Reference
from cxrcore.errors import CxrError, HubError
from cxrcore.publishing.push import push_bundle
from cxrcore.publishing.space_upload import deploy_space
from cxrcore.publishing.spaces import PYTHON, plan_space, preload, space_url, with_arguments, write_space
from cxrcore.resources import ROOT
from cxrcore.serving.deployment import DeploymentConfig, read_deployment
from tests.hub import TOKEN, Hub
from tests.hub.fixtures import PHANTOM, REPO, contents, quiet, run_on, unreachable

SPACE, OTHER = "tester/film", "tester/film-dashboard"
LOCKS = ROOT / "assets" / "deploy"


def planned(kind="app", model="phantom", space=None, **more):
    return plan_space(space or (SPACE if kind == "app" else OTHER), model, kind, say=quiet, **more)


def written(out: Path, kind="app", **more) -> Path:
    write_space(planned(kind, **more), out)
    return out


def front(folder: Path) -> SpaceCardData:
    """As the Hub's own client reads a Space's front matter."""
    card = RepoCard.load(folder / "README.md", repo_type="space")
    return SpaceCardData(**card.data.to_dict())


def listed(folder: Path) -> set[str]:
    return set(contents(folder))


# the folder


def test_the_apps_space_holds_the_app_and_nothing_else(tmp_path: Path) -> None:
    files = listed(written(tmp_path / "space"))
    bundle = {f"assets/models/{PHANTOM.name}/{path}" for path in listed(PHANTOM)}
    rest = files - bundle
    assert bundle <= files
    assert {path.split("/")[0] for path in rest} == {
        "app.py", "page", "cxrcore", "assets", "LICENSE", "README.md", "deployed.json", "requirements.txt",
    }  # fmt: skip
    assert not [
        path for path in files if re.search(r"(^|/)tests/|training/[a-z_]+\.py|__pycache__|\.pyc|streamlit", path)
    ]
    assert {path for path in rest if path.startswith("assets/")} == {
        f"assets/{folder}/{path}" for folder in ("app", "examples") for path in listed(ROOT / "assets" / folder)
    }
    assert (tmp_path / "space/app.py").read_bytes() == (ROOT / "app.py").read_bytes()


def test_the_apps_front_matter_pins_what_the_space_is_built_of(tmp_path: Path) -> None:
    folder = written(tmp_path / "space")
    data = front(folder)
    assert (data.sdk, data.app_file, data.python_version) == ("gradio", "app.py", PYTHON)
    assert f"gradio=={data.sdk_version}\n" in (folder / "requirements.txt").read_text()
    assert data.license == "apache-2.0"
    assert data["suggested_hardware"] == "cpu-basic"
    assert data.models is None
    assert len(data["short_description"]) <= 60  # the Hub's limit


def test_the_dashboards_space_is_a_container(tmp_path: Path) -> None:
    folder = written(tmp_path / "space", "dashboard", other=SPACE)
    data = front(folder)
    assert (data.sdk, data.app_port, data.sdk_version) == ("docker", 7860, None)
    dockerfile = (folder / "Dockerfile").read_text()
    assert "ARG SCREEN=dashboard\n" in dockerfile
    assert "ARG XSRF=false\n" in dockerfile  # or uploads fail in the Hub's frame
    copied = re.findall(r"^COPY --chown=1000 (\S+) ", dockerfile, re.M)
    assert copied == ["$LOCK", "."]
    assert "ARG LOCK=requirements.txt\n" in dockerfile
    assert (folder / "requirements.txt").read_bytes() == (LOCKS / "dashboard.txt").read_bytes()
    assert "app.py" not in listed(folder)
    told = DeploymentConfig.from_json((folder / "deployed.json").read_text())
    assert told == DeploymentConfig("phantom", app=f"https://huggingface.co/spaces/{SPACE}")


def test_a_model_on_the_hub_is_pinned_and_preloaded(hub: Hub, tmp_path: Path) -> None:
    sha = push_bundle(PHANTOM, REPO, tag="v1", say=quiet).revision
    hub.add(REPO, {"README.md": b"newer", "notes.txt": b"-"})
    folder = written(tmp_path / "space", model=f"{REPO}@v1")
    assert not (folder / "assets" / "models").exists()
    assert DeploymentConfig.from_json((folder / "deployed.json").read_text()).model == f"{REPO}@{sha}"
    data = front(folder)
    assert data.models == [REPO]
    repo, files, commit = data["preload_from_hub"][0].split(" ")
    assert (repo, commit) == (REPO, sha)
    assert set(files.split(",")) == set(hub.files(REPO, revision=sha)) - {".gitattributes"}


def test_what_a_space_cannot_preload_is_fetched_at_its_start(tmp_path: Path) -> None:
    shutil.copytree(PHANTOM, tmp_path / "bundle")
    shutil.copytree(PHANTOM / "evaluation/phantom-val", tmp_path / "bundle/evaluation/our films-val")
    line = preload(Reference(REPO, "a" * 40), tmp_path / "bundle")
    assert line.count(" ") == 2
    assert "our" not in line


def test_a_dry_run_needs_no_hub_where_the_model_is_cached(hub: Hub, monkeypatch, tmp_path: Path) -> None:
    push_bundle(PHANTOM, REPO, say=quiet)
    sha = hub.repos["models", REPO].branches["main"]
    planned(model=REPO)
    unreachable(hub, monkeypatch)
    said: list[str] = []
    plan = plan_space(SPACE, REPO, offline=True, say=said.append)
    assert plan.model == f"{REPO}@{sha}"
    assert sha[:12] in said[-1]
    with pytest.raises(HubError, match="cannot be reached"):
        plan_space(SPACE, REPO, say=quiet)


def test_a_travelling_bundle_takes_no_name_of_a_patient_along(tmp_path: Path) -> None:
    run = run_on(tmp_path / "run", "folders", "mueller-{}.png")
    folder = written(tmp_path / "space", model=str(run))
    assert b"mueller" not in b"".join(contents(folder).values())
    assert not list(folder.rglob("predictions.parquet"))
    again = written(tmp_path / "again", model=str(run))
    assert contents(again) == contents(folder)  # nothing in it changes by itself, so nothing is sent twice


def test_a_folder_in_use_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CxrError, match="in use; choose a new folder"):
        write_space(planned(), tmp_path)
    assert listed(tmp_path) == {"mine.txt"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"space": "film"}, "'film' is no name of a Space; write user/space"),
        ({"space": "tester/film@v1"}, "'tester/film@v1' is no name of a Space"),
        ({"other": "../x"}, "'../x' is no name of a Space"),
        ({"other": SPACE}, "a Space holds one screen"),
        ({"model": "no-such-model"}, "there is no such model or folder"),
        ({"hardware": "gpu-please"}, "there is no hardware 'gpu-please'; choose one of: cpu-basic, cpu-upgrade"),
        ({"torch_index": "whl/cpu"}, "takes the https:// address"),
    ],
)
def test_what_was_typed_wrongly_is_said(asked: dict, sentence: str) -> None:
    with pytest.raises(CxrError, match=re.escape(sentence)):
        planned(**asked)


def test_smaller_builds_of_torch_come_from_the_index_that_was_named(tmp_path: Path) -> None:
    index = "https://wheels.example/cpu"
    for kind in ("app", "dashboard"):
        folder = written(tmp_path / kind, kind, torch_index=index)
        assert (folder / "requirements.txt").read_text().startswith(f"--extra-index-url {index}\n")
    with pytest.raises(ValueError, match="no argument FLAVOUR"):
        with_arguments("ARG SCREEN=app\n", FLAVOUR="x")


# the locks


def pins(screen: str) -> dict[str, str]:
    lines = (LOCKS / f"{screen}.txt").read_text().splitlines()
    assert lines[0].startswith(f"# The {screen}'s packages on Python {PYTHON}")
    return dict(line.split("==") for line in lines[1:])


@pytest.mark.parametrize("screen", ["app", "dashboard"])
def test_a_lock_agrees_with_the_requirements(screen: str) -> None:
    spec = importlib.util.spec_from_file_location("make_locks", LOCKS / "make_locks.py")
    make_locks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_locks)
    locked = pins(screen)
    for line in make_locks.requirements(screen):
        asked = Requirement(line)
        assert asked.specifier.contains(locked[asked.name]), line
    named = set(re.findall(r"^[a-z][\w-]*", (ROOT / "requirements.txt").read_text(), re.M))
    assert make_locks.LEFT_OUT[screen] < named
    assert not {"accelerate", "tensorboard"} & locked.keys()
    assert not [name for name in locked if name.startswith(("nvidia", "cuda"))]  # torch's own affair
    assert ("gradio" in locked, "streamlit" in locked) == (screen == "app", screen == "dashboard")


def test_the_apps_lock_suits_what_a_gradio_space_adds() -> None:
    """A Space installs its requirements and gradio[oauth,mcp] in one resolution."""
    locked = pins("app")
    if version("gradio") != locked["gradio"]:
        pytest.skip("another gradio is installed here")
    for line in requires("gradio"):
        asked = Requirement(line)
        extras = ("", "oauth", "mcp")
        if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in extras):
            assert asked.specifier.contains(locked[asked.name.lower()]), line


def test_the_image_is_of_the_locks_python() -> None:
    assert f"FROM python:{PYTHON}-slim\n" in (ROOT / "Dockerfile").read_text()


# on the hub


def test_a_deployment_is_one_commit_and_the_same_again_makes_no_other(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    first = deploy_space(planned(), say=said.append)
    repo = hub.repos["spaces", SPACE]
    assert hub.files(SPACE, "spaces") == contents(written(tmp_path / "space"))
    assert [commit.title for commit in repo.history("main")] == ["Show phantom", "initial commit"]
    assert (repo.sdk, repo.private, repo.secrets) == ("gradio", False, {})
    assert first.url == f"{hub.url}/spaces/{SPACE}"
    assert first.revision == repo.branches["main"]
    again = deploy_space(planned(), say=said.append)
    assert again.unchanged
    assert again.revision == first.revision
    assert len(repo.commits) == 2
    assert said[-1].endswith("as it was: nothing has changed")
    assert TOKEN not in " ".join(said)


@pytest.mark.slow
def test_another_model_is_an_update_and_takes_the_old_ones_files_away(hub: Hub) -> None:
    deploy_space(planned(), say=quiet)
    sha = push_bundle(PHANTOM, REPO, say=quiet).revision
    said: list[str] = []
    deploy_space(planned(model=REPO), say=said.append)
    files = hub.files(SPACE, "spaces")
    assert not [path for path in files if path.startswith("assets/models/")]
    assert DeploymentConfig.from_json(files["deployed.json"].decode()).model == f"{REPO}@{sha}"
    assert len(hub.repos["spaces", SPACE].commits) == 3
    assert f"removing assets/models/{PHANTOM.name}/config.json, which is no part of it" in said
    assert any(line.startswith("sending 2 files (0.0 MB)") for line in said)


@pytest.mark.slow
def test_the_second_screen_links_to_the_first_and_the_first_to_it(hub: Hub) -> None:
    def told(space: str) -> DeploymentConfig:
        return DeploymentConfig.from_json(hub.files(space, "spaces")["deployed.json"].decode())

    deploy_space(planned(), say=quiet)
    assert told(SPACE) == DeploymentConfig("phantom")
    said: list[str] = []
    deploy_space(planned("dashboard"), say=said.append)
    assert hub.repos["spaces", OTHER].sdk == "docker"
    assert told(OTHER).app == space_url(SPACE) == f"{hub.url}/spaces/{SPACE}"
    assert told(SPACE).dashboard == space_url(OTHER)
    assert f"{SPACE} links here now" in said
    commits = {space: len(hub.repos["spaces", space].commits) for space in (SPACE, OTHER)}
    assert commits == {SPACE: 3, OTHER: 2}
    for kind in ("app", "dashboard", "app"):
        assert deploy_space(planned(kind), say=said.append).unchanged
    assert len([line for line in said if "links here now" in line]) == 1
    assert {space: len(hub.repos["spaces", space].commits) for space in commits} == commits


def test_a_screen_elsewhere_is_linked_by_name_alone(hub: Hub) -> None:
    hub.add(OTHER, {"app.py": b"print('another program')"}, kind="spaces")
    deploy_space(planned(), say=quiet)
    assert "dashboard" not in hub.files(SPACE, "spaces")["deployed.json"].decode()
    deploy_space(planned(other="tester/later"), say=quiet)
    told = DeploymentConfig.from_json(hub.files(SPACE, "spaces")["deployed.json"].decode())
    assert told.dashboard == space_url("tester/later")
    assert len(hub.repos["spaces", OTHER].commits) == 2


def test_a_name_that_is_taken_is_refused(hub: Hub) -> None:
    hub.add(SPACE, {"app.py": b"print('another program')"}, kind="spaces")
    with pytest.raises(HubError, match="is another program's Space; name a new one"):
        deploy_space(planned(), say=quiet)
    deploy_space(planned(space="tester/ours"), say=quiet)
    with pytest.raises(HubError, match=r"is a gradio Space, and the dashboard needs a docker one.*ours-dashboard"):
        deploy_space(planned("dashboard", space="tester/ours"), say=quiet)
    with pytest.raises(HubError, match="public already"):
        deploy_space(planned(space="tester/ours"), private=True, say=quiet)
    assert len(hub.repos["spaces", SPACE].commits) == 2
    assert len(hub.repos["spaces", "tester/ours"].commits) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("separate", "given"), [(None, TOKEN), ("hf_reads_only", "hf_reads_only")])
def test_a_private_model_gives_its_space_a_token_that_nobody_sees(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, separate: str | None, given: str
) -> None:
    if separate:
        monkeypatch.setenv("CXR_SPACE_TOKEN", separate)
    push_bundle(PHANTOM, REPO, private=True, say=quiet)
    said: list[str] = []
    deploy_space(planned(model=REPO), private=True, say=said.append)
    repo = hub.repos["spaces", SPACE]
    assert repo.private
    assert repo.secrets == {"HF_TOKEN": given}
    assert any("as its secret HF_TOKEN" in line for line in said)
    files = hub.files(SPACE, "spaces")
    assert b"preload_from_hub" not in files["README.md"]  # a Space is built without its secrets
    shown = " ".join([*said, *capfd.readouterr(), *(str(content) for content in files.values())])
    assert given not in shown
    repo.secrets["HF_TOKEN"] = "set by hand"
    assert deploy_space(planned(model=REPO), say=quiet).unchanged
    assert repo.secrets["HF_TOKEN"] == "set by hand"
    deploy_space(planned(model=REPO), secret_token=True, say=quiet)
    assert repo.secrets["HF_TOKEN"] == given


def test_paid_hardware_is_asked_for_once(hub: Hub) -> None:
    said: list[str] = []
    deploy_space(planned(hardware="cpu-upgrade"), say=said.append)
    assert hub.repos["spaces", SPACE].hardware == "cpu-upgrade"
    assert not [path for path in hub.requests if path.endswith("/hardware")]  # it was made with it
    deploy_space(planned(hardware="t4-small"), say=said.append)
    assert hub.repos["spaces", SPACE].hardware == "t4-small"
    assert any(line.startswith("asked for t4-small") for line in said)


PAY = r"the Hub asks tester to pay for tester/film .402.: its free hardware is for accounts with a plan"


def test_what_the_hub_refuses_is_explained(hub: Hub) -> None:
    hub.faults.create_status = {"space": 402}
    with pytest.raises(HubError, match=PAY):
        deploy_space(planned(), say=quiet)
    hub.faults.create_status = {"space": 403}
    with pytest.raises(HubError, match=r"this token may not make or change tester/film .403.: use one that may write"):
        deploy_space(planned(), say=quiet)
    hub.faults.create_status = {}
    with pytest.raises(HubError, match="may not make or change someone/film"):
        deploy_space(planned(space="someone/film"), say=quiet)
    hub.faults.hardware_status = 402
    deploy_space(planned(), say=quiet)
    with pytest.raises(HubError, match=PAY):
        deploy_space(planned(hardware="t4-small"), say=quiet)
    hub.faults.reader = True
    with pytest.raises(HubError, match="this token may only read"):
        deploy_space(planned(), say=quiet)
    hub.faults.reader, hub.faults.expired = False, True
    with pytest.raises(HubError, match="refuses the token, which is wrong or has expired"):
        deploy_space(planned(), say=quiet)


def test_without_a_token_nothing_is_sent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="there is no Hugging Face token"):
        deploy_space(planned(), say=quiet)
    assert ("spaces", SPACE) not in hub.repos


# deployed.json


def test_what_a_deployed_screen_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXR_DEPLOYED", raising=False)
    assert read_deployment() == DeploymentConfig()
    told = DeploymentConfig("user/repo@v1", dashboard="https://example.org/x")
    (tmp_path / "told.json").write_text(told.to_json())
    monkeypatch.setenv("CXR_DEPLOYED", str(tmp_path / "told.json"))
    assert read_deployment() == told


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is no JSON"),
        ("[]", "it is no object"),
        ('{"model": 3}', "model is no text"),
        ('{"app": "javascript:alert(1)"}', "app is no web address"),
        (None, "cannot be read"),
    ],
)
def test_a_malformed_deployment_is_one_sentence(monkeypatch, tmp_path: Path, text: str | None, why: str) -> None:
    place = tmp_path / "told.json"
    if text is not None:
        place.write_text(text)
    monkeypatch.setenv("CXR_DEPLOYED", str(place))
    with pytest.raises(CxrError, match=why) as caught:
        read_deployment()
    assert str(tmp_path) not in str(caught.value)
