from .bundle_facts import BundleFacts, read_facts
from .checklists import Checklist, fill_checklists
from .film_report import FilmReportOptions, render_film
from .html_report import RULES, Evaluation, checklists_of, evaluations_of, from_scored, remarks_of, render

__all__ = [
    "RULES",
    "BundleFacts",
    "Checklist",
    "Evaluation",
    "FilmReportOptions",
    "checklists_of",
    "evaluations_of",
    "fill_checklists",
    "from_scored",
    "read_facts",
    "remarks_of",
    "render",
    "render_film",
]
