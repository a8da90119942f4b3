# SPDX-License-Identifier: BSD-2-Clause
"""Figures that a change must not worsen: they are exact in Bochs on sandy_bridge."""

import copy
import os
import re
import struct
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT, built, fetched, usual_build
from rig import bench, figures, plot, trace


# ---- what is measured

def check(part):
    """A part of bench.py against tests/bench/baseline.json. Where compiler, assembler, linker, Bochs or the
    kernel are others than the baseline's, the test is skipped with their names; the differences are printed,
    and what was measured stands in BUILD/bench.json."""
    run = subprocess.run([sys.executable, "tests/rig/bench.py", "--check", part, "--build", BUILD], cwd=ROOT,
                         capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    print(run.stdout)
    return run.stdout


def skip_unjudged(output):
    unjudged = re.findall(r"^baseline: not judged, (.*)$", output, re.MULTILINE)
    if unjudged:
        pytest.skip("; ".join(unjudged))


@usual_build
def test_exits_stay_within_the_baseline():
    built("trivet.elf")
    skip_unjudged(check("--exits"))


@usual_build
def test_linux_stays_within_the_budget_and_the_baseline():
    """A boot takes at most 1.05 times what it takes natively."""
    built("trivet.elf")
    built("guest/native.elf")
    fetched("vmlinuz")
    output = check("--linux")
    assert re.search(r"^ratio +[01]\.\d+", output, re.MULTILINE)
    skip_unjudged(output)


@usual_build
@pytest.mark.parametrize("model", ["haswell", "tigerlake"])
def test_mitigations_cost_what_they_may(model):
    """What a CPU asks for costs an exit at most 100 instructions; all of them together cost more."""
    off, auto, force = (bench.run_guest(os.path.join(ROOT, BUILD), "exit-cost", model, "mitigations=" + how,
                                        "only=cpuid_0")[0]["cpuid_0"][0] for how in ("off", "auto", "force"))
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


def test_the_programs_run_on_qemu(boot):
    """Where cycles are not exact, by KVM or QEMU's own emulation; without Trivet."""
    text = boot(emulator="qemu", bare=True, timeout=60, image=built("guest/tests/exit-cost.elf"),
                reject=["^FAIL "], expect=[r"^\d+ passed, 0 failed", "^done"]).text
    assert {"cpuid_0", "out_21", "xapic_eoi"} <= set(bench.costs(text))


# ---- how figures are compared, by figures that are made up

MADE_WITH = {"compiler": "cc 1", "assembler": "as 1", "linker": "ld 1", "bochs": "2", "guest": "aa", "kernel": "kk",
             "initrd": "ii"}
OLD = {"made_with": MADE_WITH, "exit": {"vmcall": 100, "hlt_timer": 700},
       "vmcs": {"vmcall": {"vmread": 5}}, "boot": {"trivet": 1000000}, "memory": {"kib": 300}}


def compared(old=None, within=None, **changes):
    """compare() of OLD with a copy of it in which "section.row" has another value."""
    new = copy.deepcopy(OLD)
    for name, value in changes.items():
        place, names = new, name.split("__")
        for part in names[:-1]:
            place = place[part]
        place[names[-1]] = value
    return figures.compare(old or OLD, new, within)


def test_equal_figures_say_nothing():
    assert compared() == ([], [], [])


@pytest.mark.parametrize("name", ["exit__vmcall", "vmcs__vmcall__vmread", "memory__kib"])
def test_one_more_of_what_is_exact_has_grown(name):
    old = {"exit__vmcall": 100, "vmcs__vmcall__vmread": 5, "memory__kib": 300}[name]
    grown, told, unjudged = compared(**{name: old + 1})
    assert grown == ["%s: %d, was %d" % (name.replace("__", "."), old + 1, old)]
    assert not told and not unjudged


def test_less_of_what_is_exact_is_told():
    assert compared(exit__vmcall=99) == ([], ["exit.vmcall: 99, was 100"], [])


def test_a_row_may_differ_by_what_it_may():
    within = {"exit.hlt_timer": 10}
    assert compared(within=within, exit__hlt_timer=710) == ([], ["exit.hlt_timer: 710, was 700"], [])
    assert compared(within=within, exit__hlt_timer=711) == (["exit.hlt_timer: 711, was 700"], [], [])


def test_what_is_not_exact_is_told_beyond_its_noise():
    assert compared(boot__trivet=1001000) == ([], [], [])
    assert compared(boot__trivet=1100000)[:2] == ([], ["boot.trivet: 1100000, was 1000000"])


def without(*path):
    """OLD without what stands there."""
    place = new = copy.deepcopy(OLD)
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return new


def test_rows_of_one_side_alone_are_faults():
    assert compared(exit__new=7) == (["exit.new: 7, not in the baseline"], [], [])
    assert figures.compare(OLD, without("exit", "vmcall")) == (
        ["exit.vmcall: was 100, is not measured now"], [], [])
    assert figures.compare(OLD, without("vmcs", "vmcall")) == (
        ["vmcs.vmcall.vmread: was 5, is not measured now"], [], [])
    # of what is not exact they are told; a section that was not measured is none of either
    assert compared(boot__new=7) == ([], ["boot.new: 7, not in the baseline"], [])
    assert figures.compare(OLD, without("memory")) == ([], [], [])


@pytest.mark.parametrize("maker,sections", [("compiler", ["exit", "memory", "vmcs"]),
                                            ("assembler", ["exit", "memory", "vmcs"]),
                                            ("linker", ["exit", "memory", "vmcs"]),
                                            ("bochs", ["exit", "memory", "vmcs"]),
                                            ("kernel", ["memory"]), ("initrd", ["memory"])])
def test_figures_of_other_makers_are_not_judged(maker, sections):
    """With another guest, too, as other tools make one."""
    for guest in {"aa", "aa" if maker in ("kernel", "initrd") else "bb"}:
        faults, told, unjudged = compared(**{"made_with__" + maker: "other", "made_with__guest": guest,
                                             "exit__vmcall": 101, "memory__kib": 301, "vmcs__new": 1})
        assert [line.split(":")[0] for line in unjudged] == sections
        assert all("%s: %s, now other" % (maker, MADE_WITH[maker]) in line for line in unjudged)
        assert "exit.vmcall: 101, was 100" in (told if "exit" in sections else faults)
        assert "memory.kib: 301, was 300" in told
        assert "vmcs.new: 1, not in the baseline" in (told if "vmcs" in sections else faults)
        assert not faults or "exit" not in sections


def test_other_guests_by_the_same_tools_make_a_baseline_stale():
    faults, told, unjudged = compared(made_with__guest="bb", exit__vmcall=101, memory__kib=301)
    assert faults == ["stale baseline: run make bench UPDATE=1 (changed: guest)", "memory.kib: 301, was 300"]
    assert told == ["exit.vmcall: 101, was 100"] and not unjudged
    # that a kernel is another one excuses its own section alone
    faults, _, unjudged = compared(made_with__guest="bb", made_with__kernel="other")
    assert len(faults) == 1 and [line.split(":")[0] for line in unjudged] == ["memory"]


def test_an_update_of_a_part_keeps_the_rest():
    new = {"made_with": dict(MADE_WITH, guest="bb", kernel=None), "exit": {"vmcall": 90}, "vmcs": {}}
    assert figures.renewed(OLD, new) == dict(OLD, made_with=dict(MADE_WITH, guest="bb"), exit={"vmcall": 90}, vmcs={})
    assert figures.renewed({}, new) == new
    new["made_with"]["linker"] = "other"
    with pytest.raises(ValueError, match="boot, memory stay.*linker"):
        figures.renewed(OLD, new)
    everything = dict(OLD, made_with=new["made_with"])
    assert figures.renewed(OLD, everything) == everything


def test_a_file_of_figures_keeps_sections_of_the_same_makers(tmp_path):
    path = str(tmp_path / "bench.json")
    new = {"made_with": MADE_WITH, "exit": {"vmcall": 90}}
    assert figures.merged(path, new) == new
    figures.save(path, OLD)
    assert figures.merged(path, new) == dict(OLD, exit={"vmcall": 90})
    new["made_with"] = dict(MADE_WITH, guest="bb")
    assert figures.merged(path, new) == new


def test_no_cost_is_0_and_no_row_missing():
    exits = {row["name"]: 7 for row in bench.ROWS}
    new = {"exit": exits, "vmcs": {"cpuid_0": {"exits": 1, "msr": 0}, "cr0_wp": {"exits": 0}},
           "work": {"native": {"fork": 9, "idle": 0.0}}, "boot": {"trivet": 1, "ept_violations": 0}}
    assert bench.unsound(new) == [] and bench.unsound({"boot": {"trivet": 1}}) == []
    exits["out_21"], new["vmcs"]["cpuid_0"]["exits"], new["work"]["native"]["fork"] = 0, 0, 0
    del exits["hlt_timer"]
    assert bench.unsound(new) == ["exit.out_21: 0", "work.native.fork: 0", "exit.hlt_timer: not measured",
                                  "vmcs.cpuid_0.exits: 0"]


def test_an_elf_file_is_known_by_what_it_loads(tmp_path):
    """The same segment with another file around it is the same program; another byte in it is not."""
    def elf(code, rest):
        head = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0,
                                                               0, 0)
        return head + struct.pack("<8I", 1, 84, 0x100000, 0x100000, len(code), len(code), 5, 16) + code + rest
    def loaded(data):
        (tmp_path / "a").write_bytes(data)
        return figures.loaded_bytes(tmp_path / "a")
    assert loaded(elf(b"code", b"")) == loaded(elf(b"code", b"/some/path"))
    assert loaded(elf(b"code", b"")) != loaded(elf(b"Code", b""))
    assert b"code" in loaded(elf(b"code", b""))


