/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <stddef.h>

#ifdef HAVE_SELINUX
#include <selinux/selinux.h>
#endif

#include "shim/daemon/selinux-paths.h"

bool selinux_paths_enabled(void)
{
#ifdef HAVE_SELINUX
        return is_selinux_enabled() > 0;
#else
        return false;
#endif
}

/**
 * selinux_paths_root() - directory of the policy in use; NULL: there is none
 */
const char *selinux_paths_root(void)
{
#ifdef HAVE_SELINUX
        return selinux_policy_root();
#else
        return NULL;
#endif
}
