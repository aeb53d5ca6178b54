"""Models on the Hub in the dashboard: opened by their id, pinned, newer revisions offered, private ones refused."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from dashboard.__main__ import parse
from dashboard.sources import hub as models_on_hub
from tests.dashboard.opening import (
    PHANTOM,
    PNEUMONIA,
    cards,
    charts,
    checked,
    link,
    open_page,
    stored,
    without_table,
    words,
)
from tests.dashboard.test_compare import TABLE, blurred
from tests.hub import Hub
from tests.hub.fixtures import REPO, contents, unreachable

SCORE = f"{stored(PHANTOM, 'phantom-test')['macro']['auroc']['value']:.3f}"


@pytest.fixture(autouse=True)
def fresh_server() -> None:
    """What one server keeps of the Hub's models belongs to one test."""
    st.cache_resource.clear()


def typed(at: AppTest, text: str) -> AppTest:
    """The visitor names a model on the Hub."""
    if at.selectbox(key="kind").value != "hub":
        checked(at.selectbox(key="kind").set_value("hub").run())
    return checked(at.text_input(key="hub").input(text).run())


def test_a_model_opens_by_its_id_with_name_revision_and_scores(hub: Hub, ready: Path) -> None:
    sha = hub.add(REPO, contents(ready))
    at = typed(open_page("overview", model=PNEUMONIA), REPO)
    assert f"**{find_bundle(PHANTOM).name}** `{REPO}@{sha[:12]}` on phantom test" in words(at)
    assert cards(at)["Mean AUROC"] == SCORE
    assert link(at, "model") == f"{REPO}@{sha}"
    asked = len(hub.requests)
    for page in ("subgroups", "films", "compare"):
        at.switch_page(f"screens/{page}.py")
        assert sha[:12] in words(checked(at.run()))
    assert at.selectbox(key="other_kind")  # its table came along, so it can be compared
    assert not [line for line in hub.requests[asked:] if "resolve" in line]


def test_a_link_stays_with_its_commit_and_opens_without_the_hub(hub: Hub, ready: Path, monkeypatch) -> None:
    old = hub.add(REPO, contents(ready))
    hub.add(REPO, contents(ready) | {"README.md": b"# newer"})
    at = open_page("rank", model=f"{REPO}@{old}", finding="Nodule")
    assert old[:12] in words(at)
    unreachable(hub, monkeypatch)
    at = open_page("rank", model=f"{REPO}@{old}", finding="Nodule")
    assert not at.error
    assert old[:12] in words(at)
    assert at.selectbox(key="pick-finding").value == "Nodule"
    assert f"{REPO}@{old[:12]}" in at.selectbox(key="hub-here").options


@pytest.mark.slow
def test_a_moved_branch_is_offered_and_opened_by_the_visitor_alone(hub: Hub, ready: Path) -> None:
    old = hub.add(REPO, contents(ready))
    at, other = open_page("overview", model=REPO), open_page("overview", model=REPO)
    assert "newer revision" not in words(at)
    new = hub.add(REPO, contents(ready) | {"README.md": b"# newer"})
    assert link(checked(at.run()), "model") == f"{REPO}@{old}"
    models_on_hub.models()._newer.clear()  # minutes later
    for _ in range(100):
        if any(button.key == "hub-newer" for button in checked(at.run()).button):
            break
        time.sleep(0.05)
    assert f"A newer revision of {REPO} is on the Hub (`{new[:12]}`)" in words(at)
    assert link(at, "model") == f"{REPO}@{old}"
    checked(at.button(key="hub-newer").click().run())
    assert f"{REPO}@{new[:12]}" in words(at)
    assert link(at, "model") == f"{REPO}@{new}"
    assert "newer revision" not in words(at)
    assert link(checked(other.run()), "model") == f"{REPO}@{old}"
    assert cards(other)["Mean AUROC"] == SCORE


def test_a_silent_hub_delays_no_page(hub: Hub, ready: Path) -> None:
    sha = hub.add(REPO, contents(ready))
    at = open_page("overview", model=REPO)
    models_on_hub.models()._newer.clear()  # minutes later
    asked = len(hub.requests)
    hub.faults.silent = 600  # longer than a test may take
    assert sha[:12] in words(checked(at.run()))
    assert len(hub.requests) > asked


def test_a_hub_out_of_reach_is_a_sentence_and_what_is_open_stays(hub: Hub, ready: Path, monkeypatch) -> None:
    unreachable(hub, monkeypatch)
    at = typed(open_page("overview", model=PHANTOM), REPO)
    assert "The Hugging Face Hub cannot be reached" in at.error[0].value
    assert PNEUMONIA in at.error[0].value  # what opens all the same
    assert f"Still shown: {PHANTOM}." in at.error[0].value
    assert cards(at)["Mean AUROC"] == SCORE
    assert at.text_input(key="hub").value == REPO


