"""`/schema`, the OpenAPI document, and `/docs`, a page to try it: without anything from outside."""

from __future__ import annotations

import functools
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tasks.api.endpoint import Endpoint
from tasks.api.permissions import SIGNED_IN


class Schema(Endpoint):
    needs = {"GET": SIGNED_IN}

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(document(), headers={"Cache-Control": "private, max-age=60"})


class Docs(Endpoint):
    needs = {"GET": SIGNED_IN}

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return render(request._request, "api/docs.html")


@functools.cache
def document() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)
