"""Push through the real client against a localhost hub: what arrives, what never leaves, what is said."""

from __future__ import annotations

import io
import re
import shutil
import time
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file

from cxrcore.bundle.folder import embedded_models, read_config, read_metrics
from cxrcore.errors import BundleNotFound, HubError, InvalidBundle
from cxrcore.evaluation.summary import summarise
from cxrcore.hub.pull import pull_bundle
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.commit import check_push
from cxrcore.publishing.push import prepare_push, push_bundle
from tests.hub import TOKEN, Hub
from tests.hub.fixtures import PHANTOM, REPO, contents, quiet, run_on, unreachable


def test_a_push_is_one_commit_and_the_same_bundle_makes_no_other(hub: Hub, ready: Path) -> None:
    said: list[str] = []
    pushed = push_bundle(PHANTOM, REPO, tag="v1", say=said.append)
    assert hub.files(REPO) == contents(ready)
    repo = hub.repos["models", REPO]
    assert [commit.title for commit in repo.history("main")] == [f"Bundle {PHANTOM.name}", "initial commit"]
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


@pytest.mark.slow
def test_an_upload_that_keeps_breaking_is_told(hub: Hub, monkeypatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client's patience
    hub.faults.cut_uploads = 1000
    with pytest.raises(HubError, match="the upload to tester/film broke off; whole files are kept there: run it again"):
        push_bundle(PHANTOM, REPO, say=quiet)
    assert hub.files(REPO) == {}
    hub.faults.cut_uploads = 0
    assert not push_bundle(PHANTOM, REPO, say=quiet).unchanged


def test_ids_that_are_not_public_leave_as_hashes(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    run = run_on(tmp_path / "run", "csv", "mueller_{:04d}.png")
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
    scores = [summarise(table, None, dataset="csv", split="test", model="m").macro.auroc for table in (ours, theirs)]
    assert scores[0].value == pytest.approx(scores[1].value)
    assert scores[0].low == pytest.approx(scores[1].low)
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
    found = {result.metric_name: result for result in card.data.get("eval_results")}
    for finding, scores in metrics["findings"].items():
        area = found[f"AUROC {finding}"]
        assert area.metric_value == round(scores["auroc"]["value"], 4)
        assert area.metric_args["low"] == round(scores["auroc"]["low"], 4)
        assert area.metric_args["with"] == scores["n_pos"]
        assert (area.dataset_type, area.dataset_split) == ("phantom", "test")
    assert f'cxrcore.load("{REPO}")' in card.text
    assert f"hf-hub:{REPO}" in card.text


@pytest.mark.parametrize("name", embedded_models())
def test_the_cards_that_ship_hold_the_scores_that_were_measured(name: str) -> None:
    card = ModelCard((find_bundle(name) / "README.md").read_text("utf-8"))
    found = {(result.dataset_name, result.metric_name): result for result in card.data.get("eval_results")}
    tests = [metrics for metrics in read_metrics(find_bundle(name)) if metrics["split"] == "test"]
    kinds = {"Sensitivity": "sensitivity", "Specificity": "specificity"}
    expected = 0
    for metrics in tests:
        for finding, scores in metrics["findings"].items():
            measured = {"AUROC": scores["auroc"]["value"]} | {title: scores[key] for title, key in kinds.items()}
            for title, value in measured.items():
                hits = [result for (_, metric), result in found.items() if metric == f"{title} {finding}"]
                assert [result.metric_value for result in hits] == [round(value, 4)]
                assert hits[0].dataset_split == "test"
                assert hits[0].dataset_args == {"films": metrics["n"], "patients": metrics["n_patients"]}
                expected += 1
    assert len(found) == expected > 0


def test_the_card_tells_how_its_thresholds_came_about_and_how_to_open_it(ready: Path) -> None:
    text = (ready / "README.md").read_text("utf-8")
    facts = read_config(PHANTOM).provenance
    films, patients = facts["films"]["val"], facts["patients"]["val"]
    told = " ".join(text.split())
    assert f"fitted on the {films} validation films of {patients} patients" in told
    assert "greatest sensitivity + specificity (Youden), on the same films and never on those it is scored on" in told
    assert facts["split_sha256"] in text
    points = read_config(PHANTOM).operating_points
    assert points is not None
    for finding, threshold in zip(points.findings, points.thresholds, strict=True):
        assert f"| {finding} | {threshold:.3f} |" in text
    assert f'timm.create_model("hf-hub:{REPO}", pretrained=True)' in text
    assert f'cxrcore.load("{REPO}@<its 40 digits>")' in text
    assert 'client.predict(handle_file("film.png"), api_name="/analyse")' in text
    assert "local-dir" not in text


def test_the_card_shows_its_pictures_with_words_for_who_cannot_see_them(ready: Path) -> None:
    text = (ready / "README.md").read_text("utf-8")
    shown = re.findall(r'<img src="([^"]+)" alt="([^"]+)" width="(\d+)">', text)
    assert [path for path, _, _ in shown] == [f"evaluation/phantom-test/{name}.png" for name in ("roc", "reliability")]
    scores = next(found for found in read_metrics(PHANTOM) if found["split"] == "test")["findings"]
    for finding, found in scores.items():
        assert f"{finding} {found['auroc']['value']:.3f}" in shown[0][1]
        assert f"{finding} {found['ece']:.3f}" in shown[1][1]
    for path, _, width in shown:
        with Image.open(ready / path) as picture:
            assert picture.width == 2 * int(width)


@pytest.mark.slow
def test_pictures_that_come_out_a_shade_different_are_not_sent_alone(hub: Hub, ready: Path) -> None:
    """As from another version of Pillow; with a change that matters they go along."""
    path = "evaluation/phantom-test/roc.png"
    hub.add(REPO, contents(ready) | {path: b"\x89PNG of another shade"})
    assert push_bundle(PHANTOM, REPO, say=quiet).unchanged
    hub.add(REPO, {"training/history.jsonl": b"{}\n"})
    assert not push_bundle(PHANTOM, REPO, say=quiet).unchanged
    assert hub.files(REPO) == contents(ready)


def test_what_was_pulled_is_pushed_again_without_a_commit(hub: Hub, tmp_path: Path) -> None:
    push_bundle(PHANTOM, REPO, say=quiet)
    mine = pull_bundle(REPO, out=tmp_path / "mine", say=quiet)
    assert push_bundle(mine, REPO, say=quiet).unchanged


def test_a_card_that_the_hub_refuses_is_told_before_anything_is_committed(hub: Hub) -> None:
    hub.faults.card_refused = '"license" must be one of [mit, apache-2.0]'
    with pytest.raises(InvalidBundle, match=r'the model card \("license" must be one of .*\); correct it, and push'):
        push_bundle(PHANTOM, REPO, say=quiet)
    assert hub.files(REPO) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update({"fc.bias": t["fc.bias"] * float("nan")}), "fc.bias holds values that are not finite"),
        (lambda t: t["conv1.0.weight"].view(-1)[3].fill_(float("inf")), r"conv1\.0\.weight holds values that are not"),
        (
            lambda t: t.update({"fc.weight": t["fc.weight"][:3].clone()}),
            r"fc.weight is \(3, 512\) instead of \(5,",
        ),
        (lambda t: t.pop("fc.bias"), "missing fc.bias"),
    ],
)
def test_weights_that_would_not_open_stay_here(hub: Hub, tmp_path: Path, change, said: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(PHANTOM, run)
    tensors = load_file(run / "model.safetensors")
    change(tensors)
    save_file(tensors, run / "model.safetensors")
    with pytest.raises(InvalidBundle, match=said):
        push_bundle(run, REPO, say=quiet)
    assert hub.requests == []


@pytest.mark.parametrize("path", ["phantom-test/roc.png", "phantom-test/reliability.png", "phantom-val/roc.png"])
def test_a_film_in_a_pictures_place_stays_here(tmp_path: Path, ready: Path, path: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(PHANTOM, run)
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 90).save(buffer, "PNG")
    (run / "evaluation" / path).write_bytes(buffer.getvalue())
    prepare_push(run, tmp_path / "ready", REPO)
    assert contents(tmp_path / "ready") == contents(ready)


def no_token(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("HF_TOKEN")


def fault(**faults):
    def switch(hub: Hub, patch: pytest.MonkeyPatch) -> None:
        for name, value in faults.items():
            setattr(hub.faults, name, value)

    return switch


def no_retry(seconds: float) -> None:
    raise AssertionError(f"waits {seconds} s to ask again")


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
    monkeypatch.setattr(time, "sleep", no_retry)
    with pytest.raises(HubError) as raised:
        push_bundle(PHANTOM, repo, say=quiet)
    message = str(raised.value)
    print(message)
    assert said in message
    assert "\n" not in message
    assert TOKEN not in message
    assert "config.json" not in (hub.files(repo) if happens is not foreign and ("models", repo) in hub.repos else {})


def test_before_a_long_training_a_push_is_tried_for_its_token(hub: Hub) -> None:
    check_push(REPO)
    hub.faults.expired = True
    with pytest.raises(HubError, match="refuses the token"):
        check_push(REPO)


def test_no_bundle_no_push(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="is no bundle"):
        push_bundle(tmp_path, REPO, say=quiet)
