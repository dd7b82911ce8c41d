"""FuseSoC generator: writes a design, as ``vsq generate`` does, and its core, under the name that FuseSoC gives it."""

import re
import sys
from pathlib import Path

import yaml

import vsq

asked = yaml.safe_load(Path(sys.argv[1]).read_text())
files = vsq.generate(**asked["parameters"], companions=["core"])
core = files[-1]
core.write_text(re.sub("^name: .*$", f"name: {asked['vlnv']}", core.read_text(), flags=re.MULTILINE))
