/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log. A finished line goes into the ring, from which a sink that comes
 * later gets what was said before it, and to all sinks. Nothing in a line
 * depends on time, so that two runs of one configuration log the same bytes.
 */
#include "arch/lib/log.h"

#include "arch/lib/lock.h"
#include "arch/lib/string.h"

#define RING_SIZE 16384 /* a power of two */

const char *const log_level_names[LOG_LEVELS] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

static const char *const level_prefix[] = {
	[LOG_ERROR] = "error: ", [LOG_WARN] = "warning: ", [LOG_INFO] = "", [LOG_DEBUG] = "debug: ",
};

bool log_broken;

static struct spinlock lock; /* guards all below but the level */
static char ring[RING_SIZE];
static u64 ring_end; /* bytes ever written */
static struct log_sink *sinks;
static enum log_level max_level = LOG_INFO;

/* Once the lock is broken nobody takes it any more, nor gives it back. */
static void acquire(void)
{
	if (!__atomic_load_n(&log_broken, __ATOMIC_RELAXED))
		spin_lock(&lock);
}

static void release(void)
{
	if (!__atomic_load_n(&log_broken, __ATOMIC_RELAXED))
		spin_unlock(&lock);
}

/* The line at *at, or the first one behind it that the ring still has whole. */
static size_t next_line(u64 *at, char line[LOG_LINE_MAX])
{
	size_t len = 0;

	if (ring_end - *at > RING_SIZE) {
		*at = ring_end - RING_SIZE;
		while (ring[(*at)++ % RING_SIZE] != '\n')
			;
	}
	while (*at < ring_end && len < LOG_LINE_MAX && (len == 0 || line[len - 1] != '\n'))
		line[len++] = ring[(*at)++ % RING_SIZE];
	return len;
}

size_t log_read(u64 *at, char line[LOG_LINE_MAX])
{
	size_t len;

	acquire();
	len = next_line(at, line);
	release();
	return len;
}

void log_add_sink(struct log_sink *sink)
{
	char line[LOG_LINE_MAX];
	u64 at = 0;
	size_t len;

	acquire();
	while ((len = next_line(&at, line)))
		sink->write(line, len);
	sink->next = sinks;
	sinks = sink;
	release();
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

static void write_sinks(const char *text, size_t len)
{
	for (const struct log_sink *sink = sinks; sink; sink = sink->next)
		sink->write(text, len);
}

void log_break_lock(void)
{
	bool held = lock.next != lock.owner;

	if (!__atomic_exchange_n(&log_broken, true, __ATOMIC_RELAXED) && held)
		write_sinks("\n", 1);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	size_t len;

	if (level > max_level)
		return;
	len = (size_t)str_format(line, sizeof(line), "%s", level_prefix[level]);
	len += (size_t)STR_FORMAT_REST(line + len, sizeof(line) - len, fmt);
	len = MIN(len, sizeof(line) - 1);
	line[len++] = '\n';

	acquire();
	for (size_t i = 0; i < len; i++)
		ring[ring_end++ % RING_SIZE] = line[i];
	write_sinks(line, len);
	release();
}
