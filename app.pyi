"""The main screen: a film goes in; a probability for every finding, and the evidence behind each, come out.

The page is one Gradio HTML component (``assets/app/``) fed with one JSON payload per answer: the film once, and every
finding's map at feature resolution, so the browser blends them without asking again. Run ``python app.py --help``.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import logging
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read by gradio at import

import gradio as gr
import numpy as np
from gradio import route_utils
from PIL import Image

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.hub.client import Token
from cxrcore.resources import ASSETS
from cxrcore.serving.catalog import Catalog, analysis_report, model_facts, open_catalog
from cxrcore.serving.deployment import read_deployment
from cxrcore.serving.example_films import EXAMPLES, fetch_example_film, list_example_films
from cxrcore.serving.hub_catalog import MAX_FETCHES, hub_open_to_visitors, is_local
from cxrcore.serving.notices import DISCLAIMER, SYNTHETIC_MODEL
from cxrcore.serving.recent_films import RecentFilms

if TYPE_CHECKING:
    from cxrcore import Heatmap, Radiograph

MAX_UPLOAD_BYTES = 200_000_000
SHOWN_SIDE = 1024  # pixels; the longest side of the film as the page shows it, and four times that to save
UNFORESEEN = "Something went wrong here, and the film was not kept. Please try again, or use another film."
HUB = (
    "Visitors may open other models, user/repo[@revision], on the Hugging Face Hub: on this machine always, unless "
    "CXR_HUB=0; where others reach the page only with CXR_HUB=1, and then public ones only. Behind a proxy, where "
    "everybody looks local, set CXR_HUB=0."
)
SCRIPTS = ("maps.js", "words.js", "viewer.js", "models.js", "films.js")  # one scope, in this order
WITH_MODEL = """(film, _) => [film, document.querySelector("#viewer [data-part=model]").value]"""
log = logging.getLogger("app")

class FilmUpload(gr.File):
    """A file input that keeps every bit of the file and deletes the upload the moment it is read."""

    is_template = True  # to Gradio's front end this is a plain File

    def example_payload(self) -> Any:
        return {"path": "film.png", "url": "film.png", "meta": {"_type": "gradio.FileData"}}

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Refuses web addresses, which Gradio would otherwise fetch for a client."""
        if "://" in str(url_or_file_path):
            raise gr.Error("Send the film itself, not a web address.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def preprocess(self, payload: Any) -> tuple[str, bytes] | None:  # type: ignore[override]
        """The file's name as the visitor calls it, and its bytes; none, which no reader accepts, if they are gone."""
        if payload is None:
            return None
        path = Path(payload.path)
        try:
            data = path.read_bytes()
            path.unlink()
            path.parent.rmdir()
        except OSError:
            log.warning("an upload was gone before it could be read")
            return path.name, b""
        return Path(payload.orig_name or path.name).name, data
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class _LoneUpload(route_utils.GradioUploadFile):
    """Puts every upload into a folder of its own, so that deleting it cannot touch another visitor's equal file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(16))

def data_uri(pixels: np.ndarray, longest_side: int, encoding: str, **options: Any) -> str:
    """Film pixels, float32 (H, W) in [0, 1], as an 8-bit picture at most ``longest_side`` wide and high."""
    image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    image.thumbnail((longest_side, longest_side), Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, encoding, **options)
    return f"data:image/{encoding.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"

def map_payload(heat: Heatmap) -> dict[str, Any]:
    """A map's facts and its values: rows of contributions, and which part of the map the film covers, as (left, top,
    right, bottom) in shares of the map's width and height."""
    (top, left, height, width), (rows, columns) = heat.preprocessing.film_area(heat.film_size), heat.preprocessing.size
    box = [left / columns, top / rows, (left + width) / columns, (top + height) / rows]
    return heat.to_dict() | {"rows": np.round(heat.signed.astype(float), 4).tolist(), "box": box}

def examples() -> list[dict[str, Any]]:
    """The synthetic films that ship with the project, with a thumbnail each."""
    index = ASSETS / "examples" / "examples.json"
    shelf = []
    for entry in json.loads(index.read_text("utf-8") if index.is_file() else "[]"):
        pixels = cxrcore.read_radiograph(index.parent / entry["file"]).pixels
        thumbnail = data_uri(pixels, 192, "JPEG", quality=80)
        shelf.append({"file": entry["file"], "title": entry["title"], "thumbnail": thumbnail})
    return shelf

def real_films() -> list[dict[str, Any]]:
    """Films of people that the page offers to fetch from a public dataset; none where its list cannot be read."""
    try:
        return [asdict(film) for film in list_example_films()]
    except CxrError as error:
        log.warning("no public films are offered: %s", error)
        return []

