"""``cxr``: predict, fit, evaluate and the rest from a terminal.

    cxr predict pneumonia film.png --json
    cxr recipes
    cxr data get phantom --out films
    cxr fit phantom-resnet10t --data films --out runs/mine
    cxr evaluate runs/mine --dataset phantom --data films --split test --out scores

Exit codes: 0 done; 1 some films could not be read; 2 a mistake in what was typed or given, told in one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from cxrcore.errors import CxrError
from train.data import data_cli
from train.terminal import cli, require_training, run

cli.add_typer(data_cli, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        from cxrcore import __version__

        typer.echo(f"cxr {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _tasks(incomplete: str) -> list[str]:
    """Completes the embedded models; where none fits, the shell completes folders."""
    from cxrcore.bundle.folder import embedded_models

    return [task for task in embedded_models() if task.startswith(incomplete)]


_WHICH = "An embedded model's task, a bundle's folder or user/repo[@revision]"
_Model = Annotated[str, typer.Argument(help=f"{_WHICH}.", autocompletion=_tasks)]


@cli.command()
def predict(
    model: _Model,
    paths: Annotated[list[str], typer.Argument(help="Films: PNG, JPEG, TIFF, BMP, WebP, DICOM; folders, zips.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    heatmaps: Annotated[Path | None, typer.Option(help="Write every finding's overlay there, as PNG.")] = None,
    risk: Annotated[
        float, typer.Option(help="Of three answers: the share of patients, at most, whose film is answered wrongly.")
    ] = 0.05,
    confidence: Annotated[float, typer.Option(help="The confidence with which that risk holds.")] = 0.9,
    intervals: Annotated[
        bool, typer.Option("--intervals", help="How far each probability moves on the changed film: ten readings.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a predictions table, for cxr metrics and the dashboard."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write there: the table, every answer, the files left out."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network computes.")] = "auto",
) -> None:
    """Probabilities for films; one unreadable film never stops the rest (exit code 1 then)."""
    from train.predict import Wanted, predict_films

    wanted = Wanted(as_json, heatmaps, risk, confidence, intervals, table, out, device)
    unreadable = predict_films(model, paths, wanted)
    if unreadable:
        raise typer.Exit(1)


@cli.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    embed: Annotated[Path | None, typer.Option(metavar="RUN", help="First add this bundle to assets/models.")] = None,
    name: Annotated[str | None, typer.Option(help="With --embed: task-architecture; the run's unless given.")] = None,
) -> None:
    """The models that open without a download: name, label set, network and findings, a line each."""
    from train.models import embed_model, list_models

    if embed is not None:
        embed_model(embed, name)
    list_models(as_json)


@cli.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Show this recipe's fields, as --set takes them.")] = None,
) -> None:
    """What can be trained, and what each recipe reproduces; or one recipe's fields."""
    from train.recipes import RECIPES, open_recipe, settings

    if name is not None:
        typer.echo("\n".join(settings(open_recipe(name))))
        return
    width = max(len(name) for name in RECIPES)
    for name in RECIPES:
        typer.echo(f"{name:{width}}  {open_recipe(name).reproduces}")


@cli.command()
def fit(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|head", help="A recipe's name (see: cxr recipes), a YAML file, or head.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="DIR|CSV", help="The dataset's folder; for head also a CSV beside its films.")
    ],
    out: Annotated[Path, typer.Option(help="The run's folder, which becomes a bundle.")],
    on: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="head: the model whose trunk it is put on.", autocompletion=_tasks),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field, e.g. optimizer.lr=3e-4.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    push: Annotated[str | None, typer.Option(metavar="USER/REPO", help="Push the bundle there at the end.")] = None,
    negatives: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of pictures that are no chest films, for the input gate; may be repeated."),
    ] = None,
) -> None:
    """Train a recipe on a dataset; the run's folder becomes a bundle that predict and the app open.

    ``cxr fit head --on MODEL`` keeps a model's trunk as it is and fits a linear head for your own labels: a CSV with an
    image column, perhaps a patient column, and a column of 0 and 1 a finding; or a folder a class.
    """
    require_training("fit")
    if recipe == "head" or on is not None:
        _fit_head(recipe, data, out, on, bool(overrides or resume or negatives), push)
        return
    from cxrcore.models.distributed import join_processes
    from cxrcore.training.run import fit as train
    from train.push import push_after_fit, refuse_unpushable
    from train.recipes import open_recipe

    asked = open_recipe(recipe, overrides or [])
    if push is not None:
        refuse_unpushable(push)
    train(asked, data, out, resume=resume, negatives=negatives or ())
    if push is not None and join_processes().is_main_process:
        push_after_fit(out, push)