def test_a_link_that_cannot_be_opened_is_tried_again_only_when_asked(hub: Hub, ready: Path, monkeypatch) -> None:
    reachable = hub.environment(Path("unused"))["HF_ENDPOINT"]
    unreachable(hub, monkeypatch)
    at = open_page("overview", model=REPO)
    assert "cannot be reached" in at.error[0].value
    sha = hub.add(REPO, contents(ready))
    monkeypatch.setenv("HF_ENDPOINT", reachable)
    assert "cannot be reached" in checked(at.run()).error[0].value
    checked(at.button(key="hub-again").click().run())
    assert not at.error
    assert sha[:12] in words(at)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tester/nothing", "there is no model tester/nothing on the Hub, or it is private"),
        (f"{REPO}@v9", "tester/film has no revision 'v9'"),
        ("nonsense", "write user/repo, or user/repo@revision"),
        ("tester/bare", "tester/bare@"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(hub: Hub, ready: Path, name: str, said: str) -> None:
    hub.add(REPO, contents(ready))
    hub.add("tester/bare", {path: file for path, file in contents(ready).items() if "evaluation" not in path})
    at = typed(open_page("overview", model=PHANTOM), name)
    assert said.lower() in at.error[0].value.lower()
    assert cards(at)["Mean AUROC"] == SCORE
    assert link(typed(at, REPO), "model").startswith(f"{REPO}@")
    assert not at.error


def test_the_server_may_be_started_with_a_model_on_the_hub(hub: Hub, ready: Path, monkeypatch) -> None:
    sha = hub.add(REPO, contents(ready))
    monkeypatch.setenv("CXR_MODEL", "")
    assert parse(["--model", REPO, "--server.port=9"]) == ["--server.port=9"]
    at = open_page("overview")
    assert f"{REPO}@{sha[:12]}" in words(at)
    assert link(at, "model") == f"{REPO}@{sha}"


@pytest.mark.slow
def test_strangers_see_on_a_public_server_what_everybody_sees(hub: Hub, ready: Path, monkeypatch) -> None:
    secret = "tester/secret"
    shas = {name: hub.add(name, contents(ready), private=name == secret) for name in (REPO, secret)}
    assert shas[secret][:12] in words(open_page("overview", model=secret))  # whoever runs the server may
    monkeypatch.setenv("CXR_HOST", "0.0.0.0")
    monkeypatch.setenv("CXR_HUB", "1")
    for private in (secret, f"{secret}@{shas[secret]}"):
        at = open_page("overview", model=private)
        assert "or it is private" in at.error[0].value
        assert not at.metric
    at = typed(open_page("overview", model=PHANTOM), REPO)
    assert shas[REPO][:12] in words(at)
    assert "hub-here" not in [box.key for box in at.selectbox]
    monkeypatch.delenv("CXR_HUB")
    at = open_page("overview", model=REPO)
    assert f"There is no model '{REPO}' here" in at.warning[0].value
    assert "A model on the Hugging Face Hub" not in at.selectbox(key="kind").options


def test_a_public_server_opens_its_own_private_model_for_everybody(hub: Hub, ready: Path, monkeypatch) -> None:
    sha = hub.add("tester/secret", contents(ready), private=True)
    monkeypatch.setenv("CXR_HOST", "0.0.0.0")
    monkeypatch.setenv("CXR_MODEL", "tester/secret@main")
    at = open_page("overview")
    assert sha[:12] in words(at)
    pinned = link(at, "model")
    assert pinned == f"tester/secret@{sha}"
    assert sha[:12] in words(open_page("rank", model=pinned))
    other = open_page("overview", model="tester/secret@dev")
    assert "There is no model 'tester/secret@dev' here" in words(other)


def test_a_public_server_shows_the_folder_it_was_started_with_and_no_path(monkeypatch, tmp_path: Path) -> None:
    without_table(tmp_path / "mine")
    monkeypatch.setenv("CXR_HOST", "0.0.0.0")
    monkeypatch.setenv("CXR_MODEL", str(tmp_path / "mine"))
    at = open_page("films")
    assert "mine" in at.selectbox(key="kind").options
    assert "cxr evaluate mine" in words(at)
    checked(at.selectbox(key="kind").set_value(PHANTOM).run())
    checked(at.selectbox(key="kind").set_value("started").run())
    assert "cxr evaluate mine" in words(at)
    assert str(tmp_path) not in words(at) + str(dict(at.query_params))


@pytest.mark.slow
def test_two_models_on_the_hub_are_compared(hub: Hub, ready: Path, tmp_path: Path) -> None:
    hub.add(REPO, contents(ready))
    noisy = tmp_path / "noisy"
    shutil.copytree(ready, noisy)
    blurred(Predictions.read(TABLE), noisy / "evaluation" / "phantom-test" / "predictions.parquet")
    hub.add("tester/noisy", contents(noisy))
    at = open_page("compare", model=REPO, other_model="tester/noisy")
    assert "305 films of 305 patients are in both" in words(at)
    assert charts(at)


def test_the_app_is_linked_where_the_deployment_names_it(monkeypatch, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    told.write_text('{"model": "pneumonia", "app": "https://example.org/app"}')
    monkeypatch.setenv("CXR_DEPLOYED", str(told))
    monkeypatch.delenv("CXR_MODEL", raising=False)
    at = open_page("overview")
    assert PNEUMONIA in words(at)
    assert [button.proto.url for button in at.get("link_button")] == ["https://example.org/app"]
    told.write_text("{")
    with pytest.raises(SystemExit) as stopped:
        parse([])
    assert stopped.value.code == 2
