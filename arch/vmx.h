/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the VMX back end: capabilities, the vCPU and the VM, shared by the
 * arch/vmx_*.c files only, and the headers that most of them need. The outside
 * sees arch/virt.h.
 */
#pragma once

#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/msr.h"
#include "arch/percpu.h"
#include "arch/virt.h"
#include "arch/vmcs.h"

/* IA32_FEATURE_CONTROL and IA32_VMX_BASIC. */
enum { FEATURE_CONTROL_LOCK = BIT(0), FEATURE_CONTROL_VMX = BIT(2) };
enum { VMX_BASIC_REVISION = BITS(30, 0), VMX_MISC_CR3_TARGETS = BITS(24, 16),
       VMX_MISC_LENGTH_0 = BIT(30) };
#define VMX_BASIC_STRING_INFO	 BIT(54) /* exits of INS and OUTS tell the address size */
#define VMX_BASIC_ANY_ERROR_CODE BIT(56)

/* Control bits: SDM volume 3, "VM-Execution Control Fields" and the following. */
enum { PIN_EXTERNAL_INTERRUPT = BIT(0), PIN_NMI = BIT(3), PIN_VIRTUAL_NMI = BIT(5),
       PIN_PREEMPTION_TIMER = BIT(6) };
enum { PROC_INTERRUPT_WINDOW = BIT(2), PROC_TSC_OFFSET = BIT(3), PROC_HLT = BIT(7),
       PROC_MWAIT = BIT(10), PROC_RDPMC = BIT(11), PROC_CR8_LOAD = BIT(19),
       PROC_CR8_STORE = BIT(20), PROC_TPR_SHADOW = BIT(21), PROC_NMI_WINDOW = BIT(22),
       PROC_MOV_DR = BIT(23), PROC_UNCONDITIONAL_IO = BIT(24), PROC_MONITOR_TRAP = BIT(27),
       PROC_MSR_BITMAP = BIT(28), PROC_MONITOR = BIT(29) };
#define PROC_SECONDARY BIT(31)
enum { PROC2_APIC_ACCESS = BIT(0), PROC2_EPT = BIT(1), PROC2_RDTSCP = BIT(3), PROC2_X2APIC = BIT(4),
       PROC2_VPID = BIT(5), PROC2_WBINVD = BIT(6), PROC2_UNRESTRICTED = BIT(7),
       PROC2_APIC_REGISTERS = BIT(8), PROC2_VIRTUAL_INTERRUPTS = BIT(9), PROC2_PAUSE_LOOP = BIT(10),
       PROC2_INVPCID = BIT(12), PROC2_ENCLS = BIT(15), PROC2_PML = BIT(17), PROC2_XSAVES = BIT(20),
       /* what the option no=apicv means, and all that depends on the mode of the guest's APIC */
       PROC2_APICV = PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS,
       PROC2_APIC = PROC2_APICV | PROC2_APIC_ACCESS };
enum { EXIT_CTL_SAVE_DEBUG = BIT(2), EXIT_CTL_HOST_LONG = BIT(9), EXIT_CTL_ACKNOWLEDGE = BIT(15),
       EXIT_CTL_SAVE_PAT = BIT(18), EXIT_CTL_LOAD_PAT = BIT(19),
       EXIT_CTL_SAVE_EFER = BIT(20), EXIT_CTL_LOAD_EFER = BIT(21), EXIT_CTL_SAVE_TIMER = BIT(22) };
enum { ENTRY_CTL_LOAD_DEBUG = BIT(2), ENTRY_CTL_IA32E = BIT(9), ENTRY_CTL_LOAD_PAT = BIT(14),
       ENTRY_CTL_LOAD_EFER = BIT(15) };
enum { EPT_CAP_WALK_4 = BIT(6), EPT_CAP_UC = BIT(8), EPT_CAP_WB = BIT(14),
       EPT_CAP_2M = BIT(16), EPT_CAP_1G = BIT(17), EPT_CAP_INVEPT = BIT(20),
       EPT_CAP_AD = BIT(21), EPT_CAP_INVEPT_ONE = BIT(25) };
