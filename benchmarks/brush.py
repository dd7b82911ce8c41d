"""Time of a brush step on an exploration's page in headless Chromium: ``python -m benchmarks.brush [--points N]``.

A rectangle is drawn with the mouse on the left plot of a page of made-up points, a step at a time; each step highlights
its points in both plots and lists the best.
"""

import argparse
import json
import shutil
import subprocess
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import numpy as np

from vsq.explore import page
from vsq.explore.measures.accuracy import AccuracyMeasure
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.storage import StorageMeasure
from vsq.explore.results import DesignPoint, Headline, Results
from vsq.explore.space import read

_SPACE = ("{3,4,6,8}/{3,4,6,8}/{-,4,6,8,10}/{-,4,6,8,10}:R={-,8,6,4},V={8,16,32,64}",)
_STEPS = 30
_SCRIPT = """
<script>
const embed = window.vegaEmbed;
let view = null;
window.vegaEmbed = (...all) => embed(...all).then(result => { view = result.view; return result; });
</script>
</head>
"""
_DRAW = """
<script>
(async () => {
  while (view === null) await new Promise(done => setTimeout(done, 20));
  await view.runAsync();
  const box = document.querySelector("#chart1 .mark-symbol path, #chart1 svg .role-mark path").ownerSVGElement;
  const frame = box.getBoundingClientRect(), times = [];
  const send = (kind, x, y) => {
    const at = {clientX: frame.left + x, clientY: frame.top + y, bubbles: true, view: window, buttons: 1};
    const target = kind.endsWith("down") ? document.elementFromPoint(at.clientX, at.clientY) || box : window;
    for (const make of [PointerEvent, MouseEvent]) {
      const name = (make === PointerEvent ? "pointer" : "mouse") + kind;
      target.dispatchEvent(new make(name, at));
    }
  };
  send("down", 100, 60);
  for (let step = 1; step <= STEPS; step++) {
    const start = performance.now();
    send("move", 100 + 9 * step, 60 + 9 * step);
    await view.runAsync();
    times.push(performance.now() - start);
  }
  const dim = document.querySelectorAll("#chart1 path[opacity='0.12']").length;
  location = "/found?" + encodeURIComponent(JSON.stringify({times, dim}));
})();
</script>
</body>
"""


def made_up(count: int) -> Results:
    """Return so many points with random figures."""
    measures = AreaMeasure(), StorageMeasure(), AccuracyMeasure()
    random = np.random.default_rng(0)
    configs = read(_SPACE).points[:count]
    values = np.column_stack([random.uniform(1e3, 1e4, count), random.uniform(3, 10, count), random.random(count)])
    points = [
        DesignPoint(config, measures, tuple(map(Headline, row.tolist(), ("NAND2", "bit", "cosine"))))
        for config, row in zip(configs, values, strict=True)
    ]
    return Results(tuple((one,) for one in measures), points, Counter(), {})


def drawn(chromium: str, text: str) -> dict[str, Any]:
    """Return what a page finds, which it asks this process for; clocks of a dumped page are no real ones."""
    found: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            if self.path.startswith("/found?"):
                found.append(unquote(self.path.partition("?")[2]))
            elif self.path == "/":
                self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server, TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--window-size=1600,900"]
        command = [chromium, *flags, "--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            while not found:
                server.handle_request()
            browser.terminate()
    result: dict[str, Any] = json.loads(found[0])
    return result


def main() -> None:
    """Print the times of the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1500, metavar="N")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or parser.error("chromium is not on PATH")
    head, _, rest = page.html(made_up(args.points), "brush").rpartition("</head>")  # Vega's own text holds one too
    text = head + _SCRIPT + rest.rpartition("</body>")[0] + _DRAW.replace("STEPS", str(_STEPS))
    result = drawn(chromium, text)
    middle, most = np.median(result["times"]), max(result["times"])
    print(f"{args.points} points, {result['dim']} outside: {middle:.0f} ms a step in the median, {most:.0f} at most")


if __name__ == "__main__":
    main()
