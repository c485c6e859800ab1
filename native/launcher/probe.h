/* SPDX-License-Identifier: Apache-2.0 -- `belljar-launch probe` */
#ifndef BELLJAR_PROBE_H
#define BELLJAR_PROBE_H
int probe_main(void);
#endif
