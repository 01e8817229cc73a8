"""Signing in: by password, or in development by a link that works once. Who guesses passwords is slowed down."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tasks.access import digest
from tasks.api.limits import Rate, rate_of
from tasks.signin import redeem

Page = Callable[..., HttpResponseBase]
TRIES_BY_NAME, TRIES_BY_ADDRESS = 10, 100  # a minute; behind a proxy all people share its address
BACKEND = "django.contrib.auth.backends.ModelBackend"


def throttled(view: Page) -> Page:
    """Let no more than so many tries a minute through to a sign-in form, of one name and from one address."""

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        rates = [*_rates(request)] if request.method == "POST" else []
        if wait := max((rate.reset_s for rate in rates if rate.is_exceeded), default=0):
            refusal = render(request, "429.html", {"wait": wait}, status=429)
            refusal["Retry-After"] = str(wait)
            return refusal
        return view(request, *args, **kwargs)

    return limited


def _rates(request: HttpRequest) -> Iterator[Rate]:
    """Names are folded as a database might: `Alice` is no second chance to guess the password of `alice`."""
    name = unicodedata.normalize("NFKC", request.POST.get("username", "")).casefold()
    yield rate_of(f"name:{digest(name)[:40]}", TRIES_BY_NAME)
    yield rate_of(f"address:{request.META.get('REMOTE_ADDR', '')}"[:50], TRIES_BY_ADDRESS)


@method_decorator(throttled, name="dispatch")
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
