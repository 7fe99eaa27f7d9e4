"""What clients of a deployment meet now, which the database does not know: added to what it says."""

from aiohttp import web
from pydantic import BaseModel

from gateway.proxy.upstream.health.readiness import READINESS
from gateway.server.admission import REGISTRY
from gateway.team.models.common import Page
from gateway.team.models.deployments import Deployment


def with_readiness(app: web.Application, result: BaseModel) -> BaseModel:
    """The result with the readiness of each deployment in it. One that is not served yet has none."""
    if isinstance(result, Deployment):
        return _filled(app, result)
    if isinstance(result, Page) and result.items and isinstance(result.items[0], Deployment):
        return result.model_copy(update={"items": [_filled(app, one) for one in result.items]})
    return result


def _filled(app: web.Application, shown: Deployment) -> Deployment:
    served = app[REGISTRY].snapshot.deployments.get(shown.id)
    readiness = None if served is None else app[READINESS].status(served).value
    return shown.model_copy(update={"readiness": readiness})
