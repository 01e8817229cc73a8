"""A page that starts a job and shows how far it is: `streamlit run examples/streamlit_job.py`.

TASKHUB_URL and TASKHUB_TOKEN say which hub.
"""

import os

import streamlit as st

from taskhub_client import Client

EVERY = 1.0  # seconds between two looks
ENDED = ("completed", "dead_lettered", "canceled")


@st.cache_resource
def hub() -> Client:
    return Client(os.environ.get("TASKHUB_URL", "http://localhost:8000"), os.environ["TASKHUB_TOKEN"])


def show(job: dict) -> None:
    """Percent and message together; full and the result at the end; the error's own words when it failed."""
    if job["status"] == "completed":
        st.progress(1.0, "100% · done")
        st.json(job["result"])
    elif job["error"] and job["status"] != "processing":
        st.error(f"{job['status']}: {job['error']['detail']}")
    elif job["status"] == "processing":
        percent = job["percent"] or 0.0
        st.progress(percent / 100, f"{percent:.0f}% · {job['message']}")
    else:
        st.info(job["status"])


def watch() -> None:
    """Only this part of the page runs again and again, and only until the job has ended."""
    job = hub().status(st.session_state.job)
    show(job)
    if job["status"] in ENDED and not st.session_state.ended:
        st.session_state.ended = True
        st.rerun()


st.title("Report")
if st.button("Build the report of November"):
    st.session_state.job = hub().submit("demo.report", {"month": "2026-11", "pages": 10})["id"]
    st.session_state.ended = False
if "job" in st.session_state:
    st.fragment(watch, run_every=None if st.session_state.ended else EVERY)()
