/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's address spaces. The upper half of the root table is the same in
 * all of them: its entries are made here before the first copy and stay. What
 * hangs below them is guarded by one lock, but for the direct area, which
 * belongs to the page allocator; while booting, space_guard makes holes in it.
 */
#include "arch/space.h"

#include "arch/cpu.h"
#include "arch/lib/audit.h"
#include "arch/lib/lock.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/pages.h"
#include "arch/percpu.h"

#define PTE_P	  BIT(0)
#define PTE_W	  BIT(1)
#define PTE_US	  BIT(2)
#define PTE_PWT	  BIT(3)
#define PTE_PCD	  BIT(4)
#define PTE_LARGE BIT(7)
#define PTE_NX	  BIT(63)
#define PTE_DATA  (PTE_P | PTE_W | PTE_NX)

#define UPPER_HALF 256
#define ROOT_SPAN  GIB(512)
#define SLOT(virt) ((virt) / ROOT_SPAN % 512)

extern const u8 image_start[], image_rodata[], image_data[], image_end[];

/* Physical address of the image, from entry.asm. */
u64 image_load;

static struct spinlock lock; /* guards the areas of devices and of stacks */
static struct space base, trampoline;
static u64 device_next = DEVICE_BASE;

static struct pt_format host_format = {
	.present = PTE_P, .table = PTE_P | PTE_W | PTE_US, .large = PTE_LARGE, .max_leaf = 2,
};

_Static_assert(SPACE_WRITE == PTE_W && SPACE_USER == PTE_US &&
		       SPACE_UNCACHED == (PTE_PWT | PTE_PCD) && PHYS_WRITE_BACK == 0 &&
		       PHYS_WRITE_COMBINING == PTE_PWT && PHYS_UNCACHED == (PTE_PWT | PTE_PCD),
	       "flags are entry bits; the PAT is CPU_PAT of arch/cpu_setup.h");

hpa_t virt_to_phys(const void *virt)
{
	u64 addr = (u64)virt;

	return HPA(addr >= IMAGE_BASE ? addr - IMAGE_BASE + image_load : addr - DIRECT_BASE);
}

void *phys_to_virt(hpa_t hpa)
{
	return (void *)(DIRECT_BASE + hpa.v);
}

static int map_image_part(const u8 *start, const u8 *end, u64 bits)
{
	return pt_map(&base.pt, (u64)start, virt_to_phys(start), (u64)(end - start), bits);
}

static int unmap(u64 virt, u64 size)
{
	int error = pt_unmap(&base.pt, virt, size);

	for (u64 done = 0; done < size; done += PAGE_SIZE)
		__asm__ volatile("invlpg (%0)" ::"r"(virt + done) : "memory");
	return error;
}

int space_guard(const struct pcpu_stacks *stacks)
{
	int error = unmap((u64)stacks->guard, PAGE_SIZE);

	for (unsigned i = 0; i < ARRAY_SIZE(stacks->ist) && !error; i++)
		error = unmap((u64)stacks->ist[i].guard, PAGE_SIZE);
	return error;
}

/* Gives a root entry its table for good. */
static int keep_slot(u64 virt)
{
	u64 *table = pages_alloc(1);

	if (!table)
		return -ENOMEM;
	base.pt.root[SLOT(virt)] = virt_to_phys(table).v | host_format.table;
	return 0;
}

int space_init(hpa_t first_chunk)
{
	int error;

	if (cpuid(0x80000001, 0).edx & BIT(26))
		host_format.max_leaf = 3;
	error = pt_create(&base.pt, &host_format)
		?: keep_slot(DEVICE_BASE)
		?: keep_slot(STACKS_BASE)
		?: map_image_part(image_start, image_rodata, PTE_P)
		?: map_image_part(image_rodata, image_data, PTE_P | PTE_NX)
		?: map_image_part(image_data, image_end, PTE_DATA)
		?: space_guard(&boot_stacks)
		?: pt_map(&base.pt, DIRECT_BASE + first_chunk.v, first_chunk, CHUNK_SIZE, PTE_DATA);
	if (error)
		return error;
	base.pt.keep_from = UPPER_HALF;
	base.cr3 = virt_to_phys(base.pt.root).v;
	space_enter(&base);
	return 0;
}

