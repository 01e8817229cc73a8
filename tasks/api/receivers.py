"""`/tasks/{id}/result` and `/progress`: what a callback's receiver reports of the attempt that it has accepted.

The attempt's token is the only credential; whoever has it speaks for that attempt and for nothing else.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import msgspec
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET, Meta, UnsetType
from rest_framework.request import Request
from rest_framework.response import Response

from tasks.api.endpoint import Endpoint
from tasks.api.permissions import OPEN
from tasks.api.schema import operation
from tasks.callbacks import settlement
from tasks.callbacks.settlement import Unauthenticated
from tasks.documents import check_document
from tasks.exceptions import FieldError, InvalidTask
from tasks.representation import TaskStatusJSON, status_json
from tasks.submission import convert

HEADER = "taskhub-attempt-token"
ATTEMPT_TOKEN = OpenApiParameter(
    HEADER, {"type": "string"}, OpenApiParameter.HEADER, required=True, description="As it came with the callback."
)


class ReportedError(msgspec.Struct, forbid_unknown_fields=True):
    """Why the receiver's work failed."""

    detail: Annotated[str, Meta(max_length=20_000)]
    type: Annotated[str, Meta(min_length=1, max_length=100)] = "ReceiverError"


class Settlement(msgspec.Struct, forbid_unknown_fields=True):
    """The end of the attempt: exactly one of `result` and `error`. An error fails the attempt as any other would."""

    result: Any = UNSET
    error: ReportedError | Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET


class ReportedProgress(msgspec.Struct, forbid_unknown_fields=True):
    """How far the work is; `percent` is 0 to 100."""

    percent: Annotated[float, Meta(ge=0, le=100)]
    message: Annotated[str, Meta(max_length=500)] = ""


class ReceiverEndpoint(Endpoint):
    """Open to whoever brings the attempt's token."""

    authentication_classes = ()
    needs = {"POST": OPEN}

    @property
    def attempt_token(self) -> str:
        token = self.request.headers.get(HEADER, "")
        if not token.isascii() or not token:
            raise Unauthenticated(f"Send the {HEADER} that came with the callback.")
        return token


class TaskResult(ReceiverEndpoint):
    @operation(
        "Report the end of a deferred attempt",
        {200: TaskStatusJSON},
        tag="callbacks",
        body=Settlement,
        headers=(ATTEMPT_TOKEN,),
        errors=(401, 404, 409, 413, 415),
        id="report_result",
        is_open=True,
    )
    def post(self, request: Request, id: uuid.UUID) -> Response:
        token = self.attempt_token
        check_document(request.data)
        body = convert(request.data, Settlement)
        if (body.result is UNSET) == (body.error is UNSET):
            raise InvalidTask(FieldError("result", "Send either a result or an error."))
        if body.error is UNSET:
            return _status(settlement.settle(id, token, result=body.result))
        error = body.error if isinstance(body.error, ReportedError) else ReportedError(body.error)
        return _status(settlement.settle(id, token, error=msgspec.structs.asdict(error)))


class TaskProgress(ReceiverEndpoint):
    @operation(
        "Report how far a deferred attempt is",
        {200: TaskStatusJSON},
        tag="callbacks",
        body=ReportedProgress,
        headers=(ATTEMPT_TOKEN,),
        errors=(401, 404, 409, 413, 415),
        id="report_progress",
        is_open=True,
    )
    def post(self, request: Request, id: uuid.UUID) -> Response:
        token = self.attempt_token
        check_document(request.data)
        body = convert(request.data, ReportedProgress)
        return _status(settlement.report(id, token, body.percent, body.message))


def _status(task: Any) -> Response:
    return Response(status_json(task))
