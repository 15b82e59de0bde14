"""Draw the picture of the data's way, images/data-way-light.svg and -dark.svg: python docs/data_way.py."""

from __future__ import annotations

from html import escape
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 900, 628
BOX = (256, 92)
COLUMNS, ROWS = (24, 322, 620), (64, 220, 376)  # left and upper edges of the boxes
GAP = 6  # between an arrow's end and a box

# Where it stands, who has it, its name, and what it is.
BOXES = {
    "file": (0, 0, "user", "study file", "data, space, objectives,", "methods, budgets: one question"),
    "sampler": (1, 0, "loop", "sampler", "which trial is next:", "a grid, or what it has learned"),
    "trials": (2, 0, "loop", "trials", "a method, its open settings,", "a budget, a width, a replicate"),
    "searches": (2, 1, "worker", "searches", "one supernet trains;", "trials with equal keys share it"),
    "candidates": (1, 1, "loop", "candidates", "the cells of the best scores", "within the budget, exactly"),
    "evaluations": (0, 1, "worker", "evaluations", "the final network is trained", "and judged on valid"),
    "archive": (0, 2, "loop", "archive", "all networks with their values,", "means over replicates"),
    "front": (1, 2, "loop", "Pareto front", "what nothing beats,", "and every front before it"),
    "doors": (2, 2, "user", "dashboard, report", "also bundles to hand on, REST,", "Python and the command line"),
}
WAY = [
    ("file", "sampler", ""),
    ("sampler", "trials", ""),
    ("trials", "searches", ""),
    ("searches", "candidates", ""),
    ("candidates", "evaluations", ""),
    ("evaluations", "archive", "metrics"),
    ("archive", "front", ""),
    ("front", "doors", ""),
]
ALL = "study file, trials, tasks, scores, evaluations, every front: a study resumes from it alone"
LANES = [
    ("user", "yours"),
    ("loop", "the loop: one process per study"),
    ("worker", "workers: one process per core, GPU or slot of a cluster"),
]
THEMES: dict[str, dict] = {
    "light": {
        "ink": "#1f2328",
        "soft": "#59636e",
        "page": "#ffffff",
        "user": ("#f6f8fa", "#818b98"),
        "loop": ("#ddf0ff", "#0a5ea8"),
        "worker": ("#fff1e0", "#b35900"),
        "store": ("#eaf7ee", "#1a7f37"),
    },
    "dark": {
        "ink": "#f0f6fc",
        "soft": "#b1bac4",
        "page": "#0d1117",
        "user": ("#212830", "#656c76"),
        "loop": ("#10263d", "#4f9ee8"),
        "worker": ("#33210d", "#e0913a"),
        "store": ("#10291a", "#3fb950"),
    },
}


def drawing(theme: str) -> str:
    """The picture as SVG, on a ground of its own."""
    colours = THEMES[theme]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        "<title>The way of the data, from the study file to the front</title>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 10 5 0 10Z" fill="{colours["soft"]}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="{colours["page"]}"/>',
        *legend(colours),
        *(arrow(*BOXES[one][:2], *BOXES[other][:2], label, colours) for one, other, label in WAY),
        feedback(colours),
        *(box(*about, colours) for about in BOXES.values()),
        *database(colours),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def legend(colours: dict) -> list[str]:
    """What the colours mean, above the boxes."""
    parts, x = [], COLUMNS[0]
    for lane, meaning in LANES:
        fill, edge = colours[lane]
        parts.append(f'<rect x="{x}" y="20" width="16" height="16" rx="4" fill="{fill}" stroke="{edge}"/>')
        parts.append(text(x + 24, 33, meaning, 14, colours["soft"], "start"))
        x += 54 + round(7.1 * len(meaning))
    return parts


def box(column: int, row: int, lane: str, name: str, *lines_and_colours) -> str:
    """A box with its name and two lines."""
    *lines, colours = lines_and_colours
    x, y, (fill, edge) = COLUMNS[column], ROWS[row], colours[lane]
    middle = x + BOX[0] / 2
    return "\n".join(
        [
            f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="10" fill="{fill}" stroke="{edge}" stroke-width="1.5"/>',
            text(middle, y + 30, name, 18, colours["ink"], weight=600),
            *(text(middle, y + 55 + 20 * place, line, 14, colours["soft"]) for place, line in enumerate(lines)),
        ]
    )


def arrow(column: int, row: int, to_column: int, to_row: int, label: str, colours: dict) -> str:
    """From one box to the next, sideways or down."""
    x, y = COLUMNS[column] + BOX[0] / 2, ROWS[row] + BOX[1] / 2
    if row == to_row:
        way = 1 if to_column > column else -1
        ends = (x + way * BOX[0] / 2, y, COLUMNS[to_column] + BOX[0] / 2 - way * (BOX[0] / 2 + GAP), y)
        place = (ends[0] + ends[2]) / 2, y - 10, "middle"
    else:
        ends = (x, y + BOX[1] / 2, x, ROWS[to_row] - GAP)
        place = x + 10, (ends[1] + ends[3]) / 2 + 4, "start"
    named = text(place[0], place[1], label, 13, colours["soft"], place[2]) if label else ""
    return line(f"M{ends[0]:g} {ends[1]:g} {ends[2]:g} {ends[3]:g}", colours["soft"]) + named


def feedback(colours: dict) -> str:
    """What has been measured goes back to the sampler."""
    x, y = COLUMNS[0] + BOX[0] - 40, ROWS[1]
    middle = (ROWS[0] + BOX[1] + ROWS[1]) / 2
    to = COLUMNS[1] + BOX[0] / 2
    path = f"M{x:g} {y:g} V{middle + 8:g} q0 -8 8 -8 H{to - 8:g} q8 0 8 -8 V{ROWS[0] + BOX[1] + GAP:g}"
    return line(path, colours["soft"], dashed=True) + text((x + to) / 2, middle - 8, "told to the sampler", 13, colours["soft"])


def database(colours: dict) -> list[str]:
    """The bar below everything, which it all is written to."""
    fill, edge = colours["store"]
    x, y, width, height = COLUMNS[0], 524, COLUMNS[2] + BOX[0] - COLUMNS[0], 76
    middle = x + width / 2
    below = ROWS[2] + BOX[1]
    return [
        *(line(f"M{COLUMNS[column] + BOX[0] / 2:g} {below} V{y - GAP}", colours["soft"]) for column in (0, 1)),
        line(f"M{COLUMNS[2] + BOX[0] / 2:g} {y} V{below + GAP}", colours["soft"]),
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{fill}" stroke="{edge}" stroke-width="1.5"/>',
        text(middle, y + 30, "study database", 18, colours["ink"], weight=600),
        text(
            middle,
            y + 55,
            "study file, trials, tasks, scores, evaluations, every front: a study resumes from it alone",
            14,
            colours["soft"],
        ),
    ]


def line(path: str, colour: str, dashed: bool = False) -> str:
    """A path with a head at its end."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes} marker-end="url(#head)"/>'


def text(x: float, y: float, words: str, size: int, colour: str, anchor: str = "middle", weight: int = 400) -> str:
    """One line of text."""
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


if __name__ == "__main__":
    for theme in THEMES:
        (IMAGES / f"data-way-{theme}.svg").write_text(drawing(theme), encoding="utf-8")
