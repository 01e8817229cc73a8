"""Where a hub is, and how a client introduces itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

API = "/api/v1"


@dataclass(frozen=True)
class Address:
    """`url` is the hub's own, such as `https://hub.example.com`; the token is kept out of what is printed."""

    url: str
    token: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"The address of a hub begins with http:// or https://, and this is {self.url!r}.")

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    @property
    def rest(self) -> str:
        return self.url.rstrip("/") + API

    @property
    def stream(self) -> str:
        return "ws" + self.rest.removeprefix("http") + "/stream"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "User-Agent": f"taskhub-client/{_version()}"}


def _version() -> str:
    try:
        return version("taskhub-client")
    except PackageNotFoundError:  # run from its sources
        return "dev"