#define EPT_CAP_INVVPID	    BIT(32)
#define EPT_CAP_INVVPID_ONE BIT(41)

/* Exit qualification of a port access. */
enum { QUALIFICATION_IO_SIZE = BITS(2, 0), QUALIFICATION_IO_IN = BIT(3),
       QUALIFICATION_IO_STRING = BIT(4), QUALIFICATION_IO_REP = BIT(5) };
#define QUALIFICATION_IO_PORT BITS(31, 16)

/* Memory types, of the EPT pointer and entries, and of VMX's own structures. */
enum { MEMORY_TYPE_UC = 0, MEMORY_TYPE_WB = 6 };

/* TPR in the page of the guest's APIC, as a word of it; bits 7:4 are the priority class. */
enum { APIC_TPR = 0x80 / 4, APIC_TPR_CLASS = BITS(7, 4) };

#define DEBUGCTL_BTF BIT(1)

enum vmx_control { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_EXIT, VMX_ENTRY, VMX_CONTROLS };

/* What all CPUs offer in common, and the control words made of it. */
struct vmx_caps {
	u64 basic;
	u32 must[VMX_CONTROLS]; /* bits that have to be 1 */
	u32 may[VMX_CONTROLS];	/* bits that can be 1 */
	u32 use[VMX_CONTROLS];	/* the words of every VMCS, with what is on at times only */
	u64 ept_vpid;
	u64 ept_vpid_use; /* without what no= turned off */
	u32 unarmed; /* how many exits may be served before the timer is set anew */
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	unsigned preemption_shift;
	u64 misc;
	u64 physical_limit; /* the first address beyond the CPU's width */
	unsigned linear_bits;
	unsigned cpus; /* probed so far */
};
extern struct vmx_caps vmx_caps;

static inline bool vmx_uses(enum vmx_control word, u64 bit)
{
	return vmx_caps.use[word] & bit;
}

/* vmx_caps.c */
int vmx_caps_probe(char *why, size_t size);
int vmx_caps_disable(const char *name);
const struct virt_feature *vmx_caps_features(unsigned *count);

/* vmx_cpu.c: VMX operation on a CPU. */
int vmx_cpu_enable(char *why, size_t size);
void vmx_cpu_disable(void);

/* Entries of the nested tables, and the EPT pointer: SDM, "EPT Translation Mechanism". */
enum { EPT_READ = BIT(0), EPT_WRITE = BIT(1), EPT_EXEC = BIT(2), EPT_ACCESSED = BIT(8),
       EPT_DIRTY = BIT(9), EPT_EXEC_HELD = BIT(11) /* ignored by the CPU: see ept_fetch */ };
enum { EPTP_TYPE = BITS(2, 0), EPTP_WALK = BITS(5, 3), EPTP_WALK_4 = 3 << 3, EPTP_AD = BIT(6) };

/* The page-modification log is filled from its last entry on. */
enum { PML_LAST = 511 };

struct vmx_log {
	u64 gpa, size;
	u64 *bitmap;
};

struct virt_vm {
	struct pt ept;
	struct spinlock ept_lock; /* guards the shape of ept while vCPUs run */
	u64 ept_pointer;
	u8 *msr_bitmap;	  /* two pages: the other one for vCPUs whose x2APIC the CPU serves */
	void *apic_frame; /* what the EPT shows at VIRT_APIC_PAGE for vmx_apic_page; no guest sees it */
	u64 flushed[PCPU_MAX]; /* by pCPU id: the EPT's generation as its last INVEPT found it */
	struct vmx_log log[VIRT_LOGS_MAX];
	unsigned logs;
	bool protect; /* logged pages are write-protected until their first write */
	bool scan;    /* their dirty flags tell what was written */
};

/* VMCS fields kept in memory between exit and entry; the first are VREG_RIP to VREG_RFLAGS. */
enum vmx_cached { CACHED_RIP, CACHED_RSP, CACHED_RFLAGS, CACHED_INTERRUPTIBILITY, CACHED_COUNT };
_Static_assert(VREG_RIP == (int)CACHED_RIP && VREG_RFLAGS == (int)CACHED_RFLAGS, "alike");

