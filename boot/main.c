/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The composition root: the order in which Trivet comes up, as a list of calls.
 * It knows every part and no part knows it.
 */
#include "boot/main.h"

#include "arch/apic.h"
#include "arch/lib/audit.h"
#include "arch/memory.h"
#include "arch/mitigate.h"
#include "arch/percpu.h"
#include "arch/pic.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "arch/virt.h"
#include "boot/banner.h"
#include "boot/end.h"
#include "boot/guests.h"
#include "boot/mb2.h"
#include "boot/options.h"
#include "boot/output.h"
#include "boot/preflight.h"
#include "boot/selftest.h"
#include "drivers/acpi.h"
#include "drivers/ioapic.h"
#include "drivers/pci.h"
#include "version.h"

#define EARLY_DIRECT_END GIB(4)

static struct boot_info info;
static struct options options;

static void read_boot_info(u64 mbi)
{
	if (mb2_parse(phys_to_virt(HPA(mbi)), EARLY_DIRECT_END - mbi, &info))
		log_error("the boot loader's information makes no sense");
	for (unsigned i = 0; i < MB2_NOTES; i++)
		if (info.notes & BIT(i))
			log_warn("multiboot2: %s", mb2_note_text[i]);
}

/*
 * What a firmware or a loader's driver left running would write to memory that the map calls free. It
 * is stopped before a frame is taken, even for Trivet itself, where that can be done without memory;
 * other segments follow as soon as the tables tell of them, before any VM's frame.
 */
static void silence_pci(const struct pci_segment *segments, unsigned count)
{
	hpa_t screen = options.screen ? info.framebuffer.addr : HPA(0);

	for (unsigned i = 0; i < count && !options.pci_leave; i++)
		log_info("pci: bus masters stopped in segment %u: %u", segments[i].number,
			 pci_silence(&segments[i], screen));
}

static void start_memory(void)
{
	static struct memory_range ram[BOOT_MEMORY_MAX], kept[BOOT_MODULES_MAX + BOOT_MEMORY_MAX];
	unsigned ram_count = 0, kept_count = 0;

	/* What a map calls both RAM and something else is left alone. */
	for (unsigned i = 0; i < info.memory_count; i++) {
		struct memory_range range = {info.memory[i].base, info.memory[i].length};

		if (info.memory[i].type == BOOT_MEMORY_RAM)
			ram[ram_count++] = range;
		else
			kept[kept_count++] = range;
	}
	for (unsigned i = 0; i < info.module_count; i++)
		kept[kept_count++] = (struct memory_range){
			info.modules[i].start, info.modules[i].end.v - info.modules[i].start.v};
	if (memory_init(ram, ram_count, kept, kept_count)) {
		preflight_lacks_memory(&info);
		preflight_stop(&options);
	}
}

static void start_acpi(void)
{
	const struct boot_rsdp *rsdp = &info.rsdp_new;

	if (!acpi_rsdp_valid(rsdp->data, rsdp->size))
		rsdp = &info.rsdp_old;
	/* With none from the loader it is searched for. */
	if (acpi_init(rsdp->data, acpi_rsdp_valid(rsdp->data, rsdp->size) ? rsdp->size : 0))
		log_warn("acpi: no tables: one core, no power-off");
	if (acpi.bad_tables)
		log_warn("acpi: %u tables cannot be read or have a wrong checksum", acpi.bad_tables);
	for (unsigned i = 0; i < acpi.ioapic_count; i++)
		ioapic_mask(acpi.ioapics[i]);
	if (acpi.cpus_dropped)
		log_warn("acpi: %u cores beyond %u stay off", acpi.cpus_dropped, ACPI_CPU_MAX);
}

/* The APIC's id range comes from the MADT; without one the boot CPU is alone. */
static void start_cores(void)
{
	u32 id_max = 0;
	int error;

	for (unsigned i = 0; i < acpi.cpu_count; i++)
		id_max = MAX(id_max, acpi.apic_ids[i]);
	error = apic_init(id_max);
	if (error) {
		preflight_lacks(error == -ENOMEM ? "no memory to map the local APIC" :
				"no local APIC (CPUID leaf 1 EDX bit 9); see the firmware's setup");
		return;
	}
	apic_timer_init(!options_no(&options, "tsc-deadline"));
	if (!acpi.have_madt)
		log_warn("smp: no MADT, one core is used");
	smp_start(acpi.apic_ids, acpi.cpu_count, options.cpus);
}

/* What no= names and the back end knows stays unused. */
static void refuse_features(void)
{
	for (const char *const *feature = options_features; *feature; feature++)
		if (options_no(&options, *feature))
			virt->disable_feature(*feature);
}

static void start_virtualization(void)
{
	unsigned wanted = MAX(acpi.cpu_count, 1u), enabled = 0;

	virt = &vmx_ops;
	if (preflight_probe()) {
		refuse_features();
		enabled = preflight_enable();
		banner_virt();
	}
	banner_cores(wanted, pcpu_count, enabled);
	if (preflight_count())
		preflight_stop(&options);
}

static void run_guests(void)
{
	unsigned count = guests_create(&info, options.smt);

	if (count == 0)
		log_info("no VM to run");
	output_to_console(&options);
	guests_run(options.exit != EXIT_STAY);
}

NO_STACK_GUARD void boot_main(u64 mbi)
{
	pcpu_init_boot();
	output_prepare();
	log_info("Trivet " TRIVET_VERSION);
	read_boot_info(mbi);
	options_parse(info.cmdline ?: "", &options);
	log_set_level(options.log);
	mitigate_init(options.mitigations);
	output_serial(&options);
	pic_off();
	if (options.pci_leave)
		log_warn("pci: devices may go on writing to memory, as pci=leave asks for");
	silence_pci(&pci_first_segment, 1);
	start_memory();
	output_screen(&options, &info.framebuffer);
	selftest_run(options.selftest, true);
	start_acpi();
	silence_pci(acpi.segments, acpi.segment_count);
	if (acpi.segments_dropped)
		log_warn("pci: %u segments beyond %u keep their bus masters", acpi.segments_dropped,
			 ACPI_SEGMENT_MAX);
	output_find_serial(&options);
	banner_machine(&info);
	tsc_init(&acpi.clocks);
	start_cores();
	start_virtualization();
	audit(AUDIT_BOOTED, NULL);
	selftest_run(options.selftest, false);
	run_guests();
	end_machine(&options);
}
