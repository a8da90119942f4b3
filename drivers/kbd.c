/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical PS/2 keyboard. What its controller answers to commands is not
 * waited for where it can pass for the release of a key that has no meaning.
 */
#include "drivers/kbd.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"

enum { PORT_DATA = 0x60, PORT_STATUS = 0x64, PORT_COMMAND = 0x64 };
enum { READ_CONFIG = 0x20, WRITE_CONFIG = 0x60, KEYBOARD_ENABLE = 0xf4 };

#define STATUS_OUTPUT	 BIT(0) /* a byte can be read */
#define STATUS_INPUT	 BIT(1) /* the last one written is not taken yet */
#define STATUS_AUX	 BIT(5) /* the byte is the mouse's */
#define CONFIG_IRQ	 BIT(0)
#define CONFIG_OFF	 BIT(4)
#define CONFIG_TRANSLATE BIT(6) /* to set 1 */

/* Looks at a port: about a tenth of a second; and the bytes taken at once. */
#define PATIENCE 100000
#define BURST	 32

enum { RELEASED = 0x80, EXTENDED = 0xe0, PAUSE = 0xe1 };
enum { ENTER = 0x1c, CTRL = 0x1d, LEFT = 0x2a, SLASH = 0x35, RIGHT = 0x36, CAPS = 0x3a,
       KEYPAD = 0x47 };
enum { LEFT_SHIFT = 1, RIGHT_SHIFT = 2, LEFT_CTRL = 4, RIGHT_CTRL = 8, CAPS_LOCK = 16 };

/* By scan code from 0 on; NUL: no character. */
static const char plain[] = "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
/* From KEYPAD on, with or without EXTENDED: Num Lock is off. */
static const char keypad[][KBD_SEQUENCE + 1] = {
	"\033[H", "\033[A", "\033[5~", "-", "\033[D", "", "\033[C", "+", "\033[F",
	"\033[B", "\033[6~", "\033[2~", "\033[3~",
};

static bool present, extended, caps;
static u8 held; /* modifiers, a bit for each key */
static u8 skip; /* codes of the Pause key that follow */

static bool send(u16 port, u8 byte)
{
	for (unsigned i = 0; inb(PORT_STATUS) & STATUS_INPUT; i++)
		if (i == PATIENCE)
			return false;
	outb(port, byte);
	return true;
}

bool kbd_init(void)
{
	u8 config;

	for (unsigned i = 0; i < BURST && (inb(PORT_STATUS) & STATUS_OUTPUT); i++)
		inb(PORT_DATA);
	/* Absent ports read all ones, and so never take a command. */
	present = send(PORT_COMMAND, READ_CONFIG);
	for (unsigned i = 0; present && !(inb(PORT_STATUS) & STATUS_OUTPUT); i++)
		present = i < PATIENCE;
	if (!present)
		return false;
	config = (u8)((inb(PORT_DATA) | CONFIG_IRQ | CONFIG_TRANSLATE) & ~CONFIG_OFF);
	present = send(PORT_COMMAND, WRITE_CONFIG) && send(PORT_DATA, config) &&
		  send(PORT_DATA, KEYBOARD_ENABLE);
	return present;
}

static u8 modifier(u8 key)
{
	if (key == CTRL)
		return extended ? RIGHT_CTRL : LEFT_CTRL;
	if (extended) /* keyboards put shifts that nobody pressed around such keys */
		return 0;
	return key == LEFT ? LEFT_SHIFT : key == RIGHT ? RIGHT_SHIFT : key == CAPS ? CAPS_LOCK : 0;
}

static unsigned press(u8 key, u8 *out)
{
	bool shift = held & (LEFT_SHIFT | RIGHT_SHIFT);
	char c;

	if (key >= KEYPAD && key - KEYPAD < (int)ARRAY_SIZE(keypad)) {
		memcpy(out, keypad[key - KEYPAD], KBD_SEQUENCE);
		return (unsigned)strlen(keypad[key - KEYPAD]);
	}
	if (key >= sizeof(plain) - 1 || !plain[key] || (extended && key != ENTER && key != SLASH))
		return 0;
	if (caps && plain[key] >= 'a' && plain[key] <= 'z')
		shift = !shift;
	c = shift && !extended ? shifted[key] : plain[key];
	if ((held & (LEFT_CTRL | RIGHT_CTRL)) && ((c >= '@' && c <= '~') || c == ' '))
		c &= 0x1f;
	*out = (u8)c;
	return 1;
}

static unsigned take(u8 code, u8 *out)
{
	u8 bit = modifier(code & ~RELEASED);
	unsigned count = 0;

	if (skip) {
		skip--;
		return 0;
	}
	if (code == EXTENDED || code == PAUSE) {
		extended = code == EXTENDED;
		skip = code == PAUSE ? 2 : 0;
		return 0;
	}
	if (bit && (code & RELEASED)) {
		held &= ~bit;
	} else if (bit) {
		caps ^= (bit & ~held) == CAPS_LOCK; /* a held key repeats */
		held |= bit;
	} else if (!(code & RELEASED)) {
		count = press(code, out);
	}
	extended = false;
	return count;
}

unsigned kbd_try_read(u8 *data, unsigned len)
{
	unsigned count = 0;

	for (unsigned i = 0; i < BURST && present && count + KBD_SEQUENCE <= len; i++) {
		u8 status = inb(PORT_STATUS), code;

		if (!(status & STATUS_OUTPUT))
			break;
		code = inb(PORT_DATA);
		if (!(status & STATUS_AUX))
			count += take(code, data + count);
	}
	return count;
}
