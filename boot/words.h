/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a command line as GRUB hands it over: one blank between words,
 * a word with a blank inside in double quotes, and a backslash before each
 * backslash and quote. And the way in which mistakes in them are reported.
 */
#pragma once

#include "arch/lib/types.h"

#define WORD_MAX 128

/*
 * Takes the next word off *line, its quoting undone, and moves *line behind it
 * and one blank. False at the end of the line. Of a word that does not fit,
 * the end is replaced by "...", which no word of Trivet's allows.
 */
bool words_next(const char **line, char word[WORD_MAX]);

/*
 * Splits a word at its first '=': returns the value, the name then ends where
 * the '=' was; NULL where there is none.
 */
char *words_split(char word[WORD_MAX]);

/* Who hears of mistakes; lines come without a newline, in printable ASCII. */
struct words_report {
	void (*line)(void *arg, const char *text);
	void *arg;
	unsigned count; /* lines so far */
};

void words_complain(struct words_report *report, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
