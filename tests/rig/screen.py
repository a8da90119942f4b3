# SPDX-License-Identifier: BSD-2-Clause
"""Reads the text that a machine shows: a screen dump against the glyphs of a PSF font, or the
cells of VGA text memory."""

import struct

PSF1, PSF2 = b"\x36\x04", b"\x72\xb5\x4a\x86"


def glyphs(font):
    """{bitmap: character} of the printable ASCII of a PSF file with 8-pixel glyphs."""
    with open(font, "rb") as file:
        data = file.read()
    if data.startswith(PSF2):
        header, _, _, size, height, width = struct.unpack_from("<6I", data, 8)
        assert width == 8
    else:
        assert data.startswith(PSF1)
        header, size = 4, data[3]
        height = size
    found = {}
    for code in range(126, 31, -1):
        at = header + code * size
        found[data[at:at + height]] = chr(code)
    return found, height


def text_of(dump, font):
    """The lines on a (width, height, RGB) dump; a cell that is no glyph becomes '?'. The text is
    white on black, or black on white, by what a cell has more of."""
    width, height, pixels = dump
    table, rows = glyphs(font)
    lines = []
    for top in range(0, height - rows + 1, rows):
        cells = []
        for left in range(0, width - 7, 8):
            bitmap = bytes(cell_row(pixels, width, left, top + row) for row in range(rows))
            cells.append(table.get(bitmap, "?"))
        lines.append("".join(cells).rstrip())
    return lines


def cell_row(pixels, width, left, row):
    at = (row * width + left) * 3
    bits = 0
    for column in range(8):
        bits = bits << 1 | (pixels[at + column * 3 + 1] > 127)
    return bits


def vga_text_of(memory, columns=80):
    """The lines of VGA text memory (characters and attributes)."""
    text = "".join(chr(code) if 32 <= code < 127 else " " for code in memory[::2])
    return [text[at:at + columns].rstrip() for at in range(0, len(text), columns)]
