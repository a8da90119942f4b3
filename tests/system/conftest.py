# SPDX-License-Identifier: BSD-2-Clause
"""What the system tests share: the rig, the built files, Debian's kernels."""

import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
os.chdir(ROOT)

from rig import session  # noqa: E402

BUILD = os.environ.get("B", "build")
PARANOID = bool(os.environ.get("PARANOID"))  # the build that checks itself, make PARANOID=1
# Its own checks take instructions too: 20,000 each exit, which guests see as time.
SLOW = " slow=16" if PARANOID else ""  # a word of guest programs
usual_build = pytest.mark.skipif(PARANOID, reason="a build that checks itself has no figures")


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: takes too long for make test; -m nightly runs it")


def pytest_collection_modifyitems(config, items):
    """Without -m nightly, all but those. The long Linux boots first, half of them for each of two
    workers: xdist hands an eighth of all tests to each at first and shares out the rest as they
    become free."""
    if not config.getoption("-m"):
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
    long = [item for item in items if "test_linux" in item.nodeid]
    rest = [item for item in items if "test_linux" not in item.nodeid]
    first, second, chunk = long[::2], long[1::2], len(items) // 8
    cut = max(chunk - len(first), 0)
    items[:] = first + rest[:cut] + second + rest[cut:]


def built(name):
    """A file of the build folder; a test that needs it fails without it."""
    path = os.path.join(ROOT, BUILD, name)
    if not os.path.isfile(path):
        pytest.fail("%s was not built" % path)
    return path


def fetched(name):
    """A file that fetch.sh gets; without the network the test is skipped."""
    path = os.path.join(ROOT, BUILD, "guest-cache", name)
    if not os.path.isfile(path):
        pytest.skip("%s could not be fetched" % name)
    return path


@pytest.fixture
def boot():
    """Runs one configuration, given as the fields of session.Config, and expects it to pass."""
    def run(**fields):
        fields.setdefault("image", built("trivet.elf"))
        if PARANOID:
            fields["timeout"] = max(fields.get("timeout", 60), 240)
        result = session.run(session.Config(**fields))
        if not result.ok:
            pytest.fail("%s\n%s" % (result.reason, result.tail()), pytrace=False)
        return result
    return run
