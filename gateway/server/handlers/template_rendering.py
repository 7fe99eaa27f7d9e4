"""The status page's templates. Imported when somebody first looks at it: Jinja takes its time to load."""

import aiohttp_jinja2
import jinja2
from aiohttp import web

# Of an application of its own: the gateway's is closed to changes once it serves.
_environment = aiohttp_jinja2.setup(
    web.Application(),
    loader=jinja2.PackageLoader("gateway.server.handlers"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    default_helpers=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


def rendered(name: str, **values: object) -> str:
    """The HTML of a template."""
    return _environment.get_template(name).render(values)
