from pathlib import Path

import pytest

from vsq.synth.library.liberty import Library

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


@pytest.fixture(scope="session")
def osu018():
    """A real library with timing: 180 nm, Debian package qflow-tech-osu018."""
    if not OSU018.exists():
        pytest.skip(f"{OSU018}: not installed; make system-deps installs it")
    return Library.load(OSU018)
