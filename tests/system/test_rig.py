# SPDX-License-Identifier: BSD-2-Clause
"""The rig tests itself: each kind of failed run is provoked and must be seen as failed, every
byte and every word must pass, and `make install` and the set-up must do what they say."""

import concurrent.futures
import glob
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import time

import pytest

from conftest import BUILD, PARANOID, ROOT, built
from rig import bochs, console, iso, qemu, session, terminal

SPECIAL = ["{", "}", ";", "|", "&", "$", '"', "'", "\\", "a{b};c|d&e$f", "two words", "$x",
           "it's", "\\\\", "#c", "*", "(", ")", "<", ">", "`", "!", "~", "%", "=", "a=\"b c\""]


def selftest(todo, **fields):
    return session.Config(image=built("tests/selftest.elf"), emulator=fields.pop("emulator", "bochs"),
                          hv="do=" + todo, timeout=fields.pop("timeout", 30), **fields)


def grub_quoted(word):
    """How GRUB 2.06 hands a word over: blanks in double quotes, quotes and \\ escaped."""
    text = re.sub(r"([\\'\"])", r"\\\1", word)
    return '"%s"' % text if re.search(r"[ \t]", word) else text


# ---- runs that must pass

@pytest.mark.parametrize("emulator,firmware", [("bochs", "bios"), ("qemu", "bios"), ("qemu", "uefi")])
def test_words_pass_unchanged(emulator, firmware, tmp_path):
    file = tmp_path / "a file"
    file.write_text("x")
    words = " ".join(iso.shlex.quote(word) for word in SPECIAL)
    module = "%s vm=a -- %s" % (iso.shlex.quote(str(file)), words)
    result = session.run(selftest("end", emulator=emulator, firmware=firmware, modules=[module],
                                  expect=["ended"]))
    assert result.ok, result.reason
    line = re.search(r"^module \[(.*)\]\r?$", result.text, re.MULTILINE).group(1)
    assert line == "vm=a -- " + " ".join(grub_quoted(word) for word in SPECIAL)


@pytest.mark.parametrize("emulator", ["bochs", "qemu"])
def test_every_byte_passes_both_ways(emulator):
    sent = bytes(b for b in range(256) if b != 4) * 4
    with session.Session(selftest("byte", emulator=emulator)) as run:
        deadline = time.time() + 30
        while "echo:\n" not in run.console.text() and time.time() < deadline:
            run.console.wait_change(len(run.console.data), 1)
        run.console.type(sent + b"\x04", 0)
        while "ended" not in run.console.text() and time.time() < deadline:
            run.console.wait_change(len(run.console.data), 1)
        data = bytes(run.console.data)
    assert bytes(range(256)) + b"\necho:\n" in data
    assert data.split(b"\necho:\n")[1].startswith(sent + b"\x04")


def test_type_waits_for_its_pattern_and_knows_escapes():
    config = selftest("byte", expect=["echo:", "A\x1d\n?", "ended"],
                      type=["echo:\\n=>A\\x1d\\n", "A\\x1d\\n=>\\x04"])
    result = session.run(config)
    assert result.ok, result.reason


def test_several_side_by_side():
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(session.run, selftest("end", expect=["ended"], modules=["/etc/passwd n=%d" % n]))
                for n in range(3)]
        for number, run in enumerate(runs):
            assert run.result().ok, run.result().reason
            assert "module [n=%d]" % number in run.result().text


def test_keep_and_log(tmp_path):
    keep, log = str(tmp_path / "keep"), str(tmp_path / "log")
    assert session.run(selftest("end", expect=["ended"], keep=keep, log=log)).ok
    for name in ("boot.iso", "bochsrc", "bochs.log"):
        assert os.path.getsize(os.path.join(keep, name))
    text = open(log, "rb").read()
    assert b"selftest" in text
    rc = open(os.path.join(keep, "bochsrc")).read()
    assert "ignore_bad_msrs=0" in rc and "socket" not in rc and "rfb" not in rc


# ---- runs that must fail

FAILING = {
    "vmfail": (dict(todo="vmread", expect=["ended"]), session.FAILED, "VMFAIL"),
    "triple fault": (dict(todo="triple", expect=["ended"]), session.FAILED, "PANIC"),
    "hang": (dict(todo="hang", expect=["ended"], timeout=5), session.TIME_OVER, "time over"),
    "not seen": (dict(todo="end", expect=["ended", "selftest"]), session.FAILED, "not seen"),
    "rejected": (dict(todo="end", expect=["ended"], reject=["^line"]), session.FAILED, "rejected"),
}


