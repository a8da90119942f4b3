# SPDX-License-Identifier: BSD-2-Clause
# Trivet. `make help` lists the targets.

# PARANOID=1: Trivet checks itself at every step; its files lie apart
B       ?= build$(if $(PARANOID),/paranoid)
NASM    ?= nasm
IASL    ?= iasl
HOSTCC  ?= gcc
PYTHON  ?= /usr/bin/python3
DESTDIR ?=
FOLDERS := boot arch arch/lib vmm drivers

# ---- the toolchain: CC=gcc, CC=clang or any other; else the first that makes x86-64 code
x86     = $(filter x86_64%,$(shell $(1) -dumpmachine 2>/dev/null))
CROSSES := x86_64-elf- x86_64-linux-gnu-
ifeq ($(origin CC),default)
CC := $(if $(call x86,gcc),gcc,$(firstword $(foreach p,$(CROSSES),$(if $(call x86,$(p)gcc),$(p)gcc)) \
	$(if $(shell command -v clang),clang) gcc))
endif
CLANG   := $(shell $(CC) --version 2>/dev/null | grep -o -m1 clang)
# GNU ld and its companions: beside a cross compiler, native, or by a cross prefix
TOOLS   := $(patsubst %gcc,%,$(filter %-gcc,$(CC)))
ifeq ($(TOOLS)$(filter x86_64,$(shell uname -m)),)
TOOLS   := $(firstword $(foreach p,$(CROSSES),$(if $(shell command -v $(p)ld),$(p))))
endif
LD      := $(TOOLS)ld
NM      := $(TOOLS)nm
OBJCOPY := $(TOOLS)objcopy

# V=1 shows whole commands
Q   := $(if $(V),,@)
SAY  = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@echo "  $(1)	$(2)")

VERSION := $(shell git describe --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo unknown)

