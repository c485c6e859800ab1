// SPDX-License-Identifier: Apache-2.0
/*
 * A root of image layers: kernel overlayfs, or the same layers by a fuse-overlayfs companion, or copied by one of ours. The upper and work directories
 * are parts of the scratch tmpfs, so that what the program changes counts against its disk limit and is gone afterwards.
 *
 * mount(2) takes one page of options and gives ':' and ',' a meaning; layers have long paths and may be hundreds. So they get short
 * names: links "0", "1", ... in a folder of ours, named relative to it. That works on every kernel; the calls that take
 * layers by descriptor do not (before 6.7 they seem to and fail later).
 */
#include "fs.h"

#include "sys.h"
#include "util.h"

enum { OPTIONS_SIZE = 4096, FUSE_DIGITS = 12 };

/* parts/layers/N -> the layer's host path; then the working directory is there. */
static int name_layers(const struct init *init)
{
	const struct part *part = &init->plan->sandbox_part;
	const struct wire_list layers = init->plan->sandbox->root_layers;
	char name[FUSE_DIGITS];

	if (mkdirat(init->parts, "layers", 0700) < 0)
		return -errno;
	CLEANUP_FD int folder = openat(init->parts, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	for (uint32_t i = 0; i < layers.count; i++) {
		struct text text = text_in(name, sizeof(name));

		text_add_u64(&text, i);
		if (symlinkat(plan_text(part, plan_item(part, layers, wire_text, i)->text), folder, name) < 0)
			return -errno;
	}
	return fchdir(folder) < 0 ? -errno : 0;
}

/* The root of the merged tree takes the attributes of the upper directory: those of the highest layer, then. */
static int make_upper(const struct init *init, const char *top)
{
	struct stat status;

	if (stat(top, &status) < 0)
		return -errno;
	if (mkdirat(init->parts, "upper", 0700) < 0 || mkdirat(init->parts, "overlay", 0700) < 0)
		return -errno;
	/* An owner outside the map stays ours. */
	if (fchownat(init->parts, "upper", status.st_uid, status.st_gid, 0) < 0 && errno != EINVAL && errno != EPERM)
		return -errno;
	return fchmodat(init->parts, "upper", status.st_mode & 07777, 0) < 0 ? -errno : 0;
}

static int mount_kernel(uint32_t count)
{
	char options[OPTIONS_SIZE];
	struct text text = text_in(options, sizeof(options));

	text_add(&text, "lowerdir=");
	for (uint32_t i = count; i > 0; i--) { /* highest first */
		text_add_u64(&text, i - 1);
		text_add(&text, i > 1 ? ":" : "");
	}
	text_add(&text, ",upperdir=../upper,workdir=../overlay,userxattr");
	if (text.full)
		return -E2BIG;
	return mount("overlay", "../../root", "overlay", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

/* The connection is made and mounted here; the companion only serves it, and needs no right to mount. Requests wait for it. */
static int mount_fuse(struct init *init)
{
	char options[128];
	struct text text = text_in(options, sizeof(options));

	init->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (init->fuse < 0)
		return -errno;
	text_add(&text, "fd=");
	text_add_u64(&text, (uint64_t)init->fuse);
	text_add(&text, ",rootmode=40000,user_id=");
	text_add_u64(&text, getuid());
	text_add(&text, ",group_id=");
	text_add_u64(&text, getgid());
	text_add(&text, ",allow_other,default_permissions");
	return mount("fuse-overlayfs", "../../root", "fuse", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

int overlay_mount(struct init *init)
{
	const struct wire_list layers = init->plan->sandbox->root_layers;
	char top[FUSE_DIGITS];
	struct text text = text_in(top, sizeof(top));
	int r;

	if (init->plan->sandbox->root_kind == ROOT_KIND_COPY) {
		/* Filled by the companion, which finds the layers by these names. */
		r = fs_bind_in_place(init->scratch, "root", &init->root);
		if (r == 0)
			r = name_layers(init);
		return r == 0 && chdir("/") < 0 ? -errno : r;
	}
	if (mkdirat(init->scratch, "root", 0755) < 0)
		return -errno;
	r = name_layers(init);
	text_add_u64(&text, layers.count - 1);
	if (r == 0)
		r = make_upper(init, top);
	if (r == 0)
		r = init->plan->sandbox->root_kind == ROOT_KIND_FUSE ? mount_fuse(init) : mount_kernel(layers.count);
	if (chdir("/") < 0 && r == 0)
		r = -errno;
	if (r < 0)
		return r;
	init->root = openat(init->scratch, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return init->root < 0 ? -errno : 0;
}
