"""Label sets: verbatim names in head order, and clear complaints."""

import pytest

from cxrcore.errors import LabelMismatch
from cxrcore.findings import LABEL_SETS, NIH14, NIH15, PNEUMONIA2, PNEUMONIA3, TB3, Finding, Kind, LabelSet, label_set


def test_names_are_those_of_the_data_sources():
    assert NIH14.names[:3] == ("Atelectasis", "Cardiomegaly", "Effusion")
    assert "Pleural_Thickening" in NIH14
    assert len(NIH14) == 14
    assert NIH15.names == (*NIH14.names, "No Finding")
    assert PNEUMONIA2.names == ("Normal", "Pneumonia")
    assert PNEUMONIA3.names == ("Normal", "Bacterial pneumonia", "Viral pneumonia")
    assert TB3.names == ("Normal", "Pneumonia", "Tuberculosis")


def test_normal_is_told_from_disease():
    assert (NIH15.normal, NIH14.normal, PNEUMONIA2.normal) == ("No Finding", None, "Normal")
    assert PNEUMONIA2.abnormal == ("Pneumonia",)
    assert (PNEUMONIA2.binary, PNEUMONIA3.binary, NIH14.binary) == (True, False, False)


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS)
def test_survives_its_own_json(labels):
    assert LabelSet.from_dict(labels.to_dict()) == labels
    assert all(finding.description for finding in labels.findings)


def test_titles_read_as_prose():
    assert NIH14["Pleural_Thickening"].title == "Pleural thickening"
    assert NIH15["No Finding"].title == "No finding"


def test_complaints_name_the_choices():
    with pytest.raises(LabelMismatch, match="Normal, Pneumonia"):
        PNEUMONIA2.index("pneumonia")
    with pytest.raises(LabelMismatch, match="nih14"):
        label_set("nih")
    with pytest.raises(LabelMismatch, match="repeats"):
        LabelSet("twice", Kind.MULTILABEL, (Finding("a", ""), Finding("a", "")))
    with pytest.raises(LabelMismatch, match="malformed"):
        LabelSet.from_dict({"name": "x", "kind": "other", "findings": []})