@pytest.mark.parametrize("name", FAILING)
def test_failed_run_is_seen(name):
    fields, status, reason = FAILING[name]
    result = session.run(selftest(**fields))
    assert result.status == status
    assert reason in result.reason


FAKE_LOGS = {
    "vmenter": ("00001e[CPU0  ] VMENTER FAIL: VMCS host state invalid\\n", "VMENTER FAIL"),
    "vmfail": ("00001e[CPU0  ] VMFAIL: VMWRITE read only\\n", "VMFAIL"),
    "panic": ("00001p[CPU0  ] >>PANIC<< something\\n", "PANIC"),
}


def fake_bochs(folder, script):
    path = folder / "bochs"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


FAKE_START = """
while [ $# -gt 0 ]; do [ "$1" = -f ] && rc=$2; shift; done
log=$(sed -n 's/^log: //p' "$rc"); tty=$(sed -n 's/^com1:.*dev=//p' "$rc")
"""
FAKE_END = """
echo 'all is well' > "$tty"; sleep 20
"""


@pytest.mark.parametrize("name", FAKE_LOGS)
def test_bad_log_fails_a_run_that_saw_all(name, tmp_path):
    text, reason = FAKE_LOGS[name]
    program = fake_bochs(tmp_path, FAKE_START + "printf '%s' > \"$log\"" % text + FAKE_END)
    result = session.run(selftest("end", program=program, expect=["all is well"]))
    assert result.status == session.FAILED and reason in result.reason


def test_missing_log_fails(tmp_path):
    program = fake_bochs(tmp_path, FAKE_START + FAKE_END)
    result = session.run(selftest("end", program=program, expect=["all is well"]))
    assert result.status == session.FAILED and "missing" in result.reason


def test_clean_log_passes(tmp_path):
    program = fake_bochs(tmp_path, FAKE_START + "echo '00e[IDE] no' > \"$log\"" + FAKE_END)
    assert session.run(selftest("end", program=program, expect=["all is well"])).ok


def test_orderly_ends_are_no_panic(tmp_path):
    log = tmp_path / "log"
    log.write_text("09p[UNMAP ] >>PANIC<< Shutdown port: shutdown requested\n"
                   "09p[ACPI  ] >>PANIC<< ACPI control: soft power off\n")
    assert bochs.scan_log(str(log)) == []


COMMAND_LINE = {
    "seen": ("end", ["--expect", "ended"], 0, ""),
    "not seen": ("end", ["--expect", "never"], 1, "not seen: 'never'"),
    "hang": ("hang", ["--expect", "never", "--timeout", "4"], 124, "time over"),
    "no file": ("end", ["--expect", "x", "--", "/no/such/file"], 1, "no such file"),
    "bad pattern": ("end", ["--expect", "("], 1, "bad pattern"),
    "open quote": ("end", ["--expect", "x", "--", "/etc/passwd it's"], 1, "cannot split"),
}


@pytest.mark.parametrize("name", COMMAND_LINE)
def test_exit_status(name):
    todo, words, status, text = COMMAND_LINE[name]
    run = subprocess.run(["tests/boot.py", "--emulator", "bochs", "--image", built("tests/selftest.elf"),
                          "--hv", "do=" + todo] + words, capture_output=True, text=True)
    assert run.returncode == status
    assert text in run.stderr


def test_emulator_that_cannot_start_fails(tmp_path):
    program = fake_bochs(tmp_path, "echo 'no such machine' >&2; exit 1\n")
    result = session.run(selftest("end", emulator="qemu", program=program))
    assert result.status == session.FAILED and "no such machine" in result.reason