def said(event: gr.EventData, key: str) -> str:
    """One word of what the page sent along with an event; empty if it sent none."""
    return str(getattr(event, key, None) or "")

def build_app(model_name: str | None = None, models: Catalog | None = None) -> gr.Blocks:
    """The page and its public endpoint ``/analyse``. Raises BundleNotFound for a model name that is not there."""
    models = models or open_catalog(model_name)
    films = RecentFilms()
    shelf = {example["file"]: example for example in examples()}

    def analyse(film: Radiograph, model_name: str) -> dict[str, Any]:
        started = time.perf_counter()
        model = models[model_name]
        analysis, facts = model.analyse(film), model_facts(model_name, model)
        return {
            "kind": "result",
            "token": films.add(film),
            "maps": {finding: map_payload(heat) for finding, heat in analysis.heatmaps.items()},
            "report": analysis_report(film, analysis, facts["synthetic"], facts["note"]),
            "about": facts,
            "seconds": round(time.perf_counter() - started, 3),
        }

    # Gradio keeps what an event returned for as long as a session lasts, so films go to the page by this other way.
    def picture(token: str) -> str:
        return data_uri(films[token].pixels, SHOWN_SIDE, "JPEG", quality=94) if token in films else ""

    def large_picture(token: str) -> str:
        return data_uri(films[token].pixels, 4 * SHOWN_SIDE, "PNG", compress_level=1) if token in films else ""

    def forget(token: str) -> None:
        films.delete(token)

    def open_hub(asked: dict[str, Any]) -> dict[str, Any]:
        """Fetch a model from the Hub beside all answers; the page asks again while it is ``fetching``."""

        def work() -> dict[str, Any]:
            name = models.hub.poll(str(asked.get("reference"))[:200], newest=bool(asked.get("newest")))
            return {"kind": "fetching"} if name is None else {"kind": "opened", "model": models.entry(name)}

        return answer(work)

    def fetch_film(film_id: str) -> dict[str, Any]:
        return answer(lambda: {"kind": "fetched", "name": fetch_example_film(str(film_id)).name})

    def list_films(_: Any = None) -> dict[str, Any]:
        return answer(lambda: {"kind": "films", "films": [asdict(film) for film in list_example_films(refresh=True)]})

    def newer(name: str) -> dict[str, str] | None:
        found = models.hub.newer(str(name))
        return asdict(found) if found else None

    def answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The work's payload; if it fails, one calm sentence for the visitor and the rest in the server's log."""
        try:
            payload = work()
        except CxrError as error:
            payload = {"kind": "error", "message": str(error)}
        except Exception:
            log.exception("unforeseen failure")
            payload = {"kind": "error", "message": UNFORESEEN}
        return payload | {"at": time.time_ns()}  # the page takes no notice of an answer equal to the last

    def on_load() -> dict[str, Any]:
        first = models.names[0]
        return answer(lambda: {"kind": "about", "about": model_facts(first, models[first]), "models": models.menu})

    def on_upload(upload: tuple[str, bytes], model_name: str) -> tuple[dict[str, Any], None]:
        return answer(lambda: analyse(cxrcore.read_radiograph(upload[1], name=upload[0]), model_name)), None

    def on_example(event: gr.EventData) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            name = said(event, "file")
            path = ASSETS / "examples" / name if name in shelf else fetch_example_film(name)
            return analyse(cxrcore.read_radiograph(path), said(event, "model"))

        return answer(work)

    def on_model(event: gr.EventData) -> dict[str, Any]:
        name, token = said(event, "model"), said(event, "token")

        def work() -> dict[str, Any]:
            if not token:
                return {"kind": "about", "about": model_facts(name, models[name])}
            payload = analyse(films[token], name)
            films.delete(token)
            return payload

        return answer(work) | {"kept": token}

    def on_method(event: gr.EventData) -> dict[str, Any]:
        asked = {key: said(event, key) for key in ("token", "finding", "method")}

        def work() -> dict[str, Any]:
            model, film = models[said(event, "model")], films[asked["token"]]
            return {"kind": "map", "map": map_payload(model.explain(film, asked["finding"], method=asked["method"]))}

        return answer(work) | {"asked": asked}

    def api_analyse(film: tuple[str, bytes] | None, model: str) -> dict[str, Any]:
        """Analyse one film: calibrated probabilities, decisions at the operating points, and each map's strength.

        The upload is deleted as soon as it is read. For research and teaching only, never for diagnosis.
        """
        try:
            if film is None:
                raise CxrError("There is no film in this request; send one file.")
            radiograph, classifier = cxrcore.read_radiograph(film[1], name=film[0]), models[model]
            facts = model_facts(model, classifier)
            return analysis_report(radiograph, classifier.analyse(radiograph), facts["synthetic"], facts["note"])
        except CxrError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except Exception:
            log.exception("unforeseen failure")
            raise gr.Error(UNFORESEEN, print_exception=False) from None

    start = {
        "kind": "start",
        "models": models.menu,
        "max_bytes": MAX_UPLOAD_BYTES,
        "note": DISCLAIMER,
        "synthetic": SYNTHETIC_MODEL,
        "hub": models.hub.open_to_visitors,
        "dashboard": read_deployment().dashboard,
        "films": real_films(),
        "films_of": os.environ.get(EXAMPLES, ""),
    }
    route_utils.GradioUploadFile = _LoneUpload  # type: ignore[misc]
    with gr.Blocks(title="Chest X-ray classifier", analytics_enabled=False, delete_cache=(60, 120)) as demo:
        viewer = gr.HTML(
            start | {"examples": list(shelf.values())},
            html_template=(ASSETS / "app" / "viewer.html").read_text("utf-8"),
            css_template=(ASSETS / "app" / "viewer.css").read_text("utf-8"),
            js_on_load="".join((ASSETS / "app" / f).read_text("utf-8") for f in SCRIPTS),
            server_functions=[picture, large_picture, forget, open_hub, newer, fetch_film, list_films],
            apply_default_css=False,
            elem_id="viewer",
        )
        upload = FilmUpload(label="Film", elem_id="film-upload", visible="hidden")
        chosen = gr.Textbox(models.names[0], label="Model", elem_id="chosen-model", visible="hidden")
        result = gr.JSON(label="Report", visible=False)

        limits: dict[str, Any] = {
            "concurrency_id": "model",
            "concurrency_limit": min(4, os.cpu_count() or 1) + MAX_FETCHES,
        }
        private = limits | {"api_visibility": "private", "show_progress": "hidden"}
        demo.load(on_load, None, viewer, **private)
        upload.upload(on_upload, [upload, chosen], [viewer, upload], js=WITH_MODEL, **private)
        viewer.ask_example(on_example, None, viewer, **private)
        viewer.ask_model(on_model, None, viewer, **private)
        viewer.ask_method(on_method, None, viewer, **private)
        gr.Button(visible=False).click(
            api_analyse, [upload, chosen], result, api_name="analyse", api_visibility="public", **limits
        )
    return demo.queue(max_size=64)

def hub_for_visitors(host: str) -> tuple[bool, Token]:
    """Whether visitors may open any model on the Hub, and with whose token: the server's own (None) only where they
    are whoever runs it; where others reach the page, nobody's (False), and only if ``CXR_HUB`` is 1."""
    own = is_local(host)
    return hub_open_to_visitors(own), None if own else False

