#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every header compiles alone, and twice in one file. headers.sh CC
CC=${1:-gcc}
status=0
for header in boot/*.h arch/*.h arch/lib/*.h vmm/*.h drivers/*.h; do
	[ -f "$header" ] || continue
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
		$CC -std=gnu11 -I. -ffreestanding -mgeneral-regs-only -Wall -Wextra -Werror \
			-Wno-unused-function -fsyntax-only -x c - ||
		{ echo "$header does not compile alone"; status=1; }
done
exit $status
