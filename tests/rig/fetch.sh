#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Fetches Debian's cloud kernel and busybox as packages into a folder (never onto the host) and
# makes vmlinuz and initrd.img there: fetch.sh FOLDER [nightly]. With `nightly` also Debian's generic
# and real-time kernels, the installer as a network boot gets it, and stress.img, an initrd with
# stress-ng. Without the network, or apt: the distribution's own kernel and a static busybox where
# they are found; status 1 if there is neither.
set -eu
folder=${1:?folder}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

updated=

# place FILE NAME: whole or not at all, since what is there is not made again
place() {
	cp "$1" "$folder/$2.new" && mv "$folder/$2.new" "$folder/$2"
}

# The package that a metapackage stands for.
real_kernel() {
	apt-cache depends "$1" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1
}

# unpack PACKAGE: into $folder/root
unpack() {
	[ -n "$1" ] || return 1
	mkdir -p "$folder/deb" "$folder/root"
	(cd "$folder/deb" && rm -f "$1"_*.deb && apt-get download -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=20 "$1" >/dev/null 2>&1) || return 1
	dpkg -x "$folder"/deb/"$1"_*.deb "$folder/root" || return 1
	rm -f "$folder"/deb/"$1"_*.deb
}

try_unpack() {
	unpack "$1" && return 0
	[ -z "$updated" ] && [ "$(id -u)" = 0 ] || return 1
	updated=1
	apt-get update -qq >/dev/null 2>&1 || return 1
	unpack "$1"
}

# keep_modules VERSION: of the kernel just unpacked, the drivers by which init learns of the
# power button
keep_modules() {
	rm -rf "$folder/modules"
	mkdir -p "$folder/modules/$1"
	for name in button evdev; do
		file=$(find "$folder/root/lib/modules/$1" -name "$name.ko" | head -n 1)
		[ -z "$file" ] || place "$file" "modules/$1/$name.ko" || return 1
	done
}

# fetch_kernel METAPACKAGE NAME
fetch_kernel() {
	[ -f "$folder/$2" ] && { [ "$2" != vmlinuz ] || [ -d "$folder/modules" ]; } && return 0
	command -v apt-get >/dev/null 2>&1 || return 1
	if [ -z "$(real_kernel "$1")" ] && [ "$(id -u)" = 0 ]; then
		apt-get update -qq >/dev/null 2>&1 || true
		updated=1
	fi
	package=$(real_kernel "$1")
	echo "Fetching ${package:-$1}"
	try_unpack "$package" || return 1
	place "$folder/root/boot/vmlinuz-${package#linux-image-}" "$2" || return 1
	[ "$2" != vmlinuz ] || keep_modules "${package#linux-image-}" || return 1
	rm -rf "$folder/root/lib/modules" "$folder/root/boot"
}

# The last kernel of the machine's own distribution that may be read.
host_kernel() {
	found=
	for file in /boot/vmlinuz*; do
		[ -r "$file" ] && found=$file
	done
	[ -n "$found" ] || return 1
	place "$found" vmlinuz || return 1
	echo "No package could be fetched: using $found"
}

find_busybox() {
	if [ ! -x "$folder/root/bin/busybox" ] && command -v apt-get >/dev/null 2>&1; then
		echo "Fetching busybox-static"
		try_unpack busybox-static || true
	fi
	for file in "$folder/root/bin/busybox" "$folder/root/usr/bin/busybox" \
		"$(command -v busybox || true)"; do
		[ -x "$file" ] && busybox=$file && return 0
	done
	return 1
}

# The installer, as a network boot gets it; its initrd unpacked, which is slow work for a loader.
fetch_installer() {
	[ -f "$folder/installer-initrd" ] && return 0
	echo "Fetching debian-installer-12-netboot-amd64"
	try_unpack debian-installer-12-netboot-amd64 || return 1
	text=$folder/root/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
	place "$text/linux" installer-linux && gzip -d "$text/initrd.gz" &&
		place "$text/initrd" installer-initrd || return 1
	rm -rf "$folder/root/usr/lib/debian-installer"
}

# copy_libraries FILE: into $tree/lib64, what it needs and what that needs
copy_libraries() {
	for library in $(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
		[ ! -e "$tree/lib64/$library" ] || continue
		from=$(find "$folder/root" -name "$library" | head -n 1)
		[ -n "$from" ] || { echo "$library is in no package" >&2; return 1; }
		cp -L "$from" "$tree/lib64/$library"
		copy_libraries "$from" || return 1
	done
}

# stress.img: a second initrd behind initrd.img's, with stress-ng and its libraries. It is not
# packed: the guest unpacks slower than the loader reads.
make_stress() {
	[ ! -f "$folder/stress.img" ] || return 0
	echo "Fetching stress-ng and its libraries"
	for package in $(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances stress-ng 2>/dev/null | grep '^[a-z]'); do
		try_unpack "$package" || return 1
	done
	tree=$folder/stress
	rm -rf "$tree"
	mkdir -p "$tree/bin" "$tree/lib64"
	cp "$folder/root/usr/bin/stress-ng" "$tree/bin" || return 1
	copy_libraries "$tree/bin/stress-ng" || return 1
	(cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) > "$folder/stress.new"
	mv "$folder/stress.new" "$folder/stress.img"
	rm -rf "$tree"
}

# The same of the same files, wherever it is made: tests/bench/baseline.json knows its sha256.
make_initrd() {
	umask 022
	tree=$folder/initrd
	rm -rf "$tree"
	for name in bin dev proc sys tmp; do
		mkdir -p "$tree/$name"
	done
	cp "$busybox" "$tree/bin/busybox"
	for name in sh mount cat setsid cttyhack poweroff reboot ls echo; do
		ln -s busybox "$tree/bin/$name"
	done
	install -m 755 "$here/init.sh" "$tree/init"
	[ ! -d "$folder/modules" ] || cp -R "$folder/modules" "$tree/modules"
	nasm -f elf64 -o "$folder/mark.o" "$here/mark.asm"
	ld -s -o "$tree/bin/mark" "$folder/mark.o" # the path of its source is no part of it
	find "$tree" -exec touch -h -d @1700000000 {} +
	(cd "$tree" && find . | LC_ALL=C sort |
		cpio -o -H newc -R 0:0 --reproducible --quiet) > "$folder/initrd.cpio"
	gzip -9n < "$folder/initrd.cpio" > "$folder/initrd.new"
	mv "$folder/initrd.new" "$folder/initrd.img"
	rm -rf "$tree" "$folder/initrd.cpio"
}

fetch_kernel linux-image-cloud-amd64 vmlinuz || [ -f "$folder/vmlinuz" ] || host_kernel || {
	echo "No guest kernel: none could be fetched, none in /boot may be read." >&2
	exit 1
}
if [ ! -f "$folder/initrd.img" ] ||
	[ -n "$(find "$here/fetch.sh" "$here/init.sh" "$here/mark.asm" "$folder/modules" -newer \
	"$folder/initrd.img" 2>/dev/null)" ]; then
	find_busybox || { echo "No busybox for the guest." >&2; exit 1; }
	make_initrd
fi
if [ "${2:-}" = nightly ]; then
	fetch_kernel linux-image-amd64 vmlinuz-generic ||
		echo "The generic kernel could not be fetched." >&2
	fetch_kernel linux-image-rt-amd64 vmlinuz-rt ||
		echo "The real-time kernel could not be fetched." >&2
	fetch_installer || echo "The installer could not be fetched." >&2
	make_stress || echo "stress-ng could not be fetched." >&2
fi
