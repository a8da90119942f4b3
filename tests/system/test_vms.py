# SPDX-License-Identifier: BSD-2-Clause
"""Several VMs at once: shares of the cores, what sleeps beside what spins, pins, state kept apart,
Trivet's own memory, and how lives end. Progress is counted by the guests, in instructions."""

import re

import pytest

from conftest import PARANOID, built, usual_build

REJECT = ["panic:", "^FAIL "]
ENDED = "^all VMs have ended"
# The keyboard goes to the monitor, so that every VM's lines have its name.
MONITOR = [r"1 vCPU=>\x1dm"]
ALONE = 1 / 3  # counts a tick: three instructions each
ONE_SLICE = 0.01 / 2.1  # more or less in the time that `progress` looks at


def counter(name, words=""):
    return "%s vm=%s kind=flat mem=1M debug-exit %s" % (built("guest/tests/count.bin"), name, words)


def program(name, vm, words="mem=2M debug-exit", append=""):
    return "%s vm=%s %s -- %s" % (built("guest/tests/%s.elf" % name), vm, words, append)


def progress(text, first=0, last=7):
    """By VM: counts a tick between its `first` and `last` line, as a part of a whole core."""
    lines = {}
    for vm, count, at in re.findall(r"\[(\w+)\] count (\w{8}) at (\w{8})", text):
        lines.setdefault(vm, []).append((int(count, 16), int(at, 16)))
    return {vm: (rows[last][0] - rows[first][0]) / (rows[last][1] - rows[first][1]) / ALONE
            for vm, rows in lines.items() if len(rows) > last}


def shared(got, cores):
    """The same where Trivet's own work counts: in the paranoid build that is much, and each VM's share is
    one of what all have had of so many cores."""
    whole = sum(got.values()) / cores if PARANOID else 1
    return {vm: share / whole for vm, share in got.items()}


def run(boot, modules, **fields):
    fields.setdefault("timeout", 120)
    fields.setdefault("expect", [ENDED])
    return boot(emulator="bochs", pmem=256, modules=modules, reject=REJECT, type=MONITOR, **fields).text


def assert_about(value, wanted, part):
    assert abs(value - wanted) <= wanted * part, (value, wanted)


# ---- shares

@pytest.mark.parametrize("model", ["arrandale", "haswell"])
def test_two_on_one_core_get_the_same(boot, model):
    got = progress(run(boot, [counter("a"), counter("b")], model=model))
    assert_about(got["a"] / got["b"], 1, 0.05)
    assert got["a"] + got["b"] > (0.5 if PARANOID else 0.95)  # and little is lost in between


def test_shares_by_weight(boot):
    got = progress(run(boot, [counter("a", "weight=100"), counter("b", "weight=300")]))
    assert_about(got["b"] / got["a"], 3, 0.1)


def test_eight_on_one_core(boot):
    got = shared(progress(run(boot, [counter("v%d" % i) for i in range(8)])), 1)
    assert len(got) == 8
    for share in got.values():
        assert abs(share - 1 / 8) < 1 / 8 * 0.05 + ONE_SLICE


@usual_build
def test_sixty_four_on_two_cores(boot):
    """All of 1 MiB, within DESIGN.md section 9's budget for Trivet's own memory."""
    count, cores = 64, 2
    text = run(boot, [counter("v%d" % i) for i in range(count)], pcpus=cores, hv="log=debug")
    got = progress(text)
    assert len(got) == count
    for share in got.values():
        assert abs(share - cores / count) < cores / count * 0.1 + ONE_SLICE
    used = max(int(kib) for kib in re.findall(r"Trivet's own memory: (\d+) KiB", text))
    assert 0 < used <= 4096 + 1024 * cores + 96 * count + count * 1024 * 3 // 1000


def test_nothing_but_its_own_is_mapped(boot):
    """The test image walks the live tables before it starts each VM, and panics at what is wrong."""
    got = progress(run(boot, [counter("v%d" % i) for i in range(4)], pcpus=2, hv="log=debug",
                       image=built("trivet-test.elf")))
    assert len(got) == 4


def test_an_idle_core_takes_over(boot):
    """Three on two cores; when one has gone the others have a core each."""
    text = run(boot, [counter("a", "cpu=0"), counter("b", "cpu=0"), counter("c"),
                      program("exitcode", "d", append="code=7")], pcpus=2)
    got = shared(progress(text), 2)
    assert_about(got["a"], 0.5, 0.05)
    assert_about(got["b"], 0.5, 0.05)
    assert_about(got["c"], 1, 0.05)


def test_pins(boot):
    text = run(boot, [counter("a", "cpu=1"), counter("b", "cpu=1"), counter("c", "cpu=1"), counter("d", "cpu=0")],
               pcpus=2)
    got = shared(progress(text), 2)
    for vm, share in {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3, "d": 1}.items():
        assert_about(got[vm], share, 0.05)


