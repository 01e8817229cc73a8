"""The pages' scripts have tests of their own, which node runs: `node --test tests/js/`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.services import missing

TESTS = Path(__file__).parents[2] / "js"


def test_the_scripts_pass_their_tests():
    node = shutil.which("node") or missing("Node.js")
    ran = subprocess.run([node, "--test", *sorted(TESTS.glob("*.test.mjs"))], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
