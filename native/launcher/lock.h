/* SPDX-License-Identifier: Apache-2.0 -- `belljar-launch lock-…` and `sync`, on descriptor 3 */
#ifndef BELLJAR_LOCK_H
#define BELLJAR_LOCK_H
#include <stdbool.h>
bool lock_knows(const char *mode);
/* The exit status: 0 done, 1 somebody else holds it, 3 failed (the reason is on stderr). */
int lock_main(const char *mode);
#endif
