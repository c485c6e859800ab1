/* SPDX-License-Identifier: Apache-2.0 -- what a seccomp filter answers to a call, worked out here. */
#ifndef BELLJAR_BPF_H
#define BELLJAR_BPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

/*
 * The filter's return value, as the kernel had it for the same data. Knows the instructions that our compiler writes; for
 * any other, and for a program that runs out of bounds, SECCOMP_RET_KILL_PROCESS.
 */
uint32_t bpf_answer(const struct sock_filter *program, uint32_t count, const struct seccomp_data *data);

#endif
