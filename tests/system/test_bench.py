# SPDX-License-Identifier: BSD-2-Clause
"""Figures that a change must not worsen: they are exact in Bochs on sandy_bridge."""

import re
import subprocess
import sys

from conftest import BUILD, ROOT, built, fetched
from rig import trace


def test_linux_boot_costs_no_more_than_the_budget():
    """Instructions from the kernel's entry to init's mark, at most 1.05 times the native ones."""
    built("trivet.elf")
    built("guest/native.elf")
    fetched("vmlinuz")
    run = subprocess.run([sys.executable, "tests/rig/bench.py", "--build", BUILD], cwd=ROOT,
                         capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^ratio +[01]\.\d+", run.stdout, re.MULTILINE)
    # off, auto, force, on two models; what a CPU asks for costs at most 100 instructions
    costs = [[int(n) for n in row] for row in
             re.findall(r"^  cpuid_0 +(\d+) +(\d+) +(\d+)$", run.stdout, re.MULTILINE)]
    assert len(costs) == 2
    for off, auto, force in costs:
        assert off < auto <= off + 100 and auto < force


def test_own_memory_stays_within_the_budget(boot):
    """4 MiB, 1 MiB a core, 96 KiB a VM, 32 KiB a further vCPU and 0.3 % of the guest's memory. On the
    model whose vCPUs have most: pages for APIC and dirty log, and the largest state of the FPU."""
    cores, guest, more, used = 2, 128, 8, {}
    for vcpus in 1, 1 + more:
        text = boot(emulator="bochs", model="tigerlake", pcpus=cores, pmem=256, timeout=60, hv="log=debug",
                    modules=["%s mem=%dM cpus=%d debug-exit" % (built("guest/demo.elf"), guest, vcpus)],
                    type=["demo> =>exit\\n"], expect=["exit code 0", "all VMs have ended"]).text
        used[vcpus] = int(re.search(r"Trivet's own memory: (\d+) KiB", text).group(1))
    assert 0 < used[1] <= 4096 + 1024 * cores + 96 + guest * 1024 * 3 // 1000
    assert used[1 + more] - used[1] <= 32 * more


# Of a debugger's output: two rounds, the second with an exit between instructions of the guest.
TRACE = """trace on
Tracing enabled for CPU0
(0).[10] [0x000000700262] 0018:0000000000100262 (unk. ctxt): mov eax, eax              ; 89c0
trace off
Tracing disabled for CPU0
Tracing enabled for CPU0
(0).[20] [0x000000700262] 0018:0000000000100262 (unk. ctxt): cpuid                     ; 0fa2
(0).[21] [0x00000022c8a3] 0008:ffffffff8002c8a3 (unk. ctxt): push rdi                  ; 57
(0).[22] [0x00000022c8a4] 0008:ffffffff8002c8a4 (unk. ctxt): vmread rax, rdx           ; 0f78d0
(0).[23] [0x00000022c8a7] 0008:ffffffff8002c8a7 (unk. ctxt): mov cr3, rax              ; 0f22d8
(0).[24] [0x00000022c8aa] 0008:ffffffff8002c8aa (unk. ctxt): vmresume                  ; 0f01c3
(0).[25] [0x000000700264] 0018:0000000000100264 (unk. ctxt): rdtsc                     ; 0f31
Tracing disabled for CPU0
"""


def test_traces_are_read_by_round_exit_and_kind():
    first, second = trace.parse(TRACE)
    assert [one.text for one in first] == ["mov eax, eax"] and trace.exits(first) == []
    (part,) = trace.exits(second)
    assert [one.tick for one in part] == [21, 22, 23, 24]
    assert trace.kinds(part) == {"VMREAD": 1, "write CR": 1} and trace.serialising(trace.kinds(part)) == 1
