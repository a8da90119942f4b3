/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trivet's log: formatted lines into a ring and to the registered sinks, and
 * panic for bugs of Trivet's own. A line needs no newline at its end.
 */
#pragma once

#include "arch/lib/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };
/* As options and commands call them. */
extern const char *const log_level_names[LOG_LEVELS];

/* Where finished lines go; write gets the text with its newline, any CPU. */
struct log_sink {
	struct log_sink *next;
	void (*write)(const char *text, size_t len);
};

/* Adds a sink and replays to it what the ring holds so far. Boot CPU only. */
void log_add_sink(struct log_sink *sink);

#define LOG_LINE_MAX 256
/*
 * Copies the line at *at, from 0 the oldest that is kept, with its newline and
 * no NUL; *at is the next one's place then. Its length; 0: there are no more.
 */
size_t log_read(u64 *at, char line[LOG_LINE_MAX]);

/* Lines above this level are dropped; LOG_INFO at the start. */
void log_set_level(enum log_level level);

/* Logs one line. Any context; lines of different CPUs do not mix. */
void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * From now on lines go out without the lock, whose holder is dead, and a line that it left
 * unfinished ends: panic's, once all other CPUs stand. log_broken tells it to the consoles, whose
 * locks mean nothing any more either.
 */
void log_break_lock(void);
extern bool log_broken;

/*
 * A bug in Trivet: prints the message with the registers and the symbolised
 * place, stops all CPUs, never returns. No action of a guest may reach it.
 */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
