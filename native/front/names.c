// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include "gen/names.gen.h"
#include "util.h"

static const char *name_in(const char *const *names, uint32_t count, uint32_t index)
{
	return index < count ? names[index] : "";
}

const char *limit_name(uint32_t limit)
{
	return name_in(limit_names, ARRAY_SIZE(limit_names), limit);
}

const char *mechanism_name(uint32_t mechanism)
{
	return name_in(mechanism_names, ARRAY_SIZE(mechanism_names), mechanism);
}

const char *stage_name(uint32_t stage)
{
	return name_in(stage_names, ARRAY_SIZE(stage_names), stage);
}

const char *step_name(uint32_t step)
{
	return name_in(step_names, ARRAY_SIZE(step_names), step);
}

const char *step_doc(uint32_t step)
{
	return name_in(step_docs, ARRAY_SIZE(step_docs), step);
}

const char *verdict_name(uint32_t verdict)
{
	return name_in(verdict_names, ARRAY_SIZE(verdict_names), verdict);
}
