"""Anyone's table: what is understood, what is left out aloud, and what is refused in a sentence."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from cxrcore.errors import CxrError, InvalidDataset, InvalidPredictions
from cxrcore.findings import NIH14, NIH15, PNEUMONIA2, Kind
from cxrcore.predictions import table_reader as table_files
from cxrcore.predictions.column_names import guess_columns
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions

NIH_LABELS = """Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position
1_0.png,Effusion|Mass,0,1,57,M,PA
1_1.png,No Finding,1,1,58,M,AP
2_0.png,Pleural_Thickening,0,2,414,F,PA
3_0.png,Mass,0,3,20,F,PA
"""
TABLE = "Image Index,prob_Mass,prob_Effusion\n1_0.png,0.9,0.8\n1_1.png,0.1,0.2\n2_0.png,0.3,0.25\n3_0.png,0.6,0.1\n"


def read(table: str | bytes, labels: str | None = NIH_LABELS, **more) -> Predictions:
    given = table.encode() if isinstance(table, str) else table
    return read_predictions(given, None if labels is None else labels.encode(), **more)


def test_a_subset_in_any_order_joins_with_nihs_labels():
    films = read(TABLE)
    assert films.labels.names == ("Effusion", "Mass")  # NIH's order
    assert films.labels.kind is Kind.MULTILABEL
    assert films.images.tolist() == ["1_0.png", "1_1.png", "2_0.png", "3_0.png"]
    np.testing.assert_array_equal(films.targets, [[1, 1], [0, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(films.probabilities, [[0.8, 0.9], [0.2, 0.1], [0.25, 0.3], [0.1, 0.6]])
    assert films.patient_ids.tolist() == ["1", "1", "2", "3"]
    np.testing.assert_array_equal(films.metadata["age_years"], [57, 58, np.nan, 20])  # 414 is a slip
    assert films.metadata["sex"].tolist() == ["M", "M", "F", "F"]
    assert films.metadata["view"].tolist() == ["PA", "AP", "PA", "PA"]
    assert (films.dataset, films.notes, set(films.split)) == ("nih", (), {"test"})


@pytest.mark.parametrize(
    "header",
    [
        "path,prob:mass,Prob Effusion",
        "IMAGE_INDEX,p_Mass,p-effusion",
        "filename,Mass,effusion",
        "image,Mass (prob),effusion_pred",
        "image id,probability.MASS,score_Effusion",
    ],
)
def test_columns_are_known_by_their_usual_names(header):
    films = read(TABLE.replace("Image Index,prob_Mass,prob_Effusion", header))
    np.testing.assert_array_equal(films.probabilities[:, 1], [0.9, 0.1, 0.3, 0.6])


def test_spelling_of_two_words_and_old_names():
    names = "Image Index,prob_pleural thickening,prob_NoFinding,prob_Infiltrate"
    assert guess_columns(names.split(",")) == {
        "image": "Image Index",
        "prob:Pleural_Thickening": "prob_pleural thickening",
        "prob:No Finding": "prob_NoFinding",
        "prob:Infiltration": "prob_Infiltrate",
    }


def test_a_mapping_overrules_what_is_guessed():
    table = TABLE.replace("Image Index,prob_Mass,prob_Effusion", "prob_Mass,who,x").replace("\n1_0", "\n0.5,1_0")
    rows = ["prob_Mass,who,eff,mass2", "0.5,1_0.png,0.8,0.9", "0.5,1_1.png,0.2,0.1", "0.5,3_0.png,0.1,0.6"]
    films = read("\n".join(rows), mapping={"image": "who", "prob:effusion": "eff", "prob:Mass": "mass2"})
    np.testing.assert_array_equal(films.probabilities, [[0.8, 0.9], [0.2, 0.1], [0.1, 0.6]])
    with pytest.raises(InvalidPredictions, match="has no column nobody; it has prob_Mass, who"):
        read(table, mapping={"image": "nobody"})
    with pytest.raises(InvalidPredictions, match="no column can mean 'picture'"):
        read(table, mapping={"picture": "who"})


def test_targets_in_the_same_table_beside_bare_or_named_probabilities():
    table = "image,patient_id,split,age,gender,Mass,prob_Mass,label_Nodule,prob_Nodule\n"
    table += "a,p,train,60,male,1,0.9,True,0.4\nb,p,valid,61,male,0,0.2,,0.3\nc,q,test,033Y,F,-1,0.3,0,0.1\n"
    films = read(table, labels=None)
    np.testing.assert_array_equal(films.targets, [[1, 1], [0, np.nan], [np.nan, 0]])
    assert films.split.tolist() == ["train", "val", "test"]
    assert films.metadata["age_years"].tolist() == [60, 61, 33]
    assert films.metadata["sex"].tolist() == ["M", "M", "F"]
    assert films.notes == ("1 labels of -1 (uncertain) are taken as unknown.",)


def test_exclusive_classes_are_known_by_their_names():
    table = "image,prob_Pneumonia,prob_Normal,target_Normal,target_Pneumonia\na,0.9,0.1,0,1\nb,0.2,0.8,1,0\n"
    films = read(table, labels=None)
    assert films.labels == PNEUMONIA2
    np.testing.assert_array_equal(films.probabilities, [[0.1, 0.9], [0.8, 0.2]])
    assert "each film counts as its own" in films.notes[0]


CLASSES = "image,prob_Normal,prob_Pneumonia\na,0.1,0.9\nb,0.8,0.2\nc,0.3,0.7\n"


@pytest.mark.parametrize("column", ["label", "Class", "Diagnosis", "Finding Labels"])
def test_one_column_of_class_names_is_a_label_file(column):
    films = read(CLASSES, labels=f"image,patient,{column}\na,p,pneumonia\nb,p,NORMAL\nc,q,\n")
    assert films.labels == PNEUMONIA2
    np.testing.assert_array_equal(films.targets, [[0, 1], [1, 0], [np.nan, np.nan]])
    assert films.patient_ids.tolist() == ["p", "p", "q"]


def test_one_column_of_class_names_beside_the_predictions():
    rows = CLASSES.replace("prob_", "").split()
    table = "\n".join(
        f"{row},{name}" for row, name in zip(rows, ["label", "Pneumonia", "Normal", "Normal"], strict=True)
    )
    films = read(table, labels=None)
    assert films.labels == PNEUMONIA2
    np.testing.assert_array_equal(films.targets[:, 1], [1, 0, 0])
    theirs = table.replace("Normal", "Clear").replace("Pneumonia", "Covid")
    own = read(theirs.replace("Clear,Covid", "prob_Clear,prob_Covid"), labels=None)
    assert (own.labels.names, own.labels.kind) == (("Clear", "Covid"), Kind.MULTICLASS)
    np.testing.assert_array_equal(own.targets, films.targets)


def test_classes_that_only_one_side_has_are_said_aloud(tmp_path):
    other = read(CLASSES, labels="image,label\na,Pneumonia\nb,Normal\nc,Tuberculosis\n")
    np.testing.assert_array_equal(other.targets, [[0, 1], [1, 0], [np.nan, np.nan]])
    assert other.notes[0] == "1 film(s) are of a class that is not predicted: their class counts as unknown."
    unseen = read(CLASSES, labels="image,label\na,Normal\nb,Normal\nc,\n")
    np.testing.assert_array_equal(unseen.targets, [[1, 0], [1, 0], [np.nan, np.nan]])
    assert unseen.notes[0] == "No film is labelled Pneumonia."
    other.write(tmp_path / "ours.parquet")
    again = read_predictions(tmp_path / "ours.parquet", b"image,label\na,Normal\nb,Pneumonia\nc,Normal\n")
    np.testing.assert_array_equal(again.targets, [[1, 0], [0, 1], [1, 0]])


def test_several_names_a_film_are_findings_of_their_own():
    films = read(TABLE, labels="image,labels\n1_0.png,Mass|Effusion\n1_1.png,No Finding\n2_0.png,Mass\n3_0.png,\n")
    assert films.labels.kind is Kind.MULTILABEL
    np.testing.assert_array_equal(films.targets, [[1, 1], [0, 0], [0, 1], [np.nan, np.nan]])
    alone = read("image,prob_Mass,label\na,0.9,Mass\nb,0.2,Normal\n", labels=None)
    assert alone.targets[:, 0].tolist() == [1, 0]  # whoever has another class does not have this finding


@pytest.mark.parametrize("values", [("0", "1"), tuple(f"comment {k}" for k in range(101)), ("", "")])
def test_a_column_of_other_things_than_class_names_is_refused(values):
    rows = "".join(f"{k}.png,{value},0.5,0.5\n" for k, value in enumerate(values))
    with pytest.raises(
        InvalidDataset, match=r"column label of this table holds .*names of classes are expected"
    ) as caught:
        read("image,label,prob_Normal,prob_Pneumonia\n" + rows, labels=None)
    assert "call a column of 0 and 1 target_<finding>" in str(caught.value)


def test_a_finding_of_their_own_counts_where_it_has_a_label():
    table = "image,prob_Stent,prob_Mass,prob_Nose\n1_0.png,0.9,0.8,0.1\n3_0.png,0.1,0.2,0.1\n"
    labels = "image,Mass,label_Stent,patient\n1_0.png,1,1,a\n3_0.png,0,0,a\n"
    films = read(table, labels=labels)
    assert films.labels.names == ("Mass", "Stent")
    assert films.notes == ("There are no labels for Nose: left out.",)
    assert films.n_patients == 1


def test_logits_are_kept_where_every_finding_has_them():
    table = "image,prob_Mass,logit_Mass,target_Mass\na,0.5,0.0,1\nb,0.7,0.85,0\n"
    np.testing.assert_array_equal(read(table, labels=None).logits, [[0.0], [0.85]])
    half = "image,prob_Mass,logit_Mass,prob_Nodule\n1_0.png,0.5,0,0.4\n1_1.png,0.5,0,0.4\n"
    assert read(half).logits is None


def test_a_partial_join_is_said_both_ways_and_none_is_refused():
    table = TABLE.replace("3_0.png", "9_0.png").replace("2_0.png", "8_0.png")
    films = read(table)
    assert films.images.tolist() == ["1_0.png", "1_1.png"]
    assert films.notes == (
        "2 predicted film(s) (8_0.png, 9_0.png) without a label, left out.",
        "2 labelled film(s) (2_0.png, 3_0.png) without a prediction.",
    )
    with pytest.raises(InvalidPredictions, match=r"'a_1_0.png' in the predictions and '1_0.png' in the labels"):
        read(TABLE.replace("\n1", "\na_1").replace("\n2", "\na_2").replace("\n3", "\na_3"))


@pytest.mark.parametrize(("folder", "suffix"), [("images_001/images/", ".png"), ("C:\\films\\", ".png"), ("", "")])
def test_films_join_by_file_name_where_paths_differ(folder, suffix):
    table = TABLE.replace("\n1_", f"\n{folder}1_").replace("\n2_", f"\n{folder}2_").replace("\n3_", f"\n{folder}3_")
    assert len(read(table.replace(".png", suffix))) == 4


def test_films_join_by_stem_where_only_the_extension_differs_and_it_is_said():
    films = read(TABLE.replace(".png", ".jpg"))
    assert len(films) == 4
    assert any(
        note.startswith("4 film(s) joined by name without suffix: '") and ".png' in" in note for note in films.notes
    )
    mixed = read(TABLE.replace("1_0.png", "1_0.jpeg"))
    assert mixed.images.tolist() == ["1_0.jpeg", *read(TABLE).images.tolist()[1:]]
    assert any(note.startswith("1 film(s) joined by name without suffix: '1_0.jpeg'") for note in mixed.notes)
    assert not any("suffix" in note for note in read(TABLE).notes)


def test_rows_of_bad_probabilities_are_those_of_the_file():
    bad = TABLE.replace("0.3,0.25", ",1.25").replace("\n1_0", "\n7_0")  # row 1 has no label
    with pytest.raises(
        InvalidPredictions, match=r"of 8 probabilities in this table, 1 missing and 1 outside \[0, 1\]: row\(s\) 3, for"
    ):
        read(bad)
    with pytest.raises(InvalidPredictions, match="divide percentages by 100"):
        read("image,prob_Mass\n1_0.png,90\n1_1.png,12.5\n")
    with pytest.raises(InvalidPredictions, match="turn logits into probabilities"):
        read("image,prob_Mass\n1_0.png,-3\n1_1.png,2.5\n")
    with pytest.raises(InvalidPredictions, match=r"column prob_Mass .* holds 'high' in row 2, and numbers"):
        read("image,prob_Mass\n1_0.png,0.3\n1_1.png,high\n")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.replace("Image Index", "films"), r"lacks a column of films .*; it has films, prob_Mass, prob_Effusion"),
        ("Image Index,view\n1_0.png,PA\n", r"lacks a column of probabilities \(prob_<finding>\)"),
        ("who,view\n1_0.png,PA\n", r"lacks a column of films .* and one of probabilities"),
        ("image,prob_Nose\n1_0.png,0.5\n", "no finding has both probability and label: .* predicts Nose"),
        (
            TABLE + "1_0.png,0.2,0.2\n",
            r"1 film\(s\) appear more than once in this table, again in row\(s\) 5; each may appear once: 1_0.png",
        ),
        (TABLE + ",0.2,0.2\n", r"has 1 row\(s\) without a film, the first in row 5"),
        (TABLE + "4.png,0.2\n", "has 2 fields in row 5 and 3 in its header"),
        (TABLE + "x" * 600 + ",0.2,0.2\n", "a film of this table is called by over 512 characters, in row 5"),
        (TABLE.replace("Effusion", "mass"), "columns prob_Mass and prob_mass .* both read as prob:Mass"),
        ("Image Index,prob_Mass\n", "has a header and no rows"),
        ("Image Index,prob_Mass", "has a header and no rows|is damaged"),
        ("", "is no table that can be read here"),
        ("a photograph of a table", "is no table that can be read here"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no table"),
        (b"PK\x03\x04 sheet1.xml,", "Excel sheet or a zip archive; save it as CSV"),
        (b"PAR1 but no more", "not a readable Parquet table"),
        (b"\x1f\x8b\x08 torn", "is no table"),
        ("image,prob_Mass\nMüller.png,0.5\n".encode("latin-1"), "not encoded as UTF-8; save it as CSV UTF-8"),
        ("image,prob_Größe\n1_0.png,0.5\n".encode("latin-1"), "not encoded as UTF-8"),
        ("image,prob_Mass\n" + "x" * 3_000_000 + ",0.5\n", "a line longer than 1,048,576 bytes"),
    ],
)
def test_broken_tables_get_one_sentence(table, message):
    with pytest.raises(InvalidPredictions, match=message) as caught:
        read(table)
    assert "\n" not in str(caught.value)


def test_labels_that_are_none_get_one_sentence():
    with pytest.raises(InvalidPredictions, match=r"has no labels \(target_<finding> or label\); give a label file"):
        read(TABLE, labels=None)
    with pytest.raises(InvalidDataset, match="is no label file"):
        read(TABLE, labels="image,comment\n1_0.png,fine\n")
    with pytest.raises(InvalidDataset, match="column Mass holds 1 values other than 0, 1, -1"):
        read(TABLE, labels="image,Mass\n1_0.png,2\n3_0.png,0\n")
    with pytest.raises(InvalidPredictions, match="appear more than once"):
        read(TABLE, labels="image,Mass\n1_0.png,1\n1_0.png,0\n")
    with pytest.raises(InvalidDataset, match="does not have: Nose"):
        read(TABLE, labels=NIH_LABELS.replace("|Mass", "|Nose"))


@pytest.mark.parametrize(
    "table",
    [
        gzip.compress(TABLE.encode()),
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.encode("utf-16"),
        re.sub(r"\b0\.(\d)", r"0,\1", TABLE.replace(",", ";")).encode(),
        TABLE.replace(",", "\t").replace("\n", "\r\n").encode(),
    ],
    ids=["gzip", "utf-8 with mark", "utf-16", "semicolons and decimal commas", "tabs"],
)
def test_content_decides_how_a_file_is_read(table, tmp_path):
    (tmp_path / "whatever.bin").write_bytes(table)
    for source in (table, tmp_path / "whatever.bin", io.BytesIO(table)):
        films = read_predictions(source, NIH_LABELS.encode())
        np.testing.assert_array_equal(films.probabilities, read(TABLE).probabilities)


def test_parquet_from_elsewhere_and_our_own(tmp_path):
    frame = pd.read_csv(io.StringIO(TABLE)).astype({"prob_Mass": np.float32})
    frame["index"] = range(len(frame))
    frame.to_parquet(tmp_path / "theirs")
    films = read_predictions(tmp_path / "theirs", NIH_LABELS.encode())
    np.testing.assert_allclose(films.probabilities, read(TABLE).probabilities, atol=1e-7)
    films.write(tmp_path / "ours.parquet")
    again = read_predictions(tmp_path / "ours.parquet")
    np.testing.assert_array_equal(again.targets, films.targets)
    assert again.labels == films.labels
    other = NIH_LABELS.replace("2_0.png,Pleural_Thickening", "2_0.png,Mass")
    assert read_predictions(tmp_path / "ours.parquet", other.encode()).targets[:, 1].tolist() == [1, 0, 1, 1]
    frame.assign(prob_Mass="high").to_parquet(tmp_path / "words")
    with pytest.raises(InvalidPredictions, match="column prob_Mass of words holds something other than numbers"):
        read_predictions(tmp_path / "words", NIH_LABELS.encode())


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InvalidPredictions, match=r"'none.csv' does not exist") as caught:
        read_predictions(tmp_path / "none.csv")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(InvalidPredictions, match="is a folder"):
        read_predictions(tmp_path)


def test_only_needed_columns_are_kept_of_a_wide_table(tmp_path):
    padding = "," + ",".join(["0.123456"] * 1000)
    with (tmp_path / "wide.csv").open("w") as file:
        file.write("Image Index,prob_Mass" + "".join(f",f{k}" for k in range(1000)) + "\n")
        for k in range(3000):
            file.write(f"{k}.png,0.5{padding}\n")
    labels = ("image,Mass\n" + "".join(f"{k}.png,{k % 2}\n" for k in range(3000))).encode()
    assert (tmp_path / "wide.csv").stat().st_size > 25_000_000
    import pyarrow as pa

    tracemalloc.start()
    before = pa.total_allocated_bytes()
    films = read_predictions(tmp_path / "wide.csv", labels)
    peak = tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory() - before
    tracemalloc.stop()
    assert len(films) == 3000
    assert peak < 60_000_000  # a few blocks, not a thousand columns of numbers


def test_a_table_too_large_to_hold_is_refused_with_its_size(tmp_path, monkeypatch):
    rows = "Image Index,prob_Mass\n" + "".join(f"{k}.png,0.5\n" for k in range(2000))
    (tmp_path / "long.csv").write_text(rows)
    pd.read_csv(io.StringIO(rows)).to_parquet(tmp_path / "long.parquet")
    monkeypatch.setattr(table_files, "MAX_ROWS", 1999)
    for name in ("long.csv", "long.parquet"):
        with pytest.raises(InvalidPredictions, match=rf"{name} \(0 MB\) has more than 1,999 rows; score a part"):
            read_predictions(tmp_path / name, NIH_LABELS.encode())
    monkeypatch.setattr(table_files, "MAX_ROWS", 2000)
    monkeypatch.setattr(table_files, "MAX_BYTES", 1000)
    for name in ("long.csv", "long.parquet"):
        with pytest.raises(InvalidPredictions, match="has too much to hold in memory"):
            read_predictions(tmp_path / name, NIH_LABELS.encode())


def test_nothing_but_a_sentence_comes_of_random_bytes():
    rng = np.random.default_rng(0)
    for k in range(60):
        junk = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
        cut = TABLE.encode()[: k + 1] + (junk if k % 2 else b"")
        with contextlib.suppress(CxrError):
            read_predictions(cut, NIH_LABELS.encode())


def test_the_published_table_of_nih_is_read_whole(data_dir):
    folder = data_dir / "nih"
    films = read_predictions(folder / "chexnet_predictions.csv.gz", folder / "Data_Entry_2017_v2020.csv.gz")
    assert (len(films), films.labels, films.notes) == (11_928, NIH14, ())
    raw = pd.read_csv(folder / "Data_Entry_2017_v2020.csv.gz").set_index("Image Index").loc[films.images]
    for column, name in enumerate(NIH14):
        np.testing.assert_array_equal(
            films.targets[:, column], [name in text.split("|") for text in raw["Finding Labels"]]
        )
    assert films.patient_ids.tolist() == raw["Patient ID"].astype(str).tolist()
    assert NIH15.names[:14] == NIH14.names
