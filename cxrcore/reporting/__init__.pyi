from .html_report import RULES, Evaluation, evaluations_of, from_scored, remarks_of, render

__all__ = ["RULES", "Evaluation", "evaluations_of", "from_scored", "remarks_of", "render"]
