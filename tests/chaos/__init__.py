"""What is promised of the engine, tried on real processes, real databases and real faults.

    cluster      a pool of workers as the test's own process tree: start, stop, kill, freeze
    app          handlers that leave evidence, and faults that a test switches on from outside
    evidence     the ack log and the effect log
    checker      what acknowledgement, effects and history together must never show

Marked `chaos`, and `full` what is not in the sample that every run of the tests takes: `make chaos` runs all.
"""