/* MSRs that live in the CPU while the guest runs and are switched with the vCPU. */
enum vmx_switched_msr {
	SWITCHED_STAR, SWITCHED_LSTAR, SWITCHED_CSTAR, SWITCHED_FMASK, SWITCHED_KERNEL_GS_BASE,
	SWITCHED_TSC_AUX, SWITCHED_COUNT
};

struct vmx_vcpu {
	struct virt_vcpu base; /* first: the general registers, used by vmx_entry.asm */
	u64 host_rsp;	       /* what HOST_RSP holds; 0 after VMCLEAR */
	struct virt_vm *vm;
	void *vmcs;
	void *fpu; /* XSAVE or FXSAVE area while not loaded */
	u64 *pml;  /* the page-modification log, if the CPU has it */
	u64 cache[CACHED_COUNT];
	u32 cache_valid, cache_dirty; /* BIT(enum vmx_cached) */
	bool launched, flush_vpid;
	u16 vpid;
	u8 tpr_threshold;
	u32 proc_controls, proc2_controls;
	u32 vectoring_info, vectoring_error, vectoring_length; /* what the last exit interrupted */
	u64 generation; /* of the EPT, as taken over on last_pcpu */
	u32 unarmed;	/* how many exits more may be served before the timer is to be set anew */
	u32 reason;	/* of the last exit */
	u32 unserved;	/* VIRT_SERVED_OFF: all exits are; else 0 */
	u32 last_pcpu;
	u64 cr2, dr[4], dr6, xcr0; /* while not loaded */
	u64 msr[SWITCHED_COUNT];   /* while not loaded */
	u64 serial;		   /* of all vCPUs ever made: never another one's */
	u64 spec_ctrl;		   /* IA32_SPEC_CTRL of the guest, all the time */
	bool guarded;		   /* MSRs are to be written around each entry */
	char why[192];		   /* an entry's failure in words, or a broken rule */
};

static inline struct vmx_vcpu *to_vmx(struct virt_vcpu *vcpu)
{
	return (struct vmx_vcpu *)vcpu;
}

static inline u32 vmx_state_field(enum vmx_cached which)
{
	static const u32 field[CACHED_COUNT] = {
		[CACHED_RIP] = VMCS_GUEST_RIP, [CACHED_RSP] = VMCS_GUEST_RSP,
		[CACHED_RFLAGS] = VMCS_GUEST_RFLAGS,
		[CACHED_INTERRUPTIBILITY] = VMCS_GUEST_INTERRUPTIBILITY,
	};

	return field[which];
}

/* The value of a cached field, and a new one for the next entry. */
static inline u64 vmx_state_cached(struct vmx_vcpu *v, enum vmx_cached which)
{
	if (!(v->cache_valid & BIT(which))) {
		v->cache[which] = vmcs_get(vmx_state_field(which));
		v->cache_valid |= BIT(which);
	}
	return v->cache[which];
}

static inline void vmx_state_cache(struct vmx_vcpu *v, enum vmx_cached which, u64 value)
{
	v->cache[which] = value;
	v->cache_valid |= BIT(which);
	v->cache_dirty |= BIT(which);
}

/* vmx_vcpu.c: life and loading. */
int vmx_vcpu_create(struct virt_vm *vm, struct virt_vcpu **vcpu);
void vmx_vcpu_destroy(struct virt_vcpu *vcpu);
void vmx_vcpu_reset(struct virt_vcpu *vcpu);
void vmx_vcpu_init(struct virt_vcpu *vcpu);
void vmx_vcpu_load(struct virt_vcpu *vcpu);
void vmx_vcpu_put(struct virt_vcpu *vcpu);
/* Gives the secondary controls in `mask` the values in `bits`. */
void vmx_vcpu_controls2(struct vmx_vcpu *v, u32 mask, u32 bits);
/* XCR0 of this CPU, where it has one; once vCPUs run nothing else writes it. */
void vmx_vcpu_set_xcr0(u64 value);
/* The debug registers between the CPU and v->dr, v->dr6. */
void vmx_vcpu_save_debug(struct vmx_vcpu *v);
void vmx_vcpu_load_debug(const struct vmx_vcpu *v);
const struct virt_fpu *vmx_vcpu_fpu(void);
void vmx_vcpu_get_fpu(struct virt_vcpu *vcpu, void *area);
void vmx_vcpu_set_fpu(struct virt_vcpu *vcpu, const void *area);

