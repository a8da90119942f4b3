/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk is one loop over the levels of a paging format: fetch the entry,
 * check present and reserved bits, gather the rights, go down or stop at a
 * large page; then check the rights, and only when they allow the access set
 * accessed and dirty bits, from the start if an entry has changed meanwhile. It
 * must not keep anything between calls. Chapter: SDM volume 3, "Paging".
 */
#include "vmm/gwalk.h"

#include "arch/cpu.h"
#include "vmm/gmem.h"

#define ENTRY_P	 BIT(0)
#define ENTRY_W	 BIT(1)
#define ENTRY_U	 BIT(2)
#define ENTRY_A	 BIT(5)
#define ENTRY_D	 BIT(6)
#define ENTRY_PS BIT(7)
#define ENTRY_NX BIT(63)

#define MAX_LEVELS 4
/* Another vCPU that keeps changing the tables cannot keep this one here. */
#define WALKS_MAX  8

struct format {
	u8 levels;
	u8 entry_size;
	u8 index_bits;
	u8 max_leaf; /* the highest level whose PS bit makes a page */
	u64 root;    /* address bits of CR3 */
	u64 address; /* and of an entry */
};

/* max_leaf 2 of the two-level format counts with CR4.PSE only. */
static const struct format two_level = {2, 4, 10, 2, BITS(31, 12), BITS(31, 12)};
static const struct format pae = {3, 8, 9, 2, BITS(31, 5), BITS(51, 12)};
static const struct format four_level = {4, 8, 9, 3, BITS(51, 12), BITS(51, 12)};

struct walk {
	struct vm *vm;
	const struct gwalk_ctx *ctx;
	const struct format *format;
	u64 entry[MAX_LEVELS + 1]; /* by level, 1 for the page table */
	u64 where[MAX_LEVELS + 1]; /* its guest physical address */
	unsigned leaf;		   /* level of the entry that maps the page */
	u64 rights;		   /* ENTRY_W, ENTRY_U and ENTRY_A of all levels, ENTRY_NX of any */
};

static unsigned level_shift(const struct format *format, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * format->index_bits;
}

/* PAE's top entries have no rights and no accessed bit. */
static bool is_pdpte(const struct walk *w, unsigned level)
{
	return w->format == &pae && level == 3;
}

/* The bits that must be 0 in a present entry of this level. */
static u64 reserved_bits(const struct walk *w, unsigned level, bool leaf)
{
	const struct gwalk_ctx *ctx = w->ctx;
	u64 mask = BITS(51, 0) & ~(BIT(ctx->maxphyaddr) - 1);

	if (w->format == &two_level) /* a 4 MiB page has address bits 39:32 in 20:13 */
		return leaf && level == 2 ? BITS(21, 13) &
			~(BITS(20, 13) & (BIT(ctx->maxphyaddr - 19) - 1)) : 0;
	if (is_pdpte(w, level))
		return mask | BITS(63, 52) | BITS(8, 5) | BITS(2, 1);
	if (w->format == &pae)
		mask |= BITS(62, 52);
	if (!(ctx->efer & EFER_NXE))
		mask |= ENTRY_NX;
	if (level > w->format->max_leaf)
		mask |= ENTRY_PS;
	if (leaf && level > 1)
		mask |= BITS(level_shift(w->format, level) - 1, 13);
	return mask;
}

/* Goes down to the entry that maps gva; false with the error code's P and RSVD bits. */
static inline __attribute__((always_inline)) bool descend(struct walk *w,
							  const struct format *format,
							  u64 gva, u32 *error)
{
	const struct region *near = NULL;
	u64 table = w->ctx->cr3 & format->root, all = ~0ull, any = 0, entry;
	/* Without one of these no bit is reserved, but in PAE's formats. */
	u64 suspect = format == &pae ? ~0ull : -BIT(w->ctx->maxphyaddr) | ENTRY_PS;
	unsigned level = format->levels, shift = level_shift(format, level);
	unsigned max_leaf = format != &two_level || (w->ctx->cr4 & CR4_PSE) ? format->max_leaf : 1;
	bool leaf;

	for (;; level--, shift -= format->index_bits) {
		u64 index = gva >> shift & (BIT(format->index_bits) - 1);
		bool top = format == &pae && level == 3;

		w->where[level] = table + index * format->entry_size;
		if (top && w->ctx->pdpte)
			entry = w->ctx->pdpte[index & 3];
		else if (guest_load(w->vm, GPA(w->where[level]), format->entry_size, &entry, &near))
			entry = size_mask(format->entry_size);
		leaf = level == 1 || ((entry & ENTRY_PS) && level <= max_leaf);
		if (!(entry & ENTRY_P) ||
		    ((entry & suspect) && (entry & reserved_bits(w, level, leaf))))
			break;
		w->entry[level] = entry;
		all &= entry | (top ? ENTRY_W | ENTRY_U | ENTRY_A : 0);
		any |= entry;
		if (leaf) {
			w->leaf = level;
			w->rights = (all & (ENTRY_W | ENTRY_U | ENTRY_A)) | (any & ENTRY_NX);
			return true;
		}
		table = entry & format->address;
	}
	*error = entry & ENTRY_P ? PF_PRESENT | PF_RSVD : 0;
	return false;
}

