#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What `make run` does: set up, build, fetch a guest, boot it and connect the terminal. Takes
# KERNEL= INITRD= APPEND= MEM= CPUS= DISK= HV= EMULATOR= FIRMWARE= MODEL= from the environment.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build}
emulator=${EMULATOR:-auto}

if [ "$emulator" = auto ]; then
	emulator=bochs
	if grep -qw vmx /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		emulator=qemu
	fi
fi
echo "Trivet will run in $emulator; leave it with Ctrl-a x."

tests/rig/setup.sh run
${MAKE:-make} --no-print-directory -s all guests

append=${APPEND:-console=ttyS0}
words="mem=${MEM:-384M}${CPUS:+ cpus=$CPUS}"
initrd=${INITRD:-}
kernel=${KERNEL:-}
if [ -z "$kernel" ] && tests/rig/fetch.sh "$B/guest-cache"; then
	kernel=$B/guest-cache/vmlinuz
	initrd=${initrd:-$B/guest-cache/initrd.img}
fi

# Trivet and its modules need a little beside the guest's memory.
mebibytes() {
	number=${1%[KkMmGg]}
	case $number in
	"" | *[!0-9]*) number=0 ;; # Trivet says what is allowed
	esac
	case $1 in
	*[Gg]) echo $((number * 1024)) ;;
	*[Mm]) echo "$number" ;;
	*) echo $((number / 1024)) ;;
	esac
}
pmem=$(($(mebibytes "${MEM:-384M}") + 128))

set -- --emulator "$emulator" --firmware "${FIRMWARE:-bios}" --model "${MODEL:-}" \
	--pmem "$pmem" --pcpus "${CPUS:-1}" --image "$B/trivet.elf" --hv "${HV:-}" --
quoted() {
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}
if [ -z "$kernel" ]; then
	echo "No Linux kernel here: booting the built-in demo guest. KERNEL=FILE names your own."
	set -- "$@" "$B/guest/demo.elf mem=${MEM:-64M}"
else
	set -- "$@" "$(quoted "$kernel") $words -- $append"
	[ -z "$initrd" ] || set -- "$@" "$(quoted "$initrd")"
	[ -z "${DISK:-}" ] || set -- "$@" "$(quoted "$DISK") kind=disk"
fi
exec tests/boot.py "$@"
