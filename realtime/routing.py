"""The addresses of the stream."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import path, re_path

from realtime.consumers import Nowhere, PipelineStream, Stream, TasksStream, TaskStream

application = URLRouter(
    [
        path("api/v1/stream", Stream.as_asgi()),
        path("api/v1/tasks/stream", TasksStream.as_asgi()),
        path("api/v1/tasks/<str:id>/stream", TaskStream.as_asgi()),
        path("api/v1/pipelines/<str:id>/stream", PipelineStream.as_asgi()),
        re_path("", Nowhere.as_asgi()),
    ]
)