/* The usual format has its constants in the code, the others are small. */
static __attribute__((noinline, cold)) bool descend_other(struct walk *w, u64 gva, u32 *error)
{
	return descend(w, w->format, gva, error);
}

static bool is_user(const struct gwalk_ctx *ctx)
{
	return ctx->cpl == 3 && !ctx->implicit_supervisor;
}

/* SDM volume 3, "Determination of Access Rights". */
static bool is_allowed(const struct gwalk_ctx *ctx, u64 rights, unsigned access)
{
	bool user = is_user(ctx), kernel_to_user = !user && (rights & ENTRY_U);

	if (user && !(rights & ENTRY_U))
		return false;
	if (access & GWALK_FETCH)
		return !((rights & ENTRY_NX) && (ctx->efer & EFER_NXE)) &&
		       !(kernel_to_user && (ctx->cr4 & CR4_SMEP));
	if (kernel_to_user && (ctx->cr4 & CR4_SMAP) && (ctx->implicit_supervisor || !ctx->ac))
		return false;
	return !(access & GWALK_WRITE) || (rights & ENTRY_W) || (!user && !(ctx->cr0 & CR0_WP));
}

/*
 * Sets accessed bits down to the leaf and, for a write, its dirty bit, each by a
 * locked operation on the entry that was walked; false when it is another one
 * now. In a read-only region the write is lost, as the entry cannot change there.
 */
static bool mark_used(struct walk *w, unsigned access)
{
	if ((w->rights & ENTRY_A) && (!(access & GWALK_WRITE) || (w->entry[w->leaf] & ENTRY_D)))
		return true;
	for (unsigned level = w->format->levels; level >= w->leaf; level--) {
		u64 want = ENTRY_A | (level == w->leaf && (access & GWALK_WRITE) ? ENTRY_D : 0);
		u64 old = w->entry[level];

		if (!is_pdpte(w, level) && (want & ~old) &&
		    guest_cmpxchg(w->vm, GPA(w->where[level]), w->format->entry_size, old,
				  old | want) == -EAGAIN)
			return false;
	}
	return true;
}

static gpa_t leaf_address(const struct walk *w, u64 gva)
{
	u64 entry = w->entry[w->leaf];
	u64 offset = BIT(level_shift(w->format, w->leaf)) - 1;
	u64 base = entry & w->format->address & ~offset;

	if (w->format == &two_level && w->leaf == 2)
		base |= FIELD_GET(BITS(20, 13), entry) << 32;
	return GPA(base | (gva & offset));
}

/* The error code's bits that tell about the access. */
static u32 access_bits(const struct gwalk_ctx *ctx, unsigned access)
{
	bool nx = (ctx->cr4 & CR4_PAE) && (ctx->efer & EFER_NXE);
	bool fetches_show = nx || (ctx->cr4 & CR4_SMEP);

	return (is_user(ctx) ? PF_USER : 0) | (access & GWALK_WRITE ? PF_WRITE : 0) |
	       ((access & GWALK_FETCH) && fetches_show ? PF_FETCH : 0);
}

/* One walk; false with the error code. */
static bool walk_once(struct walk *w, u64 address, unsigned access, u32 *error)
{
	bool good = w->format == &four_level ? descend(w, &four_level, address, error) :
					       descend_other(w, address, error);

	if (good && !(access & GWALK_PEEK)) {
		*error = PF_PRESENT;
		good = is_allowed(w->ctx, w->rights, access);
	}
	if (!good)
		*error |= access_bits(w->ctx, access);
	return good;
}

int gwalk_translate(struct vm *vm, const struct gwalk_ctx *ctx, gva_t gva, unsigned access,
		    gpa_t *gpa, u32 *error)
{
	struct walk w = {.vm = vm, .ctx = ctx, .format = &two_level};
	bool long_mode = ctx->efer & EFER_LMA;
	u64 address = long_mode ? gva.v : (u32)gva.v;
	unsigned walks = 0;

	if (!(ctx->cr0 & CR0_PG)) {
		*gpa = GPA(address);
		*error = PF_WRITE | PF_USER;
		return 0;
	}
	if (ctx->cr4 & CR4_PAE)
		w.format = long_mode ? &four_level : &pae;
	do {
		if (!walk_once(&w, address, access, error))
			return -EFAULT;
	} while (!(access & GWALK_PEEK) && !mark_used(&w, access) && ++walks < WALKS_MAX);
	if (access & GWALK_PEEK)
		*error = w.rights & (PF_WRITE | PF_USER); /* where ENTRY_W and ENTRY_U stand */
	*gpa = leaf_address(&w, address);
	return 0;
}
