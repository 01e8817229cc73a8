"""The voice of the hub: the log's events, to every socket that may see them.

    signal log_written -> receivers -> channel layer (a hint) -> feed, which reads the log -> subscriptions -> sockets

It uses `tasks`; `tasks` never uses it. Read it in this order; a file imports only from those before it:

    groups · messages · limits · ring · subscriptions · outbox   pure: names, frames, and who wants what
    persistence · database · transports · auth · snapshots         what a socket asks of the world around it
    feed · replays · connection                                  from the log to one socket
    counts · loglines · vigil · wakeups · switchboard            what works for all sockets of a process
    consumers · routing · receivers · shutdown · checks          the doors
    asyncapi · management                                        what is said of them
"""
