/* SPDX-License-Identifier: Apache-2.0 -- the table's words for what a record has as numbers; "" for a number that the table does not have. */
#ifndef BELLJAR_NAMES_H
#define BELLJAR_NAMES_H

#include <stdint.h>

const char *limit_name(uint32_t limit);
const char *mechanism_name(uint32_t mechanism);
const char *stage_name(uint32_t stage);
const char *step_name(uint32_t step);
const char *step_doc(uint32_t step);
const char *verdict_name(uint32_t verdict);

#endif
