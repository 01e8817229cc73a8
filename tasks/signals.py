"""The one way out of the domain: `task_changed`, sent once for each row of the event log, after its commit.

Arguments: `event` (a `TaskEvent` as it was stored, but for its id, which only readers of the log need). Receivers run
in the process and thread that made the change; an exception in one is logged and hurts nobody (`send_robust`).
Whoever needs every change without exception reads the log instead: a process may die between the commit and this
signal.
"""

from django.dispatch import Signal

task_changed = Signal()
