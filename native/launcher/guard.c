// SPDX-License-Identifier: Apache-2.0
/*
 * init's own filter: what PID 1 does once the program runs, and nothing else. Anything beyond is answered with a kill of
 * the process, which ends the sandbox: a hijacked init is of no use.
 */
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "init.h"
#include "sys.h"
#include "util.h"

#if defined(__x86_64__)
#define GUARD_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define GUARD_ARCH AUDIT_ARCH_AARCH64
#else
#error "add the AUDIT_ARCH of this architecture"
#endif

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int guard_filter(void)
{
	static const struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_poll
		ALLOW(poll),
#endif
		ALLOW(ppoll),
		ALLOW(wait4),
		ALLOW(read),
		ALLOW(sendmsg),
		ALLOW(clock_gettime),
		ALLOW(restart_syscall),
		ALLOW(exit_group),
		ALLOW(exit),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};

	return sys_seccomp_install(filter, sizeof(filter));
}
