"""The routes of the team's pages. What is behind them is imported when somebody first looks."""

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.core.exchange import EXCHANGE
from gateway.core.http.cors import NO_CORS
from gateway.server.handlers.authentication import authenticates_itself
from gateway.server.loaded_when_asked import loaded_when_asked

# Method, path, and the handler as `module.function` of this package.
ROUTES = (
    ("GET", "/assets/{version}/{name}", "assets.asset"),
    ("GET", "/sign-in", "signing_in.sign_in.form"),
    ("POST", "/sign-in", "signing_in.sign_in.submit"),
    ("GET", "/sign-in/oidc", "signing_in.oidc.begin"),
    ("GET", "/sign-in/oidc/callback", "signing_in.oidc.callback"),
    ("POST", "/sign-out", "signing_in.sign_in.sign_out"),
    ("GET", "/invitations/{secret}", "signing_in.invitation.form"),
    ("POST", "/invitations/{secret}", "signing_in.invitation.accept"),
    ("GET", "/deployments", "deployments.overview.overview"),
    ("POST", "/deployments", "deployments.overview.create"),
    ("GET", "/deployments/{deployment}", "deployments.detail.show"),
    ("POST", "/deployments/{deployment}", "deployments.detail.change"),
    ("POST", "/deployments/{deployment}/{action}", "deployments.overview.act"),
    ("GET", "/activity", "activity.overview"),
    ("POST", "/activity/{exchange}/end", "activity.end"),
    ("POST", "/activity/{exchange}/move", "activity.move"),
    ("GET", "/keys", "keys.overview"),
    ("POST", "/keys", "keys.create"),
    ("GET", "/keys/{key}", "keys.one"),
    ("POST", "/keys/{key}", "keys.change"),
    ("POST", "/keys/{key}/{action}", "keys.act"),
    ("GET", "/limits", "limits.overview"),
    ("POST", "/limits", "limits.set_"),
    ("POST", "/limits/shares/{account}", "limits.share"),
    ("POST", "/limits/{limit}/{action}", "limits.act"),
    ("GET", "/people", "people.overview"),
    ("POST", "/people", "people.invite"),
    ("POST", "/people/invitations/{invitation}/remove", "people.take_back"),
    ("GET", "/people/{person}", "people.one"),
    ("POST", "/people/{person}", "people.change"),
    ("POST", "/people/{person}/{action}", "people.act"),
    ("GET", "/playground", "playground.overview"),
    ("POST", "/playground/keys", "playground.new_key"),
    ("POST", "/playground/keys/{key}/end", "playground.end_key"),
    ("GET", "/usage", "usage.overview.overview"),
    ("GET", "/usage.csv", "usage.overview.download"),
    ("GET", "/usage.json", "usage.overview.download"),
    ("GET", "/audit", "audit.overview"),
    ("GET", "/audit.jsonl", "audit.download"),
    ("GET", "/me", "signing_in.me.overview"),
    ("POST", "/me/password", "signing_in.me.change_password"),
)


def add_pages(app: web.Application) -> None:
    """Add every route of the pages."""
    for method, path, name in ROUTES:
        handler = _page(name)
        app.router.add_route(method, path, handler)
        if method == "GET":
            app.router.add_route("HEAD", path, handler)


def _page(name: str) -> Handler:
    module, _, function = name.rpartition(".")
    page = loaded_when_asked(f"gateway.server.pages.{module}", function)

    @authenticates_itself
    async def handler(request: web.Request) -> web.StreamResponse:
        request[EXCHANGE].cors = NO_CORS
        return await page(request)

    return handler
