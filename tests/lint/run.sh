#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck disable=SC2317
# Runs every lint; prints what is wrong and ends with 1 if anything is. run.sh [BUILD [CC]]
cd "$(dirname "$0")/../.." || exit 1
B=${1:-build}
CC=${2:-gcc}
status=0

check() {
	name=$1
	shift
	if "$@"; then
		echo "ok      $name"
	else
		echo "FAILED  $name"
		status=1
	fi
}

shell_scripts() {
	git ls-files 2>/dev/null | while read -r file; do
		if [ -f "$file" ] && head -n 1 "$file" | grep -q '^#!.*sh$'; then echo "$file"; fi
	done
}

check_shell() {
	command -v shellcheck >/dev/null || { echo "shellcheck is missing"; return 1; }
	# shellcheck disable=SC2046
	shellcheck $(shell_scripts | grep -v tests/rig/init.sh)
}

check_python() {
	/usr/bin/python3 - <<'END'
import ast, glob, sys
for path in glob.glob("tests/**/*.py", recursive=True):
    ast.parse(open(path).read(), path)
END
}

check "layering: includes"         /usr/bin/python3 tests/lint/layers.py include
check "layering: link"             /usr/bin/python3 tests/lint/layers.py link "$B"
check "headers compile alone"      tests/lint/headers.sh "$CC"
check "lengths, names, words"      /usr/bin/python3 tests/lint/text.py
check "audit of the image"         /usr/bin/python3 tests/lint/audit.py "$B"
check "the audit sees faults"      /usr/bin/python3 tests/lint/audit.py --selftest
check "size by folder"             tests/lint/size.sh "$B"
check "shell scripts"              check_shell
check "python parses"              check_python
exit $status
