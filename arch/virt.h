/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one interface to a virtualization back end, written so that Intel's and
 * AMD's extensions both fit; a scripted fake serves the host tests. A back end
 * returns exits and never calls up into vmm. Everything runs with interrupts
 * off; calls on a vCPU come from the pCPU on which it is loaded, unless said
 * otherwise.
 */
#pragma once

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/vcpu_state.h"

struct virt_vm;

/* Reasons of an exit, the names that statistics give them, and which member tells more. */
#define VIRT_EXITS(X)                                                                             \
	X(HOST, "host")                  /* a host interrupt; it has been dispatched */           \
	X(DEADLINE, "deadline")          /* the deadline given to run has come */                 \
	X(SERVED, "served")              /* after one served in run: attention is asked for */  \
	X(INTR_WINDOW, "interrupt-window") /* the guest can take an interrupt now */              \
	X(NMI_WINDOW, "nmi-window")      /* the guest can take an NMI now */                      \
	X(IO, "io")                      /* port access: io */                                    \
	X(MEMORY, "memory")              /* access without mapping or right: memory */            \
	X(CPUID, "cpuid")                                                                         \
	X(RDMSR, "rdmsr")                                                                         \
	X(WRMSR, "wrmsr")                                                                         \
	X(CR, "cr")                      /* control register access: cr */                        \
	X(DR, "dr")                      /* MOV to or from a debug register: cr, as above */      \
	X(HLT, "hlt")                                                                             \
	X(PAUSE, "pause")                /* the guest spins on PAUSE */                           \
	X(APIC_ACCESS, "apic-access")    /* an access to the xAPIC's page: memory */              \
	X(APIC_WRITE, "apic-write")      /* a register of ->apic was written: apic.offset */      \
	X(APIC_EOI, "apic-eoi")          /* the CPU has ended apic.vector, as eoi_exits asked */  \
	X(APIC_TPR, "apic-tpr")          /* TPR is below the threshold */                         \
	X(SHUTDOWN, "shutdown")          /* triple fault */                                       \
	X(HYPERCALL, "hypercall")                                                                 \
	X(XSETBV, "xsetbv")                                                                       \
	X(CACHE, "cache")                /* INVD, WBINVD */                                       \
	X(UNDEFINED, "undefined")        /* an instruction that raises #UD in a guest */          \
	X(PROTECTED, "protected")        /* an instruction that raises #GP in a guest */          \
	X(EXCEPTION, "exception")        /* #DB, #AC, #BP that the guest is to get: event */      \
	X(STEP, "step")                  /* one instruction was executed: TRAP_STEP */            \
	X(TASK_SWITCH, "task-switch")    /* not emulated */                                       \
	X(INIT, "init")                  /* INIT or SIPI reached the guest's mode */              \
	X(ENTRY_FAILED, "entry-failed")  /* the CPU refused the entry: failed */                  \
	X(MACHINE_CHECK, "machine-check")                                                         \
	X(UNKNOWN, "unknown")            /* failed.code names the back end's reason */

enum vcpu_exit_reason {
#define X(name, text) EXIT_##name,
	VIRT_EXITS(X)
#undef X
	EXIT_REASONS
};

/*
 * Exits whose answers the back end may give by itself, without coming back: what vmm has found
 * to be the answer once stands in a slot that follows from the question, and the next question
 * takes the place. Nothing here is needed: a back end may look at none of it.
 */
#define VIRT_CPUID_SLOTS 64
#define VIRT_MSR_SLOTS	 32

struct virt_cpuid {
	u32 leaf, subleaf;
	struct cpuid_regs regs;
	u32 epoch;
};

struct virt_msr {
	u32 index;
	u32 epoch;
	const u64 *value; /* the value is what stands there now; NULL: #GP */
};

/* What vmm says when it is asked in the middle of a run. */
enum virt_asked {
	VIRT_GO_ON,	   /* it is done, and the guest may go on */
	VIRT_COME_BACK,	   /* it is done, and run comes back for what else is due: EXIT_SERVED */
	VIRT_UNSERVED,	   /* nothing has been done: run comes back with the exit */
	VIRT_NEW_DEADLINE, /* the same, until struct virt_served's deadline as it is now */
	VIRT_INTERRUPT,	   /* the same as both, with an interrupt of `vector` */
	VIRT_ANSWERS
};