def test_rows_are_what_the_programs_measure():
    """Each row of the table is one of the guests' programs, with a limit and KVM's figure together."""
    names = [row["name"] for row in bench.ROWS]
    source = "".join(open(os.path.join(ROOT, "guest/tests/%s.c" % name)).read()
                     for name in ("exit-cost", "switch-cost"))
    assert len(set(names)) == len(names)
    for row in bench.ROWS:
        assert re.search(r'R\(%s, |"%s"|cost %s ' % ((row["name"],) * 3), source), row["name"]
        assert ("most" in row) == ("kvm" in row)
    assert set(re.findall(r"^\tR\((\w+), ", source, re.MULTILINE)) <= set(names)


def test_works_are_what_the_first_process_does():
    with open(os.path.join(ROOT, "tests/rig/mark.asm")) as file:
        source = file.read()
    for name in re.findall(r'^\tWORK "(\w+)"', source, re.MULTILINE):
        what, count = bench.WORK[name]
        assert re.search(r"^[A-Z]+\s+equ %d\b" % count, source, re.MULTILINE), what


def test_a_row_is_beyond_a_limit_by_any_count():
    row = {"name": "a", "most": 10, "per": 2, "vmcs": [5, 1]}
    counts = {"vmread": 5, "vmwrite": 1}
    assert not bench.beyond(row, {"a": 20}, {"a": counts})
    assert bench.beyond(row, {"a": 21}, {"a": counts})
    assert bench.beyond(row, {"a": 20}, {"a": dict(counts, vmread=6)})
    assert bench.beyond(row, {"a": 20}, {"a": dict(counts, vmwrite=2)})
    for dear in "msr", "serialising":
        assert bench.beyond(row, {"a": 20}, {"a": dict(counts, **{dear: 1})})
        assert not bench.beyond(dict(row, switches=True), {"a": 20}, {"a": dict(counts, **{dear: 1})})
    assert not bench.beyond({"name": "a"}, {"a": 99}, {}) and not bench.beyond(row, {}, {})


def test_lines_of_cost_are_read_behind_what_rows_print():
    assert bench.costs("\r\r\rcost out_3f8 median 7 max 9\r\nxcost b median 1 max 1\n") == {"out_3f8": (7, 9)}


def test_a_plot_has_its_points_in_order():
    assert plot.lines({"64": {"a": 3, "b": 1}, "1": {"a": 1}, "8": {"a": 2}}) == {
        "a": [(1, 1), (8, 2), (64, 3)], "b": [(64, 1)]}


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
