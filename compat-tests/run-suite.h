/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Run a suite: the end of the main() of a test that sees no header of lambus. */

#include <check.h>
#include <stdlib.h>

/* run_suite() - run it and free it; what main() returns */
static inline int run_suite(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
