// SPDX-License-Identifier: Apache-2.0
#include "front.h"

void options_help(struct front *front)
{
	static const char help[] =
		"belljar-launch FILE [OPTIONS] [--] COMMAND [ARG...]\n"
		"\n"
		"Runs a program under a compiled plan, and reports what happened as `belljar run` does. `belljar "
		"profile compile PROFILE -o FILE`\n"
		"makes FILE; profile, image, volumes, user and network are in it.\n"
		"\n"
		"Program:\n"
		"  -w, --workdir DIR        working directory in the sandbox\n"
		"  -e, --env N[=V]          set a variable, or pass the caller's\n"
		"\n"
		"Files and streams:\n"
		"      --in HOST[:PATH]     copy a file into /work before\n"
		"      --out PATH[:HOST]    copy a regular file out of /work after\n"
		"      --out-max SIZE       largest file that --out takes\n"
		"      --stdin FILE         read standard input from a file\n"
		"      --stdout FILE        write standard output to a file\n"
		"      --stderr FILE        write standard error to a file\n"
		"\n"
		"Limits, in place of the plan's:\n"
		"      --cpu-time TIME      CPU time of the whole process tree: 500ms, 2s, 1m\n"
		"      --wall-time TIME     time from start to end\n"
		"      --memory SIZE        memory of the whole process tree: 64M, 1G (M = MiB)\n"
		"      --processes N        processes and threads at one time\n"
		"      --output SIZE        bytes of stdout and of stderr, each\n"
		"      --open-files N, --file-size SIZE, --stack SIZE, --locked-memory SIZE, --address-space SIZE\n"
		"\n"
		"Result:\n"
		"      --report FILE        write the report as JSON\n"
		"      --sample TIME        put CPU time, memory and processes over time into the report: 50ms\n"
		"      --json               print one JSON document: report, stdout and stderr\n"
		"  -q, --quiet              say nothing about the verdict\n"
		"      --verbose            say what was used and what enforced each limit\n"
		"  -h, --help               show this help\n"
		"\n"
		"Exit status: the program's own; 128+N when signal N killed it; 124 for a limit; 125 when belljar "
		"failed or refused;\n"
		"126 not executable; 127 not found; 130 and 143 when cancelled.\n";

	sink_open(&front->sink, 1, front->signals);
	sink_text(&front->sink, help);
	(void)sink_flush(&front->sink);
}
