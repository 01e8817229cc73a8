"""The ways out of the domain, after each commit: `task_changed` once for each row of the event log, then `log_written`
once for all rows that were written together; `task_logged` when a task's log lines were stored, which are no events.

Arguments: `event`, or `events` (a `TaskEvent` as it was stored, but for its id, which only readers of the log need), or
`task_id`. Receivers run in the process and thread that made the change; an exception in one is logged and hurts nobody
(`send_robust`). Whoever needs every change without exception reads the log instead: a process may die between the
commit and these signals.
"""

from django.dispatch import Signal

task_changed = Signal(use_caching=True)
log_written = Signal()
task_logged = Signal()
