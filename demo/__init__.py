"""What a newcomer plays with: four handlers, a receiver for HTTP callbacks, and `manage.py demo` to submit to them.

Installed in development unless `TASKHUB_APPS` says otherwise. Nothing imports it.
"""
