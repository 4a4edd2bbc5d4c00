"""The server's two pages: one to try images on, one of the API. Each is a single file that asks no other server."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from lightning_tasks.deploy.server.security import NOTHING_ALLOWED
from lightning_tasks.tasks.prediction import OutputFormat

_HERE = Path(__file__).parent


def _file(name: str) -> str:
    return f"\n{(_HERE / name).read_text(encoding='utf-8')}"


def _hash(text: str) -> str:
    """Return what allows an inline style or script of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_CSS = _file("page.css")
_POLICY = f"{NOTHING_ALLOWED}; style-src {_hash(_CSS)}"


def try_page(model: BaseModel, output_format: OutputFormat[Any]) -> tuple[str, str]:
    """Return the page on which one tries images, and its Content-Security-Policy."""
    js = _file("page.js")
    policy = f"{_POLICY}; script-src {_hash(js)}; img-src blob: data:; connect-src 'self'"
    return _render("page.html.j2", css=_CSS, js=js, model=model, output_format=output_format), policy


def docs_page(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return the page of an OpenAPI description, and its Content-Security-Policy.

    FastAPI's own loads its scripts from another server, and theirs need more than a strict policy allows.
    """
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    policy = f"{_POLICY}; img-src data:"
    return _render("docs.html.j2", css=_CSS, schema=schema, operations=operations), policy


def _render(template: str, **values: Any) -> str:  # noqa: ANN401 - what a template takes
    # Everything but our own css and js is escaped: labels and file names are not markup.
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template(template).render(**values)
