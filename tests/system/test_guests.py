# SPDX-License-Identifier: BSD-2-Clause
"""The programs of guest/tests as guests: each checks one rule of the machine and ends by the
debug-exit port with 0. A program is a row here by being there; OPTIONS holds what is special."""

import glob
import os
import re

import pytest

from conftest import ROOT, built

MODELS = ["arrandale", "haswell", "tigerlake"]
# What a program needs beside itself: words for Trivet, words for it, fields of the run.
OPTIONS = {}

PROGRAMS = sorted(os.path.basename(path)[:-2] for path in glob.glob(ROOT + "/guest/tests/*.c"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_program(boot, program, model):
    options = dict(OPTIONS.get(program, {}))
    words = "debug-exit mem=64M " + options.pop("words", "") + " -- " + options.pop("append", "")
    fields = dict(expect=[r"exit code 0\b"], reject=[r"^FAIL ", r"exit code [1-9]", "PANIC"],
                  timeout=60, pmem=256)
    fields.update(options)
    result = boot(emulator="bochs", model=model,
                  modules=["%s %s" % (built("guest/tests/%s.elf" % program), words)], **fields)
    assert re.search(r"^ok ", result.text, re.MULTILINE) or "expect" in options
