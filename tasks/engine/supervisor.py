"""What `manage.py hub` runs: web and cluster, started, watched, started again and stopped, by one process.

Its main loop waits for signals and for the clock, and for nothing else: the database is looked at by `watch`. Each
child has a process group and a lifeline of its own. django-q2's parent process is never asked to stop, since it hangs
when one of its children was killed before: its workers are told by the lifeline, and at last the group is ended.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tasks.engine import children
from tasks.engine.children import Child
from tasks.engine.orders import Orders
from tasks.engine.progress import Progress
from tasks.engine.sources import Sources
from tasks.engine.watch import Closing, Watch

logger = logging.getLogger(__name__)

TICK, CLOSELY = 0.2, 0.02  # seconds between two looks at the children, and while they end
SOCKETS = 0.5  # seconds in which the web server says good-bye to its sockets
TERMINATED = 1.5  # seconds after which the web server, told to end, only tidies up its memory
LAST_WORDS = 0.7  # seconds that a worker has after the grace, to write down what it gave up
KILLED = 2.0  # seconds after which nothing can be left of a group that was killed
GIVEN_BACK = 0.6  # seconds that giving back may take; else the leases run out in their own time
RELOAD_GRACE = 1.0  # seconds that running tasks have when the code has changed


class Supervisor:
    """`run` returns when it was told to stop and nothing is left of the children."""

    def __init__(
        self,
        watch: Watch,
        *,
        web: Child | None,
        cluster: Child | None,
        sessions: int,
        grace: float,
        sources: Sources | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """`sessions`: how many the cluster is to have. `grace`: seconds that running tasks have at the end.

        `sources`: where a change starts the children anew. `on_ready` is called once the database is in order.
        """
        self._watch, self._web, self._cluster = watch, web, cluster
        self._children = [child for child in (web, cluster) if child]
        self._sessions, self._grace, self._sources = sessions, grace, sources
        self._on_ready, self._on_stop = on_ready, on_stop
        self._orders = Orders()
        self._progress: Progress | None = None
        self._closing: Closing | None = None
        self._web_ends = 0.0  # by the monotonic clock
        self._knows_handlers = True  # until the workers have loaded newer code than we have
        self._was_ready = False

    def run(self) -> bool:
        """Returns whether the children were given the time to finish."""
        children.adopt_orphans()
        self._orders.heed()
        try:
            self._run()
        finally:  # an error of ours leaves no process behind either
            self._clear_away(self._children)
        return not self._orders.to_hurry

    def _run(self) -> None:
        for child in self._children:
            child.plan(on_trial=self._sources is not None)
        self._watch.start()
        while not self._orders.to_stop:
            self._tend()
            self._orders.wait(TICK)
        self._on_stop()
        self._finish(self._grace)

    # -- while it runs ---------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """Everything that is due now. Raises what has kept the database from being brought into order."""
        if self._watch.failure:
            raise self._watch.failure
        self._bury()
        if self._progress and self._progress.complaint:
            self._renew_cluster(self._progress.complaint)
        if self._sources and self._sources.have_changed():
            self._reload()
        if self._watch.is_ready and not self._was_ready:
            self._was_ready = True
            self._on_ready()
        for child in self._children:
            if child.is_due and (child is self._web or self._was_ready):
                self._start(child)

    def _start(self, child: Child) -> None:
        child.start()
        if child is self._cluster and child.group:
            self._progress = Progress(child.group, self._sessions, self._knows_handlers)
            self._watch.turn_to(self._progress)

    def _bury(self) -> None:
        """Clear away children that nobody has asked to end, and start them again later."""
        self._reap()
        for child in self._children:
            if child.code is not None:
                self._clear_away([child])
                if child.plan_again():
                    self._note_restart(child)

    def _renew_cluster(self, complaint: str) -> None:
        assert self._cluster
        logger.error("The cluster makes no progress: %s. Starting it anew.", complaint)
        self._clear_away([self._cluster])
        self._cluster.plan()
        self._note_restart(self._cluster)

    def _note_restart(self, child: Child) -> None:
        self._watch.note_restart("web" if child is self._web else "cluster")

    def _reload(self) -> None:
        logger.info("The code has changed; starting anew.")
        self._knows_handlers = False
        self._finish(RELOAD_GRACE)
        for child in self._children:
            child.plan(on_trial=True)

    # -- ending ----------------------------------------------------------------------------------------------------

    def _finish(self, grace: float) -> None:
        """Let the children finish within the grace; then nothing of them is left."""
        until = time.monotonic() + grace + LAST_WORDS
        for child in self._children:
            child.tell_to_stop()
        self._closing = Closing(self._cluster.group) if self._cluster and self._cluster.group else None
        self._watch.turn_to(self._closing)
        if self._web:
            self._web.send(signal.SIGUSR1)
            self._wait(lambda: False, min(SOCKETS, grace))
            self._web.send(signal.SIGTERM)
            self._web_ends = time.monotonic() + TERMINATED
        self._wait(lambda: all(map(self._has_finished, self._children)), until - time.monotonic())
        self._clear_away(self._children)

    def _has_finished(self, child: Child) -> bool:
        """Whether nothing is lost when it is ended now."""
        if child is self._web:
            return not child.is_running or time.monotonic() >= self._web_ends
        return not child.is_running or (self._closing is not None and self._closing.is_quiet)

    def _clear_away(self, ended: Sequence[Child]) -> None:
        """End at once what is left of these children, see it gone, and give back what it held."""
        held_tasks = bool(self._cluster and self._cluster in ended and not self._cluster.has_gone)
        until = time.monotonic() + KILLED
        while (strays := self._strays(ended)) or not all(child.has_gone for child in ended):
            for child in ended:
                child.kill()
            for pid in strays:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._orders.wait(CLOSELY)
            self._reap()
            if time.monotonic() > until:
                break
        if held_tasks:
            self._progress = None
            self._wait(self._watch.give_back().is_set, GIVEN_BACK)

    def _strays(self, ended: Sequence[Child]) -> set[int]:
        """What handlers have started in groups of its own, once its parents have ended."""
        return children.offspring() - {child.pid for child in self._children} if self._cluster in ended else set()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Until the condition holds or the time is over; a second Ctrl-C ends every wait."""
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until and not self._orders.to_hurry:
            self._orders.wait(CLOSELY)
            self._reap()

    def _reap(self) -> None:
        codes = children.reap()
        for child in self._children:
            if child.pid in codes:
                child.ended(codes[child.pid])
