"""The voice of the hub: the log's events, to every socket that may see them.

    signal task_changed -> receivers -> channel layer (a hint) -> feed, which reads the log -> subscriptions -> sockets

It uses `tasks`; `tasks` never uses it. A file imports only from those before it:
groups · messages · receivers · feed · subscriptions · auth · consumers · routing
"""