#define VIRT_SERVED_OFF BIT(30)

/* An answer's epoch is that of its vCPU, which is never 0. */
struct virt_served {
	u32 off; /* VIRT_SERVED_OFF: all exits come back; else 0 */
	u32 epoch;
	/*
	 * What vmm does in these is bounded by what the back end still holds: of the vCPU's registers
	 * they set none but GPRs, VREG_HALTED and VREG_PAT, and they inject and skip nothing.
	 * An access of one byte to a port, by AL; and a WRMSR. RIP is the back end's to move, and
	 * stands behind the instruction already.
	 */
	enum virt_asked (*io)(void *owner, u32 port, u32 in);
	enum virt_asked (*wrmsr)(void *owner, u32 index, u64 value);
	/* The deadline has come; RIP stays. The guest is not in the shadow of an instruction. */
	enum virt_asked (*timer)(void *owner);
	void *owner;
	u64 exits[EXIT_REASONS]; /* how many were served */
	u64 deadline;	 /* of the run, host TSC */
	u32 rflags;	 /* the guest's, for wrmsr and timer */
	u8 vector;
	u64 hypercalls;	 /* numbers below 64 that vmm serves; RAX gets `unknown` for others */
	u64 unknown;
	struct virt_cpuid cpuid[VIRT_CPUID_SLOTS];
	struct virt_msr msr[VIRT_MSR_SLOTS];
};

/* Where the answer to a question stands. */
static inline struct virt_cpuid *virt_cpuid_slot(struct virt_served *served, u32 leaf, u32 subleaf)
{
	return &served->cpuid[(leaf + (leaf >> 26) + subleaf * 4) % VIRT_CPUID_SLOTS];
}

static inline struct virt_msr *virt_msr_slot(struct virt_served *served, u32 index)
{
	return &served->msr[index % VIRT_MSR_SLOTS];
}

/* All answers may be other ones from now on. A back end does so for set() of CR4 and XCR0 and for
 * apic_mode(), which CPUID shows. */
static inline void virt_forget(struct virt_served *served)
{
	if (++served->epoch)
		return;
	memset(served->cpuid, 0, sizeof(served->cpuid));
	memset(served->msr, 0, sizeof(served->msr));
	served->epoch = 1;
}

/* Head of every back end's vCPU; what vmm reads and writes directly. */
struct virt_vcpu {
	u64 gpr[GPR_COUNT]; /* but for RSP, which is a VREG */
	/* The local APIC's registers, a page, at the offsets of the xAPIC; the CPU works on it
	 * where it can. TMR is written by atomic operations of any pCPU. */
	u32 *apic;
	u64 cr4_valid; /* bits of CR4 that the guest may set at all */
	/* In the mode of now the CPU takes interrupts from IRR to ISR and ends them by itself. */
	bool apic_delivers;
	struct virt_served served;
};

/* Whether the back end uses a feature, by the name in its list. */
bool virt_supports(const char *name);
/* The name of a reason, for statistics. */
const char *virt_exit_name(enum vcpu_exit_reason reason);

enum vcpu_event_type {
	EVENT_NONE,
	EVENT_INTERRUPT, /* external interrupt */
	EVENT_NMI,
	EVENT_EXCEPTION, /* hardware exception */
	EVENT_SOFT_INTERRUPT, /* INT n */
	EVENT_SOFT_EXCEPTION, /* INT3, INTO */
	EVENT_ICEBP,	      /* privileged software exception */
};

struct vcpu_event {
	enum vcpu_event_type type;
	u8 vector;
	bool has_error;
	u8 insn_len; /* of the instruction behind a software event */
	u32 error;
};

enum vcpu_cr_access { CR_WRITE, CR_READ, CR_CLTS, CR_LMSW };

