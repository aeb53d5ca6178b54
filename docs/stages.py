"""Draws ``docs/stages.svg``, the layers of packages: ``python -m docs.stages`` (``make figures``).

``tests/test_import_graph.py`` holds the layers, and fails where the picture is stale.
"""

from __future__ import annotations

from pathlib import Path

from cxrcore.storage import write_text
from tests.test_import_graph import LAYERS

PICTURE = Path(__file__).with_name("stages.svg")
NOTES = {  # of a layer, by its first package
    "errors": "what everything may use",
    "films": "pixels; arrays in, numbers out",
    "explain": "heatmaps; drawn films",
    "bundle": "a model as a folder; its gate",
    "hub": "models on the Hugging Face Hub",
    "datasets": "films, labels, patients",
    "predictions": "tables of probabilities",
    "models": "what a model computes",
    "evaluation": "how good a model is",
    "serving": "what a screen may offer",
    "reporting": "what a report shows",
    "publishing": "what leaves the machine",
    "training": "how a bundle is made",
    "dashboard": "the screens",
    "app": "the app's start",
    "train": "the command line, cxr",
}
STYLE = """text { font: 14px system-ui, sans-serif; }
rect { fill: #e6f4f1; stroke: #0b7a6f; }
.paper { fill: #fff; stroke: none; }
.name { text-anchor: middle; fill: #10312d; }
.note { fill: #4a5560; }
path { fill: none; stroke: #0b7a6f; stroke-width: 1.5; }"""
LEFT, WIDTH, STEP, HEIGHT, GAP = 260, 484, 44, 32, 10


def picture() -> str:
    """The picture as SVG: a row a layer, the doors at the top; every import points down or stays in its package."""
    layers = [[name.removeprefix("cxrcore.") for name in layer] for layer in reversed(LAYERS) if layer != ("cxrcore",)]
    size = 12 + STEP * len(layers)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {size}" role="img" '
        'aria-label="Layers of packages; imports point down">',
        f'<style>\n{STYLE}\n</style>\n<rect class="paper" width="760" height="{size}"/>',
    ]
    for row, names in enumerate(layers):
        top, width = 12 + STEP * row, (WIDTH - GAP * (len(names) - 1)) / len(names)
        parts.append(f'<text class="note" x="16" y="{top + 21}">{NOTES[names[0]]}</text>')
        for column, name in enumerate(names):
            left = LEFT + column * (width + GAP)
            parts.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}" rx="6"/>')
            parts.append(f'<text class="name" x="{left + width / 2:.1f}" y="{top + 21}">{name}</text>')
        if row:
            parts.append(f'<path d="M{LEFT + WIDTH / 2:.0f} {top - 11} v8 m-3 -4 l3 4 l3 -4"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    write_text(PICTURE, picture())
