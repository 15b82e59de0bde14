"""The sections of a report, but for the members: headline numbers, front, budgets, trials, settings."""

from __future__ import annotations

from html import escape

import yaml

from moonas.infeasible import Infeasibility
from moonas.report import parts, text
from moonas.report.figures import budget_figure, budget_metrics, front_axes, front_figure, hypervolume_figure
from moonas.report.parts import Cell, figure_panel
from moonas.report.records import ReportData, TrialInfo, Value


def cards(data: ReportData) -> str:
    """The headline numbers."""
    facts = [("Front size", f"{len(data.members)}", f"of {text.counted(len(data.points), 'network')} evaluated"), _best(data)]
    if data.known_costs and data.members:
        cost, smallest, aim = data.known_costs[0], data.members[0], data.main.name
        aside = (
            f"{text.metric_label(data, cost)}, at {text.metric_label(data, aim)} {text.measured(aim, smallest.metrics.get(aim))}"
        )
        facts.append(("Smallest member", text.short(smallest.metrics[cost].value), aside))
    if data.history:
        last = data.history[-1]
        facts.append(("Hypervolume", f"{last.hypervolume:.4f}", f"after {text.counted(last.evaluations, 'evaluation')}"))
    facts.append(("Trials", f"{len(data.trials)}", text.states(data)))
    facts.append(("Device time", text.duration(data.device_seconds), "all attempts together"))
    rows = (
        f'<div><dt>{escape(title)}</dt><dd class="value">{escape(value)}</dd><dd class="aside">{escape(aside)}</dd></div>'
        for title, value, aside in facts
    )
    return f'<dl class="cards">{"".join(rows)}</dl>'


def _best(data: ReportData) -> tuple[str, str, str]:
    """The member with the best value of the main objective, with its test accuracy where that was measured."""
    aim = data.main
    title = f"Best {text.metric_label(data, aim.name)}"
    if not data.members:
        return title, text.BLANK, ""
    best = (max if aim.direction == "maximize" else min)(data.members, key=lambda point: point.metrics[aim.name].value)
    tested = best.metrics.get("test_accuracy")
    aside = f"test accuracy {text.measured('test_accuracy', tested)}" if tested else ""
    return title, text.number(aim.name, best.metrics[aim.name].value), aside


def front_section(data: ReportData) -> str:
    """The front in each pair of objectives, and its hypervolume; or why there is none yet."""
    if not data.points:
        why = f'<div class="panel"><p class="empty">{_why_empty(data)}</p></div>'
        return f'<div class="stack">{why}{_closest(data.infeasibility)}</div>' if data.infeasibility else why
    note = "Each marker is one network; choose one to see its cells. Strong markers are on the front, bars are standard errors."
    if not data.members:
        note = "No network meets the constraints yet, so the front is empty. Faint markers are the networks evaluated so far."
    if data.knee:
        note += " The ring is the knee: from there, little is gained for what is given up."
    if data.bands:
        note += " The dotted line is what half of the replicates attain alone; the band is what a quarter to three quarters do."
    panels = [figure_panel(front_figure(data, x, y), _over(data, y, x), note) for x, y in front_axes(data)]
    panels += [_closest(data.infeasibility)] if data.infeasibility else []
    if data.history:
        reference = ", ".join(
            f"{text.metric_label(data, name)} {text.number(name, value)}" for name, value in data.reference.items()
        )
        note = "The share of the space between the best and the reference values that the front dominates."
        note += f" Reference: {reference}." if reference else ""
        panels.append(figure_panel(hypervolume_figure(data), "Hypervolume over evaluations", note))
    return f'<div class="stack">{"".join(panels)}</div>'


