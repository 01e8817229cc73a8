"""Signing in: by password, or in development by a link that works once."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tasks.signin import redeem

BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignIn(LoginView):
    """The page for a username and a password."""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest, raw: str) -> HttpResponse:
    """A page with one button, which redeems the link. Opening the page uses nothing up."""
    if not settings.DEVELOPMENT:
        raise Http404
    if request.method != "POST":
        return render(request, "registration/signin_link.html")
    user = redeem(raw)
    if user is None:
        return render(request, "registration/signin_link.html", {"is_spent": True}, status=410)
    login(request, user, backend=BACKEND)
    return redirect(settings.LOGIN_REDIRECT_URL)
