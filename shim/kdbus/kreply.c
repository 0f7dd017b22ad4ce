/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/kconn.h"
#include "shim/kdbus/kreply.h"
#include "shim/kdbus/limits.h"

static void link_deadline(struct kreply *reply)
{
        struct cds_list_head *at = reply->domain->deadlines.prev;

        /* from the back: time-outs are mostly alike, so the newest is mostly the last */
        while (at != &reply->domain->deadlines &&
               cds_list_entry(at, struct kreply, by_deadline)->deadline > reply->deadline)
                at = at->prev;
        cds_list_add(&reply->by_deadline, at);
}

/**
 * kreply_new() - open a window
 * @deadline:   CLOCK_MONOTONIC, ns
 *
 * Return: 0; -EMLINK if the caller has too many open; -ENOMEM.
 */
int kreply_new(struct kreply **replyp, struct kconn *caller, struct kconn *callee, uint64_t cookie,
               uint64_t deadline, bool sync)
{
        struct kreply *reply;

        if (caller->n_calls >= KD_CALLS_MAX)
                return -EMLINK;
        reply = calloc(1, sizeof(*reply));
        if (!reply)
                return error_origin(-ENOMEM);
        reply->domain = caller->bus->domain;
        reply->caller = caller;
        reply->callee = callee;
        reply->cookie = cookie;
        reply->deadline = deadline;
        reply->sync = sync;
        cds_list_add(&reply->by_caller, &caller->calls);
        caller->n_calls++;
        if (callee)
                cds_list_add_tail(&reply->by_callee, &callee->answers);
        link_deadline(reply);
        *replyp = reply;
        return 0;
}

struct kreply *kreply_free(struct kreply *reply)
{
        if (!reply)
                return NULL;
        if (reply->entry)
                reply->entry->reply = NULL;
        kentry_free(reply->answer);
        cds_list_del(&reply->by_caller);
        reply->caller->n_calls--;
        if (reply->callee)
                cds_list_del(&reply->by_callee);
        cds_list_del(&reply->by_deadline);
        free(reply);
        return NULL;
}

/**
 * kreply_find() - the newest open window with a cookie
 * @callee:     who answers; NULL: any (the caller resumes its own call)
 */
struct kreply *kreply_find(const struct kconn *caller, const struct kconn *callee, uint64_t cookie)
{
        struct kreply *reply;

        cds_list_for_each_entry(reply, &caller->calls, by_caller)
                if (reply->cookie == cookie &&
                    (callee ? reply->callee == callee && !reply->ended
                            : reply->sync && !reply->waiter))
                        return reply;
        return NULL;
}

/**
 * kreply_find_foreign() - the newest open window that someone on D-Bus is to answer
 */
struct kreply *kreply_find_foreign(const struct kconn *caller, uint64_t cookie)
{
        struct kreply *reply;

        cds_list_for_each_entry(reply, &caller->calls, by_caller)
                if (reply->cookie == cookie && !reply->callee && !reply->ended)
                        return reply;
        return NULL;
}

/**
 * kreply_set_callee() - the call was moved to another connection
 */
void kreply_set_callee(struct kreply *reply, struct kconn *callee)
{
        cds_list_del(&reply->by_callee);
        reply->callee = callee;
        cds_list_add_tail(&reply->by_callee, &callee->answers);
}

static void forget_callee(struct kreply *reply)
{
        if (reply->callee)
                cds_list_del(&reply->by_callee);
        reply->callee = NULL;
}

/**
 * kreply_finish() - close the window of a synchronous call
 * @error:      0 or a negative errno for the blocked caller
 * @answer:     or the reply, in its pool; consumed
 *
 * If the wait was interrupted, the outcome is kept until it is resumed or the deadline passes.
 */
void kreply_finish(struct kreply *reply, int error, struct kentry *answer)
{
        struct waiter *waiter = steal(&reply->waiter);
        struct domain *domain = reply->domain;

        if (waiter) {
                kreply_free(reply);
                domain->wake(waiter, error, answer);
                return;
        }
        forget_callee(reply);
        if (reply->entry)
                reply->entry->reply = NULL;
        reply->entry = NULL;
        reply->ended = true;
        reply->error = error;
        reply->answer = answer;
}

/**
 * kreply_dead() - whoever was to answer never will
 */
void kreply_dead(struct kreply *reply)
{
        struct kbus *bus = reply->caller->bus;
        uint64_t id = reply->caller->id, cookie = reply->cookie;

        if (reply->sync) {
                kreply_finish(reply, -EPIPE, NULL);
                return;
        }
        kreply_free(reply);
        kbus_notify_reply(bus, KDBUS_ITEM_REPLY_DEAD, id, cookie);
}

/**
 * kreply_interrupt() - the blocked caller went away
 */
void kreply_interrupt(struct kreply *reply)
{
        reply->waiter = NULL;
}

/**
 * kreply_resume() - the caller blocks again
 * @waiter:     kept, or consumed if the outcome is there already
 *
 * Return: whether it has to wait.
 */
bool kreply_resume(struct kreply *reply, struct waiter *waiter)
{
        reply->waiter = waiter;
        if (!reply->ended)
                return true;
        kreply_finish(reply, reply->error, steal(&reply->answer));
        return false;
}

/**
 * kreply_expire() - end all calls whose deadline has passed
 * @now:        CLOCK_MONOTONIC, ns
 */
void kreply_expire(struct domain *domain, uint64_t now)
{
        while (!cds_list_empty(&domain->deadlines)) {
                struct kreply *reply =
                        cds_list_entry(domain->deadlines.next, struct kreply, by_deadline);
                struct kbus *bus = reply->caller->bus;
                uint64_t id = reply->caller->id, cookie = reply->cookie;

                if (reply->deadline > now)
                        return;
                if (reply->waiter) {
                        kreply_finish(reply, -ETIMEDOUT, NULL);
                } else if (reply->sync) {
                        kreply_free(reply); /* interrupted, never resumed: nobody is told */
                } else {
                        kreply_free(reply);
                        kbus_notify_reply(bus, KDBUS_ITEM_REPLY_TIMEOUT, id, cookie);
                }
        }
}

/**
 * kreply_next_deadline() - when to call kreply_expire() next; UINT64_MAX for never
 */
uint64_t kreply_next_deadline(struct domain *domain)
{
        if (cds_list_empty(&domain->deadlines))
                return UINT64_MAX;
        return cds_list_entry(domain->deadlines.next, struct kreply, by_deadline)->deadline;
}
