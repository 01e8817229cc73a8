"""Small programs that watch work, each explained by a page of docs/howto.

streamlit_job                      a Streamlit page, by polling
static/examples/watch.html, .js    a plain page, by the ES module; served by a hub that has this app
watch_pipeline                     a Python script, to the end of a pipeline
"""
