"""How a task reaches a worker and comes back. A file imports only from lines above it:

kinship · lifeline            ending with one's parent; the supervisor's word to its children; no Django
context · deadline · attempt  one try of one Python handler
session                       who this worker is, and its lease
claim · desk                  what it takes, and what it holds
pulse                         the thread that keeps the lease and writes down what lies on the desk
fuse · watchdog               what ends whatever does not end by itself
sweeps                        what any worker does for all
plain · loop                  the two kinds of worker
runner · broker               the ticket from django-q2
supervisor                    what `manage.py hub` runs
"""
