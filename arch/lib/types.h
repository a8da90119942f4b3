/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every file needs: the basic types of the whole project and, included at
 * the end, error numbers and bits. Guest physical, guest linear and host
 * physical addresses are one-member structs, so that a swapped argument does
 * not compile.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef struct {
	u64 v;
} gpa_t;

typedef struct {
	u64 v;
} gva_t;

typedef struct {
	u64 v;
} hpa_t;

#define GPA(x) ((gpa_t){(x)})
#define GVA(x) ((gva_t){(x)})
#define HPA(x) ((hpa_t){(x)})

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul

/* A function that runs before its CPU has struct pcpu's guard word, or brings it in. */
#define NO_STACK_GUARD __attribute__((no_stack_protector))

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

/* Mostly on the way from an exit to the next entry of the same guest, which writes over what is
 * left in the registers with the guest's own values: the function need not clear them. */
#if __has_attribute(zero_call_used_regs)
#define HOT_PATH __attribute__((zero_call_used_regs("skip")))
#else
#define HOT_PATH
#endif
