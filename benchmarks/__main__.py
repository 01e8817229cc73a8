"""`python -m benchmarks [NAME ...]`: those, or all of them; `--list` tells which there are."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import signal
import sys

import benchmarks


def names() -> list[str]:
    """Every module beside this one that has a `main`."""
    return [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if _main(module.name)]


def _main(name: str):
    return None if name == "__main__" else getattr(importlib.import_module(f"benchmarks.{name}"), "main", None)


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
        _main(name)()


run(sys.argv[1:])
