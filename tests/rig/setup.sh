#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Sees to the tools that a target needs: setup.sh run|test|ci|plot; run also heeds EMULATOR= and
# FIRMWARE=. Debian and its kin: installs what is missing when root, else prints the sudo line and
# stops. Elsewhere: names what is missing.
set -eu
level=${1:-run}

# package, then the files or commands of which one shows that it is there, as Debian and others
# have them
table_run='
nasm                nasm
acpica-tools        iasl
binutils            ld
python3             /usr/bin/python3
grub-common         grub-mkrescue grub2-mkrescue
grub-pc-bin         /usr/lib/grub/i386-pc/kernel.img
grub-efi-amd64-bin  /usr/lib/grub/x86_64-efi/kernel.img
xorriso             xorriso
mtools              mformat
cpio                cpio
'
table_bochs='
bochs               bochs
bochs-term          /usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so
bochsbios           /usr/share/bochs/BIOS-bochs-latest
seabios             /usr/share/seabios/vgabios-stdvga.bin
'
table_qemu='
qemu-system-x86     qemu-system-x86_64
'
table_uefi='
ovmf                /usr/share/ovmf/OVMF.fd
'
table_test='
libcmocka-dev       /usr/include/cmocka.h
libzydis-dev        /usr/include/Zydis/Zydis.h
python3-pytest      pytest-3
python3-pytest-xdist /usr/lib/python3/dist-packages/xdist
gcc                 gcc
libc6-dev           /usr/include/stdio.h
'
table_ci='
clang               clang
libclang-rt-14-dev  /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.asan-x86_64.a
shellcheck          shellcheck
cloc                cloc
git                 git
'

table_plot='
python3-matplotlib  /usr/lib/python3/dist-packages/matplotlib
'

nested_vmx() {
	grep -qw vmx /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ]
}

case $level in
run)
	emulator=${EMULATOR:-auto}
	if [ "$emulator" = auto ]; then
		if nested_vmx; then emulator=qemu; else emulator=bochs; fi
	fi
	if [ "$emulator" = qemu ]; then table=$table_run$table_qemu; else table=$table_run$table_bochs; fi
	[ "${FIRMWARE:-bios}" != uefi ] || table=$table$table_uefi ;;
test)
	table=$table_run$table_bochs$table_qemu$table_uefi$table_test ;;
ci)
	table=$table_run$table_bochs$table_qemu$table_uefi$table_test$table_ci ;;
plot)
	table=$table_plot ;;
*)
	echo "usage: setup.sh run|test|ci|plot" >&2
	exit 1 ;;
esac

list_missing() {
	echo "$table" | while read -r package probes; do
		found=
		for probe in $probes; do
			case $probe in
			/*) [ ! -e "$probe" ] || found=1 ;;
			*) ! command -v "$probe" >/dev/null 2>&1 || found=1 ;;
			esac
		done
		if [ -n "$package" ] && [ -z "$found" ]; then echo "$package"; fi
	done
}

missing=$(list_missing | tr '\n' ' ')
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "These tools are missing (named as Debian's packages): $missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "Missing: $missing" >&2
	echo "Run this, then again what you ran:" >&2
	echo "    sudo apt-get install --no-install-recommends -y $missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing $missing"
# shellcheck disable=SC2086
apt-get install --no-install-recommends -y -qq $missing >/dev/null 2>&1 ||
	{ apt-get update -qq && apt-get install --no-install-recommends -y -qq $missing >/dev/null; } ||
	{ echo "apt-get cannot install: $missing" >&2; exit 1; }