def _fit_head(recipe: str, data: Path, out: Path, on: str | None, others: bool, push: str | None) -> None:
    from cxrcore.errors import CxrError

    if recipe != "head":
        raise CxrError(f"--on goes with head, and {recipe!r} is a recipe: cxr fit head --on MODEL --data DIR --out DIR")
    if on is None:
        raise CxrError("a head needs a model to be put on: cxr fit head --on MODEL --data DIR --out DIR")
    if others:
        raise CxrError("cxr fit head takes no --set, --resume or --negatives: trunk and gate are the model's")
    from train.head import fit_head_on
    from train.push import push_after_fit, refuse_unpushable

    if push is not None:
        refuse_unpushable(push)
    fit_head_on(on, data, out)
    if push is not None:
        push_after_fit(out, push)


@cli.command()
def evaluate(
    model: _Model,
    dataset: Annotated[str, typer.Option(help="kermany, nih, folders, csv or phantom.")],
    data: Annotated[Path, typer.Option(help="The dataset's folder.")],
    split: Annotated[str, typer.Option(help="test, val or train; all: every film, for films it has not learned from.")],
    out: Annotated[Path, typer.Option(help="Gets predictions.parquet, metrics.json and curves.json.")],
    folder: Annotated[
        list[str] | None, typer.Option(help="nih: read these folders of films as one set; else the fullest.")
    ] = None,
    negatives: Annotated[
        Literal["normal", "all"],
        typer.Option(help="For another label set: films without the finding are the normal ones, or all others."),
    ] = "normal",
    faithfulness: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Also test the maps by deletion and insertion on N films; 60 is many."),
    ] = 0,
    shake: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Also score N films, drawn at random, in nine changes; 300 is many."),
    ] = 0,
) -> None:
    """Score a model on a dataset's split, from its weights; of another label set, on the findings both share."""
    require_training("evaluate")
    from train.evaluate import evaluate_model

    evaluate_model(model, dataset, data, split, out, folder or (), negatives == "all", faithfulness, shake)


@cli.command()
def audit(
    model: _Model,
    dataset: Annotated[str, typer.Option(help="kermany, nih, tb, composed, folders, csv or phantom.")],
    data: Annotated[Path, typer.Option(help="The dataset's folder.")],
    split: Annotated[str, typer.Option(help="As for evaluate.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Gets audit.json; the scores' folder of a run of yours unless given.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="The model's predictions.parquet; else stored ones, or the films are scored.")
    ] = None,
    folder: Annotated[
        list[str] | None, typer.Option(help="nih: read these folders of films as one set, as sources.")
    ] = None,
) -> None:
    """Say what could explain a score without disease: border, tone, person, source; label errors, near-duplicates."""
    require_training("audit")
    from train.audit import audit_model

    audit_model(model, dataset, data, split, out, predictions, folder or ())


@cli.command()
def gate(
    model: _Model,
    data: Annotated[Path, typer.Option(help="The folder of the dataset that it was trained on.")],
    negatives: Annotated[
        list[Path] | None, typer.Option(help="A folder of pictures that are no chest films; may be repeated.")
    ] = None,
) -> None:
    """Fit a model's input gate on its own training films, and on pictures of other things."""
    require_training("gate")
    from train.gate import fit_gate_of

    fit_gate_of(model, data, negatives or ())


@cli.command()
def adapt(
    model: _Model,
    data: Annotated[Path, typer.Option(metavar="FOLDER|CSV", help="50 to 2,000 labelled films of the site.")],
    out: Annotated[Path, typer.Option(help="The new bundle's folder.")],
    dataset: Annotated[
        str | None, typer.Option(help="kermany, nih, tb, folders or csv; found out unless given.")
    ] = None,
) -> None:
    """Fit a model's calibration, operating points and evidence levels on a site's own films; its weights stay."""
    require_training("adapt")
    from train.adapt import adapt_model

    adapt_model(model, data, out, dataset)


_LABELS = "A label file: NIH's Data_Entry CSV, or one column a finding; plain or gzipped."
_THRESHOLDS = "A bundle or a JSON file (finding to threshold) whose thresholds to use."
_TUNE = "Share of patients to choose thresholds on; the rest are scored."
_SPLIT = "Which split of the table; test unless there is only one."


@cli.command()
def metrics(
    predictions: Annotated[Path, typer.Argument(help="A predictions table, ours or anyone's: Parquet or CSV.")],
    out: Annotated[Path, typer.Option(help="Where metrics.json goes; curves.json goes beside it (NAME-curves.json).")],
    labels: Annotated[Path | None, typer.Option(help=_LABELS)] = None,
    thresholds: Annotated[str | None, typer.Option(help=_THRESHOLDS)] = None,
    tune_fraction: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=_TUNE)] = None,
    split: Annotated[str | None, typer.Option(help=_SPLIT)] = None,
) -> None:
    """Score a table of predictions; loads no network."""
    from train.metrics import measure

    measure(predictions, out, labels, thresholds, tune_fraction, split)


