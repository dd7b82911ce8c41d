"""The pool of processes ends, whatever became of its workers."""

import subprocess
import sys

import pytest

LAST = {
    "no more": "pass",
    "a lock that a worker took to its grave": "executor._result_queue._wlock.acquire()",
    "tasks that run": "executor.submit(time.sleep, 60); time.sleep(0.5)",
    "an interrupt that a worker misses": "executor.submit(time.sleep, 60); time.sleep(0.5); raise KeyboardInterrupt",
}
SCRIPT = """
import time
from vsq.golden.io.pool import pool

if __name__ == "__main__":
    with pool(2) as executor:
        assert [*executor.map(abs, range(-9, 9))] == [*map(abs, range(-9, 9))]
        {}
"""


@pytest.mark.parametrize("last", LAST)
def test_a_pool_ends(last, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(LAST[last]))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr.splitlines()[-1:] == (["KeyboardInterrupt"] if "interrupt" in last else [])
