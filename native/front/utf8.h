/* SPDX-License-Identifier: Apache-2.0 -- text of strangers: decoding, and what may be shown. */
#ifndef BELLJAR_UTF8_H
#define BELLJAR_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

#define UTF8_REPLACEMENT 0xfffdu

/*
 * Takes one character from *at, which must be before `end`. What is no UTF-8 is U+FFFD, once for each maximal subpart, as the WHATWG's decoder (and
 * so the command) has it; then ret_invalid, where it is given, becomes true.
 */
uint32_t utf8_take(const char **at, const char *end, bool *ret_invalid);
/* Writes a character; ret must have room for 4 bytes. Returns their number. */
unsigned int utf8_put(uint32_t character, char *ret);
bool utf8_valid(const char *text, size_t length);
/* Adds a text with U+FFFD for what is no UTF-8. */
void utf8_add_lossy(struct text *to, const char *text, size_t length);
/* Harmless in JSON on a terminal, but for C0, which JSON escapes anyhow. */
bool utf8_json_unsafe(uint32_t character);
/* Adds a text of any bytes as one line that steers no terminal: nothing moves, hides or recolours what is shown. */
void utf8_add_printable(struct text *to, const char *text);
/* How wide the command counts the text: units of UTF-16. */
size_t utf8_width(const char *text);

#endif
