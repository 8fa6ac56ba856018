#!/usr/bin/env python3
"""Sums up ctest's JUnit reports: lists what failed and what was skipped by name, then one line of counts.

    scripts/test_report.py --skips|--no-skips FOLDER PRESET...

FOLDER holds PRESET.xml for each preset; one that is missing is a failed build and counts as one failure.
With --no-skips a skipped test counts as failed, unless what it lacks is a browser ("browser: ...") or Valgrind and
counts of the compiler ("instructions: ..."): data can be named on any system, those are not on every one.
Exit code 0 when something passed and nothing failed.
"""
import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def may_lack(name):
    return ": browser: " in name or ": instructions: " in name


def main(skips_allowed, folder, presets):
    passed, failed, skipped = 0, [], []
    for preset in presets:
        report = folder / f"{preset}.xml"
        if not report.exists():
            failed.append(f"{preset}: build")
            continue
        cases = xml.parse(report).getroot().findall("testcase")
        if not cases:
            failed.append(f"{preset}: no tests were found")
        for case in cases:
            name = f"{preset}: {case.get('name')}"
            if case.get("status") == "run":
                passed += 1
            elif case.find("skipped") is not None and "SKIP_REGULAR_EXPRESSION" in case.find("skipped").get("message", ""):
                skipped.append(name)
            else:
                failed.append(name)
    for title, names in (("Skipped, for want of data, a browser or Valgrind", skipped), ("Failed", failed)):
        if names:
            print(f"{title}:")
            print("".join(f"  {name}\n" for name in names))
    if not skips_allowed:
        failed += [name for name in skipped if not may_lack(name)]
        skipped = [name for name in skipped if may_lack(name)]
    print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("--skips", "--no-skips"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1] == "--skips", Path(sys.argv[2]), sys.argv[3:]))
