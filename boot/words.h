/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a command line as GRUB hands it over: one blank between words,
 * a word with a blank inside in double quotes, and a backslash before each
 * backslash and quote. And what the tables of such words have in common.
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

/* A word NAME=VALUE as Trivet knows it. */
struct word {
	const char *name;
	const char *allowed; /* what is said of a wrong value: "must be on or off" */
	size_t offset, size; /* of its member in the struct that the words fill */
	/*
	 * Puts the value there, or says what is wrong with it and leaves anything
	 * behind. NULL: the word is a flag, without a value.
	 */
	const char *(*take)(const struct word *word, const char *value, void *to);
	u64 max;		  /* words_number's */
	const char *const *names; /* words_choice's: max of them */
};

/* The first members of a word for `member` of a struct. */
#define WORD_PLACE(type, member)                                                                  \
	.offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* The word of that name in a table, or NULL. */
const struct word *words_find(const struct word *table, unsigned count, const char *name);
/* Takes a value, NULL for none, to `to`. NULL, or what is wrong, to stand behind the word. */
const char *words_take(const struct word *word, const char *value, void *to);

/* For word.take: a number from 1 to max; the index of one of the names; a text that fits. */
const char *words_number(const struct word *word, const char *value, void *to);
const char *words_choice(const struct word *word, const char *value, void *to);
const char *words_text(const struct word *word, const char *value, void *to);

/* Index of the len bytes at text in a table of names, -1 if they are none of them. */
int words_index(const char *const *names, u64 count, const char *text, size_t len);

/* Logs an error in which a guest's or a user's words stand, in printable ASCII. */
void words_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
