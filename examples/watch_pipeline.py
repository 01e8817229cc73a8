"""Runs a pipeline and tells what happens until its end: `python examples/watch_pipeline.py`.

TASKHUB_URL and TASKHUB_TOKEN say which hub.
"""

import os
import sys

from taskhub_client import Client

STEPS = [
    {
        "name": "report",
        "handler": "demo.report",
        "payload": {"month": {"$input": True}, "pages": 5, "seconds_per_page": 0.2},
    },
    {"name": "send", "handler": "demo.flaky", "retry": {"delay": 0.5}},
    {"name": "thank", "handler": "demo.hello", "payload": {"name": {"$input": True}}},
]
ENDS = ("PipelineCompleteEvent", "PipelineErrorEvent")


def main() -> int:
    """0 when the pipeline is complete."""
    url = os.environ.get("TASKHUB_URL", "http://localhost:8000")
    with Client(url, os.environ["TASKHUB_TOKEN"]) as hub, hub.stream(pipeline_id="*") as events:
        run = hub.pipelines.submit("monthly", STEPS, input="2026-11")
        for event in events:
            if event.get("pipeline_id") == run["id"]:
                print(said(event), flush=True)
                if event["type"] in ENDS:
                    return 0 if event["type"] == "PipelineCompleteEvent" else 1
    return 1


def said(event: dict) -> str:
    match event["type"]:
        case "pipeline_progress":
            return f"  {event['current_step']} of {event['total_steps']}: {event['message']}"
        case "StepStartEvent":
            return f"{event['step_name']} has started"
        case "StepCompleteEvent":
            return f"{event['step_name']} took {event['duration_ms']} ms: {event['result']}"
        case "StepErrorEvent":
            return f"{event['step_name']} has failed: {event['error']['detail']}"
        case "PipelineCompleteEvent":
            return f"complete after {event['duration_ms']} ms: {event['result']}"
        case "PipelineErrorEvent":
            return f"failed: {event['error']['detail']}"
    return str(event["type"])


if __name__ == "__main__":
    sys.exit(main())
