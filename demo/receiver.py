"""A receiver of HTTP callbacks: it checks the signature, and can be told to fail or to answer later. Development only.

What it remembers lies in the memory of this web process.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from demo.signature import is_genuine

DELIVERIES_KEPT = 20
RESULT = {"result": {"shipped": True}}
delivery = require_http_methods(["POST", "PUT", "PATCH"])


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that arrived, and what it was answered."""

    path: str
    task_id: str
    attempt: str
    body: str
    answer: int
    arrived_at: dt.datetime


@dataclass
class Receiver:
    """What a service of yours would keep in its database."""

    is_broken: bool = True  # of /demo/receiver/broken only
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=DELIVERIES_KEPT))
    accepted: dict[str, str] = field(default_factory=dict)  # task URL -> attempt token, to be answered later


receiver = Receiver()


@csrf_exempt
@delivery
def receive(request: HttpRequest) -> HttpResponse:
    """Answer 200."""
    return _answer(request, 200, received=_payload(request))


@csrf_exempt
@delivery
def receive_broken(request: HttpRequest) -> HttpResponse:
    """Answer 500 until it is repaired."""
    if receiver.is_broken:
        return _answer(request, 500, error="The receiver is broken; repair it at /demo/.")
    return receive(request)


@csrf_exempt
@delivery
def receive_later(request: HttpRequest) -> HttpResponse:
    """Answer 202: the result comes when somebody presses Finish."""
    response = _answer(request, 202)
    if response.status_code == 202:
        response["taskhub-defer"] = "1"
        receiver.accepted[request.headers["taskhub-task-url"]] = request.headers["taskhub-attempt-token"]
    return response


@login_required
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """What has arrived, with buttons to break, repair and finish."""
    return render(request, "demo/receiver.html", {"receiver": receiver})


@csrf_exempt
@require_POST
def set_broken(request: HttpRequest, is_broken: bool) -> HttpResponse:
    """Let /demo/receiver/broken fail, or not."""
    receiver.is_broken = is_broken
    return redirect("demo-receiver")


@csrf_exempt
@require_POST
async def finish(request: HttpRequest) -> HttpResponse:
    """Send the results of everything that was accepted: the attempt's token is the only credential."""
    async with aiohttp.ClientSession() as session:
        for task_url, token in list(receiver.accepted.items()):
            report = session.post(f"{task_url}/result", json=RESULT, headers={"taskhub-attempt-token": token})
            async with report as answer:
                if answer.status < 500:  # else the hub did not take it: keep it for the next time
                    receiver.accepted.pop(task_url, None)
    return redirect("demo-receiver")


def _answer(request: HttpRequest, status: int, **body: Any) -> JsonResponse:
    """401 to whoever did not sign; else what was meant, and a note of it."""
    secret = settings.TASKHUB_CALLBACK_SECRET.split()[0]
    headers = {name.lower(): value for name, value in request.headers.items()}
    if not is_genuine(secret, headers, request.body):
        return JsonResponse({"error": "The signature is not TaskHub's, or too old."}, status=401)
    receiver.deliveries.appendleft(
        Delivery(
            path=request.path,
            task_id=headers["webhook-id"],
            attempt=headers.get("taskhub-attempt", ""),
            body=request.body.decode(errors="replace"),
            answer=status,
            arrived_at=dt.datetime.now(dt.UTC),
        )
    )
    return JsonResponse(body, status=status)


def _payload(request: HttpRequest) -> Any:
    try:
        return json.loads(request.body)
    except ValueError:
        return None
