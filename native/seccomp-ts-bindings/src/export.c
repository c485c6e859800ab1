#include "filter.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "values.h"

/* Reads a whole memfd into a new ArrayBuffer; 0 or negative errno. */
static int read_all(napi_env env, int fd, napi_value *ret_buffer)
{
	struct stat status;
	napi_value buffer = NULL;
	void *data = NULL;
	size_t done = 0, size;

	if (fstat(fd, &status) < 0)
		return -errno;
	size = (size_t)status.st_size;
	if (napi_create_arraybuffer(env, size, &data, &buffer) != napi_ok)
		return -ENOMEM;
	while (done < size) {
		ssize_t got = pread(fd, (char *)data + done, size - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	*ret_buffer = buffer;
	return 0;
}

/* Through a memfd, which works with every version; seccomp_export_bpf_mem came with 2.6, and there is none for pseudo-code. */
static napi_value filter_export(napi_env env, napi_callback_info info,
				int (*write_to)(const scmp_filter_ctx ctx, int fd))
{
	struct filter *filter = filter_of_call(env, info, 0, NULL);
	napi_value buffer = NULL;
	int fd, result;

	if (filter == NULL)
		return NULL;
	fd = memfd_create("seccomp-export", MFD_CLOEXEC);
	if (fd < 0)
		return from_int(env, -errno);
	result = write_to(filter->ctx, fd);
	if (result == 0)
		result = read_all(env, fd, &buffer);
	(void)close(fd);
	return result == 0 ? buffer : from_int(env, result);
}

napi_value filter_export_bpf(napi_env env, napi_callback_info info)
{
	return filter_export(env, info, seccomp_export_bpf);
}

napi_value filter_export_pfc(napi_env env, napi_callback_info info)
{
	return filter_export(env, info, seccomp_export_pfc);
}