struct vcpu_exit {
	enum vcpu_exit_reason reason;
	u8 insn_len; /* 0: not known, decode the instruction */
	bool in_delivery; /* of an event, which `undelivered` has */
	union {
		struct {
			u16 port;
			u8 size; /* 1, 2, 4 */
			bool in, string, rep;
			/* Of a string's element, where addrsize (2, 4, 8) is not 0; neither its
			 * segment nor its page has been checked. */
			u8 addrsize;
			u64 linear;
		} io;
		struct {
			gpa_t gpa;
			bool write, fetch;
			/* What the instruction at RIP reads or writes, its rights checked; not the
			 * guest's tables, a descriptor or the like. */
			bool operand;
		} memory;
		struct {
			enum vcpu_cr_access access;
			u8 cr;	  /* 0, 3, 4, 8; DR0 to DR7 */
			u8 gpr;	  /* source or destination, enum gpr */
			u16 lmsw; /* the source of LMSW */
		} cr;
		struct vcpu_event event;
		struct {
			u16 offset;
			u8 vector;
		} apic;
		struct {
			u32 code;	    /* the back end's number */
			const char *reason; /* in words */
			u64 detail;
		} failed;
	};
};

/* Registers beyond the general ones; CR0 and CR4 as the guest sees them. */
enum vcpu_reg {
	VREG_RIP, VREG_RSP, VREG_RFLAGS, VREG_CR0, VREG_CR2, VREG_CR3, VREG_CR4, VREG_EFER,
	VREG_DR0, VREG_DR1, VREG_DR2, VREG_DR3, VREG_DR6, VREG_DR7,
	/* PAE page directory pointers; ignored where the CPU reads memory */
	VREG_PDPTE0, VREG_PDPTE1, VREG_PDPTE2, VREG_PDPTE3,
	VREG_PAT, VREG_XCR0, VREG_TSC_OFFSET,
	VREG_SHADOW,	    /* SHADOW_STI, SHADOW_MOV_SS and SHADOW_NMI */
	VREG_PENDING_DEBUG, /* traps that are due: DR6's bits, and bit 12: B0 to B3 enabled */
	VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP,
	VREG_HALTED,	    /* 1: the guest waits in HLT, which did not exit */
	VREG_COUNT
};

enum vcpu_table { VTABLE_GDT, VTABLE_IDT };
enum vcpu_system_segment { VSEG_LDTR = SREG_COUNT, VSEG_TR, VSEG_COUNT };

/* Reasons why an interrupt or NMI cannot be delivered now, beside RFLAGS.IF; a
 * debug trap that is due comes before either. */
enum { SHADOW_STI = 1, SHADOW_MOV_SS = 2, SHADOW_DEBUG = 4, SHADOW_NMI = 8 };
enum virt_window { WINDOW_INTERRUPT, WINDOW_NMI };

/* The code that runs: its address is base + rip, below 64-bit mode cut to 32 bits. */
struct virt_code {
	u64 rip, base, cr3, efer;
	unsigned mode; /* 16, 32, 64 */
	/* What its rights to memory depend on; where that is asked for. */
	unsigned cpl;
	u64 cr0, cr4, rflags;
};

#define VIRT_LOGS_MAX 64

/* What a debugger wants to exit: each instruction, MOV DR, #BP. */
enum { TRAP_STEP = 1, TRAP_DR = 2, TRAP_BREAKPOINT = 4 };

/* The FPU and vector state as XSAVE's standard format keeps it, or FXSAVE. */
struct virt_fpu {
	u32 size;	/* bytes */
	u32 mxcsr_mask; /* MXCSR bits that may be set */
	u64 components; /* that XSAVE keeps; 0: the CPU has FXSAVE only */
};

/* How the guest reaches its local APIC. */
enum virt_apic { VIRT_APIC_OFF, VIRT_APIC_XAPIC, VIRT_APIC_X2APIC };

/* Where the CPU can serve the registers of the xAPIC. */
#define VIRT_APIC_PAGE 0xfee00000ull

enum { MAP_READ = 1, MAP_WRITE = 2, MAP_EXEC = 4 };
enum virt_memtype { MEMTYPE_RAM, MEMTYPE_DEVICE };

