"""Pipelines: several tasks with an order between them. They live above the engine's verbs, which know nothing of them.

Read it in this order; a file imports only from those before it:

    graph · references       pure: what depends on what, and the places in a payload where results go
    template                 a step's task before it exists
    definition               what may be submitted as a pipeline, and the rows that it becomes
    story                    the events of a pipeline, in order
    round                    one look at a pipeline: what is due, from what its tasks have come to
    advance                  many of them at once: the one place where pipelines are written
    verbs · retention        what operators do to a pipeline; when it is deleted
    submission · draft       storing a new pipeline; how one is written in Python
"""
