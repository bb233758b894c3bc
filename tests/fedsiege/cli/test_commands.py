"""The commands of ``fedsiege``: each in the file of its name, loaded when it is asked for."""

import importlib
import re
import subprocess
import sys

from fedsiege.cli.main import COMMANDS


def test_each_command_is_in_the_file_of_its_name(typed):
    done = typed("--help")
    assert re.findall(r"^│ ([a-z]+) ", done.stdout, re.MULTILINE) == list(COMMANDS)
    for name in COMMANDS:
        assert importlib.import_module(f"fedsiege.cli.{name}").app
    done = typed("sin")
    assert done.returncode == 2
    assert "No such command 'sin'" in done.stderr


def test_the_help_of_a_command_loads_no_torch():
    code = (
        "import sys; from fedsiege.cli import main; sys.argv = ['fedsiege', 'sim', '--help']\n"
        "try: main.main()\nexcept SystemExit: print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
