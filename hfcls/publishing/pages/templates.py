"""The templates of the pages that lie beside this module."""

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from hfcls.system.quoting import visible


def template(name: str) -> Template:
    """A template in which every text that comes from the run is escaped, and a name that is not given is an error."""
    environment = Environment(
        autoescape=True,
        extensions=["jinja2.ext.do"],
        finalize=_visible,
        loader=FunctionLoader(lambda name: (files("hfcls.publishing.pages") / name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _visible(value: Any) -> Any:
    """A text of the run without control characters, which HTML does not allow; anything else as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
