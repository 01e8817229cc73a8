"""`python -m benchmarks [NAME ...]`: those, or all of them; `--list` tells which there are."""

from __future__ import annotations

import importlib
import inspect
import signal
import sys
from pathlib import Path

import benchmarks


def names() -> list[str]:
    """Every module beside this one that has a `main`; what they are is read, since some need Django to be imported."""
    modules = sorted(Path(benchmarks.__path__[0]).glob("[!_]*.py"))
    return [module.stem for module in modules if "\ndef main(" in module.read_text()]


def run(wanted: list[str]) -> None:
    known = names()
    if wanted == ["--list"]:
        for name in known:
            print(f"{name:<12} {inspect.getdoc(importlib.import_module(f'benchmarks.{name}')).partition(chr(10))[0]}")
        return
    if unknown := set(wanted) - set(known):
        sys.exit(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # whatever was started is stopped on the way out
    for name in wanted or known:
        importlib.import_module(f"benchmarks.{name}").main()


run(sys.argv[1:])
