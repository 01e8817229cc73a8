"""An app as users write them: its `handlers.py` is what the tests run."""
