"""Converts the coverage of a regression to UCIS by pyucis: ``python coverage_to_ucis.py coverage.json coverage.xml``.

Each job is a test and an instance, and each coverage point a coverpoint with its bins.
"""

import json
import sys
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path

try:
    import ucis
    from ucis.mem.mem_factory import MemFactory
    from ucis.source_info import SourceInfo
    from ucis.test_data import TestData
    from ucis.xml.xml_factory import XmlFactory
except ModuleNotFoundError as error:
    print(f"coverage_to_ucis.py: error: {error.name} is not installed; pip install pyucis", file=sys.stderr)
    raise SystemExit(2) from None


def convert(source: Path, target: Path) -> None:
    coverage = json.loads(source.read_text())
    db = MemFactory.create()
    place = SourceInfo(db.createFileHandle(str(source), "."), 1, 0)
    date = f"{datetime.fromtimestamp(source.stat().st_mtime):%Y%m%d%H%M%S}"
    flags = ucis.UCIS_ENABLED_STMT | ucis.UCIS_INST_ONCE | ucis.UCIS_SCOPE_UNDER_DU
    for job in coverage["jobs"]:
        name = f"{job['config']} {job['simulator']}"
        status = ucis.UCIS_TESTSTATUS_OK if job["closed"] == job["total"] else ucis.UCIS_TESTSTATUS_WARNING
        node = db.createHistoryNode(None, name, name, ucis.UCIS_HISTORYNODE_TEST)
        node.setTestData(TestData(status, "vsq regress", date, seed=str(job["seed"])))
        unit = db.createScope(name, place, 1, ucis.UCIS_OTHER, ucis.UCIS_DU_MODULE, flags)
        instance = db.createInstance(name, place, 1, ucis.UCIS_OTHER, ucis.UCIS_INSTANCE, unit, ucis.UCIS_INST_ONCE)
        group = instance.createCovergroup("points", place, 1, ucis.UCIS_OTHER)
        points = group.createCoverInstance("points", place, 1, ucis.UCIS_OTHER)
        for point, bins in job["hits"].items():
            coverpoint = points.createCoverpoint(point, place, 1, ucis.UCIS_VLOG)
            coverpoint.setComment(coverage["goals"][point])
            for each, count in bins.items():
                coverpoint.createBin(each, place, 1, count, each)
    XmlFactory.write(db, str(target))


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="coverage.json of a regression")
    parser.add_argument("target", type=Path, help="file of UCIS to write")
    arguments = parser.parse_args()
    try:
        convert(arguments.source, arguments.target)
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"cannot convert {arguments.source} into {arguments.target}: {error!r}")
