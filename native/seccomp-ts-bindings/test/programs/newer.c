/* Stands in for the functions that libseccomp has had only since 2.6, where the installed one is older: preloaded, it proves that the addon finds and calls them. */
#include <stdint.h>

static int open_transactions;

int seccomp_precompute(const void *ctx)
{
	return ctx ? 0 : -22;
}

int seccomp_transaction_start(const void *ctx)
{
	open_transactions++;
	return ctx ? 0 : -22;
}

int seccomp_transaction_commit(const void *ctx)
{
	(void)ctx;
	return open_transactions > 0 ? (open_transactions--, 0) : -22;
}

void seccomp_transaction_reject(const void *ctx)
{
	(void)ctx;
	open_transactions--;
}
