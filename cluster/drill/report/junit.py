"""Verdicts as JUnit's XML, which CI shows: a suite for each verdict, a case for each promise.

The schema is that of Jenkins' plug-in: https://github.com/jenkinsci/xunit-plugin (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from cluster.drill.judge.verdict import Verdict

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold at all (section 2.2)."""


def as_junit(verdicts: Iterable[Verdict]) -> str:
    """The document. What proves nothing is an error, a promise that was not kept a failure."""
    root = ET.Element("testsuites", name="drill")
    for verdict in verdicts:
        suite = ET.SubElement(root, "testsuite", name=_sound(verdict.title))
        _case(suite, "the run proves something", "error", verdict.failed)
        wrong = [*verdict.violations, *verdict.findings]
        _case(suite, "nothing acknowledged is lost or doubled", "failure", wrong)
        for one in verdict.judged:
            _case(suite, one.says, "failure", () if one.met else [one.text()])
        for outcome in ("failure", "error"):
            suite.set(f"{outcome}s", str(len(suite.findall(f"testcase/{outcome}"))))
        suite.set("tests", str(len(suite)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, name: str, outcome: str, wrong: Iterable[str]) -> None:
    case = ET.SubElement(suite, "testcase", name=_sound(name), classname=suite.get("name", ""))
    lines = [_sound(line) for line in wrong]
    if lines:
        ET.SubElement(case, outcome, message=lines[0]).text = "\n".join(lines)


def _sound(text: str) -> str:
    return FORBIDDEN.sub("�", text)