/* A new value of the guest's IA32_SPEC_CTRL, from the next entry on. */
void vmx_vcpu_set_spec_ctrl(struct vmx_vcpu *v, u64 value);

/* vmx_state.c: registers. */
void vmx_state_write_back(struct vmx_vcpu *v);
u64 vmx_state_get(struct virt_vcpu *vcpu, enum vcpu_reg reg);
void vmx_state_set(struct virt_vcpu *vcpu, enum vcpu_reg reg, u64 value);
void vmx_state_get_code(struct virt_vcpu *vcpu, struct virt_code *code, bool rights);
void vmx_state_get_segment(struct virt_vcpu *vcpu, unsigned index, struct vcpu_segment *seg);
void vmx_state_set_segment(struct virt_vcpu *vcpu, unsigned index, const struct vcpu_segment *seg);
void vmx_state_get_table(struct virt_vcpu *vcpu, enum vcpu_table table, struct vcpu_dtable *value);
void vmx_state_set_table(struct virt_vcpu *vcpu, enum vcpu_table table,
			 const struct vcpu_dtable *value);

/* vmx_msr.c: which MSRs the guest reaches without an exit. */
int vmx_msr_filter(struct virt_vm *vm, bool (*allowed)(const void *arg, u32 msr, bool write),
		   const void *arg);
int vmx_msr_access(struct virt_vcpu *vcpu, bool write, u32 index, u64 *value);
extern const u32 vmx_msr_switched[SWITCHED_COUNT];

/* vmx_event.c: injection, windows, traps, stepping over an instruction. */
bool vmx_event_skip(struct virt_vcpu *vcpu, unsigned insn_len);
void vmx_event_inject(struct virt_vcpu *vcpu, const struct vcpu_event *event);
bool vmx_event_undelivered(struct virt_vcpu *vcpu, struct vcpu_event *event);
unsigned vmx_event_shadow(struct virt_vcpu *vcpu);
void vmx_event_window(struct virt_vcpu *vcpu, enum virt_window window, bool on);
void vmx_event_trap(struct virt_vcpu *vcpu, unsigned traps);
void vmx_event_idle_exits(struct virt_vcpu *vcpu, bool hlt, bool pause);
void vmx_event_from_info(u32 info, u32 error, u32 insn_len, struct vcpu_event *event);

/* vmx_apic.c: the guest's local APIC, as far as the CPU serves it. */
int vmx_apic_create(struct virt_vm *vm);
void vmx_apic_reset(struct vmx_vcpu *v);
int vmx_apic_page(struct virt_vm *vm, bool on);
void vmx_apic_mode(struct virt_vcpu *vcpu, enum virt_apic mode);
void vmx_apic_irr_push(struct virt_vcpu *vcpu, int vector);
void vmx_apic_isr_sync(struct virt_vcpu *vcpu, int vector);
void vmx_apic_eoi_exits(struct virt_vcpu *vcpu, const u32 vectors[8]);
void vmx_apic_tpr_threshold(struct virt_vcpu *vcpu, unsigned threshold);

/* vmx_run.c and vmx_exit.c: entry, and decoding of the exit. */
void vmx_run(struct virt_vcpu *vcpu, u64 deadline, struct vcpu_exit *exit);
/*
 * Sets the timer for the run's deadline; false: that has come. Such a one ends the entry at
 * once, but behind the event that is injected: without an entry the next event would take its
 * place. What Trivet takes for exits that it serves by itself is not counted: by that of
 * vmx_caps.unarmed exits the timer may be late.
 */
