"""Start-up of a cluster under test: switch on the faults that its environment asks for."""

from django.apps import AppConfig


class ChaosConfig(AppConfig):
    name = "tests.chaos.app"
    label = "chaos"
