"""Push and pull through the real client against a localhost hub: what arrives, what never leaves, what is said."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard, constants, snapshot_download
from safetensors.torch import load_file, save_file

import cxrcore
from cxrcore import hub_pull
from cxrcore.bundle import EMBEDDED, find_bundle, read_metrics
from cxrcore.ensemble import write_ensemble
from cxrcore.errors import BundleNotFound, CxrError, HubError, InvalidBundle
from cxrcore.hub import check_push, newer_revision, prepare_push, pull_bundle, push_bundle
from cxrcore.metrics.summary import summarise
from cxrcore.predictions import Predictions
from tests.hub import TOKEN, Hub

REPO = "tester/film"
PHANTOM = EMBEDDED / "phantom-resnet10t"
quiet = lambda text: None  # noqa: E731


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with Hub() as running:
        for name, value in running.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
        yield running


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom model as a push sends it."""
    folder = tmp_path_factory.mktemp("ready") / "bundle"
    prepare_push(PHANTOM, folder, REPO)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run_on(folder: Path, dataset: str, name: str) -> Path:
    """A run on films of people, of such names."""
    shutil.copytree(PHANTOM, folder)
    config = json.loads((folder / "config.json").read_text())
    config["cxrcore"]["provenance"] |= {"synthetic": False, "dataset": dataset}
    (folder / "config.json").write_text(json.dumps(config))
    for table in folder.glob("evaluation/*/predictions.parquet"):
        films = Predictions.read(table)
        names = np.array([name.format(n) for n in range(len(films))])
        ages = np.where(np.arange(len(films)) == 0, 97.0, 40.0)
        people = np.array([f"MRN{n // 2}" for n in range(len(films))])
        metadata = {"age_years": ages, "ward": np.array(["9b"] * len(films))}
        boxes = (table.parent / "boxes.csv").read_text()
        for old, new in zip(films.images, names, strict=True):
            boxes = boxes.replace(old, new)
        (table.parent / "boxes.csv").write_text(boxes)
        values = {key: getattr(films, key) for key in ("split", "labels", "targets", "probabilities", "logits")}
        Predictions(names, people, metadata=metadata, **values).write(table)
        scores = json.loads((table.parent / "metrics.json").read_text()) | {"dataset": dataset}
        (table.parent / "metrics.json").write_text(json.dumps(scores))
    return folder


# pushing


def test_a_push_is_one_commit_and_the_same_bundle_makes_no_other(hub: Hub, ready: Path) -> None:
    said: list[str] = []
    pushed = push_bundle(PHANTOM, REPO, tag="v1", say=said.append)
    assert hub.files(REPO) == contents(ready)
    repo = hub.repos["models", REPO]
    assert [commit.title for commit in repo.history("main")] == ["Bundle phantom-resnet10t", "initial commit"]
    assert repo.tags == {"v1": pushed.revision}
    assert pushed.url == f"{hub.url}/{REPO}/tree/{pushed.revision}"
    for path in contents(ready):
        assert any(line.startswith(f"sending {path} (") for line in said)
    again = push_bundle(PHANTOM, REPO, say=said.append)
    assert again.unchanged
    assert again.revision == pushed.revision
    assert len(repo.commits) == 2
    assert TOKEN not in " ".join(said)


def test_what_a_newer_bundle_lacks_is_removed_in_the_same_commit(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, {".gitattributes": b"* text", "evaluation/old-test/metrics.json": b"{}"})
    push_bundle(PHANTOM, REPO, say=quiet)
    assert "evaluation/old-test/metrics.json" not in hub.files(REPO)
    assert ".gitattributes" in hub.files(REPO)
    assert len(hub.repos["models", REPO].commits) == 3


def test_a_branch_and_a_private_repository(hub: Hub) -> None:
    pushed = push_bundle(PHANTOM, REPO, private=True, revision="dev/x", say=quiet)
    repo = hub.repos["models", REPO]
    assert repo.private
    assert repo.branches["dev/x"] == pushed.revision
    assert "config.json" not in hub.files(REPO)
    hub.create("models", "tester/open")
    with pytest.raises(HubError, match="public already"):
        push_bundle(PHANTOM, "tester/open", private=True, say=quiet)


def test_a_cut_upload_is_sent_again(hub: Hub, ready: Path) -> None:
    hub.faults.cut_uploads = 1
    push_bundle(PHANTOM, REPO, say=quiet)
    assert hub.files(REPO) == contents(ready)


