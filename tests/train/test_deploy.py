"""``cxr deploy`` as a terminal sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrcore.serving.deployment import DeploymentConfig
from tests.hub import TOKEN, Hub
from train.cli import main

MODEL = "phantom"


def test_a_dry_run_writes_the_folder_and_asks_nobody(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "space"
    asked = ["deploy", "tester/film-dashboard", "--model", MODEL, "--kind", "dashboard", "--dry-run", str(out)]
    assert main([*asked, "--other", "tester/film"]) == 0
    assert DeploymentConfig.from_json((out / "deployed.json").read_text()).app == f"{hub.url}/spaces/tester/film"
    assert (out / "Dockerfile").is_file()
    assert hub.requests == []
    shown = capsys.readouterr()
    assert f"space holds the Space tester/film-dashboard, which shows {MODEL}; nothing was sent" in shown.out
    assert shown.err == ""


def test_a_deployment_says_what_it_does_and_where_the_page_is(hub: Hub, capfd: pytest.CaptureFixture) -> None:
    asked = ["deploy", "tester/film", "--model", MODEL, "--secret-token", "--hardware", "cpu-upgrade", "--private"]
    assert main(asked) == 0
    repo = hub.repos["spaces", "tester/film"]
    assert (repo.private, repo.hardware, repo.secrets) == (True, "cpu-upgrade", {"HF_TOKEN": TOKEN})
    shown = capfd.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith("gave tester/film a token, the one in use here, as its secret HF_TOKEN")
    assert lines[-1] == f"the app is at {hub.url}/spaces/tester/film"
    assert shown.err == ""
    assert TOKEN not in shown.out


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["film", "--model", MODEL], "'film' is no name of a Space; write user/space"),
        (["tester/film", "--model", "tester/absent"], "there is no model tester/absent on the Hub"),
        (["tester/film", "--model", MODEL, "--kind", "poster"], "'poster'"),
        (["tester/film"], "'--model'"),
    ],
)
def test_a_mistake_is_one_line(hub: Hub, capsys: pytest.CaptureFixture, asked: list[str], sentence: str) -> None:
    assert main(["deploy", *asked]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_refusal_is_one_line(hub: Hub, capsys: pytest.CaptureFixture) -> None:
    hub.faults.create_status = {"space": 402}
    assert main(["deploy", "tester/film", "--model", MODEL]) == 2
    assert capsys.readouterr().err.startswith("cxr: the Hub asks tester to pay for tester/film (402)")
