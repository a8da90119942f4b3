# SPDX-License-Identifier: BSD-2-Clause
# Trivet. `make help` lists the targets.

B ?= build
CC = gcc
LD = ld
NASM ?= nasm

FOLDERS := boot arch arch/lib vmm drivers
C_SRC   := $(sort $(wildcard $(addsuffix /*.c,$(FOLDERS))))
ASM_SRC := $(sort $(wildcard $(addsuffix /*.asm,$(FOLDERS))))
OBJ     := $(C_SRC:%.c=$(B)/%.o) $(ASM_SRC:%.asm=$(B)/%.asm.o)

CFLAGS := -std=gnu11 -O2 -g -I. -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	-fno-omit-frame-pointer -fcf-protection=none -ffunction-sections -fno-common \
	-Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef -MMD -MP

all: $(B)/trivet.elf

$(B)/trivet.elf: $(OBJ) linker.ld
	$(LD) -nostdlib -static -no-pie -z max-page-size=4096 -T linker.ld -o $@ $(OBJ)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(B)/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(NASM) -f elf64 -I. -o $@ $<

clean:
	rm -rf $(B)

-include $(OBJ:.o=.d)
.PHONY: all clean