def test_an_upload_that_keeps_breaking_is_told(hub: Hub, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client's patience
    hub.faults.cut_uploads = 1000
    with pytest.raises(HubError, match="the upload to tester/film broke off; whole files are kept there: run it again"):
        push_bundle(PHANTOM, REPO, say=quiet)
    assert hub.files(REPO) == {}
    hub.faults.cut_uploads = 0
    assert not push_bundle(PHANTOM, REPO, say=quiet).unchanged


def test_ids_that_are_not_public_leave_as_hashes(hub: Hub, tmp_path: Path) -> None:
    run, said = run_on(tmp_path / "run", "csv", "mueller_{:04d}.png"), []
    push_bundle(run, REPO, say=said.append)
    sent = hub.files(REPO)
    for name, content in sent.items():
        assert b"mueller" not in content, name
        assert b"MRN" not in content, name
    path = "evaluation/phantom-test/predictions.parquet"
    (tmp_path / "sent.parquet").write_bytes(sent[path])
    ours, theirs = Predictions.read(run / path), Predictions.read(tmp_path / "sent.parquet")
    assert any(line.startswith(f"sending {path}") and "ids hashed" in line for line in said)
    assert theirs.n_patients == ours.n_patients < len(ours)
    assert set(theirs.metadata) == {"age_years"}
    assert max(theirs.metadata["age_years"]) == 90
    scores = [
        summarise(table, None, dataset="csv", split="test", model="m")["macro"]["auroc"] for table in (ours, theirs)
    ]
    assert scores[0]["value"] == pytest.approx(scores[1]["value"])
    assert scores[0]["low"] == pytest.approx(scores[1]["low"])
    assert b"," + b"mueller" not in sent["evaluation/phantom-test/boxes.csv"]
    boxed = {line.split(",")[0] for line in sent["evaluation/phantom-test/boxes.csv"].decode().splitlines()[1:]}
    assert boxed <= set(theirs.images)  # they still find their films
    assert push_bundle(run, REPO, say=quiet).unchanged  # though each push hashes anew
    prepare_push(run, tmp_path / "other", REPO)
    assert not set(Predictions.read(tmp_path / "other" / path).images) & set(theirs.images)


@pytest.mark.parametrize(
    ("dataset", "name", "public"),
    [
        ("nih", "0000{:04d}_000.png", True),
        ("kermany", "train/PNEUMONIA/person{}_virus_7.jpeg", True),
        ("kermany", "train/PNEUMONIA/mueller_{}.jpeg", False),  # somebody's own films in that layout
        ("folders", "0000{:04d}_000.png", False),
    ],
)
def test_only_names_of_public_films_leave_as_they_are(tmp_path: Path, dataset: str, name: str, public: bool) -> None:
    run = run_on(tmp_path / "run", dataset, name)
    (run / "training" / "split.csv").write_text("image,patient_id,split\n")
    (run / "training" / "checkpoint.safetensors").write_bytes(b"x")
    hashed = prepare_push(run, tmp_path / "ready", REPO)
    path = "evaluation/phantom-test/predictions.parquet"
    assert ((tmp_path / "ready" / path).read_bytes() == (run / path).read_bytes()) == public
    assert (path in hashed) != public
    assert not (tmp_path / "ready" / "training" / "split.csv").exists()
    assert not list((tmp_path / "ready").rglob("checkpoint*"))


def test_where_weights_lay_on_this_machine_stays_here(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(PHANTOM, run)
    recipe = (run / "recipe.yaml").read_text()
    assert "weights: scratch" in recipe
    (run / "recipe.yaml").write_text(recipe.replace("weights: scratch", "weights: /home/mueller/old.safetensors"))
    prepare_push(run, tmp_path / "ready", REPO)
    assert "weights: old.safetensors" in (tmp_path / "ready" / "recipe.yaml").read_text()
    assert not [path for path, content in contents(tmp_path / "ready").items() if b"mueller" in content]


FILM = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.mark.parametrize(
    "path", ["README.md", "recipe.yaml", "training/history.jsonl", "evaluation/phantom-test/curves.json"]
)
def test_a_film_under_any_name_stays_here(hub: Hub, tmp_path: Path, path: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(PHANTOM, run)
    (run / path).write_bytes(FILM)
    with pytest.raises(InvalidBundle, match="does not hold what its name says, so nothing was sent"):
        push_bundle(run, REPO, say=quiet)
    assert hub.requests == []


def test_films_in_a_tables_column_stay_here(hub: Hub, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    run = tmp_path / "run"
    shutil.copytree(PHANTOM, run)
    path = run / "evaluation/phantom-test/predictions.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("film", pa.array([FILM] * len(table))), path)
    with pytest.raises(InvalidBundle, match=r"predictions\.parquet does not hold what its name says"):
        push_bundle(run, REPO, say=quiet)
    assert hub.requests == []


def test_the_card_carries_every_measured_score_with_its_interval(ready: Path) -> None:
    card = ModelCard((ready / "README.md").read_text("utf-8"))
    about = card.data.to_dict()
    assert (about["license"], about["library_name"], about["pipeline_tag"]) == (
        "apache-2.0",
        "timm",
        "image-classification",
    )
    assert about["metrics"] == ["recall", "roc_auc", "specificity"]
    metrics = next(found for found in read_metrics(PHANTOM) if found["split"] == "test")
    found = {result.metric_name: result for result in card.data.eval_results}
    for finding, scores in metrics["findings"].items():
        area = found[f"AUROC {finding}"]
        assert area.metric_value == round(scores["auroc"]["value"], 4)
        assert area.metric_args["low"] == round(scores["auroc"]["low"], 4)
        assert area.metric_args["with"] == scores["n_pos"]
        assert (area.dataset_type, area.dataset_split) == ("phantom", "test")
    assert f'cxrcore.load("{REPO}")' in card.text
    assert f"hf-hub:{REPO}" in card.text


def no_token(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("HF_TOKEN")


def fault(**faults):
    def switch(hub: Hub, patch: pytest.MonkeyPatch) -> None:
        for name, value in faults.items():
            setattr(hub.faults, name, value)

    return switch


def unreachable(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")


def foreign(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, {"config.json": b"{}", "pytorch_model.bin": b"x"})


@pytest.mark.parametrize(
    ("repo", "happens", "said"),
    [
        (REPO, no_token, "there is no Hugging Face token: set HF_TOKEN, or run `hf auth login`"),
        (REPO, fault(expired=True), "the Hub refuses the token, which is wrong or has expired"),
        (REPO, fault(reader=True), "this token may only read"),
        ("someone/film", fault(), "this token may not do that to someone/film (403)"),
        (REPO, fault(create_status={"model": 402}), "the Hub asks for a paid plan for tester/film (402)"),
        (REPO, fault(too_many=1), "the Hub asks to slow down (429); wait a few minutes"),
        (REPO, fault(down=True), "the Hub cannot do this for tester/film just now (503); run it again later"),
        (REPO, unreachable, "the Hugging Face Hub cannot be reached, or the line broke"),
        (REPO, foreign, "tester/film holds something other than a bundle (pytorch_model.bin)"),
        ("datasets/tester/film", fault(), "names one of the Hub's datasets, and a bundle is a model"),
        ("film", fault(), "that is no model on the Hub; write user/repo"),
    ],
)
def test_a_push_that_cannot_be_is_told_in_one_sentence(hub: Hub, monkeypatch, repo: str, happens, said: str) -> None:
    happens(hub, monkeypatch)
    begun = time.monotonic()
    with pytest.raises(HubError) as raised:
        push_bundle(PHANTOM, repo, say=quiet)
    message = str(raised.value)
    print(message)
    assert said in message
    assert "\n" not in message
    assert TOKEN not in message
    assert time.monotonic() - begun < 5
    assert "config.json" not in (hub.files(repo) if happens is not foreign and ("models", repo) in hub.repos else {})


def test_before_a_long_training_a_push_is_tried_for_its_token(hub: Hub) -> None:
    check_push(REPO)
    hub.faults.expired = True
    with pytest.raises(HubError, match="refuses the token"):
        check_push(REPO)


def test_no_bundle_no_push(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="is no bundle"):
        push_bundle(tmp_path, REPO, say=quiet)


# pulling


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


@pytest.mark.parametrize("path", ["model.safetensors", "config.json", "evaluation/phantom-test/metrics.json"])
def test_a_damaged_file_is_refused_and_removed(hub: Hub, ready: Path, path: str) -> None:
    hub.add(REPO, contents(ready))
    hub.faults.corrupt = {path}
    with pytest.raises(HubError, match=r"arrived damaged \(not the Hub's checksum\) and was removed; run it again"):
        pull_bundle(REPO, say=quiet)
    assert not [found for found in hub_pull.cache_folder().rglob(Path(path).name) if "phantom-val" not in found.parts]
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
    begun = time.monotonic()
    for call in (lambda: pull_bundle(REPO, say=quiet), lambda: cxrcore.load("tester/other")):
        with pytest.raises(HubError, match=rf"cannot be reached.*{REPO}@{sha[:12]}, .*phantom-resnet10t"):
            call()
    with pytest.raises(HubError, match="cannot be reached"):
        newer_revision(REPO, sha)
    assert time.monotonic() - begun < 5
    assert cxrcore.load(REPO).info["hub"] == f"{REPO}@{sha[:12]}"


def test_a_silent_hub_is_given_up_after_five_seconds(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    hub.faults.silent = 60
    begun = time.monotonic()
    with pytest.raises(HubError, match="cannot be reached"):
        pull_bundle(REPO, say=quiet)
    assert time.monotonic() - begun < 6


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
    assert not any("resolve" in line and "safetensors" in line for line in hub.requests)


def on_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file"))


def on_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10, 9, 1_000_000))


@pytest.mark.parametrize(
    ("happens", "said"),
    [(on_a_file, "their cache may not be written to; set HF_HOME"), (on_a_full_disk, "needs 10 MB.* 1 MB are free")],
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
    snapshot_download(REPO, endpoint=hub.url, cache_dir=hub_pull.cache_folder(), allow_patterns=["config.json"])
    hub.faults.down = True
    with pytest.raises(HubError, match=f"only a part of {REPO} was downloaded"):
        cxrcore.load(REPO)
    hub.faults.down = False
    assert contents(cxrcore.load(REPO).folder) == contents(ready)


def test_what_another_program_fetched_is_checked_before_it_opens_offline(hub: Hub, ready: Path) -> None:
    hub.add(REPO, contents(ready))
    place = snapshot_download(REPO, endpoint=hub.url, cache_dir=hub_pull.cache_folder())
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


def test_an_ensemble_goes_there_and_back(hub: Hub, tmp_path: Path, film) -> None:
    other = tmp_path / "other"
    shutil.copytree(PHANTOM, other)
    tensors = load_file(other / "model.safetensors")
    tensors["fc.weight"] *= 2
    save_file(tensors, other / "model.safetensors")
    write_ensemble([PHANTOM, other], tmp_path / "pair")
    push_bundle(tmp_path / "pair", REPO, say=quiet)
    model = cxrcore.load(REPO)
    assert model.predict(film).probabilities == cxrcore.load(tmp_path / "pair").predict(film).probabilities
    assert model.id.endswith(")")
    card = ModelCard(hub.files(REPO)["README.md"].decode())
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "timm")


# repositories that are not ours


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RGB classifier as timm itself saves one for the Hub."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=3)
    cfg = {"input_size": [3, 96, 96], "mean": [0.4, 0.5, 0.6]}
    said = {"num_classes": 3, "label_names": ["Normal", "COVID", "Other"], "pretrained_cfg": cfg}
    folder = tmp_path_factory.mktemp("plain")
    save_for_hf(network, folder, model_config=said, safe_serialization=True)
    return folder


def test_a_plain_timm_classifier_opens_and_answers_as_timms_own_pipeline(hub: Hub, plain: Path, film) -> None:
    import timm
    import torch
    from PIL import Image

    hub.add(REPO, contents(plain))
    model = cxrcore.load(REPO, device="cpu", dtype=torch.float32)
    assert list(model.labels) == ["Normal", "COVID", "Other"]
    assert model.labels.normal == "Normal"
    assert "not calibrated" in model.info["provenance"]["note"]
    theirs = timm.create_model(f"local-dir:{plain}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(theirs))
    picture = Image.fromarray(np.rint(film.pixels * 255).astype(np.uint8)).convert("RGB")
    inputs = transform(picture)[None]
    assert model.tensor(film).shape == inputs.shape == (1, 3, 96, 96)
    assert (model.tensor(film) - inputs).abs().max() < 2 / 255 / 0.224  # timm rounds to 8 bits, before and after
    with torch.inference_mode():
        expected = theirs(inputs).softmax(1)[0].numpy()
    analysis = model.analyse(film)
    assert list(analysis.prediction.probabilities.values()) == pytest.approx(expected.tolist(), abs=0.005)
    assert set(analysis.prediction.thresholds.values()) == {None}
    heat = np.asarray(analysis.heatmaps["COVID"])
    assert heat.shape == film.pixels.shape
    assert not heat[:5].any()  # the edge it never saw


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("label_names", "'tester/film' is no bundle of this project, and its config.json does not say its labels"),
        ("mean", "does not say its mean (mean)"),
    ],
)
def test_a_plain_classifier_that_says_too_little(hub: Hub, plain: Path, missing: str, said: str) -> None:
    config = json.loads((plain / "config.json").read_text())
    del (config if missing in config else config["pretrained_cfg"])[missing]
    hub.add(REPO, contents(plain) | {"config.json": json.dumps(config).encode()})
    with pytest.raises(InvalidBundle) as raised:
        cxrcore.load(REPO)
    print(raised.value)
    assert said in str(raised.value)


@pytest.fixture(scope="module")
def film():
    from cxrcore.phantom import draw_phantom

    return draw_phantom(5, ["Effusion"], size=(160, 140)).film