# ---- the image
FOLDERS += $(if $(PARANOID),tests/paranoid)
C_SRC   := $(sort $(wildcard $(addsuffix /*.c,$(FOLDERS))) $(if $(PARANOID),tests/image/walk.c))
ASM_SRC := $(sort $(wildcard $(addsuffix /*.asm,$(FOLDERS))))
OBJ     := $(C_SRC:%.c=$(B)/%.o) $(ASM_SRC:%.asm=$(B)/%.asm.o)

# Functions behind a pointer need not use all that they get.
WARN    := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes \
	-Wvla -Wundef
# Hardening: a guard word in struct pcpu against smashed stacks, locals that start as 0, registers
# that a function leaves clean, ENDBR64 where indirect branches may land, and these by arch/thunk.asm.
# What a compiler lacks it goes without; clang before 16 has the zeroes behind a second option.
try      = $(shell $(CC) -Werror $(1) -S -x c -o /dev/null /dev/null 2>/dev/null && echo '$(1)')
zero_init := -ftrivial-auto-var-init=$(if $(PARANOID),uninitialized,zero)
HARDEN  := -fstack-protector-strong -mstack-protector-guard=tls -mstack-protector-guard-reg=gs \
	-mstack-protector-guard-offset=8 -fcf-protection=branch -fno-jump-tables \
	$(if $(CLANG),-mretpoline -mretpoline-external-thunk,\
	-mindirect-branch=thunk-extern -mindirect-branch-register) \
	$(call try,-fzero-call-used-regs=used-gpr) $(or $(call try,$(zero_init)),$(call try,$(zero_init) \
	-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang))
# The paranoid build: what C leaves undefined traps, and locals hold what lay on the stack.
PARANOIA := -DPARANOID -fsanitize=undefined \
	$(if $(CLANG),-fsanitize-trap=undefined,-fsanitize-undefined-trap-on-error)
CFLAGS  := -std=gnu11 -O2 -g -I. -I$(B)/gen -ffreestanding -fno-pic -fno-pie -mcmodel=kernel \
	-mno-red-zone -mgeneral-regs-only -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	-fno-omit-frame-pointer -ffunction-sections -fno-common -ffile-prefix-map=$(CURDIR)=. \
	$(call try,-falign-jumps=1 -falign-loops=1) $(HARDEN) $(if $(PARANOID),$(PARANOIA)) $(WARN) \
	$(if $(CLANG),--target=x86_64-linux-gnu) $(EXTRA_CFLAGS)
# Off the paths that guests wait for: small rather than fast.
SMALL   := boot/% vmm/load% vmm/elf vmm/monitor% vmm/line vmm/console% vmm/life vmm/machine vmm/acpi \
	vmm/region vmm/mem vmm/vm vmm/vcpu vmm/vcpu_state vmm/vcpu_debug vmm/cr vmm/pv vmm/job \
	vmm/decode vmm/emulate vmm/emulator vmm/gwalk vmm/gmem vmm/bus vmm/exit vmm/vdev vmm/vdev_life \
	$(addprefix arch/,vmx_check vmx_error vmx_caps vmx_dirty vmx_vcpu memory pages frames pt space stacks \
	trap smp tsc topology percpu desc cpu_setup patch mitigate virt panic mce ksyms \
	lib/format lib/extents lib/log) \
	$(addprefix drivers/v,rtc ioapic acpi pci pci_host pci_test i8042 reset debug) \
	$(patsubst %.c,%,$(filter-out drivers/v%,$(wildcard drivers/*.c)))
# On the way from vmx_entry.asm, which has no register to keep.
$(addprefix $(B)/,arch/vmx_served.o vmm/serve.o): \
	CFLAGS += -fomit-frame-pointer $(call try,$(addprefix -fcall-used-,rbx r12 r13 r14 r15))
LDFLAGS := -nostdlib -static -no-pie --build-id=none -z max-page-size=64 -z noexecstack \
	--gc-sections --no-warn-rwx-segments --orphan-handling=error -T linker.ld

all: $(B)/trivet.elf $(B)/trivet-test.elf $(B)/size.checked

# What sources include of the build folder
GEN     := $(B)/gen/version.h $(B)/gen/dsdt.inc

# A file that changes when its text does, so that a new compiler or version rebuilds what it must.
define KEEP
$(1): FORCE
	@mkdir -p $$(@D); printf '%s\n' '$(2)' | cmp -s - $$@ || printf '%s\n' '$(2)' > $$@
endef
$(eval $(call KEEP,$(B)/flags,$(subst ','\'',$(CC) $(shell $(CC) -dumpversion) $(CFLAGS) $(SMALL) $(LD))))
$(eval $(call KEEP,$(B)/gen/version.h,#define TRIVET_VERSION "$(VERSION)"))

$(B)/%.o: %.c $(B)/flags | $(GEN)
	@mkdir -p $(@D)
	$(call SAY,cc,$<)
	$(Q)$(CC) $(CFLAGS) $(if $(filter $(SMALL),$*),$(if $(CLANG),-Oz,-Os)) -MMD -MP -c -o $@ $<

$(B)/%.asm.o: %.asm $(B)/flags | nasm-there
	@mkdir -p $(@D)
	$(call SAY,nasm,$<)
	$(Q)$(NASM) -f elf64 -g -F dwarf -I. -MD $(@:.o=.d) -MP -o $@ $<

nasm-there:
	@command -v $(NASM) >/dev/null || { echo "NASM is missing: apt-get install nasm" >&2; exit 1; }

# The guest's DSDT: whatever iasl finds to say about it is an error. Neither time nor path is in it.
$(B)/gen/dsdt.inc: vmm/dsdt.asl
	@command -v $(IASL) >/dev/null || { echo "iasl is missing: apt-get install acpica-tools" >&2; exit 1; }
	@mkdir -p $(@D)
	$(call SAY,iasl,$<)
	@$(IASL) -p $(@:.inc=) $< >$(@:.inc=.log) 2>&1 && \
		grep -q ' 0 Errors, 0 Warnings, 0 Remarks' $(@:.inc=.log) || { cat $(@:.inc=.log) >&2; exit 1; }
	@od -An -v -tu1 $(@:.inc=.aml) | sed 's/ *\([0-9][0-9]*\)/\1,/g' > $@

# The test image has the tests of tests/image in it as well; selftest=NAME runs one.
TEST_SRC := $(filter-out $(C_SRC),$(sort $(wildcard tests/image/*.c)))
# What tests/image/alloc.c and mitigate.c stand before
WRAPPED  := pages_alloc frames_alloc frames_take stacks_take phys_map options_parse end_machine \
	msr_write_safe vmx_entry vmx_served
TEST_OBJ := $(OBJ) $(TEST_SRC:%.c=$(B)/%.o) $(patsubst %.asm,$(B)/%.asm.o,$(wildcard tests/image/*.asm))

# Two links: the first with an empty table of function names, the second with the table that the
# first one gave. The table stands behind all code, so that no address moves; the last step checks.
$(B)/ksyms0.asm: tests/rig/ksyms.awk
	@mkdir -p $(@D)
	@awk -f $< </dev/null > $@

$(B)/%.ksyms.asm: $(B)/%.pass1.elf tests/rig/ksyms.awk
	@$(NM) $< | LC_ALL=C sort | awk -f tests/rig/ksyms.awk > $@

$(B)/ksyms0.o $(B)/trivet.ksyms.o $(B)/trivet-test.ksyms.o: %.o: %.asm | nasm-there
	@$(NASM) -f elf64 -o $@ $<

# image NAME OBJECTS FLAGS
define IMAGE
$(B)/$(1).pass1.elf: $(2) $(B)/ksyms0.o linker.ld
	@$(LD) $(LDFLAGS) $(3) -o $$@ $(2) $(B)/ksyms0.o
$(B)/$(1).debug.elf: $(2) $(B)/$(1).ksyms.o linker.ld
	$$(call SAY,ld,$$@)
	$$(Q)$(LD) $(LDFLAGS) $(3) -o $$@ $(2) $(B)/$(1).ksyms.o
	@$(NM) $(B)/$(1).pass1.elf | awk '$$$$2 ~ /[Tt]/' | LC_ALL=C sort > $(B)/$(1).names
	@$(NM) $$@ | awk '$$$$2 ~ /[Tt]/' | LC_ALL=C sort | cmp - $(B)/$(1).names
endef
$(eval $(call IMAGE,trivet,$(OBJ)))
$(eval $(call IMAGE,trivet-test,$(TEST_OBJ),$(WRAPPED:%=--wrap=%)))

$(B)/trivet.elf $(B)/trivet-test.elf: %.elf: %.debug.elf
	@$(OBJCOPY) --strip-all $< $@

$(B)/size.checked: $(B)/trivet.elf
	@size=$$(stat -c %s $<); echo "$<: $$size of 262144 bytes"; \
	if [ $$size -gt 262144 -a -z "$(PARANOID)" ]; then echo "larger than the budget" >&2; exit 1; fi
	@touch $@

# ---- guest payloads and boot images
GUESTS :=
-include guest/guest.mk
SELFTEST := $(B)/tests/selftest.elf

$(SELFTEST): tests/rig/selftest.asm
	@mkdir -p $(@D)
	@$(NASM) -f elf32 -o $(@:.elf=.o) $<
	@$(LD) -m elf_i386 -N --build-id=none --no-warn-rwx-segments --section-start=.header=0x100000 \
		-Ttext 0x100040 -e _start -o $@ $(@:.elf=.o)

guests: $(GUESTS) $(SELFTEST)

iso: $(B)/trivet.iso
$(B)/trivet.iso: $(B)/trivet.elf $(GUESTS)
	tests/boot.py --image $(B)/trivet.elf --hv "$(HV)" --write-iso $@ -- $(MODULES)

# ---- run and test
export B PARANOID KERNEL INITRD APPEND MEM CPUS DISK HV EMULATOR FIRMWARE MODEL

run:
	@MAKE="$(MAKE)" tests/rig/run.sh

setup:
	@tests/rig/setup.sh test

HOSTFLAGS := -std=gnu11 -g -O1 -I. -I$(B)/gen -Wall -Wextra -Werror -Wno-unused-parameter \
	-fsanitize=address,undefined -fno-sanitize-recover=all
COVERAGE  := $(if $(findstring clang,$(HOSTCC)),,--coverage)
UNITS     := $(sort $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c)))
note       = $(shell sed -n '1,12s@.*/\* $(2): *\(.*[^ ]\) *\*/.*@\1@p' tests/unit/$(1).c)

define UNIT
UNIT_OBJ_$(1) := $$(patsubst %.c,$(B)/unit/$(1)/%.o,tests/unit/$(1).c $$(call note,$(1),SOURCES))
$(B)/unit/$(1)/%.o: %.c $(B)/gen/version.h | $(GEN)
	@mkdir -p $$(@D)
	@$(HOSTCC) $(HOSTFLAGS) $$(if $$(findstring tests/,$$<),,$(COVERAGE)) -MMD -MP -c -o $$@ $$<
$(B)/unit/$(1)/$(1): $$(UNIT_OBJ_$(1))
	@echo "  unit $(1)"
	@$(HOSTCC) $(HOSTFLAGS) $(COVERAGE) -o $$@ $$^ -lcmocka $$(call note,$(1),LIBS)
-include $$(UNIT_OBJ_$(1):.o=.d)
endef
ifneq ($(filter unit units test coverage,$(MAKECMDGOALS)),)
$(foreach t,$(UNITS),$(eval $(call UNIT,$(t))))
endif

units: $(foreach t,$(UNITS),$(B)/unit/$(t)/$(t))

unit: units
	@$(PYTHON) tests/rig/run_tests.py --build $(B) --only unit

# With PARANOID=1 the system tests alone, K= some of them; the kernels are those of the usual build.
test:
	@tests/rig/setup.sh test
	@rm -f $(B)/unbuilt; $(MAKE) -k -j2 all guests $(if $(PARANOID),,units) || touch $(B)/unbuilt
	@$(if $(PARANOID),mkdir -p build/guest-cache; ln -sfn $(CURDIR)/build/guest-cache $(B)/guest-cache)
	@tests/rig/fetch.sh $(B)/guest-cache || true
	@$(PYTHON) tests/rig/run_tests.py --build $(B) $(if $(PARANOID),--only system) $(if $(K),-- -k "$(K)")

# Tests of hours. One of them: make nightly K=stress. What VMs could learn, in the paranoid build, too.
nightly: all guests
	@tests/rig/setup.sh test
	@$(if $(PARANOID),mkdir -p build/guest-cache; ln -sfn $(CURDIR)/build/guest-cache $(B)/guest-cache)
	@tests/rig/fetch.sh $(B)/guest-cache nightly
	@$(PYTHON) tests/rig/run_tests.py --build $(B) --only nightly $(if $(K),-- -k "$(K)")
	$(if $(PARANOID)$(K),,@$(MAKE) B=$(B)/paranoid PARANOID=1 K=test_walls nightly)

# UPDATE=1: what is measured becomes tests/bench/baseline.json, which make test holds
bench: all guests
	@tests/rig/fetch.sh $(B)/guest-cache
	@$(PYTHON) tests/rig/bench.py --build $(B) $(if $(UPDATE),--update)

# The picture in the README, of what make bench has written
bench-plot:
	@tests/rig/setup.sh plot
	@$(PYTHON) tests/rig/plot.py $(B)/bench.json tests/bench/scale.svg

lint: all
	@tests/lint/run.sh $(B) $(CC)

# ---- install
install: all
	install -D -m 644 $(B)/trivet.elf $(DESTDIR)/boot/trivet.elf
	install -D -m 755 boot/grub.d/42_trivet $(DESTDIR)/etc/grub.d/42_trivet
	install -D -m 644 boot/grub.d/example.conf.sample $(DESTDIR)/etc/trivet.d/example.conf.sample
	@echo "now run update-grub (or grub2-mkconfig -o /boot/grub2/grub.cfg)"

clean:
	rm -rf $(B)

help:
	@echo "make            build $(B)/trivet.elf"
	@echo "make iso        a boot image for CD and USB stick, BIOS and UEFI (HV=, MODULES=)"
	@echo "make run        boot a Linux guest and connect the terminal"
	@echo "                (KERNEL= INITRD= APPEND= MEM= CPUS= DISK= HV= EMULATOR= FIRMWARE= MODEL=)"
	@echo "make test       set up and run every test; make unit: those of the host alone"
	@echo "                PARANOID=1: Trivet checks itself at each step, the system tests alone (K= some)"
	@echo "make nightly    the tests of hours: other kernels, stress, reboots (K= some of them)"
	@echo "make lint       layering, headers, lengths, names, size by folder"
	@echo "make bench      instructions of exits on each model and of a Linux boot; UPDATE=1: the baseline"
	@echo "make bench-plot draw what exits cost as a machine grows (needs matplotlib)"
	@echo "make install    image, GRUB menu script and example (DESTDIR=)"
	@echo "make clean      remove $(B)"
	@echo "CC=gcc|clang or a cross compiler; B= another build folder; V=1 shows commands"

-include $(TEST_OBJ:.o=.d)
FORCE:
.DELETE_ON_ERROR:
.PHONY: all guests iso run setup unit units test nightly bench bench-plot lint install clean help nasm-there FORCE
