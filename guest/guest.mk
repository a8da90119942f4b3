# SPDX-License-Identifier: BSD-2-Clause
# Guest programs, into $(B)/guest. Included by the Makefile, which sets B, CC,
# LD, NASM and may set OBJCOPY. `make guests` builds them all.

OBJCOPY ?= objcopy
G := $(B)/guest

# Programs in 64-bit mode; all others of guest/tests are 32-bit.
GUEST_64 := cr64 exit-cost fpu hostile inject inject-mmio keeps lapic-regs leak mmio msr pci ripwrap64 served vmxinsn xsetbv

GUEST_TESTS := $(sort $(patsubst guest/tests/%.c,%,$(wildcard guest/tests/*.c)))
GUEST_FLAT  := $(sort $(patsubst guest/tests/%.flat.asm,%,$(wildcard guest/tests/*.flat.asm)))
GUEST_OUT   := $(GUEST_TESTS:%=$(G)/tests/%.elf) $(GUEST_FLAT:%=$(G)/tests/%.bin) \
	$(G)/demo.elf $(G)/native.elf

GUEST_CFLAGS := -std=gnu11 -O2 -g -I. -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fcf-protection=none -fno-common \
	-mgeneral-regs-only -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wvla \
	-Wundef -MMD -MP
GUEST_CC32 := $(CC) -m32 -march=i686 $(GUEST_CFLAGS)
GUEST_CC64 := $(CC) -m64 -mno-red-zone $(GUEST_CFLAGS)
GUEST_LINK := -nostdlib -static -no-pie -z max-page-size=4096 \
	--no-warn-rwx-segments -T guest/lib/guest.ld

GUEST_LIB   := $(sort $(patsubst guest/lib/%.c,%,$(wildcard guest/lib/*.c)))
GUEST_LIB32 := $(GUEST_LIB:%=$(G)/32/lib/%.o) $(G)/32/lib/trap32.asm.o $(G)/32/lib/real.asm.o \
	$(G)/32/lib/smp.asm.o
GUEST_LIB64 := $(GUEST_LIB:%=$(G)/64/lib/%.o) $(G)/64/lib/trap64.asm.o $(G)/64/lib/smp.asm.o

GUESTS += $(GUEST_OUT)
guests: $(GUEST_OUT)

$(G)/32/%.o: guest/%.c
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC32) -c -o $@ $<

$(G)/64/%.o: guest/%.c
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC64) -c -o $@ $<

$(G)/32/%.asm.o: guest/%.asm $(wildcard guest/lib/*.inc)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf32 -I. -o $@ $<

$(G)/64/%.asm.o: guest/%.asm $(wildcard guest/lib/*.inc)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -I. -o $@ $<

# A program's objects: start code, its C file, its assembly where there is some, the library.
guest_start = $(if $(filter $(1),pvh),start_pvh,$(if $(filter $(1),$(GUEST_64)),start64,start32))
guest_width = $(if $(filter $(1),$(GUEST_64)),64,32)
guest_objects = $(G)/$(2)/lib/$(call guest_start,$(1)).asm.o $(G)/$(2)/tests/$(1).o \
	$(patsubst guest/tests/%.asm,$(G)/$(2)/tests/%.asm.o,$(wildcard guest/tests/$(1).asm)) \
	$(GUEST_LIB$(2))

define guest_rule
$(G)/tests/$(1).elf: $(call guest_objects,$(1),$(call guest_width,$(1))) guest/lib/guest.ld
endef
$(foreach t,$(GUEST_TESTS),$(eval $(call guest_rule,$(t))))

# Multiboot1 wants ELF32: a 64-bit program keeps its code in a 32-bit file.
$(GUEST_TESTS:%=$(G)/tests/%.elf):
	@mkdir -p $(@D)
	$(Q)$(if $(filter $(basename $(@F)),$(GUEST_64)),\
	$(LD) -m elf_x86_64 $(GUEST_LINK) -o $@.64 $(filter %.o,$^) && \
	$(OBJCOPY) -O elf32-i386 $@.64 $@,\
	$(LD) -m elf_i386 $(GUEST_LINK) -o $@ $(filter %.o,$^))

$(G)/tests/%.bin: guest/tests/%.flat.asm
	@mkdir -p $(@D)
	$(Q)$(NASM) -f bin -I. -o $@ $<

$(G)/demo.elf: $(G)/32/lib/start32.asm.o $(G)/32/demo/demo.o $(GUEST_LIB32) guest/lib/guest.ld
	$(Q)$(LD) -m elf_i386 $(GUEST_LINK) -o $@ $(filter %.o,$^)

$(G)/native.elf: $(G)/32/native/start.asm.o $(G)/32/native/native.o \
	$(patsubst %,$(G)/32/lib/%.o,types console cpu) guest/native/native.ld
	$(Q)$(LD) -m elf_i386 $(subst lib/guest.ld,native/native.ld,$(GUEST_LINK)) -o $@ \
		$(filter %.o,$^)

-include $(wildcard $(G)/*/*/*.d)
.PHONY: guests