bool space_map_chunk(hpa_t chunk, u64 *table)
{
	u64 *pdpt = phys_to_virt(HPA(base.pt.root[SLOT(DIRECT_BASE)] & PT_ADDRESS));
	u64 *entry = &pdpt[chunk.v / GIB(1)];
	bool needs_table = !(*entry & PTE_P);
	u64 *pd;

	if (needs_table)
		*entry = virt_to_phys(table).v | PTE_P | PTE_W;
	pd = phys_to_virt(HPA(*entry & PT_ADDRESS));
	pd[chunk.v / CHUNK_SIZE % 512] = chunk.v | PTE_DATA | PTE_LARGE;
	return needs_table;
}

int space_create(struct space *space)
{
	int error = pt_create(&space->pt, &host_format);

	if (error)
		return error;
	memcpy(space->pt.root + UPPER_HALF, base.pt.root + UPPER_HALF, PAGE_SIZE / 2);
	space->cr3 = virt_to_phys(space->pt.root).v;
	return 0;
}

void space_destroy(struct space *space)
{
	pt_destroy(&space->pt, 0, UPPER_HALF - 1);
}

int space_map(struct space *space, u64 virt, hpa_t hpa, u64 size, unsigned flags)
{
	int error = pt_map(&space->pt, virt, hpa, size, PTE_P | PTE_NX | flags);

	if (this_pcpu()->space == space)
		space_enter(space); /* one that failed has freed tables */
	return error;
}

int space_unmap(struct space *space, u64 virt, u64 size)
{
	int error = pt_unmap(&space->pt, virt, size);

	if (this_pcpu()->space == space)
		space_enter(space);
	return error;
}

void space_enter(struct space *space)
{
	struct pcpu *pcpu = this_pcpu();
	u64 generation = __atomic_load_n(&space->pt.generation, __ATOMIC_ACQUIRE);

	if (pcpu->space == space && pcpu->space_generation == generation)
		return;
	pcpu->space = space;
	pcpu->space_generation = generation;
	AUDIT(AUDIT_MOV_CR3, space);
	write_cr3(space->cr3);
}

void space_leave(void)
{
	space_enter(&base);
}

int space_init_trampoline(hpa_t page)
{
	int error = space_create(&trampoline);

	return error ? error : pt_map(&trampoline.pt, page.v, page, PAGE_SIZE, PTE_P);
}

u64 memory_trampoline_cr3(void)
{
	return trampoline.cr3;
}

void memory_trampoline_end(void)
{
	space_destroy(&trampoline);
}

int space_map_stack(u64 virt, hpa_t hpa, u64 size)
{
	SPIN_HOLD(&lock);
	return pt_map(&base.pt, virt, hpa, size, PTE_DATA);
}

void space_unmap_stack(u64 virt, u64 size)
{
	SPIN_HOLD(&lock);
	unmap(virt, size); /* all of a map: it needs no split */
}

/*
 * Addresses are not used again and tables stay, so an unmapped range that another
 * CPU still has in its TLB leads nowhere new. Room is for 512 GiB.
 */
void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	u64 start = ALIGN_DOWN(hpa.v, PAGE_SIZE);
	u64 length = ALIGN_UP(hpa.v + size, PAGE_SIZE) - start;
	u64 virt, align = length >= MIB(2) ? MIB(2) : PAGE_SIZE;
	void *result = NULL;

	/* Beyond the CPU's width an access would fault for the reserved bits of its entry. */
	if (size == 0 || hpa.v + size < size || hpa.v + size > cpu_physical_limit())
		return NULL;
	spin_lock(&lock);
	virt = ALIGN_UP(device_next, align) + (start & (align - 1));
	if (length < ROOT_SPAN && virt + length <= DEVICE_BASE + ROOT_SPAN &&
	    !pt_map(&base.pt, virt, HPA(start), length, PTE_DATA | cache)) {
		device_next = virt + length;
		result = (void *)(virt + hpa.v - start);
	}
	spin_unlock(&lock);
	if (!result)
		log_warn("no memory for the tables that map %lu KiB at 0x%lx", length >> 10, start);
	return result;
}

void phys_unmap(void *virt, u64 size)
{
	u64 start = ALIGN_DOWN(virt, PAGE_SIZE);
	u64 length = ALIGN_UP((u64)virt + size, PAGE_SIZE) - start;

	spin_lock(&lock);
	unmap(start, length);
	spin_unlock(&lock);
}
