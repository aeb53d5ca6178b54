from .compare import SameFilms, compare_tables, same_films
from .literature import Published, published
from .record import FindingMetrics, Metrics, as_table, read_metrics
from .score import Scored, score_file, score_table
from .split_origins import SplitOrigin, split_origin_of
from .subgroups import Gap, Group, groups_of, subgroup_gaps
from .summary import curves, summarise
from .thresholds import read_thresholds, validation_points

__all__ = [
    "FindingMetrics",
    "Gap",
    "Group",
    "Metrics",
    "Published",
    "SameFilms",
    "Scored",
    "SplitOrigin",
    "as_table",
    "compare_tables",
    "curves",
    "groups_of",
    "published",
    "read_metrics",
    "read_thresholds",
    "same_films",
    "score_file",
    "score_table",
    "split_origin_of",
    "subgroup_gaps",
    "summarise",
    "validation_points",
]
