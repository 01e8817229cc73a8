"""One example of each shape, for the OpenAPI document. A test holds them against their types."""

from __future__ import annotations

from typing import Any

from tasks.states import States

TASK_ID = "019abcde-f012-7345-8678-9abcdef01234"
WORKER_ID = "019abcde-0000-7000-8000-00000000000a"

NEW_TASK = {
    "name": "reports.build",
    "payload": {"month": "2026-11"},
    "queue": "reports",
    "priority": 10,
    "delay": 30,
    "tags": ["monthly"],
}
ERROR = {"type": "TimeoutError", "detail": "The mail server did not answer.", "fingerprint": "0f1e2d3c4b5a6978"}
PROGRESS = {"percent": 40.0, "message": "page 4 of 10"}
TASK = {
    "id": TASK_ID,
    "name": "reports.build",
    "queue": "reports",
    "priority": 10,
    "status": "processing",
    "requested": None,
    "payload": {"month": "2026-11"},
    "callback_url": None,
    "attempt": 1,
    "max_attempts": 10,
    "run_at": "2026-11-22T10:00:30Z",
    "timeout": 300.0,
    "progress": PROGRESS,
    "result": None,
    "error": None,
    "version": 4,
    "owner": "alice",
    "tags": ["monthly"],
    "pipeline": None,
    "step": None,
    "worker": WORKER_ID,
    "created_at": "2026-11-22T10:00:00Z",
    "started_at": "2026-11-22T10:00:31Z",
    "eta": "2026-11-22T10:00:41Z",
    "finished_at": None,
    "updated_at": "2026-11-22T10:00:35Z",
}
QUEUE = {
    "name": "reports",
    "pending": 12,
    "active": 1,
    "failed": 0,
    "dead_lettered": 0,
    "oldest_pending_s": 4.2,
    "paused": False,
}
TOKEN = {
    "id": "019abcde-f012-7345-8678-9abcdef05678",
    "name": "nightly job",
    "prefix": "th_Zk3x9QwLm",
    "scopes": ["submit", "read"],
    "created_at": "2026-11-22T10:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}

PIPELINE_ID = "019abcde-f012-7345-8678-9abcdef09999"
NEW_PIPELINE = {
    "name": "nightly",
    "input": {"month": "2026-11"},
    "steps": [
        {"name": "extract", "handler": "reports.extract", "payload": {"month": {"$input": True}}},
        {"name": "load", "handler": "reports.load", "payload": {"rows": {"$result": "extract"}}, "max_attempts": 3},
    ],
}
PIPELINE = {
    "id": PIPELINE_ID,
    "name": "nightly",
    "pipeline_type": "sequential",
    "status": "processing",
    "input": {"month": "2026-11"},
    "result": None,
    "error": None,
    "current_step": 0,
    "total_steps": 2,
    "steps": [
        {
            "name": "extract",
            "index": 0,
            "status": "processing",
            "task_id": TASK_ID,
            "depends_on": [],
            "started_at": "2026-11-22T10:00:31Z",
            "finished_at": None,
        },
        {
            "name": "load",
            "index": 1,
            "status": "waiting",
            "task_id": None,
            "depends_on": ["extract"],
            "started_at": None,
            "finished_at": None,
        },
    ],
    "owner": "alice",
    "version": 3,
    "created_at": "2026-11-22T10:00:30Z",
    "started_at": "2026-11-22T10:00:31Z",
    "finished_at": None,
    "updated_at": "2026-11-22T10:00:31Z",
}

EXAMPLES: dict[str, Any] = {
    "NewPipeline": NEW_PIPELINE,
    "Pipeline": PIPELINE,
    "PipelinePage": {"next": None, "previous": None, "results": [PIPELINE]},
    "NewTask": NEW_TASK,
    "NewTasks": {"tasks": [NEW_TASK]},
    "Task": TASK,
    "CreatedTasks": {"tasks": [TASK]},
    "TaskPage": {"next": None, "previous": None, "results": [TASK]},
    "TaskStatus": {
        "job_id": TASK_ID,
        "status": "processing",
        "percent": 40.0,
        "message": "page 4 of 10",
        "result": None,
        "error": None,
        "updated_at": "2026-11-22T10:00:35Z",
    },
    "HistoryPage": {
        "results": [
            {
                "version": 2,
                "type": "task_updated",
                "previous_status": "pending",
                "status": "processing",
                "attempt": 1,
                "actor": "host-1:4711",
                "message": "",
                "timestamp": "2026-11-22T10:00:31Z",
            }
        ],
        "next": None,
    },
    "AttemptPage": {
        "results": [
            {
                "number": 1,
                "outcome": "failed",
                "worker": WORKER_ID,
                "started_at": "2026-11-22T10:00:31Z",
                "finished_at": "2026-11-22T10:01:01Z",
                "error": ERROR,
                "response": None,
                "late": None,
            }
        ],
        "next": None,
    },
    "LogPage": {
        "results": [
            {"seq": 1, "attempt": 1, "level": "info", "message": "written", "timestamp": "2026-11-22T10:00:40Z"}
        ],
        "next": None,
    },
    "Queue": QUEUE,
    "QueueList": {"results": [QUEUE]},
    "QueueStatus": {
        "total_tasks": 13,
        "active_tasks": 1,
        "pending_tasks": 12,
        "workers_online": 4,
        "by_status": dict.fromkeys(States.values, 0) | {"pending": 12, "processing": 1},
        "queues": [QUEUE],
        "timestamp": "2026-11-22T10:00:35Z",
    },
    "ActiveTaskPage": {
        "next": None,
        "previous": None,
        "results": [
            {
                "id": TASK_ID,
                "handler": "reports.build",
                "queue": "reports",
                "owner": "alice",
                "attempt": 1,
                "payload": {"month": "2026-11"},
                "started_at": "2026-11-22T10:00:31Z",
                "elapsed_s": 4.0,
                "progress": PROGRESS,
                "worker": WORKER_ID,
            }
        ],
    },
    "WorkerList": {
        "results": [
            {
                "id": WORKER_ID,
                "host": "host-1",
                "pid": 4711,
                "role": "plain",
                "online": True,
                "started_at": "2026-11-22T09:00:00Z",
                "heartbeat_age_s": 1.7,
                "tasks": [
                    {"id": TASK_ID, "name": "reports.build", "queue": "reports", "started_at": "2026-11-22T10:00:31Z"}
                ],
            }
        ]
    },
    "Ticket": {"ticket": "pT7…", "expires_at": "2026-11-22T10:01:05Z"},
    "EventPage": {
        "results": [
            {
                "type": "task_created",
                "event_id": f"{TASK_ID}:1",
                "cursor": "8f3a1c20.1a.5be01b23",
                "timestamp": "2026-11-22T10:00:00Z",
                "task_id": TASK_ID,
                "task_name": "reports.build",
                "status": "pending",
                "version": 1,
                "queue": "reports",
            }
        ],
        "cursor": "8f3a1c20.1a.5be01b23",
        "recovered": True,
    },
    "NewToken": {"scopes": ["submit", "read"], "name": "nightly job"},
    "Settlement": {"result": {"pages": 12}},
    "ReportedProgress": {"percent": 40.0, "message": "page 4 of 10"},
    "TokenList": {"results": [TOKEN]},
    "CreatedToken": TOKEN | {"token": "th_Zk3x9QwLm…"},
    "Alive": {"status": "ok"},
    "Ready": {"status": "ready", "degraded": []},
    "Problem": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "The request is invalid; `errors` says where.",
        "errors": [{"field": "payload.month", "message": "Object missing required field `month`."}],
    },
}


def of(shape: str) -> Any:
    """The example of the component called `shape`."""
    return EXAMPLES[shape]
