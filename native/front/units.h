/* SPDX-License-Identifier: Apache-2.0 -- limits as people write and read them, as the command does (policy/units.ts). */
#ifndef BELLJAR_UNITS_H
#define BELLJAR_UNITS_H

#include <stdint.h>

#include "util.h"

/* "64 MiB", "1.5 s", "32". `unit` is an enum limit_unit that has a number. */
void units_add(struct text *to, uint32_t unit, uint64_t value);
/* A figure, as people read it. */
void units_add_time(struct text *to, uint64_t ns);
/* What a run may write for a limit: "64M", "1500ms" (a duration has its unit), "32". 0, or -EINVAL, or -ERANGE for what does not come out whole or is larger than 2^53. */
int units_parse(uint32_t unit, const char *text, uint64_t *ret_value);

#endif