def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until interrupted. Returns 2, after one line on stderr, for a mistake in the command."""
    env, here = os.environ.get, "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    parser = argparse.ArgumentParser(
        "app.py", description="Serve the chest X-ray classifier as a web page. " + DISCLAIMER, epilog=HUB
    )
    parser.add_argument(
        "--model", default=env("CXR_MODEL"), help="embedded name, folder or user/repo[@revision] [CXR_MODEL]"
    )
    parser.add_argument("--host", default=env("CXR_HOST", here), help="address to listen on [CXR_HOST]")
    parser.add_argument("--port", default=env("CXR_PORT", "7860"), type=int, help="default 7860 [CXR_PORT]")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for client in ("httpx", "httpx2"):
        logging.getLogger(client).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # leave through the door, so that uploads are deleted
    with tempfile.TemporaryDirectory(prefix="cxr-uploads-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            hub, token = hub_for_visitors(options.host)
            models = open_catalog(options.model or read_deployment().model, hub, token)
            demo = build_app(models=models)
            theme = gr.themes.Base(primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["monospace"])
            demo.launch(
                server_name=options.host,
                server_port=options.port,
                theme=theme.set(body_background_fill="#f4f5f7", body_background_fill_dark="#0e1114"),
                footer_links=["api"],
                max_file_size=MAX_UPLOAD_BYTES,
                run_history=False,  # Gradio's default keeps every run in the visitor's browser
                enable_monitoring=False,
                state_session_capacity=64,
                share=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
            )
            print(f"The page is at http://{options.host}:{options.port}", flush=True)
            models[models.names[0]]  # the page answers already; its first film will not have to wait for the weights
            demo.block_thread()
            return 0
        except CxrError as error:
            trouble = str(error)
        except OSError as error:
            if "port" not in str(error):
                raise
            trouble = f"port {options.port} is taken; choose another with --port or CXR_PORT"
    print(f"app.py: {trouble}", file=sys.stderr)
    return 2

if __name__ == "__main__":
    sys.exit(main())
