"""The OpenAPI document as a page to read: HTML alone, which runs nothing and fetches nothing."""

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from locapi import openapi

Node = dict[str, Any]

_ENVIRONMENT = Environment(
    loader=PackageLoader("locapi", "pages/docs"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = resources.files("locapi").joinpath("pages", "docs", "docs.css").read_text("utf-8")
_HOST = "http://localhost:5000"


def html() -> str:
    """Return the page."""
    document = openapi.document()
    return _ENVIRONMENT.get_template("docs.html").render(
        info=document["info"],
        operations=list(_operations(document)),
        host=_HOST,
        style=_STYLE,
    )


def headers() -> dict[str, str]:
    """Return the page's headers: it may do nothing but take its own style, known by its hash."""
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }


def _operations(document: Node) -> Iterator[Node]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {})
            yield {
                "id": operation["operationId"],
                "name": f"{method.upper()} {path}",
                "summary": operation["summary"],
                "token": "security" in operation,
                "curl": _curl(method, path, body),
                "fields": [field for media in body.values() for field in _fields(document, media)],
                "requests": list(_examples(body)),
                "answers": [
                    {
                        "code": code,
                        "description": answer["description"],
                        "headers": list(answer["headers"]),
                        "types": list(answer["content"]),
                        "examples": list(_examples(answer["content"])),
                    }
                    for code, answer in operation["responses"].items()
                ],
            }


def _curl(method: str, path: str, body: Node) -> str:
    shown = [example["json"] for example in _examples(body)]
    if not shown:
        return f"curl -si {_HOST}{path}"
    return f"curl -siX {method.upper()} {_HOST}{path} -d '{shown[0]}'"


def _examples(content: Node) -> Iterator[Node]:
    for media in content.values():
        for example in media.get("examples", {}).values():
            yield {
                "said": example["summary"],
                "sent": example.get("description"),
                "json": json.dumps(example["value"], ensure_ascii=False, indent=2),
            }


def _fields(document: Node, media: Node) -> Iterator[Node]:
    name = media["schema"]["$ref"].rpartition("/")[2]
    for field, rule in document["components"]["schemas"][name]["properties"].items():
        yield {
            "name": field,
            "type": rule["type"],
            "range": _range(rule),
            "description": rule["description"],
            "example": json.dumps(rule["examples"][-1]),
        }


def _range(rule: Node) -> str:
    if rule["type"] == "number":
        most = f" to {rule['maximum']}" if "maximum" in rule else " or more"
        return f"{rule['minimum']}{most}".replace("-", "\u2212")
    if "maxLength" in rule:
        return f"{rule['minLength']} to {rule['maxLength']} characters"
    return "YYYY-MM-DD HH:MM:SS, then optionally . and 1 to 6 digits"
