/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mitigations of what a processor leaks by speculation and by its buffers: which of
 * them this one asks for, decided once from CPUID and IA32_ARCH_CAPABILITIES. Who
 * does one asks mitigate_needs.
 */
#pragma once

#include "arch/lib/bits.h"

enum mitigate_mode { MITIGATE_AUTO, MITIGATE_OFF, MITIGATE_FORCE };

/* Each with the name that the banner gives it. */
#define MITIGATIONS(X)                                                                            \
	X(RETPOLINE, "retpolines")  /* no indirect branch is predicted */                         \
	X(IBRS, "IBRS")             /* predictions of guests do not reach Trivet */               \
	X(BHI_DIS_S, "BHI_DIS_S")   /* nor does the history of their branches */                  \
	X(RRSBA_DIS_S, "RRSBA_DIS_S") /* nor do they where the return stack is empty */           \
	X(RSB, "RSB")               /* the return stack is filled behind an exit, wholly */       \
	X(RSB_ONE, "RSB-entry")     /* by the one entry that matters */                           \
	X(IBPB, "IBPB")             /* no vCPU's predictions reach the next one */                \
	X(L1D, "L1D-flush")         /* the first cache is empty at each entry */                  \
	X(VERW, "VERW")             /* so are the buffers of loads, stores and fills */           \
	X(TSX, "TSX-off")           /* no transactions */                                         \
	X(MULTIHIT, "multihit")     /* guests execute from 4 KiB pages only */

enum mitigation {
#define X(name, text) MITIGATE_##name,
	MITIGATIONS(X)
#undef X
	MITIGATE_COUNT
};

/* What tells about a CPU; 0 where a leaf or the MSR does not exist. */
struct mitigate_cpu {
	u32 ebx, edx; /* CPUID leaf 7, subleaf 0 */
	u32 edx2;     /* subleaf 2 */
	u64 caps;     /* IA32_ARCH_CAPABILITIES */
};

struct mitigate_plan {
	u32 on;		/* BIT(enum mitigation): are done */
	u32 lacks;	/* would be if the microcode knew them */
	u32 patches;	/* BIT(enum patch_kind): needless */
	u64 spec_ctrl;	/* IA32_SPEC_CTRL while Trivet runs */
};

/* What is done on such a CPU. Pure. */
struct mitigate_plan mitigate_decide(enum mitigate_mode mode, const struct mitigate_cpu *cpu);

/* What is done here, the same on all CPUs; and what all report of IA32_ARCH_CAPABILITIES. */
extern struct mitigate_plan mitigate;
extern u64 mitigate_caps;

/* Decides, writes needless code over and sets up the boot CPU; before memory_init. */
void mitigate_init(enum mitigate_mode mode);
/* On another CPU as it starts: sets it up; warns if it asks for more than the boot CPU. */
void mitigate_cpu_init(void);

/* Is it done here? */
static inline bool mitigate_needs(enum mitigation which)
{
	return mitigate.on & BIT(which);
}

const char *mitigate_name(enum mitigation which);
