#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts instructions in Bochs: of exits, and of a Linux boot, native and under Trivet.

Bochs' TSC counts one tick an instruction, on one core without noise. The exits are the rows of
tests/bench/rows.json, measured by guest/tests/exit-cost.c; of some of their rounds trace.py counts what
Trivet does. Both Linux runs take the same bzImage, initrd and command line, from the kernel's 64-bit
entry to a mark that its first process prints: guest/native prints the TSC at the entry, a VM's TSC starts
at 0 there. All goes into BUILD/bench.json and is compared with tests/bench/baseline.json (figures.py).
"""

import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rig import figures, session, trace  # noqa: E402
from rig.iso import RigError  # noqa: E402

BENCH = os.path.join(session.ROOT, "tests/bench")
TABLE = figures.load(os.path.join(BENCH, "rows.json"))
ROWS = TABLE["rows"]
BASELINE = os.path.join(BENCH, "baseline.json")
PROGRAMS = ["tests/exit-cost.elf", "tests/switch-cost.elf"]

MODEL = "sandy_bridge"  # where nothing is random; rows that it lacks name another
MODELS = ["arrandale", "sandy_bridge", "haswell", "skylake_x", "icelake", "tigerlake"]
FLOOR = 12  # instructions of the least round trip: four of the guest, eight of a host that does nothing
# What mitigations may cost an exit, and where the return stack is filled.
AUTO_MORE, RSB_MORE = 25, 110

APPEND = "console=ttyS0 quiet nokaslr acpi=off pci=off nolapic noapic rdinit=/bin/mark"
MOST = 1.05

# What the first process does behind its mark (tests/rig/mark.asm), and between CPUs: {name: (what, how often)}
WORK = {"fork": ("fork, exec and wait", 100), "getppid": ("getppid", 1000), "serial": ("serial output, a character", 4000),
        "ipi_spin": ("IPI and answer, both spin: ticks", 1), "ipi_halt": ("IPI and answer, both halted: ticks", 1),
        "hlt_timer_late": ("timer interrupt behind its deadline", 1)}
WORK_MODEL = "haswell"  # of what goes between CPUs; with two of them a tick is no instruction of either


# ---- exits

def run_guest(build, program, model, hv, words="", vm="", pcpus=1):
    """({row: (median, max)}, {row: why it was left out}) of one run of a guest program."""
    config = session.Config(
        emulator="bochs", model=model, timeout=100, pmem=256, pcpus=pcpus, hv=hv,
        image=os.path.join(build, "trivet.elf"),
        modules=["%s mem=64M debug-exit %s -- %s" %
                 (os.path.join(build, "guest/tests/%s.elf" % program), vm, words)],
        expect=["exit code 0"])
    result = session.run(config)
    if not result.ok:
        raise RigError("%s: %s\n%s" % (program, result.reason, result.tail()))
    return costs(result.text), dict(re.findall(r"^\r*skip (\S+): (.*?)\r?$", result.text, re.MULTILINE))


def costs(text):
    return {name: (int(median), int(most)) for name, median, most in
            re.findall(r"^\r*cost (\S+) median (\d+) max (\d+)", text, re.MULTILINE)}


def all_costs(build, model, hv):
    """{row: median} on a model."""
    rows, skipped = run_guest(build, "exit-cost", model, hv)
    rows.update(run_guest(build, "switch-cost", model, hv, vm="cpus=2")[0])
    for name, why in skipped.items():
        print("  left out on %s: %s, %s" % (model, name, why))
    return {name: median for name, (median, _) in rows.items()}


def exact(build):
    """The sections "exit" and "vmcs": with mitigations off, each row on its model. The rows of exit-cost
    come from one run, in which some rounds are traced: that changes no count."""
    exits, vmcs = {}, {}
    for model, row in [(MODEL, "all")] + [(one.get("model", MODEL), one["name"]) for one in ROWS
                                          if "model" in one or "program" in one]:
        rounds, text = trace.record(build, row, model)
        exits.update({name: median for name, (median, _) in costs(text).items()})
        for name, instructions in rounds.items():
            counts = trace.kinds([one for one in instructions if one.trivet])
            vmcs[name] = {"exits": len(trace.exits(instructions)),
                          "vmread": counts.get("VMREAD", 0), "vmwrite": counts.get("VMWRITE", 0),
                          "msr": counts.get("RDMSR", 0) + counts.get("WRMSR", 0),
                          "serialising": trace.serialising(counts)}
    return {"exit": exits, "vmcs": vmcs}


def shown(row, value):
    """A figure as the table has it: of one byte, where the row moves several."""
    if value is None:
        return "-"
    return "%.1f" % (value / row["per"]) if "per" in row else "%d" % value


def beyond(row, exits, vmcs):
    """Whether a row needs more than it may: instructions, accesses to the VMCS; or, without a switch of
    vCPUs, any MSR or instruction that makes the CPU wait."""
    value, count = exits.get(row["name"]), vmcs.get(row["name"], {})
    reads, writes = row.get("vmcs", (count.get("vmread", 0), count.get("vmwrite", 0)))
    return ((value is not None and "most" in row and value > row["most"] * row.get("per", 1)) or
            count.get("vmread", 0) > reads or count.get("vmwrite", 0) > writes or
            ("switches" not in row and count.get("msr", 0) + count.get("serialising", 0) > 0))


def print_exits(exits, vmcs, by_model):
    """The table with limits, each row on its model; then all models, mitigations off and auto."""
    print("Instructions of an operation, as its guest sees them, in Bochs (%s). The floor is %d." %
          (MODEL, FLOOR))
    print("%-46s %8s %8s %6s %6s  %s" % ("mitigations=", "off", "auto", "limit", "KVM",
                                         "exits, VMREAD/VMWRITE (limit)"))
    over = 0
    for row in ROWS:
        name = row["name"]
        auto = by_model.get(row.get("model", MODEL), {}).get("auto", {}).get(name)
        count = vmcs.get(name)
        over += beyond(row, exits, vmcs)
        print("%-46s%s%8s %8s %6s %6s  %s%s" % (
            row["what"] + (" (%s)" % row["model"] if "model" in row else ""),
            "*" if beyond(row, exits, vmcs) else " ", shown(row, exits.get(name)), shown(row, auto),
            row.get("most", "-"), row.get("kvm", "-"),
            "%(exits)d, %(vmread)d/%(vmwrite)d" % count if count else "",
            " (%d/%d)" % tuple(row["vmcs"]) if "vmcs" in row else ""))
    print("* beyond a limit: %d of %d rows" % (over, len(ROWS)))
    print(TABLE["kvm"])
    print("On each model, mitigations=off/auto; auto may cost %d more, %d where the return stack is filled:" %
          (AUTO_MORE, RSB_MORE))
    print("%-20s" % "" + "".join("%14s" % model for model in by_model))
    for row in ROWS:
        cells = ["/".join(shown(row, columns[how].get(row["name"])) for how in ("off", "auto"))
                 for columns in by_model.values()]
        print("%-20s" % row["name"] + "".join("%14s" % cell for cell in cells), flush=True)


# ---- Linux

UPTIME = r"uptime ([0-9.]+) ([0-9.]+)\r?\n"


def measure(build, image, end, **fields):
    """One boot: (instructions from entry to mark, idle share until then, ticks of works, the run's text)."""
    cache = os.path.join(build, "guest-cache")
    config = session.Config(
        emulator="bochs", model=MODEL, timeout=300, image=os.path.join(build, image),
        modules=["%s/vmlinuz mem=256M -- %s" % (cache, APPEND), cache + "/initrd.img"],
        expect=["mark [0-9a-f]{16}", UPTIME, "work serial [0-9a-f]{16}", UPTIME, end], **fields)
    result = session.run(config)
    if not result.ok:
        raise RigError("%s: %s\n%s" % (image, result.reason, result.tail()))
    entry = re.search(r"entry tsc=([0-9a-f]+)", result.text)
    mark = int(re.search("mark ([0-9a-f]{16})", result.text).group(1), 16)
    (up, idle), (up2, idle2) = ([float(n) for n in pair] for pair in re.findall(UPTIME, result.text))
    works = {name: int(ticks, 16) for name, ticks in re.findall("work ([a-z]+) ([0-9a-f]{16})", result.text)}
    works["idle"] = round((idle2 - idle) / max(up2 - up, 0.01), 3)
    return (mark - (int(entry.group(1), 16) if entry else 0), round(idle / max(up, 0.01), 3), works, result.text)


def linux(build):
    """The sections "boot", "work" and "memory"."""
    native, native_idle, native_works, _ = measure(build, "guest/native.elf", "System halted", lax_msrs=True)
    ours, idle, works, text = measure(build, "trivet.elf", "all VMs have ended", hv="log=debug")
    exits = {name: int(count) for name, count in re.findall(r"\] exits (\S+) (\d+),", text)}
    return {
        "boot": {"native": native, "trivet": ours, "ratio": round(ours / native, 4),
                 "idle": idle, "native_idle": native_idle,
                 "exits": sum(exits.values()), "exits_by_reason": exits,
                 # whatever its reason is called: an access to RAM that was not mapped
                 "ept_violations": sum(count for name, count in exits.items() if re.search("ept|fault", name))},
        "work": {"native": native_works, "trivet": works},
        "memory": {"kib_with_linux": int(re.search(r"Trivet's own memory: (\d+) KiB", text).group(1))},
    }


def between_cpus(build):
    """(native, Trivet's) costs of IPIs and timer interrupts, which another run of the same program gives."""
    bare, ours = {}, {}
    for program, cpus, words in ("ping-pong", 2, "x2apic cpus=2"), ("exit-cost", 1, "only=hlt_timer"):
        elf = os.path.join(build, "guest/tests/%s.elf" % program)
        result = session.run(session.Config(
            emulator="bochs", model=WORK_MODEL, timeout=100, pmem=256, pcpus=cpus, bare=True, image=elf, hv=words,
            expect=["^done"]))
        if not result.ok:
            raise RigError("%s, bare: %s\n%s" % (program, result.reason, result.tail()))
        bare.update(costs(result.text))
        ours.update(run_guest(build, program, WORK_MODEL, "mitigations=off", words, "cpus=%d" % cpus, cpus)[0])
    return tuple({name: median for name, (median, _) in each.items()} for each in (bare, ours))


def print_work(native, ours):
    print("%-38s %10s %10s %7s" % ("Work of a guest, instructions of each", "native", "Trivet", "ratio"))
    for name, (what, count) in WORK.items():
        if name in native and name in ours:
            print("%-38s %10d %10d %7.3f" % (what, native[name] // count, ours[name] // count,
                                             ours[name] / native[name]))
    print("%-38s %9.1f%% %9.1f%%" % ("idle while it worked", 100 * native["idle"], 100 * ours["idle"]))


def print_linux(boot, memory):
    print("Linux to init  native %14d instructions, idle %4.1f %%" % (boot["native"], 100 * boot["native_idle"]))
    print("Linux to init  Trivet %14d instructions, idle %4.1f %%" % (boot["trivet"], 100 * boot["idle"]))
    print("ratio   %.4f (at most %.2f), exits %d, EPT violations on RAM %d" %
          (boot["ratio"], MOST, boot["exits"], boot["ept_violations"]))
    print("        " + ", ".join("%s %d" % item for item in sorted(boot["exits_by_reason"].items())))
    print("Trivet's own memory with that VM: %d KiB" % memory["kib_with_linux"])


def size(build):
    """The section "size"; code lines only where cloc is there."""
    figures_of_size = {"image": os.path.getsize(os.path.join(build, "trivet.elf"))}
    run = subprocess.run(["tests/lint/size.sh", build], cwd=session.ROOT, capture_output=True, text=True, check=False)
    match = re.search(r"^ +all +(\d+)", run.stdout, re.MULTILINE)
    if match:
        figures_of_size["code_lines"] = int(match[1])
    return figures_of_size


# ---- scale

# How many VMs, of which all but one sleep; vCPUs of the one VM, of which all but one sleep.
SCALE = {"vms": (1, 8, 64), "vcpus": (1, 8, 32)}
SCALE_ROWS = ["cpuid_0", "out_21", "mmio_read", "wrmsr_tsc_deadline", "self_ipi", "hlt_timer"]


def scale(build):
    """The section "scale": {"vms": {"1": {row: median}}}, on one core; and by tests/image/scale.c how exits and
    the search for an address grow with regions and devices, and what a VM of so many MiB takes to make."""
    out = {}
    guests = os.path.join(build, "guest/tests/")
    for what, counts in SCALE.items():
        out[what] = {}
        for count in counts:
            vms, vcpus = (count, 1) if what == "vms" else (1, count)
            modules = ["%sexit-cost.elf vm=m mem=64M cpus=%d debug-exit -- smp only=%s" %
                       (guests, vcpus, ",".join(SCALE_ROWS))]
            modules += ["%sidle.bin kind=flat vm=idle%d mem=1M" % (guests, i) for i in range(1, vms)]
            result = session.run(session.Config(
                emulator="bochs", model=MODEL, timeout=100, hv="mitigations=off", modules=modules,
                image=os.path.join(build, "trivet.elf"), expect=["^%d CPUs" % vcpus, "exit code 0"]))
            if not result.ok:
                raise RigError("scale, %d %s: %s\n%s" % (count, what, result.reason, result.tail()))
            out[what][str(count)] = {name: median for name, (median, _) in costs(result.text).items()
                                     if name in SCALE_ROWS}
    result = session.run(session.Config(
        emulator="bochs", model=MODEL, timeout=100, pmem=1536, hv="selftest=scale:1024 mitigations=off",
        image=os.path.join(build, "trivet-test.elf"), expect=["selftest scale: passed"]))
    if not result.ok:
        raise RigError("scale: %s\n%s" % (result.reason, result.tail()))
    for what, count, row, ticks in re.findall(r"^scale (\w+) (\d+) (\w+) (\d+)", result.text, re.MULTILINE):
        out.setdefault(what, {}).setdefault(count, {})[row] = int(ticks)
    return out


def print_scale(section):
    for what, columns in section.items():
        print("%-20s" % ("As %s grow" % what) + "".join("%10s" % count for count in columns))
        for name in next(iter(columns.values())):
            print("  %-18s" % name + "".join("%10s" % column.get(name, "-") for column in columns.values()))


# ---- all of it

# What may be 0: counts on a path, and shares. Any other 0 is a fault of the measurement.
NIL = re.compile(r"^vmcs\.|\.(idle|native_idle|ept_violations)$")


def unsound(new):
    """What cannot be right, lines of text: a figure of 0, a row that was not measured, no exit where there is
    one."""
    lines = ["%s: 0" % name for name, value in sorted(figures.flat(new).items()) if not value and not NIL.search(name)]
    if "exit" in new:
        lines += ["exit.%s: not measured" % row["name"] for row in ROWS if row["name"] not in new["exit"]]
        exits = {name: count["exits"] for name, count in new["vmcs"].items()}
        lines += ["vmcs.%s.exits: 0" % row["name"] for row in ROWS if exits.get(row["name"]) == 0 and "exits" not in row]
    return lines


def judge(old, new, update):
    """Compares with the baseline and prints; True unless there is a fault. With `update` the figures become
    the baseline, those of other sections stay."""
    faults = ["unsound: " + line for line in unsound(new)]
    if update and not faults:
        try:
            figures.save(BASELINE, figures.renewed(old, {name: value for name, value in new.items()
                                                         if name != "exit_by_model"}))
        except ValueError as error:
            raise RigError("the baseline is as it was: %s" % error) from error
        print("baseline: written; say in the commit why figures have grown")
        return True
    within = {"exit." + row["name"]: row["within"] for row in ROWS if "within" in row}
    worse, told, unjudged = figures.compare(old, new, within)
    for line in unjudged:
        print("baseline: not judged, " + line)
    for line in told:
        print("baseline: " + line)
    for line in faults + worse:
        print("baseline: FAULT " + line)
    if not faults + worse:
        print("baseline: nothing exact has grown" + (", as far as it could be judged" if unjudged else ""))
    return not faults + worse


def bench(options):
    build = options.build
    new = {"made_with": figures.made_with(build, PROGRAMS), "size": size(build)}
    old = figures.load(BASELINE) if os.path.isfile(BASELINE) else {}
    if options.check and not options.update and figures.stale(old, new):
        return judge(old, {"made_with": new["made_with"]}, False)
    if not options.linux:
        new.update(exact(build))
    if not options.linux and not options.check:
        new["exit_by_model"] = {
            model: {how: all_costs(build, model, "mitigations=" + how) for how in ("off", "auto")}
            for model in (MODELS if not options.model else [options.model])}
        print_exits(new["exit"], new["vmcs"], new["exit_by_model"])
        new["scale"] = scale(build)
        print_scale(new["scale"])
    within = True
    if not options.exits:
        new.update(linux(build))
        print_linux(new["boot"], new["memory"])
        works = new.pop("work")
        if not options.check:
            for side, more in zip(("native", "trivet"), between_cpus(build)):
                works[side].update(more)
            new["work"] = works  # as all of it was measured
        print_work(works["native"], works["trivet"])
        within = new["boot"]["ratio"] <= MOST
    path = os.path.join(build, "bench.json")
    figures.save(path, figures.merged(path, new))
    return judge(old, new, options.update) and within


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    part = options.add_mutually_exclusive_group()
    part.add_argument("--exits", action="store_true", help="only what leaves the guest: needs no kernel")
    part.add_argument("--linux", action="store_true", help="only what Linux does")
    options.add_argument("--check", action="store_true", help="only what the baseline holds")
    options.add_argument("--model", default="", help="only this one of the models")
    options.add_argument("--update", action="store_true", help="the figures become the baseline")
    options = options.parse_args()
    try:
        return 0 if bench(options) else 1
    except RigError as error:
        print("bench: %s" % error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