@cli.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A predictions table.")],
    second: Annotated[Path, typer.Argument(help="Another, on the same films.")],
    labels: Annotated[Path | None, typer.Option(help=_LABELS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    split: Annotated[str | None, typer.Option(help=_SPLIT)] = None,
) -> None:
    """Two models on the same films: paired differences with intervals."""
    from train.compare import compare as compare_two

    compare_two(first, second, labels, as_json, split)


@cli.command()
def report(
    subject: Annotated[str, typer.Argument(metavar="BUNDLE|PREDICTIONS", help="A model, or a predictions table.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file to write; with --film, <film>-report.html unless given.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help=_LABELS)] = None,
    thresholds: Annotated[str | None, typer.Option(help=_THRESHOLDS)] = None,
    tune_fraction: Annotated[float | None, typer.Option(min=0.0, max=1.0, help=_TUNE)] = None,
    split: Annotated[str | None, typer.Option(help=_SPLIT)] = None,
    film: Annotated[Path | None, typer.Option(help="Report its answer to this film instead, on one page.")] = None,
    findings: Annotated[
        str | None, typer.Option(help="With --film: up to three, separated by commas, whose maps are drawn.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="With --film: a heading of your own.")] = None,
    note: Annotated[str | None, typer.Option(help="With --film: a note, printed as typed.")] = None,
) -> None:
    """One HTML file that opens offline: every score of a model, or with --film its answer to one film, to print."""
    from train.report import report as write_report
    from train.report import report_film

    if film is None:
        if any(option is not None for option in (findings, title, note)):
            raise CxrError("--findings, --title and --note are of one film's report; name it with --film")
        if out is None:
            raise CxrError("Missing option '--out'.")
        write_report(subject, out, labels, thresholds, tune_fraction, split)
        return
    if any(option is not None for option in (labels, thresholds, tune_fraction, split)):
        raise CxrError("--film reports one film, which has no labels to score; leave --labels and thresholds out")
    report_film(subject, film, out, findings, title or "", note or "")


@cli.command()
def teach(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Films: a folder a class, or with labels.")],
    out: Annotated[Path, typer.Option(metavar="SET.zip", help="The file to write.")],
    labels: Annotated[Path | None, typer.Option(metavar="CSV", help=_LABELS)] = None,
    boxes: Annotated[
        Path | None, typer.Option(metavar="CSV", help="image, finding, x, y, width, height in pixels.")
    ] = None,
    title: Annotated[str, typer.Option(help="Shown above the set; the folder's name unless given.")] = "",
    findings: Annotated[str, typer.Option(metavar="A,B", help="The findings to ask; all unless given.")] = "",
    count: Annotated[int | None, typer.Option(min=1, help="At most this many films, drawn by their content.")] = None,
) -> None:
    """Make a set of cases to learn reading from, without names or tags; ``cxr app --cases SET.zip`` offers it."""
    from train.teach import teach as make

    make(folder, out, labels, boxes, title, findings, count)


@cli.command()
def ensemble(
    models: Annotated[list[str], typer.Argument(help="Embedded models' tasks or bundles' folders, two or more.")],
    out: Annotated[Path, typer.Option(help="The ensemble's folder.")],
    data: Annotated[
        Path | None,
        typer.Option(help="The members' dataset; its validation films are read, for evidence levels."),
    ] = None,
) -> None:
    """Put several models into one folder that answers with their average; members of one split decide together."""
    from train.ensemble import make_ensemble

    typer.echo(make_ensemble(models, out, data))


@cli.command("push")
def push_bundle(
    bundle: _Model,
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="Where on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option("--private", help="A new repository is for you alone.")] = False,
    revision: Annotated[str | None, typer.Option(help="A branch; made where need be.")] = None,
    tag: Annotated[str | None, typer.Option(help="A name for this version.")] = None,
) -> None:
    """Put a bundle on the Hugging Face Hub, in one commit; lists what it uploads."""
    from train.push import push as send

    send(bundle, repo, private, revision, tag)


@cli.command()
def pull(
    repo: Annotated[str, typer.Argument(metavar="USER/REPO[@REVISION]", help="A bundle on the Hugging Face Hub.")],
    out: Annotated[Path | None, typer.Option(help="Also copy the bundle there.")] = None,
) -> None:
    """Fetch a bundle from the Hugging Face Hub, every file checked; predict and the app open it by the same name."""
    from train.pull import pull as fetch

    fetch(repo, out)


@cli.command("deploy")
def deploy_space(
    space: Annotated[str, typer.Argument(metavar="USER/SPACE", help="Where on the Hugging Face Hub.")],
    model: Annotated[str, typer.Option(help="user/repo[@revision], an embedded model's task or a bundle's folder.")],
    kind: Annotated[Literal["app", "dashboard"], typer.Option(help="Which screen.")] = "app",
    dry_run: Annotated[Path | None, typer.Option(metavar="DIR", help="Only write the Space's folder there.")] = None,
    other: Annotated[
        str | None, typer.Option(metavar="USER/SPACE", help="The other screen's Space, if not USER/SPACE-dashboard.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new Space is for you alone.")] = False,
    hardware: Annotated[str | None, typer.Option(help="Paid hardware to ask for, e.g. cpu-upgrade.")] = None,
    secret_token: Annotated[
        bool, typer.Option("--secret-token", help="Give the Space CXR_SPACE_TOKEN, or your token, as its secret.")
    ] = False,
    torch_index: Annotated[str | None, typer.Option(metavar="URL", help="Where smaller builds of torch are.")] = None,
) -> None:
    """Make a Hugging Face Space that shows a model: the app, or the dashboard; run it again to update it."""
    from train.deploy import deploy

    deploy(space, model, kind, dry_run, other, private, hardware, secret_token, torch_index)


_HOST = "Address to listen on [CXR_HOST]."


@cli.command("app")
def serve_app(
    model: Annotated[str | None, typer.Option(help=f"{_WHICH} [CXR_MODEL].", autocompletion=_tasks)] = None,
    host: Annotated[str | None, typer.Option(help=_HOST)] = None,
    port: Annotated[int | None, typer.Option(help="7860 unless given [CXR_PORT].")] = None,
    cases: Annotated[
        list[str] | None, typer.Option(metavar="SET.zip", help="Offer this set of cases; may be repeated [CXR_CASES].")
    ] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Also answer language models, at /gradio_api/mcp/ [CXR_MCP=1].")
    ] = False,
) -> None:
    """Serve the app: a film goes in; a probability and a heatmap for every finding come out."""
    from train.screens import serve_app

    raise typer.Exit(serve_app(model, host, port, cases or (), mcp))


@cli.command("dashboard")
def serve_dashboard(
    model: Annotated[
        str | None, typer.Option(help="As for the app, or a predictions table [CXR_MODEL].", autocompletion=_tasks)
    ] = None,
    host: Annotated[str | None, typer.Option(help=_HOST)] = None,
    port: Annotated[int | None, typer.Option(help="8501 unless given [CXR_PORT].")] = None,
) -> None:
    """Serve the dashboard: how good a model's numbers are, for whom, and how sure that is."""
    from train.screens import serve_dashboard

    serve_dashboard(model, host, port)


@cli.command("bench")
def run_bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="latency, training, metrics, dashboard, hub, viewer; else all.")
    ] = None,
) -> None:
    """Measure speed side by side with the usual ways; prints tables."""
    from train.bench import bench

    if code := bench(names or ()):
        raise typer.Exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's mistake is one line on stderr."""
    return run(sys.argv[1:] if arguments is None else arguments)
