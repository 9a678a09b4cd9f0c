"""The admin API: a Litestar application under ``/api/v1``, described by its own OpenAPI document."""

from __future__ import annotations

from importlib.metadata import version
from typing import cast

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from entrepot.http.api import (
    audit,
    blobs,
    cache,
    collecting,
    events,
    fills,
    index,
    jobs,
    manifests,
    pins,
    purges,
    repositories,
    settings,
    tags,
    upstreams,
    warms,
)
from entrepot.http.api.guard import Guard
from entrepot.http.api.page import BrowsablePage
from entrepot.http.api.paging import read_paging
from entrepot.http.api.parameters import OnlyKnownParameters, keep_body
from entrepot.http.api.parts import Parts
from entrepot.http.api.prefix import PREFIX
from entrepot.http.api.problems import EXCEPTION_HANDLERS
from entrepot.http.server.asgi import ASGIApp

__all__ = ["build_api"]

_NOUNS = (
    upstreams,
    repositories,
    tags,
    manifests,
    blobs,
    fills,
    warms,
    jobs,
    cache,
    collecting,
    pins,
    purges,
    events,
    audit,
    settings,
)
_DESCRIPTION = "See and steer the cache. Every request but those for this description needs a token."


def build_api(parts: Parts) -> ASGIApp:
    """Make the application; it needs neither ``lifespan`` events nor threads of its own."""
    guarded = Router(
        path="/",
        route_handlers=[handler for noun in _NOUNS for handler in noun.HANDLERS],
        guards=[Guard(parts.identities, parts.clock), OnlyKnownParameters()],
        before_request=keep_body,
        security=[{"token": []}],
    )
    application = Litestar(
        path=PREFIX,
        route_handlers=[*index.HANDLERS, guarded],
        dependencies={
            "parts": Provide(lambda: parts, sync_to_thread=False),
            "paging": Provide(read_paging, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=_openapi(),
        logging_config=None,
    )
    return cast("ASGIApp", application)


def _openapi() -> OpenAPIConfig:
    token = SecurityScheme(type="http", scheme="bearer", description="The administrator's token.")
    return OpenAPIConfig(
        title="Entrepot",
        version=version("entrepot"),
        description=_DESCRIPTION,
        path="/docs",
        components=Components(security_schemes={"token": token}),
        render_plugins=[BrowsablePage(path="/"), JsonRenderPlugin()],
        use_handler_docstrings=True,
    )
