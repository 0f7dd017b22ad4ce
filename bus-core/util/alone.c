/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bus-core/util/alone.h"

bool alone_declared;
