#!/usr/bin/env python
"""Django's command line, for the settings in `taskhub.settings`."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskhub.settings")
    from django.core.management import execute_from_command_line

    from taskhub.env import InvalidEnvironment

    try:
        execute_from_command_line(sys.argv)
    except InvalidEnvironment as error:
        sys.exit(f"taskhub: {error}")


if __name__ == "__main__":
    main()
