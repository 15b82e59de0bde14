"""What a trial's tasks reported epoch by epoch, as the figures of its page."""

from __future__ import annotations

from typing import Any

from dash import html

from moonas.architecture import Architecture
from moonas.dashboard.components import plot
from moonas.dashboard.live import LiveStudy
from moonas.outer.steps import NOUN
from moonas.report.courses import course_figure, edge_figure, health_panels, learning_panels, mixture_figure
from moonas.report.members import group_title
from moonas.results.trial import TrialStory, has_search, mixtures, steps_of
from moonas.spaces.space import chosen_edges
from moonas.store.records import TaskRecord

MOST = 400  # epochs of a curve that are drawn
COLUMNS = 120  # epochs of a heat map that are drawn
EDGES = ":edges"  # behind a group's name: how much its edges count, instead of their operations


def task_name(task: TaskRecord) -> str:
    """What a task is called beside the others of its trial."""
    noun = NOUN.get(task.kind, task.kind)
    return f"{noun} of {', '.join(_about(task))}" if task.kind == "evaluate" else noun


def _about(evaluation: TaskRecord) -> list[str]:
    """The network, the length and the replicate of a training."""
    spec = evaluation.spec
    epochs = spec["protocol"].get("epochs")
    key = Architecture.from_json(spec["architecture"]).key[:6]
    return [key, *([f"{epochs} epochs"] if epochs else []), f"replicate {spec['replicate']}"]


def shortest_names(tasks: list[TaskRecord]) -> list[str]:
    """Of several trainings, what tells them apart."""
    told = [_about(task) for task in tasks]
    telling = [place for place, parts in enumerate(zip(*told, strict=False)) if len(set(parts)) > 1]
    return [", ".join(parts[place] for place in telling) or parts[0] for parts in told]


def learning(live: LiveStudy, story: TrialStory, scheme: str) -> Any:
    """Losses and accuracies: of the search, and of all trainings together."""
    parts = []
    for heading, kind in (("Search", "search"), ("Training", "evaluate")):
        tasks = [work.record for work in story.works if work.record.kind == kind]
        names = shortest_names(tasks) if kind == "evaluate" else [kind] * len(tasks)
        reported = {name: steps for name, task in zip(names, tasks, strict=True) if (steps := _steps(live, task))}
        panels = learning_panels(reported)
        parts += [
            html.Figure(
                [
                    html.Figcaption(f"{heading}: {panel.title.lower()}"),
                    plot(f"learning-{kind}-{panel.title.lower()}", f"{heading}: {panel.title.lower()} over epochs",
                         course_figure(panel, scheme, story.collapse["epoch"] if story.collapse and kind == "search" else None)),
                ],
                className="course",
            )
            for panel in panels
        ]  # fmt: skip
    if not parts:
        return html.P(_no_epoch(story) if _trains(live, story) else _NOTHING, className="note")
    return html.Div(parts, className="courses")


_NOTHING = "Nothing is trained for this trial, so there are no curves."


def _no_epoch(story: TrialStory) -> str:
    return "No epoch has been reported yet." if story.trial.finished is None else "No epoch was reported."


def _trains(live: LiveStudy, story: TrialStory) -> bool:
    return has_search(live.study, story.trial) or live.study.plan.trains


def health(live: LiveStudy, story: TrialStory, scheme: str) -> Any:
    """The vitals of the search, each over its epochs."""
    steps = _steps(live, story.search) if story.search else []
    if not steps:
        return html.P(_no_epoch(story), className="note")
    collapse = story.collapse["epoch"] if story.collapse else None
    return html.Div(
        [
            html.Figure(
                [
                    html.Figcaption(panel.title),
                    plot(f"health-{panel.title}", f"{panel.title} over epochs", course_figure(panel, scheme, collapse)),
                ],
                className="course",
            )
            for panel in health_panels(steps)
        ],
        className="courses",
    )


def shown_mixtures(live: LiveStudy, story: TrialStory) -> list[dict[str, str]]:
    """What the heat map can show, as choices: the operations of each group of cells, and its edges where a method learns them."""
    if not has_search(live.study, story.trial):
        return []
    groups = live.study.plan.space.groups
    _, found = mixtures(live.study, story.search, 1) if story.search else (None, [])
    with_edges = [name for _, said in found for name in groups if said[name].edges is not None]
    return [
        *({"value": name, "label": f"operations of the {group_title(name)}"} for name in groups),
        *({"value": f"{name}{EDGES}", "label": f"edges of the {group_title(name)}"} for name in with_edges),
    ]


def mixture(live: LiveStudy, story: TrialStory, which: str, scheme: str) -> Any:
    """The heat map of a group's operations or edges over the epochs of the search."""
    search = story.search
    if search is None or not _steps(live, search):
        return html.P(_no_epoch(story), className="note")
    name, edges = which.removesuffix(EDGES), which.endswith(EDGES)
    space, found = mixtures(live.study, search, COLUMNS)
    steps = [(epoch, groups[name]) for epoch, groups in found]
    if not steps:
        return html.P("Nothing is stored: the search learns no weights, or it ran before moonas kept them.", className="note")
    primary = [one for one in live.store.candidates(live.record.id, trial=story.trial.number) if one.origin == "primary"]
    chosen = chosen_edges(Architecture.from_json(primary[0].genotype)).get(name, ()) if primary else ()
    figure = (edge_figure if edges else mixture_figure)(space.groups[name], steps, chosen, scheme)
    label = f"{'Edges' if edges else 'Operations'} of the {group_title(name)} over epochs"
    return html.Div(plot("mixture-figure", label, figure), className="heat", tabIndex=0, role="group", **{"aria-label": label})


def _steps(live: LiveStudy, task: TaskRecord) -> list[tuple[int, dict[str, float | None]]]:
    return [(step.step, step.metrics) for step in steps_of(live.study, task, MOST)]
