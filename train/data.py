"""``cxr data``: download a collection of films, and check a folder of films before training.

cxr data get kermany --out DIR
cxr data check DIR
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

data_cli = typer.Typer(help="Films to train and score on.", no_args_is_help=False, rich_markup_mode=None)


@data_cli.command()
def get(
    name: Annotated[str, typer.Argument(help="nih, kermany, tb or phantom.")],
    out: Annotated[Path, typer.Option(help="The folder to fill; going on in a half-filled one is fine.")],
    subset: Annotated[int, typer.Option(min=0, help="At most this many films, whole patients; 0: all.")] = 0,
) -> None:
    """Download a public collection, or draw the synthetic one; says how large it is first."""
    from cxrcore.datasets.download import get_dataset

    get_dataset(name, out, subset, say=typer.echo)


@data_cli.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of films.")],
    dataset: Annotated[str | None, typer.Option(help="Which layout it is; guessed unless given.")] = None,
    labels: Annotated[str | None, typer.Option(help="Which label set to read; the usual one unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read every film and count every label (exit code 1 when films are missing, corrupt or in two splits)."""
    from cxrcore.datasets.check import check_dataset
    from cxrcore.findings import label_set
    from train.terminal import print_json

    bar = tqdm(unit="film", desc="reading", disable=None, leave=False)

    def progress(films):
        for film in films:
            bar.update()
            yield film

    try:
        report = check_dataset(folder, dataset, label_set(labels) if labels else None, progress)
    finally:
        bar.close()
    if as_json:
        print_json(report.to_dict())
    else:
        sys.stdout.write(f"{report}\n")
    if not report.sound:
        raise typer.Exit(1)
