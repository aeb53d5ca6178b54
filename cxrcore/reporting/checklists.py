"""Reporting checklists filled from a bundle: CLAIM 2024, TRIPOD+AI and the fields of FDA's example model card.

Items are in the words of this project; the published wording is longer and decides. Numbers: CLAIM as in its 2024
update (Tejani 2024, doi:10.1148/ryai.240300), TRIPOD+AI as in its statement (Collins 2024, doi:10.1136/bmj-2023-078378:
27 items, 52 with their parts). FDA's fields (draft guidance of January 2025, appendix E) have no numbers: here a letter
for the section and the place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxrcore.reporting import answers_making as making
from cxrcore.reporting import answers_model as model
from cxrcore.reporting import answers_results as results
from cxrcore.reporting import checklist_answers as says
from cxrcore.reporting.bundle_facts import BundleFacts
from cxrcore.reporting.checklist_answers import Answer, Answering, Status

Item = tuple[str, str, Answering]  # number, wording, how a bundle answers it

_USE = "research and teaching; not a medical device, never for diagnosis"
_intended = says.always(_USE)
_no_protocol = says.never("no protocol was written before the work")
_no_registration = says.never("no trial, and nothing was registered")
_sample_size = says.never("no sample size was calculated: the films at hand were used")
_funding = says.publisher("sources of funding and the role of funders")

CLAIM: tuple[Item, ...] = (
    ("1", "Title names the technology", model.name_and_technology),
    ("2", "Structured abstract", says.publisher("the card has the parts; no abstract is written")),
    ("3", "Background, intended use and role", says.publisher(f"clinical background; intended use: {_USE}")),
    ("4", "Aims and hypotheses", making.aim),
    ("5", "Prospective or retrospective", making.retrospective),
    ("6", "Goal of the study", making.goal),
    ("7", "Sources of the data", making.sources),
    ("8", "Inclusion and exclusion criteria", says.never("the sources' own criteria are not recorded here")),
    ("9", "Preprocessing", model.preprocessing),
    ("10", "Selection of subsets", making.subsets),
    ("11", "De-identification", making.deidentification),
    ("12", "Missing data", making.missing_data),
    ("13", "Image acquisition", says.never("devices and exposure of the films are not recorded")),
    ("14", "Definition of the reference standard", making.reference_standard),
    ("15", "Why this reference standard", says.never("it is what the sources publish; no other was weighed")),
    ("16", "Who set the labels", making.annotators),
    ("17", "Labels of the test films", making.test_annotation),
    ("18", "Variability between and within readers", making.rater_variability),
    ("19", "Assignment to partitions", making.partitions),
    ("20", "Level at which partitions are disjoint", making.disjoint),
    ("21", "Intended sample size", _sample_size),
    ("22", "Model: inputs, outputs, layers", model.architecture),
    ("23", "Software and versions", making.software),
    ("24", "Weights at the start", making.initialisation),
    ("25", "Training", making.training),
    ("26", "Choice of the final model", making.selection),
    ("27", "Ensembling", model.ensembling),
    ("28", "Measures of performance", results.measures),
    ("29", "Significance and uncertainty", results.uncertainty),
    ("30", "Robustness or sensitivity analysis", results.robustness),
    ("31", "Explainability", model.explainability),
    ("32", "Evaluation on internal data", results.internal_test),
    ("33", "Testing on external data", results.external_test),
    ("34", "Registration of a clinical trial", _no_registration),
    ("35", "Patients and films included and excluded", results.included),
    ("36", "Demographics in each partition", results.demographics),
    ("37", "Performance with its uncertainty", results.performance),
    ("38", "Diagnostic performance and its precision", results.accuracy),
    ("39", "Analysis of failures", says.never("errors are counted, and were not read case by case")),
    ("40", "Limitations", results.limits),
    ("41", "Implications for practice, intended use", _intended),
    ("42", "Protocol or further technical details", making.details),
    ("43", "Availability of software, model and data", making.sharing),
    ("44", "Funding and role of funders", _funding),
)
TRIPOD: tuple[Item, ...] = (
    ("1", "Title: population and outcome", model.population_and_outcome),
    ("2", "Abstract", says.publisher("the card has the parts; no abstract is written")),
    ("3a", "Healthcare context, existing models", says.publisher("the context and other models")),
    ("3b", "Target population, purpose, users", _intended),
    ("3c", "Known health inequalities", says.never("none were looked up")),
    ("4", "Objectives", making.aim),
    ("5a", "Sources of the data", making.sources),
    ("5b", "Dates of the data", says.never("when the films were taken is not recorded")),
    ("6a", "Setting and centres", making.setting),
    ("6b", "Eligibility", says.never("the sources' own criteria are not recorded here")),
    ("6c", "Treatments", says.never("the sources give none")),
    ("7", "Data preparation", model.preprocessing),
    ("8a", "Outcome and how it was assessed", making.reference_standard),
    ("8b", "Assessors' qualifications and demographics", says.never("not recorded for any source")),
    ("8c", "Blinded assessment of the outcome", making.blinding),
    ("9a", "Choice of predictors", says.always("the pixels of one film; no age, sex or history")),
    ("9b", "Definition of predictors", model.preprocessing),
    ("9c", "Assessors of predictors", says.always("none: pixels need no reader")),
    ("10", "Sample size", _sample_size),
    ("11", "Missing data", making.missing_data),
    ("12a", "Use and partition of the data", making.partitions),
    ("12b", "Handling of predictors", model.preprocessing),
    ("12c", "Type of model, building, internal validation", making.model_building),
    ("12d", "Heterogeneity between clusters", results.clusters),
    ("12e", "Measures and plots of performance", results.measures),
    ("12f", "Updating of the model", results.updating),
    ("12g", "How predictions were computed", results.computed),
    ("13", "Class imbalance", making.imbalance),
    ("14", "Fairness", says.never("no method for fairness was used; scores by group: see 23a")),
    ("15", "Output and thresholds", model.output),
    ("16", "Training against evaluation films", results.difference_in_setting),
    ("17", "Ethical approval and consent", making.ethics),
    ("18a", "Funding", _funding),
    ("18b", "Conflicts of interest", says.publisher("conflicts of interest")),
    ("18c", "Protocol", _no_protocol),
    ("18d", "Registration", _no_registration),
    ("18e", "Data sharing", making.data_sharing),
    ("18f", "Code sharing", says.always("cxrcore, Apache-2.0")),
    ("19", "Patient and public involvement", says.never("none")),
    ("20a", "Flow of participants", results.flow),
    ("20b", "Characteristics of participants", results.demographics),
    ("20c", "Comparison with the training films", results.demographics),
    ("21", "Participants and events in each analysis", results.events),
    ("22", "Full model for others to use", model.specification),
    ("23a", "Performance with intervals, by subgroup", results.subgroup_performance),
    ("23b", "Heterogeneity of performance", results.clusters),
    ("24", "Results of updating", results.updating),
    ("25", "Interpretation", says.publisher("an interpretation beside earlier studies")),
    ("26", "Limitations", results.limits),
    ("27a", "Poor or unavailable input", results.input_gate),
    ("27b", "Users' interaction and expertise", says.never("what a user must know was not studied")),
    ("27c", "Next steps", says.publisher("the next steps for research")),
)
FDA: tuple[Item, ...] = (
    ("A1", "Name", model.name),
    ("A2", "Version", model.version),
    ("A3", "Date", model.date),
    ("A4", "Architecture", model.architecture),
    ("B1", "Authorization status", says.always("none: not a medical device, authorised by nobody")),
    ("B2", "File number", says.never("there is none")),
    ("C1", "Intended users", says.always("researchers, teachers and students; no clinical users")),
    ("C2", "Intended use", _intended),
    ("C3", "Indications for use", says.never("none: not for patients, in any setting")),
    ("C4", "Instructions for use", says.always("how to open it stands on the card and in the README")),
    ("C5", "Clinical benefits and supervision", says.never("no benefit was studied")),
    ("C6", "Phase of the clinical workflow", says.never("none: it has no place in one")),
    ("C7", "Inputs and outputs", model.inputs_and_outputs),
    ("C8", "Degree of automation", says.always("none: it decides nothing about a patient")),
    ("D1", "Accuracy with 95 % intervals", results.accuracy),
    ("D2", "Known biases and failure modes", results.biases),
    ("D3", "Precision (reproducibility)", results.repeatability),
    ("D4", "Gaps in the data", results.gaps_in_data),
    ("D5", "Limitations of development and evaluation", results.limits),
    ("D6", "Input unlike the training films", results.input_gate),
    ("D7", "Evidence and test data", results.evidence),
    ("D8", "Intended use validated with users", says.never("no study of human factors, use or clinical value")),
    ("E1", "Potential risks", says.never("no risk analysis; limits are on the card")),
    ("E2", "What could change the risks in use", says.never("not described")),
    ("E3", "Computational resources", model.resources),
    ("E4", "Testing at a site", results.site_test),
    ("E5", "Monitoring of performance", says.never("nobody monitors it in use")),
    ("E6", "Report of successes and failures", results.performance),
    ("E7", "Management of changes", says.never("no plan; a revision is known by its digest")),
    ("E8", "Vulnerabilities", says.always("reported in private, as SECURITY.md says")),
    ("E9", "Communication to users", says.publisher("who informs users, and how")),
    ("E10", "Software quality and standards", says.never("developed under no medical standard such as IEC 62304")),
    ("F1", "Training data: sources and devices", making.sources),
    ("F2", "Training data: types", making.data_types),
    ("F3", "Training data: size, reference standard", making.development_details),
)


@dataclass(frozen=True)
class Row:
    """One item with its answer."""

    number: str
    item: str
    status: Status
    text: str


@dataclass(frozen=True)
class Checklist:
    """A checklist filled for one bundle."""

    name: str
    source: str  # of the list
    rows: tuple[Row, ...]

    def count(self, status: Status) -> int:
        """Items of that status."""
        return sum(row.status is status for row in self.rows)

    @property
    def summary(self) -> str:
        """Counts in a line, e.g. ``CLAIM 2024: 29 of 44 done, 9 not done, 6 for the publisher``."""
        done, others = self.count(Status.DONE), (Status.NOT_DONE, Status.OPEN)
        rest = "".join(f", {self.count(status)} {status}" for status in others)
        return f"{self.name}: {done} of {len(self.rows)} done{rest}"


LISTS: tuple[tuple[str, str, Sequence[Item]], ...] = (
    ("CLAIM 2024", "Tejani 2024, doi:10.1148/ryai.240300", CLAIM),
    ("TRIPOD+AI", "Collins 2024, doi:10.1136/bmj-2023-078378", TRIPOD),
    ("FDA model card", "draft guidance of January 2025 on AI-enabled device software functions, appendix E", FDA),
)


def fill_checklists(facts: BundleFacts) -> list[Checklist]:
    """Every checklist, filled from what the bundle holds."""
    return [
        Checklist(name, source, tuple(_row(number, wording, answer(facts)) for number, wording, answer in items))
        for name, source, items in LISTS
    ]


def _row(number: str, wording: str, answer: Answer) -> Row:
    return Row(number, wording, answer.status, " ".join(answer.text.split()))
