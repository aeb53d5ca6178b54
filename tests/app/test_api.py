"""The page's function as an endpoint for programs, through gradio_client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from pydantic import TypeAdapter

import cxrcore
from cxrcore.models.classifier import Classifier
from cxrcore.models.erasing import erase
from cxrcore.models.shaking import shake
from page.api import ANSWERS
from tests.app.visit import NEVER, ROOT
from tests.servers import Server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    opened = Client(server.url, verbose=False)
    yield opened
    opened.close()


def test_the_endpoint_answers_as_the_library_does(client: Client, film_path: Path, model: Classifier) -> None:
    report = client.predict(film=handle_file(str(film_path)), api_name="/analyse")
    analysis = model.analyse(cxrcore.read_radiograph(film_path))
    assert report["probabilities"] == pytest.approx(analysis.prediction.probabilities, abs=1e-6)
    assert report["positive"] == analysis.prediction.positive
    assert report["model"] == model.id
    strengths = {finding: heat["strength"] for finding, heat in report["heatmaps"].items()}
    assert strengths == pytest.approx({f: heat.strength for f, heat in analysis.heatmaps.items()}, abs=1e-5)
    assert report["heatmaps"][NEVER]["evidence"] is False


def test_every_key_of_an_answer_is_documented(client: Client, film_path: Path) -> None:
    report = client.predict(film=handle_file(str(film_path)), model="phantom", api_name="/analyse")
    document = (ROOT / "docs" / "answer.md").read_text("utf-8")
    assert list(report) == re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)
    for part in (report["film"], report["gate"], *report["heatmaps"].values()):
        assert [key for key in part if f"`{key}`" not in document] == ["finding"] * ("finding" in part)
    assert set(report["triage"].values()) <= {"rule_in", "rule_out", "unsure"}


def test_only_the_documented_endpoints_are_public(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(endpoints) == ["/analyse", "/erase", "/explain", "/models", "/shake"]
    assert [parameter["parameter_name"] for parameter in endpoints["/analyse"]["parameters"]] == ["film", "model"]
    assert "never for diagnosis" in endpoints["/analyse"]["description"]


def test_every_answer_has_its_schema(client: Client, film_path: Path) -> None:
    """Oracle: pydantic, on the types that docs/api.md is written from; no key more, and none less."""
    film, asked = handle_file(str(film_path)), {"explain": {"finding": NEVER, "method": "gradcam"}, "models": {}}
    for name, schema in ANSWERS.items():
        films = {} if name == "models" else {"film": film}
        answer = client.predict(**films, **asked.get(name, {}), api_name=f"/{name}")
        TypeAdapter(schema).validate_python(answer, strict=True)
        assert list(answer) == list(schema.__annotations__)


def test_the_endpoints_answer_as_the_library_does(client: Client, film_path: Path, model: Classifier) -> None:
    film, radiograph = handle_file(str(film_path)), cxrcore.read_radiograph(film_path)
    explained = client.predict(film=film, finding=NEVER, method="layercam", api_name="/explain")
    assert np.allclose(explained["rows"], model.explain(radiograph, NEVER, method="layercam").signed, atol=1e-3)
    changed = client.predict(film=film, api_name="/shake")["changed"]
    for change, probabilities in shake(model, radiograph).items():
        assert changed[change] == pytest.approx(probabilities, abs=1e-5)
    region = {"left": 0.2, "top": 0.5, "right": 0.6, "bottom": 0.9}
    findings = client.predict(film=film, **region, api_name="/erase")["findings"]
    for name, erased in erase(model, radiograph, tuple(region.values())).findings.items():
        assert findings[name]["move"] == pytest.approx(erased.move, abs=1e-4)
    models = client.predict(api_name="/models")["models"]
    assert models[0]["findings"] == list(model.labels)
    assert [entry["name"] for entry in models[1:]] == list(cxrcore.embedded_models())


def test_mistakes_of_a_program_are_one_sentence(client: Client, film_path: Path) -> None:
    film = handle_file(str(film_path))
    for name, asked, said in (
        ("explain", {"finding": "Elephant", "method": "gradcam"}, "no finding 'Elephant'"),
        ("explain", {"finding": NEVER, "method": "magic"}, "magic"),
        ("erase", {"left": 0.5, "top": 0, "right": 0.4, "bottom": 1}, "no area"),
    ):
        with pytest.raises(AppError, match=said):
            client.predict(film=film, **asked, api_name=f"/{name}")


def test_a_bad_file_or_model_is_one_sentence(client: Client, tmp_path: Path, film_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no film")
    with pytest.raises(AppError, match=r"notes\.png") as caught:
        client.predict(film=handle_file(str(tmp_path / "notes.png")), api_name="/analyse")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(AppError, match="no model '/etc/passwd'"):
        client.predict(film=handle_file(str(film_path)), model="/etc/passwd", api_name="/analyse")


def test_the_server_fetches_nothing_for_a_client(client: Client) -> None:
    address = {"path": "http://127.0.0.1:9/film.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError, match="not a web address"):
        client.predict(film=address, api_name="/analyse")


def test_many_visitors_with_the_same_film_do_not_delete_each_others(
    server: Server, film_path: Path, model: Classifier
) -> None:
    expected = model.predict(cxrcore.read_radiograph(film_path)).probabilities

    def ask(_: int) -> dict:
        visitor = Client(server.url, verbose=False)
        return visitor.predict(film=handle_file(str(film_path)), api_name="/analyse")["probabilities"]

    with ThreadPoolExecutor(4) as pool:
        for probabilities in pool.map(ask, range(8)):
            assert probabilities == pytest.approx(expected, abs=1e-6)
    assert server.uploads() == []
