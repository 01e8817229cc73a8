"""What every view of the API shares: it is closed, it knows who asks, it says how many requests are left."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks.access import Principal
from tasks.api.limits import Rate
from tasks.submission import TASK_LIMIT


class Endpoint(APIView):
    """`needs` is {method: permission or scope}, see `permissions`. `body_limit` is in bytes."""

    needs: ClassVar[dict[str, str]] = {}
    body_limit = TASK_LIMIT
    rate: Rate | None = None
    http_method_names = ["get", "head", "post", "delete"]

    @property
    def principal(self) -> Principal:
        assert isinstance(self.request.auth, Principal)
        return self.request.auth

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        """REST framework takes a body without a length for none; one that is sent in chunks has none."""
        if "chunked" in request.headers.get("Transfer-Encoding", ""):
            request.META["CONTENT_LENGTH"] = "-1"
        return super().initialize_request(request, *args, **kwargs)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in (self.rate.headers if self.rate else {}).items():
            response[name] = value
        response.setdefault("Cache-Control", "no-store")
        return response