bool vmx_run_arm_host(struct vmx_vcpu *v);
static inline bool vmx_arm(struct vmx_vcpu *v)
{
	u64 now = rdtsc(), deadline = v->base.served.deadline;
	u64 ticks = deadline > now ? MIN(deadline - now, BITS(31, 0)) : 0;

	if (!vmx_uses(VMX_PIN, PIN_PREEMPTION_TIMER))
		return vmx_run_arm_host(v);
	vmwrite32(PREEMPTION_TIMER, ticks >> vmx_caps.preemption_shift);
	v->unarmed = vmx_caps.unarmed;
	return ticks;
}
void vmx_exit_decode(struct vmx_vcpu *v, u32 reason, struct vcpu_exit *exit);

/*
 * vmx_entry.asm, how an attempt to enter ended; and vmx_served.c, which it calls behind an exit
 * and enters again for VMX_SERVED: vmx_served, and vmx_answered with what that said, if it is
 * not VMX_SERVED.
 */
enum vmx_served {
	VMX_SERVED = VIRT_GO_ON, /* an exit that needs nothing more; not seen by vmx_run */
	VMX_SERVED_LAST = VIRT_COME_BACK, /* the same, but something else is due */
	VMX_ANSWERED = VIRT_ANSWERS,      /* below it: what vmm answered */
	VMX_UNSERVED,			  /* an exit, its reason in v->reason */
	VMX_FAIL_INVALID,		  /* VMfailInvalid */
	VMX_FAIL_VALID,			  /* VMfailValid */
};
#ifdef __CET__
#define VMX_DIRECT __attribute__((nocf_check)) /* no indirect call comes here */
#else
#define VMX_DIRECT
#endif
VMX_DIRECT enum vmx_served vmx_served(struct vmx_vcpu *v);
VMX_DIRECT enum vmx_served vmx_answered(struct vmx_vcpu *v, enum vmx_served answer);
enum vmx_served vmx_entry(struct vmx_vcpu *v, bool launched);
extern const char vmx_entry_exit[]; /* HOST_RIP */

/* vmx_error.c: failures in words. */
/* Fills exit for a failed entry: an exit reason, or a VM-instruction error, 0 for none. */
#define EXIT_REASON_FAILED BIT(31)
void vmx_error_entry(struct vmx_vcpu *v, u32 code, struct vcpu_exit *exit);
const char *vmx_error_check(struct virt_vcpu *vcpu);
bool vmx_error_dump(struct virt_vcpu *vcpu, unsigned line);

/* ept.c: the nested tables. */
int ept_vm_create(struct virt_vm **vm);
void ept_vm_destroy(struct virt_vm *vm);
int ept_vm_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, u64 size, unsigned rights,
	       enum virt_memtype type);
int ept_vm_unmap(struct virt_vm *vm, gpa_t gpa, u64 size);
/*
 * A fetch that the EPT forbids. 0 when it can be tried again: a large page, which gives no right
 * to execute on CPUs open to iTLB multihit, is by small ones now that do, or another vCPU was
 * quicker. -EFAULT: there is no such right; -ENOMEM. The VM's vCPUs may run.
 */
int ept_fetch(struct virt_vm *vm, gpa_t gpa);
/* Takes over what of the EPT has changed since the vCPU's last entry: v->generation tells. */
void ept_flush(struct vmx_vcpu *v);

/* vmx_dirty.c: what the guest writes. The first two serve struct virt_ops. */
int vmx_dirty_log(struct virt_vm *vm, gpa_t gpa, u64 size, u64 *bitmap);
void vmx_dirty_take(struct virt_vm *vm, gpa_t gpa);
/* Serves an EPT violation that is the log's doing; false: it is not. */
bool vmx_dirty_fault(struct vmx_vcpu *v, gpa_t gpa, u64 qualification);
/* Empties the vCPU's page-modification log, after each exit. */
void vmx_dirty_drain(struct vmx_vcpu *v);
