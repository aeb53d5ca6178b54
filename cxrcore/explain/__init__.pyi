from .boxes import boxes_of
from .class_activation import class_activation_maps, linear_head
from .gradients import gradient_maps
from .heatmap import Heatmap, evidence_levels, map_ceilings, scale_top, strengths
from .overlay import BLUES, INFERNO, OPACITY, colours, draw_overlay, scale_strip
from .resampling import cell_means, mean_heatmap, to_film_frame

__all__ = [
    "BLUES",
    "INFERNO",
    "OPACITY",
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
    "scale_strip",
    "scale_top",
    "strengths",
    "to_film_frame",
]
