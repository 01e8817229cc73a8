"""The rules of a task's life, tried at random on the real tables and the real verbs.

clock           the database's time, in a test's hand
rules           what CONTRACT.md says of a task's life, once more, in memory: what the tables are held against
test_machine    Hypothesis takes any steps in any order; after each the tables say what the rules say
simulation      workers that crash, freeze and come late, in virtual time; a seed says everything that happens
"""
