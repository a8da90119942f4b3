# SPDX-License-Identifier: BSD-2-Clause
"""Four VMs at once on two cores in 1 GiB, as a person at the console has them: a Linux, a multiboot
program, a flat real-mode image and one that spins. Each is killed and started again; the other
three go on."""

import re

from conftest import built, fetched
from rig import session

PROMPT = "trivet> "
REJECT = ["panic:", r"Kernel panic", r"BUG:", "there is no command", "usage: "]


class Person:
    """Types at the console and waits for what has to come back."""

    def __init__(self, run):
        self.run, self.at = run, 0

    def see(self, pattern, seconds=60):
        """Waits for a pattern behind what was seen last; returns the match."""
        clock = session.time.time() + seconds
        while True:
            text = self.run.console.text()
            for bad in REJECT:
                assert not re.search(bad, text[self.at:]), tail(text)
            found = re.compile(pattern, re.MULTILINE).search(text, self.at)
            if found:
                self.at = found.end()
                return found
            left = clock - session.time.time()
            assert left > 0, "%r did not come\n%s" % (pattern, tail(text))
            self.run.console.wait_change(len(self.run.console.data), min(left, 5))

    def type(self, text):
        self.run.console.type(text.encode("latin-1"))

    def monitor(self, line, *patterns):
        self.type(line + "\r")
        found = [self.see(pattern) for pattern in patterns]
        self.see(PROMPT)
        return found


def tail(text):
    return "\n".join(text.replace("\r", "").split("\n")[-40:])


def states(person):
    """name: (state, CPU time in seconds) as `vms` shows them."""
    start = person.at
    person.monitor("vms", r"^4 +spin .*$")
    rows = re.findall(r"^[1-4] +(\w+) +(\w+) +1 +\d+ +\d+ M +([0-9.]+) s", person.run.console.text()[start:person.at],
                      re.MULTILINE)
    return {name: (state, float(seconds)) for name, state, seconds in rows}


def test_four_vms_live_side_by_side():
    config = session.Config(
        emulator="bochs", model="haswell", pcpus=2, pmem=1024, timeout=400, stay=True, image=built("trivet.elf"),
        modules=[fetched("vmlinuz") + " vm=lin mem=256M -- console=ttyS0 quiet", fetched("initrd.img") + " vm=lin",
                 built("guest/tests/heartbeat.elf") + " vm=beat mem=64M -- beats=0",
                 built("guest/tests/ticker.bin") + " vm=tick kind=flat mem=1M",
                 built("guest/tests/spin.elf") + " vm=spin mem=16M"])
    with session.Session(config) as run:
        person = Person(run)
        # The Linux has the keyboard; the others' lines stand behind their names.
        person.see(r"^guest# ", 200)
        for line in (r"^\[beat\] beat \d+", r"^\[tick\] tick \d+"):
            person.see(line)
        person.type("echo $((6 * 7)) from linux\r")
        person.see("42 from linux")

        person.type("\x1dm")
        person.see(PROMPT)
        assert {name: state for name, (state, _) in states(person).items()} == dict.fromkeys(
            ("lin", "beat", "tick", "spin"), "running")
        for victim in ("spin", "beat", "tick", "lin"):
            before = states(person)
            person.monitor("kill " + victim, r"^\[%s\] killed" % victim)
            after = states(person)
            assert after[victim][0] == "ended"
            others = [name for name in before if name != victim]
            assert all(after[name][0] == "running" for name in others)
            person.monitor("start " + victim)
            later = states(person)
            assert all(later[name][0] == "running" for name in later)
            # Undisturbed: nobody's CPU time went back, and who spins had more.
            assert all(later[name][1] >= before[name][1] for name in others)
            assert victim == "spin" or later["spin"][1] > before["spin"][1]
            person.see(r"^\[beat\] beat \d+")
        # A pause stops one of them alone, and a reset brings it back from the start.
        person.monitor("pause tick")
        person.monitor("vms", r"^3 +tick +paused")
        person.monitor("resume tick")
        person.see(r"^\[tick\] tick \d+")
        person.monitor("reset tick", r"^\[tick\] reset by the monitor")
        person.see(r"^\[tick\] tick 1\b")
        # The Linux that was started anew comes to its shell and answers.
        person.type("vm lin\r")
        person.see("keyboard to lin")
        person.type("\r")
        person.see(r"guest# ", 200)
        person.type("echo $((7 * 8)) again\r")
        person.see("56 again")
        person.type("poweroff -f\r")
        person.see(r"^\[lin\] powered off")
        person.type("\x1dm\r")
        person.see(PROMPT)
        for name in ("beat", "tick"):
            person.monitor("destroy " + name, r"^\[%s\] killed" % name)
        person.monitor("destroy spin", r"^\[spin\] killed", "^all VMs have ended")
        assert not run.machine.faults()
