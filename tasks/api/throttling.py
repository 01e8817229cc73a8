"""How often: `TASKHUB_RATE_LIMIT` requests a minute for each token, or for each user in the browser."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tasks.access import Principal
from tasks.api.limits import Rate, rate_of


class Throttle(BaseThrottle):
    """Notes on the view where the caller stands, for the headers of its answer."""

    def allow_request(self, request: Request, view) -> bool:
        if not isinstance(request.auth, Principal):
            return True
        self.rate: Rate = rate_of(request.auth.key)
        view.rate = self.rate
        return not self.rate.is_exceeded

    def wait(self) -> float:
        return self.rate.reset_s
