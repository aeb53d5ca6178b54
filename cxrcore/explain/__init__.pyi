from .boxes import boxes_of
from .class_activation import class_activation_maps, linear_head
from .gradients import gradient_maps
from .heatmap import Heatmap, evidence_levels, map_ceilings, scale_top, strengths
from .overlay import INFERNO, colours, draw_overlay
from .resampling import cell_means, mean_heatmap, to_film_frame

__all__ = [
    "INFERNO",
    "Heatmap",
    "boxes_of",
    "cell_means",
    "class_activation_maps",
    "colours",
    "draw_overlay",
    "evidence_levels",
    "gradient_maps",
    "linear_head",
    "map_ceilings",
    "mean_heatmap",
    "scale_top",
    "strengths",
    "to_film_frame",
]
