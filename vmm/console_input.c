/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys: Ctrl-] and one more decide who has the keyboard, all others go to
 * whoever has it.
 */
#include "vmm/console_input.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/tsc.h"

#define ESCAPE	0x1d /* Ctrl-] */
#define AT_ONCE 64
#define PATIENCE tsc_hz /* a second */

static const char stream_keys[] = "1234567890abcdefghijklnopqrstuvwxyz"; /* m is the monitor's */

static bool escaped; /* the last key was ESCAPE; the boot pCPU's, as is monitor_wake */
static void (*monitor_wake)(void);
static u8 key_data[256];
static struct console_queue keys = {.data = key_data, .size = sizeof(key_data)};

char console_input_name(unsigned index)
{
	return index < sizeof(stream_keys) - 1 ? stream_keys[index] : 0;
}

void console_set_monitor(void (*wake)(void))
{
	monitor_wake = wake;
}

void console_input_wake(bool disturbed)
{
	if (monitor_wake && !console_focused() && (disturbed || keys.count))
		monitor_wake();
}

int console_key(void)
{
	int key;

	console_lock();
	key = console_queue_get(&keys);
	console_unlock();
	return key;
}

/*
 * What finds no room stays with the physical port. But a VM that has read
 * nothing for a while may never again, and Ctrl-] has to get past what it left:
 * then, and for a VM that is gone, what finds no room is lost.
 */
static bool room(const struct console_stream *to, u64 now)
{
	if (!to)
		return !monitor_wake || keys.count < keys.size;
	return !to->port || to->in.count < to->in.size ||
	       (s64)(now - to->in.touched) >= (s64)PATIENCE;
}

static void give(struct console_stream *to, u8 byte)
{
	console_lock();
	if (!to)
		console_queue_put(&keys, byte);
	else if (to->port && console_queue_put(&to->in, byte) && to->in.count == 1)
		to->in.touched = rdtsc(); /* from now on there is something to read */
	console_unlock();
}

static void tell_keys(void)
{
	char text[512];
	unsigned len = (unsigned)str_format(text, sizeof(text), "[console] behind Ctrl-]:");

	for (struct console_stream *s = console_streams(); s && s->key; s = s->next)
		if (len + VM_NAME_MAX + 48 < sizeof(text))
			len += (unsigned)str_format(text + len, sizeof(text) - len, " %c %s,",
						    s->key, s->name);
	len += (unsigned)str_format(text + len, sizeof(text) - len, "%s Ctrl-] itself\n",
				    monitor_wake ? " m the monitor," : "");
	console_write_log(text, len);
}

/* The key behind Ctrl-]. */
static void command(u8 key)
{
	struct console_stream *s = console_streams();

	while (s && s->key != key)
		s = s->next;
	if (key == ESCAPE)
		give(console_focused(), key);
	else if (key && s)
		console_focus(s);
	else if (key == 'm' && monitor_wake)
		console_focus(NULL);
	else
		tell_keys();
}

bool console_input_poll(unsigned (*try_read)(u8 *data, unsigned len), u64 now)
{
	u8 byte;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		struct console_stream *to = console_focused();

		if (!try_read || !try_read(&byte, room(to, now)))
			return false;
		if (escaped)
			command(byte);
		else if (byte != ESCAPE)
			give(to, byte);
		escaped = !escaped && byte == ESCAPE;
	}
	return true;
}
