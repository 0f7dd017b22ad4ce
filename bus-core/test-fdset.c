/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>

#include "bus-core/test-kit.h"

static bool is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(a_set_closes_what_it_took_over)
{
        struct fdset *set;
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_eq(fdset_new(&set, fds, 2), 0);
        ck_assert_uint_eq(set->n, 2);
        ck_assert_int_eq(set->fds[1], fds[1]);
        ck_assert(is_open(fds[0]) && is_open(fds[1]));
        ck_assert_ptr_null(fdset_free(set));
        ck_assert(!is_open(fds[0]) && !is_open(fds[1]));
}
END_TEST

START_TEST(a_set_may_be_empty_or_missing)
{
        struct fdset *set;

        ck_assert_int_eq(fdset_new(&set, NULL, 0), 0);
        ck_assert_uint_eq(set->n, 0);
        ck_assert_ptr_null(fdset_free(set));
        ck_assert_ptr_null(fdset_free(NULL));
}
END_TEST

START_TEST(without_memory_the_caller_keeps_its_descriptors)
{
        struct fdset *set = NULL;
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        kit_fail_alloc(1);
        ck_assert_int_eq(fdset_new(&set, fds, 2), -ENOMEM);
        ck_assert_ptr_null(set);
        ck_assert(is_open(fds[0]) && is_open(fds[1]));
        errno = EPIPE;
        fdset_close(fds, 2);
        ck_assert_int_eq(errno, EPIPE);
        ck_assert(!is_open(fds[0]) && !is_open(fds[1]));
}
END_TEST

START_TEST(a_message_closes_its_descriptors_with_its_last_reference)
{
        struct message *m = kit_message(0, 1, NULL);
        int fd;

        kit_message_fd(m);
        ck_assert_uint_eq(message_n_fds(m), 1);
        fd = m->fds->fds[0];
        message_ref(m);
        message_unref(m);
        ck_assert(is_open(fd));
        message_unref(m);
        ck_assert(!is_open(fd));
}
END_TEST

int main(void)
{
        return KIT_RUN("fdset", {a_set_closes_what_it_took_over}, {a_set_may_be_empty_or_missing},
                       {without_memory_the_caller_keeps_its_descriptors},
                       {a_message_closes_its_descriptors_with_its_last_reference});
}
