from .class_activation import class_activation_maps, linear_head
from .gradients import gradient_maps
from .heatmap import Heatmap, evidence_levels, map_ceilings, strengths
from .overlay import INFERNO, colours, draw_overlay
from .resampling import cell_means, mean_heatmap, to_film_frame

__all__ = [
    "INFERNO",
    "Heatmap",
    "cell_means",
    "class_activation_maps",
    "colours",
    "draw_overlay",
    "evidence_levels",
    "gradient_maps",
    "linear_head",
    "map_ceilings",
    "mean_heatmap",
    "strengths",
    "to_film_frame",
]