# ---- what sleeps

def test_a_spinning_vm_does_not_starve_one_that_sleeps(boot):
    """The spinning one has interrupts off all the time. Ticks come each 10 ms, 1,000,000 TSC ticks;
    what sleeps between them uses little and does not cost the other anything."""
    text = run(boot, [counter("s"), program("heartbeat", "h")], hv="log=debug")
    assert int(re.search(r"\[h\] longest gap (\d+)", text).group(1)) < 1200000
    lived, idle = map(int, re.search(r"\[h\] lived (\d+) ticks, idle (\d+)", text).groups())
    assert (lived - idle) / lived < (0.15 if PARANOID else 0.02)
    assert progress(text)["s"] > (0.7 if PARANOID else 0.97)


# ---- threads of a core

def test_threads_of_a_core(boot):
    """Two cores of two threads: without smt=on VMs are for the first ones only, which are 0 and 2."""
    modules = [program("heartbeat", "c", "mem=2M debug-exit cpu=1", "beats=2"),
               program("heartbeat", "d", "mem=2M debug-exit cpu=2", "beats=2")]
    text = run(boot, modules, pcpus="1:2:2")
    assert re.search(r"^error: \[c\] cpu= names a CPU that does not run VMs: there are 5h as a mask; "
                     r"second threads of a core only with smt=on", text, re.MULTILINE)
    assert "error: [c] does not start" in text
    assert "[d] exit code 0" in text
    text = run(boot, modules, pcpus="1:2:2", hv="smt=on")
    assert "[c] exit code 0" in text and "[d] exit code 0" in text


def test_second_threads_stay_idle(boot):
    """Four VMs that may run anywhere have the time of two cores, where it counts by instructions."""
    modules = [counter("v%d" % i) for i in range(4)]
    for hv, cores in ("", 2), ("smt=on", 4):
        got = shared(progress(run(boot, modules, pcpus="1:2:2", hv=hv)), cores)
        assert len(got) == 4
        for share in got.values():
            assert_about(share, cores / 4, 0.05)


# ---- nothing of one VM is seen in another

@pytest.mark.parametrize("model", ["arrandale", "haswell", "tigerlake"])
def test_state_is_kept_apart(boot, model):
    """Three copies with different registers, and one that fills nothing."""
    text = run(boot, [program("keeps", "a", "mem=4M debug-exit", "seed=1"),
                      program("keeps", "b", "mem=4M debug-exit", "seed=0x123456"),
                      program("keeps", "c", "mem=4M debug-exit weight=37", "seed=99"), counter("d")], model=model)
    for vm in "abc":
        assert "[%s] exit code 0" % vm in text


# ---- ends

def test_ends_in_one_line_each(boot):
    """One VM's end is no other's: all but the last two end while those run."""
    modules = [program("exitcode", "code", append="code=200"),
               program("halt", "halt"),
               program("reset-cf9", "reset", "mem=2M debug-exit on-reboot=stop"),
               program("crash", "crash", append="ms=100"),
               program("crash", "again", "mem=2M on-crash=restart"),
               program("heartbeat", "beats", append="beats=26")]
    text = run(boot, modules, expect=[r"^\[beats\] exit code 0"], pcpus=2)
    for line in [r"\[code\] exit code 200", r"\[halt\] halted", r"\[reset\] ended by a reset",
                 r"\[crash\] a hardware task switch, .*", r"\[again\] a hardware task switch, .*"]:
        assert re.search("^" + line + r"\r?$", text, re.MULTILINE), line
    assert len(re.findall(r"\[reset\] start ", text)) == 1
    assert len(re.findall(r"\[crash\] crashing", text)) == 1
    assert len(re.findall(r"\[again\] crashing", text)) >= 2
    assert len(re.findall(r"GUEST_RIP +[0-9a-f]{16}", text)) >= 3  # each crash tells the state
    assert int(re.search(r"\[beats\] longest gap (\d+)", text).group(1)) < (9000000 if PARANOID else 3000000)


# ---- lives, inside the test image

@pytest.mark.parametrize("test,model,pcpus", [("lives", "haswell", 1), ("unrest:2500", "arrandale", 2),
                                              ("unrest:1000", "tigerlake", 3),
                                              ("remains:20", "skylake_x", 1), ("remains:20", "haswell", 2)])
def test_lives(boot, test, model, pcpus):
    """1,000 rounds of create, run, destroy; machines pushed about at random, on several cores; what one
    left in all that it had, looked for in the next."""
    boot(emulator="bochs", model=model, pcpus=pcpus, pmem=256, timeout=150, image=built("trivet-test.elf"),
         hv="selftest=" + test, expect=["^selftest %s: passed" % test.partition(":")[0]],
         reject=["panic:", "not so:"])
