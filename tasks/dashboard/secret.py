"""The page where owners set and replace the secret that signs their callbacks. A new one is in that answer only."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tasks.callbacks import ownership
from tasks.models import CallbackSecret

VERBS = {"rotate": ownership.rotate, "retire": ownership.retire, "remove": ownership.remove}


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def callback_secret(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request)
    verb = request.POST.get("verb")
    if verb not in VERBS:
        raise BadRequest(f"verb must be one of {', '.join(VERBS)}.")
    done = VERBS[verb](request.user)
    return _page(request, made=str(done)) if verb == "rotate" else redirect("callback-secret")


def _page(request: HttpRequest, made: str = "") -> HttpResponse:
    own = CallbackSecret.objects.filter(user=request.user.pk).first()
    context = {"made": made, "has_own": own is not None, "has_former": own is not None and ownership.has_former(own)}
    return render(request, "dashboard/callback_secret.html", context)
