// SPDX-License-Identifier: Apache-2.0
/*
 * A notification says which call was made, not which rule of the filter stopped it. So the supervisor runs the very bytes
 * that the kernel ran: the answer's lower half is the index of the rule. Jumps go forward only, so every program ends.
 */
#include "bpf.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool load(const struct seccomp_data *data, uint32_t offset, uint32_t *ret_value)
{
	if (offset % 4 || offset > sizeof(*data) - 4)
		return false;
	memcpy(ret_value, (const char *)data + offset, 4);
	return true;
}

/* How far a jump goes; false for an instruction that is none. */
static bool jump(const struct sock_filter *at, uint32_t a, uint32_t *ret_distance)
{
	bool taken;

	switch (at->code) {
	case BPF_JMP | BPF_JA:
		*ret_distance = at->k;
		return true;
	case BPF_JMP | BPF_JEQ | BPF_K:
		taken = a == at->k;
		break;
	case BPF_JMP | BPF_JGT | BPF_K:
		taken = a > at->k;
		break;
	case BPF_JMP | BPF_JGE | BPF_K:
		taken = a >= at->k;
		break;
	case BPF_JMP | BPF_JSET | BPF_K:
		taken = (a & at->k) != 0;
		break;
	default:
		return false;
	}
	*ret_distance = taken ? at->jt : at->jf;
	return true;
}

uint32_t bpf_answer(const struct sock_filter *program, uint32_t count, const struct seccomp_data *data)
{
	uint32_t a = 0, distance;

	for (uint32_t pc = 0; pc < count; pc++) {
		const struct sock_filter *at = &program[pc];

		if (at->code == (BPF_RET | BPF_K))
			return at->k;
		if (at->code == (BPF_LD | BPF_W | BPF_ABS)) {
			if (!load(data, at->k, &a))
				break;
		} else if (at->code == (BPF_ALU | BPF_AND | BPF_K)) {
			a &= at->k;
		} else if (jump(at, a, &distance) && distance < count - pc) {
			pc += distance;
		} else {
			break;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}
