/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Run: the end of the main() of every test. */

#include <check.h>
#include <stdlib.h>

/* test_run_as() - run @suite and free it; what main() returns */
static inline int test_run_as(Suite *suite, enum print_output mode)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_run_all(runner, mode);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* test_run() - as loudly as CK_VERBOSITY says */
static inline int test_run(Suite *suite)
{
        return test_run_as(suite, CK_ENV);
}
