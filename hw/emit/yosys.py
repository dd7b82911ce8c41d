"""Yosys as a library, in a child process: its errors end the process that they happen in."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_RUN = """
import signal
import sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
from pyosys import libyosys
libyosys.Design().run_pass("script " + sys.argv[1])
"""


class YosysError(RuntimeError):
    """A Yosys command failed; the message is Yosys's own."""


def run_yosys(
    commands: Sequence[str], inputs: Mapping[str, str] | None = None, outputs: Sequence[str] = ()
) -> dict[str, str]:
    """Run Yosys commands in an empty folder.

    Args:
        commands: Yosys commands, one a line; they name files relative to the folder.
        inputs: Text files to put there first, by name.
        outputs: Names of the text files to return.

    Returns:
        dict: The outputs' texts by name, and Yosys's log as ``log``.

    Raises:
        YosysError: If a command fails.
    """
    with tempfile.TemporaryDirectory(prefix="vsq-yosys-") as folder:
        for name, text in (inputs or {}).items():
            Path(folder, name).write_text(text)
        Path(folder, "script.ys").write_text("\n".join(commands) + "\n")
        # ABC's scratch files and Yosys's cache go where they end with the folder, and where no other run sees them.
        environment = {**os.environ, "TMPDIR": folder}
        command = [sys.executable, "-c", _RUN, "script.ys"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == -signal.SIGINT:  # the terminal interrupts the child too, and maybe first
            raise KeyboardInterrupt
        if done.returncode:
            lines = (done.stdout + done.stderr).splitlines()
            errors = [line for line in lines if "ERROR" in line] or lines[-1:] or [f"exit {done.returncode}"]
            raise YosysError(errors[0].strip())
        return {"log": done.stdout, **{name: Path(folder, name).read_text() for name in outputs}}
