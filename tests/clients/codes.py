"""The protocol's table of close codes, with those that no hub sends: the network's, and what may come one day."""

from __future__ import annotations

from realtime.asyncapi import document

CUT = 1006  # no code at all: the line is gone
OTHERS = {1000: True, 1001: True, CUT: True, 4999: True}
COMES_BACK: dict[int, bool] = {
    **OTHERS,
    **{int(code): about["come_back"] for code, about in document()["x-close-codes"].items()},
}
