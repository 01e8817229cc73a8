"""The project: settings from the environment, URLs, the ASGI application. Wiring only, no domain."""
