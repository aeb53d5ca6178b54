from .arrays import group_codes
from .calibration import brier, brier_parts, ece, expected_ece, reliability
from .comparison import Comparison, compare_auroc, compare_findings, compare_macro
from .confusion import Matrix, Mistakes, co_occurrence, confusion_matrix, mistaken_for
from .corrections import benjamini_hochberg, holm
from .curves import pr_curve, roc_curve
from .decision_curves import decision_curve
from .discrimination import auprc, auroc, macro_auroc, micro_auroc
from .intervals import Estimate, difference, wilson
from .localisation import border_share, locate, summarise_localisation
from .operating_points import OperatingPoints, decide, disease_of, fit_operating_points, threshold_by
from .rates import Rates, predictive_values, rates_at_threshold, rates_of, rates_of_each, specificity_at_sensitivity
from .recalibration import Recalibration, fit_recalibration

__all__ = [
    "Comparison",
    "Estimate",
    "Matrix",
    "Mistakes",
    "OperatingPoints",
    "Rates",
    "Recalibration",
    "auprc",
    "auroc",
    "benjamini_hochberg",
    "border_share",
    "brier",
    "brier_parts",
    "co_occurrence",
    "compare_auroc",
    "compare_findings",
    "compare_macro",
    "confusion_matrix",
    "decide",
    "decision_curve",
    "difference",
    "disease_of",
    "ece",
    "expected_ece",
    "fit_operating_points",
    "fit_recalibration",
    "group_codes",
    "holm",
    "locate",
    "macro_auroc",
    "micro_auroc",
    "mistaken_for",
    "pr_curve",
    "predictive_values",
    "rates_at_threshold",
    "rates_of",
    "rates_of_each",
    "reliability",
    "roc_curve",
    "specificity_at_sensitivity",
    "summarise_localisation",
    "threshold_by",
    "wilson",
]
