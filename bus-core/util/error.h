/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Error
 *
 * What it is     The one convention by which functions fail.
 * Promise        0 is success. A negative errno is unforeseen: it is passed up untouched until a
 *                door or main() answers it. A positive value is the callee's own enum
 *                (INBOX_E_*, NAME_E_*): a foreseen outcome, answered by the direct caller and
 *                never passed up.
 * How            error_origin() where a negative errno is born, error_fold() where it is passed
 *                up. With LAMBUS_TRACE=errors in the environment both print file and line, which
 *                makes a back trace; otherwise they cost one predicted branch on failure only.
 */

extern int error_tracing; /* set once by error_setup(); read only afterwards */

void error_setup(void);
int error_print(int r, const char *what, const char *file, int line, const char *func);

#define error_origin(r) error_trace_(r, "origin")
#define error_fold(r) error_trace_(r, "via")

#define error_trace_(r, what)                                                                      \
        ({                                                                                         \
                int _r = (r);                                                                      \
                __builtin_expect(_r < 0 && error_tracing, 0)                                       \
                        ? error_print(_r, what, __FILE__, __LINE__, __func__)                      \
                        : _r;                                                                      \
        })
