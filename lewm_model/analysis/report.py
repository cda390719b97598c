"""The report: one HTML file with everything inside, and the same numbers as JSON.

Every number of the HTML carries its path in the JSON (`data-key`); a test holds both equal.
"""

from __future__ import annotations

import base64
from html import escape
import json
import math
from pathlib import Path
import tempfile
from typing import Any

from lewm_model.analysis import paper, sections
from lewm_model.analysis.parts import Analysis
from lewm_model.errors import ConfigError, without_path

HTML_FILE, JSON_FILE = 'analysis.html', 'analysis.json'

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #2e3440; max-width: 980px;
       margin: 2.5em auto; padding: 0 1.2em; }
h1 { font-size: 1.7em; margin-bottom: .2em; } h2 { font-size: 1.2em; margin-top: 2.4em;
     border-bottom: 1px solid #d8dee9; padding-bottom: .2em; }
p.note, figcaption { color: #4c566a; font-size: .9em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #4c566a; font-size: .9em; padding-bottom: .3em; }
th, td { padding: .25em .9em .25em 0; border-bottom: 1px solid #eceff4; text-align: left; }
th { font-weight: 600; } td.paper { color: #7b8394; }
td[data-key] { white-space: nowrap; }
figure { margin: 1.2em 0; } img { max-width: 100%; }
pre { background: #f4f6f9; padding: .7em 1em; overflow-x: auto; font-size: .85em; }
"""


def write_report(analysis: Analysis, about: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write both files.

    Args:
        analysis: What was found.
        about: Facts on bundle, data and command, plain values.
        folder: Made if needed; files of an earlier report are replaced.

    Returns:
        Paths of the HTML and the JSON.

    Raises:
        ConfigError: If the folder cannot be written to.
    """
    prepare_folder(folder)
    document = to_document(analysis, about)
    html, numbers = folder / HTML_FILE, folder / JSON_FILE
    numbers.write_text(json.dumps(document, indent=1, allow_nan=False) + '\n', encoding='utf-8')
    html.write_text(render_html(document, analysis.pictures), encoding='utf-8')
    return html, numbers


def prepare_folder(folder: Path) -> None:
    """Make the folder, and notice before minutes of work if nothing can be written there.

    Raises:
        ConfigError: If so.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f'cannot write a report to {folder}: {without_path(error)}; choose '
                          f'another folder with --out') from error


def to_document(analysis: Analysis, about: dict[str, Any]) -> dict[str, Any]:
    """Return everything but the pictures, ready for JSON; what is not finite becomes null."""
    return _finite({'about': about, 'summary': sections.summarise(analysis.numbers),
                    **analysis.numbers, 'paper': paper.published()})


def render_html(document: dict[str, Any], pictures: dict[str, list[tuple[str, bytes]]]) -> str:
    """Return the page; it refers to nothing outside itself."""
    about = document['about']
    title = f'What {about["bundle"]} knows'
    body = [f'<h1>{escape(title)}</h1>',
            f'<p class="note">{escape(sections.describe(about))}</p>',
            f'<pre>{escape(chr(10).join(about["commands"]))}</pre>',
            f'<p class="note">{escape(paper.CAUTION)}</p>',
            _table(document, *sections.GLANCE, sections.glance_rows(document))]
    for name, section in sections.SECTIONS.items():
        if name not in document:
            continue
        body.append(f'<h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>')
        for caption, header, rows in section.tables(document[name]):
            body.append(_table(document, caption, header, rows))
        body += [_figure(caption, data) for caption, data in pictures.get(name, [])]
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n'
            + '\n'.join(body) + '\n</body></html>\n')


def look_up(document: dict[str, Any], key: str) -> Any:
    """Return the value at a path such as `probes/scores/wrist angle/mlp/r`."""
    value: Any = document
    for step in key.split('/'):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def show(value: Any) -> str:
    """Write one value as the report does: about three digits, a dash for what is not there."""
    if value is None:
        return '–'
    if not isinstance(value, float) or value == 0:
        return str(value)
    size = abs(value)
    if size < 1e-3:
        return f'{value:.1e}'
    return f'{value:.{4 if size < 0.1 else 3 if size < 10 else 1 if size < 1000 else 0}f}'


def _table(document: dict[str, Any], caption: str, header: list[str], rows: list) -> str:
    lines = [f'<table><caption>{escape(caption)}</caption>',
             '<tr>' + ''.join(f'<th>{escape(cell)}</th>' for cell in header) + '</tr>']
    for row in rows:
        cells = []
        for cell in row:
            if isinstance(cell, sections.Key):
                cells.append(f'<td data-key="{escape(cell, quote=True)}">'
                             f'{escape(show(look_up(document, cell)))}</td>')
            else:
                kind = ' class="paper"' if isinstance(cell, sections.Published) else ''
                cells.append(f'<td{kind}>{escape(cell)}</td>')
        lines.append('<tr>' + ''.join(cells) + '</tr>')
    return '\n'.join([*lines, '</table>'])


def _figure(caption: str, data: bytes) -> str:
    encoded = base64.b64encode(data).decode('ascii')
    return (f'<figure><img alt="{escape(caption, quote=True)}" '
            f'src="data:image/png;base64,{encoded}"><figcaption>{escape(caption)}</figcaption>'
            '</figure>')


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