/* A capability by name, for the banner, the monitor and the option no=. */
struct virt_feature {
	const char *name;
	bool present; /* on all CPUs */
	bool used;
};

struct virt_ops {
	const char *name;

	/* Reads this CPU's capabilities and joins them to the common set. 0, or
	 * -ENODEV with a line in why for each lack. On every CPU; the boot CPU first. */
	int (*probe)(char *why, size_t size);
	/* Leaves a feature unused by its name; between probe and enable. -ENOENT. */
	int (*disable_feature)(const char *name);
	/* Enters and leaves virtualization operation on this CPU. */
	int (*cpu_enable)(char *why, size_t size);
	void (*cpu_disable)(void);
	const struct virt_feature *(*features)(unsigned *count);

	/* A guest physical address space. 0 or -ENOMEM. */
	int (*vm_create)(struct virt_vm **vm);
	void (*vm_destroy)(struct virt_vm *vm);
	/* Contracts of pt_map and pt_unmap; vCPUs of the VM are stopped, and each
	 * flushes before its next entry. */
	int (*vm_map)(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, u64 size, unsigned rights,
		      enum virt_memtype type);
	int (*vm_unmap)(struct virt_vm *vm, gpa_t gpa, u64 size);
	/*
	 * Begins to note in `bitmap`, one bit a 4 KiB page, what the guest writes to a
	 * mapped, writable range; NULL ends that, all writes so far noted. At most
	 * VIRT_LOGS_MAX ranges, which lie apart. Bits are set by atomic operations, also
	 * while vCPUs run, but all of them only with vm_dirty_take, which watches the
	 * pages noted for their next write; the caller then takes the bits. For both the
	 * vCPUs are stopped. 0, -ENOSPC or -ENOMEM with nothing changed; ending cannot fail.
	 */
	int (*vm_dirty_log)(struct virt_vm *vm, gpa_t gpa, u64 size, u64 *bitmap);
	void (*vm_dirty_take)(struct virt_vm *vm, gpa_t gpa);
	/* Lets the VM's vCPUs reach those MSRs without an exit that `allowed` lets pass,
	 * NULL all, of those that the back end could pass. 0 or -ENOMEM. Not loaded. */
	int (*vm_filter_msrs)(struct virt_vm *vm,
			      bool (*allowed)(const void *arg, u32 msr, bool write),
			      const void *arg);

	/* A vCPU in power-up state. 0 or -ENOMEM. destroy: not loaded anywhere. */
	int (*vcpu_create)(struct virt_vm *vm, struct virt_vcpu **vcpu);
	void (*vcpu_destroy)(struct virt_vcpu *vcpu);
	/* Sets power-up state: SDM volume 3, "Processor State After Reset". Called
	 * on the loaded vCPU before its first run and for every reset. */
	void (*vcpu_reset)(struct virt_vcpu *vcpu);
	/* The state after INIT, as the same section has it; what INIT keeps is kept. */
	void (*vcpu_init)(struct virt_vcpu *vcpu);
	/* Brings a vCPU's state into this pCPU, or out of it. */
	void (*vcpu_load)(struct virt_vcpu *vcpu);
	void (*vcpu_put)(struct virt_vcpu *vcpu);
	/* Runs the loaded vCPU until it exits; deadline in host TSC ticks. */
	void (*run)(struct virt_vcpu *vcpu, u64 deadline, struct vcpu_exit *exit);

	u64 (*get)(struct virt_vcpu *vcpu, enum vcpu_reg reg);
	void (*set)(struct virt_vcpu *vcpu, enum vcpu_reg reg, u64 value);
	void (*get_code)(struct virt_vcpu *vcpu, struct virt_code *code, bool rights);
	/* index: enum sreg or enum vcpu_system_segment. */
	void (*get_segment)(struct virt_vcpu *vcpu, unsigned index, struct vcpu_segment *seg);
	void (*set_segment)(struct virt_vcpu *vcpu, unsigned index, const struct vcpu_segment *seg);
	void (*get_table)(struct virt_vcpu *vcpu, enum vcpu_table table, struct vcpu_dtable *value);
	void (*set_table)(struct virt_vcpu *vcpu, enum vcpu_table table,
			  const struct vcpu_dtable *value);

