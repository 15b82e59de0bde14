"""The report of a study: one HTML file that holds all it needs, opens offline and runs no code but its own.

A content security policy in the page allows exactly the two scripts of the report, by their hashes, and no request to anywhere;
names, settings and error texts are escaped besides.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from moonas.errors import StorageError
from moonas.report import text
from moonas.report.figures import budget_metrics
from moonas.report.members import members_section
from moonas.report.parts import data_script
from moonas.report.records import ReportData
from moonas.report.sections import budgets_section, cards, front_section, settings_section, trials_section
from moonas.report.theme import SCHEMES, css_variables, template


def write_report(data: ReportData, path: str | Path) -> None:
    """Write a study's report to a file. Raises StorageError where it cannot be written."""
    try:
        Path(path).write_text(render(data), encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(f"the report cannot be written to {path}: {error.strerror}") from error


def render(data: ReportData) -> str:
    """A study's report as the text of an HTML page."""
    sections = {"Front": front_section(data)}
    if data.members:
        sections["Members"] = members_section(data)
    if budget_metrics(data):
        sections["Budgets"] = budgets_section(data)
    if data.trials:
        sections["Trials"] = trials_section(data)
    sections["Settings"] = settings_section(data)
    main = cards(data) + "".join(_section(title, body) for title, body in sections.items())
    scripts = [_read("page.js")]
    if 'class="figure"' in main:
        scripts.insert(0, _plotly())
        main += data_script({scheme: template(scheme).to_plotly_json() for scheme in SCHEMES}, "templates")
    return Template(_read("page.html")).substitute(
        policy=_policy(scripts),
        title=escape(f"{data.name} · moonas"),
        style=css_variables() + _read("page.css"),
        name=escape(data.name),
        facts=_facts(data),
        links="".join(f'<a href="#{title.lower()}">{title}</a>' for title in sections),
        main=main,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _section(title: str, body: str) -> str:
    return f'<section id="{title.lower()}" aria-label="{title}"><h2>{title}</h2>{body}</section>\n'


def _read(name: str) -> str:
    return files("moonas.report").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _policy(scripts: list[str]) -> str:
    """Plotly writes style rules and draws images from data of its own; nothing may be fetched."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {rest}"


def _facts(data: ReportData) -> str:
    aims = [f"{objective.direction} {text.metric_label(data, objective.name)}" for objective in data.objectives]
    facts = [*aims, f"created {text.moment(data.created)}", f"moonas {data.version}"]
    return f'<span class="state">{escape(data.state)}</span> · ' + " · ".join(map(escape, facts))
