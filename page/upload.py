"""A film comes in: an upload of its own for every visitor, read once and deleted."""

from __future__ import annotations

import json
import logging
import math
import secrets
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_base64_to_cache
from gradio.route_utils import MultiPartException, upload_fn
from gradio.routes import file_upload_statuses
from gradio.utils import get_upload_folder
from gradio_client import handle_file
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

log = logging.getLogger("app")


class FilmUpload(gr.File):
    """A file input that passes on every byte of the file and deletes the upload as soon as it is read."""

    is_template = True  # to Gradio's front end this is a plain File

    def example_payload(self) -> Any:
        """What Gradio's page for programs shows as an input."""
        return {"path": "film.png", "url": "film.png", "meta": {"_type": "gradio.FileData"}}

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Refuse web addresses, which Gradio would otherwise fetch for a client."""
        if "://" in str(url_or_file_path):
            raise gr.Error("Send the film itself, not a web address.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def preprocess(self, payload: Any) -> tuple[str, bytes] | None:  # type: ignore[override]
        """The file's own name and its bytes; no bytes, which no reader accepts, if the file is gone."""
        if payload is None:
            return None
        path = Path(payload.path)
        try:
            data = path.read_bytes()
            path.unlink()
            for folder in list(path.parents)[:2]:
                folder.rmdir()
        except OSError:
            log.warning("an upload was gone before it could be read")
            return path.name, b""
        delete_copies_of(data)
        return Path(payload.orig_name or path.name).name, data


def speak_json(server: Any) -> None:
    """Let MCP clients send a film as a data URI, and nothing else; answer them in JSON.

    Gradio would also fetch web addresses, and keep its copy of a data URI; ``delete_copies_of`` deletes ours. It would
    answer with Python's notation of a dict.
    """
    described = server.postprocess_output_data

    def converted(arguments: dict[str, Any], positions: list[list[str | int]]) -> dict[str, Any]:
        return {key: film_of_text(value) if [key] in positions else value for key, value in arguments.items()}

    def answered(outputs: list[Any], root_url: str) -> Any:
        return described([json.dumps(output) for output in outputs], root_url)

    server.convert_strings_to_filedata = converted
    server.postprocess_output_data = answered


def film_of_text(text: object) -> Any:
    """The film in a data URI, as Gradio's own client sends a file on. Raises ValueError for any other text."""
    if not str(text).startswith("data:"):
        raise ValueError("Send the film itself as a data URI (data:image/png;base64,...), not a web address.")
    return handle_file(save_base64_to_cache(str(text), str(copies() / secrets.token_hex(16))))


def copies() -> Path:
    """The folder of films that came as text, until they are read."""
    return Path(get_upload_folder(), "from-text")


def delete_copies_of(data: bytes) -> None:
    """Delete a film that came as text, once its upload is read."""
    for copy in copies().glob("*/*/*"):
        if copy.stat().st_size == len(data) and copy.read_bytes() == data:
            shutil.rmtree(copy.parents[1], ignore_errors=True)


async def upload_apart(request: Request) -> Response:
    """Gradio's upload, into a folder of its own for every request.

    Gradio names the folder of an upload by the hash of its content, so that two visitors with the same film share one
    file; deleting the upload of one would delete the other's.
    """
    gradio, upload_id = request.app, request.query_params.get("upload_id")
    blocks, folder = gradio.get_blocks(), Path(gradio.uploaded_file_dir, secrets.token_hex(16))
    files: list[str] | None = None
    try:
        files, _, _ = await upload_fn(
            request,
            folder,
            math.inf if blocks.max_file_size is None else blocks.max_file_size,
            upload_id,
            upload_progress=file_upload_statuses if upload_id else None,
        )
    except ClientDisconnect:
        return PlainTextResponse("The upload was broken off.", status_code=400)
    except MultiPartException as error:
        return PlainTextResponse(error.message, status_code=413 if "maximum allowed size" in error.message else 400)
    finally:
        if files is None:
            shutil.rmtree(folder, ignore_errors=True)  # the part that had arrived
    blocks.upload_file_set.update(files)
    return JSONResponse(files)


# Gradio's own routes come after those given at launch.
ROUTES = [Route("/gradio_api/upload", upload_apart, methods=["POST"])]
