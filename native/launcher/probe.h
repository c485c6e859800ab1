/* SPDX-License-Identifier: Apache-2.0 -- `belljar-launch probe` and `probe-overlay FOLDER` */
#ifndef BELLJAR_PROBE_H
#define BELLJAR_PROBE_H
int probe_main(void);
/* Kernel overlay with everything in this folder, which is littered. The exit status: 0, or the errno of what failed. */
int probe_overlay(const char *folder);
#endif
