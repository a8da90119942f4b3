# SPDX-License-Identifier: BSD-2-Clause
# Turns the sorted output of nm into an assembler table of function names: offsets from the
# image's start (the symbol image_start), sorted by address, then as many names in the same order.
# The last entry, with an empty name, is the end of the text (image_rodata).

function hex(text,	value, i) {
	value = 0
	for (i = length(text) - 7; i <= length(text); i++)
		value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return value
}

$3 == "image_rodata" { end = hex($1) - base }
$3 == "image_start" { base = hex($1); found = 1; next }
found && $2 ~ /^[Tt]$/ && $3 !~ /\.|^image_/ { at[count] = hex($1) - base; name[count++] = $3 }
NF { lines++ }

BEGIN { count = 0 }

END {
	print "global ksyms_count, ksyms_table, ksyms_names"
	print "section .ksyms progbits alloc noexec nowrite align=8"
	if (lines) {
		at[count] = end
		name[count++] = ""
	}
	print "ksyms_count: dd " count + 0
	print "ksyms_table:"
	for (i = 0; i < count; i++) {
		print "dd " at[i]
		text = text "db \"" name[i] "\", 0\n"
	}
	print "ksyms_names:"
	printf "%s", text
	print "db 0"
	if (lines && !(found && end)) {
		print "no symbol image_start or image_rodata" > "/dev/stderr"
		exit 1
	}
}