def test_hybrid_iso_boots_and_touches_no_neighbour(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/mine").write_text("x")
    subprocess.run(["tests/boot.py", "--image", built("tests/selftest.elf"), "--write-iso",
                    str(tmp_path / "x.iso"), "--hv", "do=end"], check=True, capture_output=True)
    for firmware in ("bios", "uefi"):
        result = session.run(session.Config(emulator="qemu", firmware=firmware, timeout=60,
                                            iso=str(tmp_path / "x.iso"), expect=["ended"]))
        assert result.ok, result.reason
    assert (tmp_path / "tree/mine").read_text() == "x"
    assert sorted(os.listdir(tmp_path)) == ["tree", "x.iso"]


def test_emulator_dies_with_the_run():
    with session.Session(selftest("hang")) as run:
        process = run.machine.process
    assert process.poll() is not None


def test_emulator_dies_with_a_killed_rig(tmp_path):
    run = subprocess.Popen(["tests/boot.py", "--emulator", "bochs", "--image", built("tests/selftest.elf"),
                            "--hv", "do=hang", "--expect", "never", "--keep", str(tmp_path)],
                           stderr=subprocess.DEVNULL)
    deadline = time.time() + 30
    while not (tmp_path / "bochs.log").exists() and time.time() < deadline:
        time.sleep(0.1)
    assert emulators(tmp_path)
    run.kill()
    run.wait()
    while emulators(tmp_path) and time.time() < deadline:
        time.sleep(0.1)
    assert not emulators(tmp_path)


def emulators(folder):
    wanted, found = b"%s/bochsrc" % bytes(folder), []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            found += [path] if wanted in open(path, "rb").read() else []
        except OSError:
            pass
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_rig_leaves_no_folder(number, tmp_path):
    run = subprocess.Popen(["tests/boot.py", "--emulator", "bochs", "--image", built("tests/selftest.elf"),
                            "--hv", "do=hang", "--expect", "never"], stderr=subprocess.DEVNULL,
                           env=dict(os.environ, TMPDIR=str(tmp_path)))
    deadline = time.time() + 30
    while not glob.glob(str(tmp_path / "*/bochs.log")) and time.time() < deadline:
        time.sleep(0.1)
    run.send_signal(number)
    assert run.wait(10) == 1
    assert os.listdir(tmp_path) == []


def test_interactive_restores_the_terminal():
    """On a pty of its own: types into the machine, leaves by Ctrl-a x, and finds the modes kept."""
    master, slave = pty.openpty()
    before = console.termios.tcgetattr(slave)
    run = subprocess.Popen(["tests/boot.py", "--emulator", "bochs", "--image",
                            built("tests/selftest.elf"), "--hv", "do=byte"],
                           stdin=slave, stdout=slave, stderr=slave)
    text = read_until(master, b"echo:")
    assert b"leave with Ctrl-a x" in text
    os.write(master, b"\x03typed")
    assert b"typed" in read_until(master, b"typed")
    os.write(master, b"\x01x")
    read_until(master, b"\n")
    assert run.wait(10) == 0
    assert console.termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def read_until(fd, wanted):
    data, deadline = b"", time.time() + 30
    while wanted not in data and time.time() < deadline:
        if select.select([fd], [], [], 1)[0]:
            data += os.read(fd, 4096)
    return data


def test_keys():
    keys = terminal.Keys()
    assert keys.filter(b"ab\x01\x01c\x01d") == b"ab\x01c\x01d"
    assert keys.filter(b"\x01") == b"" and not keys.leave
    assert keys.filter(b"x") == b"" and keys.leave


# ---- make run, with no one at the terminal

RUNS = {
    "own kernel": (["APPEND=code=7 'two words'"], ["no debug-exit port", r"\[guest\] halted"]),
    "two CPUs": (["CPUS=2"], ["64 MiB, 2 vCPUs", r"\[guest\] halted"]),
    "bad memory": (["MEM=64MB"], ["mem=64MB.* must be a number", "no VM to run"]),
    "a disk": (["DISK=/etc/hostname"], ["kind=disk.* not supported yet", "no VM to run"]),
}


@pytest.mark.parametrize("name", RUNS)
def test_make_run(name):
    words, wanted = RUNS[name]
    run = subprocess.run(["make", "-s", "run", "B=" + BUILD, "EMULATOR=bochs", "MEM=64M",
                          "KERNEL=" + built("guest/tests/exitcode.elf")] + words, cwd=ROOT, timeout=120,
                         capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.split("\n")
    assert "bochs" in lines[0] and "leave it with Ctrl-a x" in lines[0]
    for pattern in wanted:
        assert re.search(pattern, run.stdout), run.stdout


# ---- parts

def test_auto_takes_kvm_only_with_vmx(tmp_path):
    with_flag, without, device = tmp_path / "a", tmp_path / "b", tmp_path / "kvm"
    with_flag.write_text("flags\t\t: fpu vmx smx\n")
    without.write_text("flags\t\t: fpu svm\nvmx flags\t: vnmi\n")
    device.write_text("")
    assert qemu.nested_vmx(str(with_flag), str(device))
    assert not qemu.nested_vmx(str(without), str(device))
    assert not qemu.nested_vmx(str(with_flag), str(tmp_path / "none"))


def test_qemu_differs_by_accelerator_only():
    config = session.Config(emulator="qemu")
    with_kvm = qemu.arguments(config, "i", "q", True)
    tcg = qemu.arguments(config, "i", "q", False)
    assert [a.replace("kvm", "tcg").replace("host", "max") for a in with_kvm] == tcg


def test_screendump():
    with session.Session(selftest("hang", emulator="qemu")) as run:
        while "module" not in run.console.text() and "line" not in run.console.text():
            run.console.wait_change(len(run.console.data), 1)
        width, height, pixels = run.machine.screendump()
    assert len(pixels) == width * height * 3


def test_grub_cfg_parses():
    text = iso.grub_cfg(["a'b", "c d"], [("/boot/m", SPECIAL)])
    run = subprocess.run(["grub-script-check"], input=text, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr


def test_unescape():
    assert console.unescape("a\\n\\x1d\\\\n") == b"a\n\x1d\\n"


# ---- make install

@pytest.fixture
def installed(tmp_path):
    built("trivet.elf")
    subprocess.run(["make", "-s", "install", "B=" + BUILD, "DESTDIR=" + str(tmp_path)], check=True, cwd=ROOT,
                   capture_output=True)
    return tmp_path


def menu(root, **files):
    for name, text in files.items():
        (root / "etc/trivet.d" / (name + ".conf")).write_text(text)
    environment = dict(os.environ, TRIVET_CONF=str(root / "etc/trivet.d"), TRIVET_ROOT=str(root))
    run = subprocess.run([str(root / "etc/grub.d/42_trivet")], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    check = subprocess.run(["grub-script-check"], input=run.stdout, text=True, capture_output=True)
    assert check.returncode == 0, check.stderr
    return run.stdout, run.stderr


def test_install_and_menu(installed):
    assert (installed / "boot/trivet.elf").stat().st_size <= (512 if PARANOID else 256) * 1024
    text, _ = menu(installed)
    assert text.count("menuentry ") == 1 and "module2" not in text
    sample = (installed / "etc/trivet.d/example.conf.sample").read_text()
    text, _ = menu(installed, web=sample, lab="module2 /boot/o.elf vm=lab")  # no newline at its end
    assert text.count("menuentry ") == 3
    assert "module2 /boot/o.elf vm=lab" in text or "module2 /o.elf vm=lab" in text


def test_menu_leaves_out_what_does_not_parse(installed):
    text, errors = menu(installed, bad="module2 /boot/x a{b}\n", good="module2 /boot/y 'a{b}'\n")
    assert text.count("menuentry ") == 2 and "bad.conf" in errors


# ---- set-up

def test_setup_names_what_is_missing(tmp_path):
    """With an empty PATH but a shell's own tools there is much to name, and no root needed."""
    for name in ("sh", "grep", "tr", "id", "cat", "sed"):
        os.symlink(shutil.which(name), tmp_path / name)
    run = subprocess.run(["/bin/sh", "tests/rig/setup.sh", "run"], capture_output=True, text=True,
                         env={"PATH": str(tmp_path)})
    assert run.returncode == 1
    assert "missing" in run.stderr and "nasm" in run.stderr


def test_setup_asks_for_what_the_run_needs(tmp_path):
    """By emulator and firmware; one of several probes is enough."""
    for name in ("sh", "grep", "tr", "id", "cat", "sed"):
        os.symlink(shutil.which(name), tmp_path / name)
    os.symlink("/bin/true", tmp_path / "grub2-mkrescue")
    names = []
    for emulator in ("qemu", "bochs"):
        run = subprocess.run(["/bin/sh", "tests/rig/setup.sh", "run"], capture_output=True, text=True,
                             env={"PATH": str(tmp_path), "EMULATOR": emulator})
        names.append(run.stderr)
    assert "qemu-system-x86" in names[0] and "qemu-system-x86" not in names[1]
    assert "grub-common" not in names[0] and "xorriso" in names[0]


def test_setup_without_root_prints_the_line(tmp_path):
    for name in ("sh", "grep", "tr", "cat", "sed"):
        os.symlink(shutil.which(name), tmp_path / name)
    for name, text in (("id", "echo 1000"), ("apt-get", "exit 9")):
        (tmp_path / name).write_text("#!/bin/sh\n%s\n" % text)
        (tmp_path / name).chmod(0o755)
    run = subprocess.run(["/bin/sh", "tests/rig/setup.sh", "run"], capture_output=True, text=True,
                         env={"PATH": str(tmp_path)})
    assert run.returncode == 1
    assert re.search(r"^    sudo apt-get install .*\bnasm\b", run.stderr, re.MULTILINE)
