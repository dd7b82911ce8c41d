"""The regression's report for continuous integration, in the JUnit format."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from vsq.golden.io.files import replacing
from vsq.tb.coverage.points import closure
from vsq.tb.regression.job import Job, Result

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


def write_junit(results: Sequence[tuple[Job, Result]], path: Path) -> None:
    """Write one test suite a job and one test case a test; ``path`` is replaced at once or not at all."""
    root = Element("testsuites", name="vsq regress")
    for job, result in results:
        failures = sum(bool(outcome.failure) for outcome in result.outcomes)
        suite = SubElement(
            root,
            "testsuite",
            name=f"{job.config} {job.simulator}",
            tests=str(len(result.outcomes)),
            failures=str(failures),
            time=f"{result.seconds:.3f}",
        )
        properties = SubElement(suite, "properties")
        closed, total = closure(result.coverage)
        for name, value in {"seed": job.seed, **result.counts, "points": total, "points_closed": closed}.items():
            SubElement(properties, "property", name=name, value=str(value))
        for outcome in result.outcomes:
            case = SubElement(
                suite,
                "testcase",
                classname=f"{job.simulator}.{job.config}",
                name=outcome.name,
                time=f"{outcome.seconds:.3f}",
            )
            if outcome.failure:
                text = _NOT_XML.sub("?", outcome.failure)
                SubElement(case, "failure", message=text.splitlines()[0]).text = text
    ElementTree.indent(root)
    with replacing(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)