	/* Reads or writes an MSR that lives in the CPU or in the back end's structures.
	 * 0, -ENOENT when it is none of these, -EINVAL for a value that a CPU refuses. */
	int (*msr)(struct virt_vcpu *vcpu, bool write, u32 index, u64 *value);
	const struct virt_fpu *(*fpu)(void);
	/* Areas of fpu()->size bytes; set: one that the CPU can load. */
	void (*get_fpu)(struct virt_vcpu *vcpu, void *area);
	void (*set_fpu)(struct virt_vcpu *vcpu, const void *area);
	/* The rule of the entry that the loaded vCPU's state breaks, in words that are good
	 * until the next call or run, or NULL. After its first reset. */
	const char *(*check)(struct virt_vcpu *vcpu);

	/* Moves RIP behind the exiting instruction, ends the STI and MOV SS
	 * shadows, and makes a pending single step due. False when RIP would
	 * leave the canonical range: the guest is to get #GP(0). */
	bool (*skip)(struct virt_vcpu *vcpu, unsigned insn_len);
	/* The event of the next entry; at most one. */
	void (*inject)(struct virt_vcpu *vcpu, const struct vcpu_event *event);
	/* Takes the event that the last exit interrupted; false for none. */
	bool (*undelivered)(struct virt_vcpu *vcpu, struct vcpu_event *event);
	unsigned (*shadow)(struct virt_vcpu *vcpu);
	/* Asks for an exit as soon as the guest can take an event. */
	void (*window)(struct virt_vcpu *vcpu, enum virt_window window, bool on);
	/* TRAP_* bits; none after a reset. TRAP_STEP where "monitor-trap" is used. */
	void (*trap)(struct virt_vcpu *vcpu, unsigned traps);
	/*
	 * The local APIC; vmm keeps its state, and the CPU serves what it can of it.
	 *
	 * vm_apic_page: lets (a stopped VM), or no longer lets, the page at VIRT_APIC_PAGE exit
	 * by EXIT_APIC_ACCESS or be served; without, it is as unmapped. Only while the APICs
	 * of all vCPUs are in xAPIC mode there. Taken away at any time: vCPUs still in that mode
	 * may go on so until their next entry, no other one does. 0, -EEXIST where memory of
	 * the guest is mapped there, or -ENOMEM.
	 */
	int (*vm_apic_page)(struct virt_vm *vm, bool on);
	/* The mode of the guest's APIC, which sets apic_delivers; after each reset OFF. What the
	 * CPU knows of IRR, ISR and EOI exits is then to be told anew. */
	void (*apic_mode)(struct virt_vcpu *vcpu, enum virt_apic mode);
	/* With apic_delivers: the highest vector in IRR, -1 for none; and in ISR, -1 for none. */
	void (*irr_push)(struct virt_vcpu *vcpu, int vector);
	void (*isr_sync)(struct virt_vcpu *vcpu, int vector);
	/* With apic_delivers: the vectors, as bits, of which each end exits by EXIT_APIC_EOI. */
	void (*eoi_exits)(struct virt_vcpu *vcpu, const u32 vectors[8]);
	/* Without apic_delivers, where the guest writes TPR without an exit: EXIT_APIC_TPR once
	 * TPR is below priority `threshold` << 4; 0: never. */
	void (*tpr_threshold)(struct virt_vcpu *vcpu, unsigned threshold);
	/* Whether HLT exits, and whether a loop of PAUSE does, where the CPU can tell one. After
	 * each reset HLT does, PAUSE does not. */
	void (*idle_exits)(struct virt_vcpu *vcpu, bool hlt, bool pause);
	/* Drops the vCPU's cached translations before its next entry. */
	void (*flush)(struct virt_vcpu *vcpu);
	/* Logs one line, numbered from 0, of the vCPU's whole state; false: there is no such line. */
	bool (*dump)(struct virt_vcpu *vcpu, unsigned line);
};

/* The back end in use; set by the composition root. */
extern const struct virt_ops *virt;
extern const struct virt_ops vmx_ops;
