/* SPDX-License-Identifier: Apache-2.0 -- becoming root of a user namespace. */
#ifndef BELLJAR_APPLY_IDS_H
#define BELLJAR_APPLY_IDS_H

#include "gen/entries.gen.h"

/*
 * ids: {"single"} (the caller as root, nobody else) or {"subordinate", newuidmap, newgidmap, uid map, gid map}, a map being
 * CONTAINER:HOST:SIZE[,...] with the caller as 0. Returns 0 or negative errno with the stage.
 */
int ids_enter(char *const *ids, int count, enum apply_stage *ret_stage);

#endif
