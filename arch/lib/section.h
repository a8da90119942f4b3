/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables gathered by the linker: each source file registers a pointer to its
 * entry in a named section, and one place walks them all. The linker script,
 * and for host tests the linker itself, provides __start_NAME and __stop_NAME.
 */
#pragma once

/* Registers &entry in the section `name`; stands once behind the entry. */
#define SECTION_REGISTER(name, entry)                                                             \
	static const __typeof__(entry) *const name##_of_##entry                                   \
		__attribute__((section(#name), used)) = &(entry)

#define SECTION_DECLARE(type, name) extern type const *const __start_##name[], *const __stop_##name[]

/* Walks a section; `it` is a `type const *const *`. */
#define SECTION_FOR_EACH(it, name) for ((it) = __start_##name; (it) < __stop_##name; (it)++)