def _closest(found: Infeasibility) -> str:
    """What comes closest to the constraints, what each of them excludes, and what relaxing would admit."""
    metrics = list(dict.fromkeys(obstacle.bound.metric for obstacle in found.obstacles))
    constraints = parts.table(
        "What each constraint excludes",
        ["constraint", "missed by", "as their only one"],
        [
            (f"constraint-{number}", [parts.word(str(o.bound)), parts.count(o.excluded), parts.count(o.alone)])
            for number, o in enumerate(found.obstacles)
        ],
    )
    rows = [
        (
            f"closest-{number}",
            [
                parts.word(misfit.key[:8]),
                parts.word(misfit.method),
                Cell(parts.link(f"trial-{misfit.trial}", str(misfit.trial)), misfit.trial, "number"),
                *(parts.metric(name, Value(value=misfit.metrics[name]) if name in misfit.metrics else None) for name in metrics),
                parts.word(", ".join(map(str, misfit.relaxed)) + ("" if misfit.trained else " (not trained)")),
            ],
        )
        for number, misfit in enumerate(found.closest)
    ]
    headers = ["network", "method", "trial", *metrics, "would be admitted by"]
    told = "".join(f"<li>{escape(line)}</li>" for line in found.admissions)
    return (
        f'<div class="panel"><h3>Closest to the constraints</h3><p class="note">None of {text.counted(found.networks, "network")} '
        f"meets all constraints.</p><ul>{told}</ul>{constraints}{parts.table('Closest networks', headers, rows)}</div>"
    )


def _why_empty(data: ReportData) -> str:
    failed = sum(trial.state == "FAIL" for trial in data.trials)
    if failed:
        return f"No evaluations yet: {failed} of {len(data.trials)} trials failed. Their errors stand below."
    if data.infeasibility:
        return "No evaluations yet: the exact costs of every network so far miss a constraint, so that none was trained."
    return "No evaluations yet. The front appears here once the first network has been evaluated."


def _over(data: ReportData, y: str, x: str) -> str:
    title = f"{text.metric_label(data, y)} over {text.metric_label(data, x)}"
    return title[0].upper() + title[1:]


def budgets_section(data: ReportData) -> str:
    """Requested against achieved cost, one figure per budgeted metric."""
    note = "One marker per trial. On the dashed line the budget is used up; nothing may lie above it."
    panels = []
    for metric in budget_metrics(data):
        label = text.metric_label(data, metric)
        panels.append(figure_panel(budget_figure(data, metric), f"Requested and achieved {label}", note))
    return f'<div class="pair">{"".join(panels)}</div>'


def trials_section(data: ReportData) -> str:
    """Every trial in the order of their numbers, with the error of each that failed."""
    names = [objective.name for objective in data.objectives]
    errors = any(trial.error for trial in data.trials)
    failed = ", ".join(parts.link(f"trial-{trial.number}", str(trial.number)) for trial in data.trials if trial.state == "FAIL")
    note = f'<p class="note">{escape(text.states(data))}{f"; failed: {failed}" if failed else ""}.</p>'
    headers = ["trial", "state", "method", "budget", "replicate", *(text.metric_label(data, name) for name in names), "time"]
    rows = [(f"trial-{trial.number}", _trial_row(data, trial, names, errors)) for trial in data.trials]
    return f'<div class="panel">{note}{parts.table("Trials", headers + ["error"] * errors, rows, tall=True)}</div>'


def _trial_row(data: ReportData, trial: TrialInfo, names: list[str], errors: bool) -> list[Cell]:
    values = [trial.values.get(name) for name in names]
    return [
        parts.count(trial.number),
        parts.word(trial.state, trial.state.lower()),
        Cell(parts.method(data, trial.method), trial.method),
        parts.word(text.budget(trial.budget)),
        parts.count(trial.replicate),
        *(parts.metric(name, None if value is None else Value(value=value)) for name, value in zip(names, values, strict=True)),
        parts.seconds(trial.seconds),
        *[_error(trial.error)] * errors,
    ]


def _error(error: str | None) -> Cell:
    """A traceback folded behind its last line, which says what went wrong."""
    if not error:
        return Cell("", None)
    last = error.strip().splitlines()[-1]
    if last == error.strip():
        return parts.word(last, "wrap fail")
    return Cell(
        f'<details><summary class="fail">{escape(last)}</summary><pre>{escape(error.strip())}</pre></details>', last, "wrap"
    )


def settings_section(data: ReportData) -> str:
    """The resolved study file, and the versions that made the numbers."""
    file = yaml.safe_dump(dict(data.settings), sort_keys=False, allow_unicode=True, width=100)
    versions = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(version)}</dd>" for name, version in {"moonas": data.version, **data.versions}.items()
    )
    return (
        f'<div class="pair"><div class="panel"><h3>Study file, with every default</h3><pre>{escape(file)}</pre></div>'
        f'<div class="panel"><h3>Versions</h3><dl class="versions">{versions}</dl></div></div>'
    )
