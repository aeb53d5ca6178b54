"""The page of readers: one round beside the model, several together, and files that are no rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrcore.evaluation.readers import several_readers
from cxrcore.evaluation.readings import to_frame
from cxrcore.findings import PHANTOM5
from tests.cxrcore.evaluation.test_readers import reading
from tests.dashboard.opening import cards, charts, checked, open_page, words


def upload(*files: tuple[str, bytes]):
    at = open_page("readers", model="phantom")
    assert "Upload the CSV of one or several rounds" in words(at)
    at.file_uploader(key="readers-upload").set_value([(name, content, "text/csv") for name, content in files])
    return checked(at.run())


def csv(one) -> bytes:
    return to_frame(one, PHANTOM5).to_csv(index=False).encode()


def test_one_reader_stands_beside_the_model() -> None:
    """Oracle: scikit-learn."""
    one = reading(reader="Ann")
    at = upload(("round.csv", csv(one)))
    alone = roc_auc_score(one.targets, one.before, average="macro")
    (figure,) = charts(at)
    values = {trace["name"]: trace["x"] for trace in figure["data"] if trace.get("name")}
    assert values["alone"] == pytest.approx([alone])
    assert values["the model on the same cases"] == pytest.approx(
        [roc_auc_score(one.targets, one.model, average="macro")]
    )
    table = at.dataframe[0].value
    assert table["reader"].tolist() == ["Ann"]
    assert table["AUROC"][0].startswith(f"{alone:.3f}")
    findings = at.dataframe[1].value.set_index("finding")
    k = one.findings.index("Nodule")
    gap = roc_auc_score(one.targets[:, k], one.before[:, k]) - roc_auc_score(one.targets[:, k], one.model[:, k])
    assert findings["difference"]["Nodule"].startswith(f"{gap:+.3f}")


def test_several_readers_are_analysed_together() -> None:
    """Oracle: the library's own analysis."""
    readers = [reading(seed, reader=name) for seed, name in ((1, "Ann"), (2, "Ben"), (3, "Ann"))]
    at = upload(*((f"{n}.csv", csv(one)) for n, one in enumerate(readers)))
    assert at.dataframe[0].value["reader"].tolist() == ["Ann", "Ben", "Ann (2)"]
    study = several_readers(readers)["study"]
    shown = cards(at)
    assert shown["AUROC alone"] == f"{study['before']['value']:.3f}"
    assert shown["Gain by the model"] == f"{study['gain']['value']:+.3f}"
    assert "3 readers of the same 40 cases." in words(at)


def test_readers_that_do_not_fit_and_other_files_get_one_sentence() -> None:
    one = reading(1, reader="Ann")
    other = replace(reading(2, reader="Ben"), targets=1 - one.targets)
    at = upload(("a.csv", csv(one)), ("b.csv", csv(other)), ("c.csv", b"a,b\n1,2\n"))
    assert "were scored against different truths" in words(at)
    assert "c.csv is no table of a reader" in words(at)
    few = [replace(part, reader=name) for part, name in ((one.rows(np.arange(8)), "A"), (one.rows(np.arange(8)), "B"))]
    at = upload(*((f"{n}.csv", csv(part)) for n, part in enumerate(few)))
    assert "No interval over readers: no finding has 10 patients" in words(at)
