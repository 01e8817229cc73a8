"""The pages about the examples show what runs."""

from __future__ import annotations

import pytest

from tests.hub import ROOT
from tests.test_docs import DOCS, blocks

SHOWN = {
    "watch-a-job-from-streamlit.md": ("py", "streamlit_job.py"),
    "watch-a-job-from-a-page.md": ("js", "static/examples/watch.js"),
    "watch-a-pipeline-from-python.md": ("py", "watch_pipeline.py"),
}


@pytest.mark.parametrize("page", SHOWN)
def test_a_page_shows_the_whole_example(page):
    language, path = SHOWN[page]
    assert blocks(DOCS / "howto" / page, language) == [(ROOT / "examples" / path).read_text()]
