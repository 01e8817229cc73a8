"""The addresses of the API, and those of health and metrics at the root."""

from __future__ import annotations

from django.urls import path

from tasks.api import documents, health, hub, pipelines, queues, receivers, task, tasks, tokens

app_name = "api"

urlpatterns = [
    path("api/v1/tasks", tasks.Tasks.as_view(), name="tasks"),
    path("api/v1/tasks/bulk", tasks.BulkTasks.as_view(), name="bulk"),
    path("api/v1/tasks/<uuid:id>", task.OneTask.as_view(), name="task"),
    path("api/v1/tasks/<uuid:id>/status", task.TaskStatus.as_view(), name="status"),
    path("api/v1/tasks/<uuid:id>/events", task.TaskHistory.as_view(), name="history"),
    path("api/v1/tasks/<uuid:id>/attempts", task.TaskAttempts.as_view(), name="attempts"),
    path("api/v1/tasks/<uuid:id>/logs", task.TaskLogs.as_view(), name="logs"),
    path("api/v1/tasks/<uuid:id>/result", receivers.TaskResult.as_view(), name="result"),
    path("api/v1/tasks/<uuid:id>/progress", receivers.TaskProgress.as_view(), name="progress"),
    *(path(f"api/v1/tasks/<uuid:id>/{verb}", view.as_view(), name=verb) for verb, view in task.ACTIONS.items()),
    path("api/v1/pipelines", pipelines.Pipelines.as_view(), name="pipelines"),
    path("api/v1/pipelines/<uuid:id>", pipelines.OnePipeline.as_view(), name="pipeline"),
    *(
        path(f"api/v1/pipelines/<uuid:id>/{verb}", view.as_view(), name=f"{verb}-pipeline")
        for verb, view in pipelines.ACTIONS.items()
    ),
    path("api/v1/queue/status", queues.QueueStatus.as_view(), name="queue-status"),
    path("api/v1/queue/tasks", queues.ActiveTasks.as_view(), name="active"),
    path("api/v1/queues", queues.Queues.as_view(), name="queues"),
    path("api/v1/queues/<str:name>/pause", queues.PauseQueue.as_view(), name="pause-queue"),
    path("api/v1/queues/<str:name>/resume", queues.ResumeQueue.as_view(), name="resume-queue"),
    path("api/v1/workers", hub.Workers.as_view(), name="workers"),
    path("api/v1/events", hub.Events.as_view(), name="events"),
    path("api/v1/stream-tickets", hub.StreamTickets.as_view(), name="stream-tickets"),
    path("api/v1/tokens", tokens.Tokens.as_view(), name="tokens"),
    path("api/v1/tokens/<uuid:id>", tokens.OneToken.as_view(), name="token"),
    path("api/v1/schema", documents.Schema.as_view(), name="schema"),
    path("api/v1/docs", documents.Docs.as_view(), name="docs"),
    path("healthz", health.Healthz.as_view(), name="healthz"),
    path("readyz", health.Readyz.as_view(), name="readyz"),
    path("metrics", health.Metrics.as_view(), name="metrics"),
]
