"""A Django app for the clusters that the tests start."""
