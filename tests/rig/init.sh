#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# The guest's first process: says that it is there, then gives a shell with job control. The mark
# comes before anything else, so that the time to it is the kernel's.
echo init-reached
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox --install -s /bin 2>/dev/null
echo
echo "Linux $(uname -r) under Trivet. reboot -f starts it again, poweroff -f ends it."
# The machine's power button ends the machine.
for name in button evdev; do
	[ ! -f "/modules/$(uname -r)/$name.ko" ] || insmod "/modules/$(uname -r)/$name.ko"
done
if [ -e /dev/input/event0 ]; then
	(head -c 1 /dev/input/event0 >/dev/null && echo power-button && poweroff -f) &
fi
export PATH=/bin PS1='guest# ' HOME=/ TERM=vt100
cd /
while :; do
	setsid cttyhack sh
done
