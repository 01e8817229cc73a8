"""How fast, measured in ratios: what is compared runs on the same machine, in the same run, in turns.

`python -m benchmarks NAME`; without a name all of them. Each prints its table and the commands behind it. Nothing
here is imported by TaskHub, and nothing here is a test: a figure depends on the machine.
"""
