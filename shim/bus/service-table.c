/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-core/util/error.h"
#include "bus-core/util/file.h"
#include "shim/bus/service-file.h"
#include "shim/bus/table.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define SUFFIX ".service"
#define RESCAN_INTERVAL_S 1
#define TOLD_MAX 4096 /* problems remembered, so that each is told once */

struct directory {
        char *path;
        unsigned int flags;    /* SERVICE_DIR_* */
        struct timespec mtime; /* before the last look; zero if it was not there */
};

/* services, sorted by name */
struct services {
        struct service **v;
        size_t n, allocated;
};

struct service_table {
        struct directory *dirs; /* in order: the first that has a name wins */
        size_t n_dirs;
        struct services services;
        bool scanned;
        time_t scanned_at;          /* CLOCK_MONOTONIC */
        struct timespec scanned_on; /* CLOCK_REALTIME_COARSE, as file systems see it */
        service_report_fn *report;
        void *arg;
        uint64_t *told; /* hashes of the problems that were reported */
        size_t n_told;
};

/* ---- reports, each once ---- */

static bool told(struct service_table *table, const struct service_problem *problem)
{
        uint64_t *grown, hash;
        size_t i;

        hash = table_hash(problem->file, strlen(problem->file)) ^
               table_hash(problem->text, strlen(problem->text)) * (2 * problem->line + 1);
        for (i = 0; i < table->n_told; ++i)
                if (table->told[i] == hash)
                        return true;
        if (table->n_told >= TOLD_MAX)
                return false;
        grown = reallocarray(table->told, table->n_told + 1, sizeof(*grown));
        if (grown) { /* out of memory: it may be told again */
                table->told = grown;
                grown[table->n_told++] = hash;
        }
        return false;
}

static void report_once(void *arg, const struct service_problem *problem)
{
        struct service_table *table = arg;

        if (table->report && !told(table, problem))
                table->report(table->arg, problem);
}

static void report(struct service_table *table, const char *file, bool skipped, const char *text)
{
        report_once(table, &(struct service_problem){
                                   .file = file,
                                   .text = text,
                                   .skipped = skipped,
                           });
}

/* ---- the sorted array ---- */

static void services_deinit(struct services *services)
{
        size_t i;

        for (i = 0; i < services->n; ++i)
                service_unref(services->v[i]);
        free(services->v);
}

/* where @name is, or would have to be put */
static bool services_find(const struct services *services, size_t *at, const char *name)
{
        size_t low = 0, high = services->n;
        int c;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                c = strcmp(services->v[mid]->name, name);
                if (c == 0) {
                        *at = mid;
                        return true;
                }
                if (c < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        *at = low;
        return false;
}

/* @service is consumed */
static int services_insert(struct services *services, size_t at, struct service *service)
{
        size_t want = services->allocated * 2 + 16;
        struct service **grown;

        if (services->n == services->allocated) {
                grown = reallocarray(services->v, want, sizeof(*grown));
                if (!grown) {
                        service_unref(service);
                        return error_origin(-ENOMEM);
                }
                services->v = grown;
                services->allocated = want;
        }
        memmove(services->v + at + 1, services->v + at,
                (services->n - at) * sizeof(*services->v));
        services->v[at] = service;
        ++services->n;
        return 0;
}

/* ---- one file ---- */

static bool same_time(struct timespec a, struct timespec b)
{
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* the file as it was read before, if it did not change; most are called like their service */
static struct service *find_unchanged(const struct services *old, const char *name,
                                      const char *path, const struct stat *st)
{
        size_t at;

        if (!services_find(old, &at, name))
                return NULL;
        if (strcmp(old->v[at]->file, path) != 0 || !same_time(old->v[at]->mtime, st->st_mtim))
                return NULL;
        return service_ref(old->v[at]);
}

/* NULL without an error: the file was left out */
static int read_service(struct service_table *table, struct service **servicep, int fd,
                        const char *path, const struct stat *st)
{
        _cleanup_(freep) char *data = NULL;
        size_t n = st->st_size;
        int r;

        *servicep = NULL;
        if (!n)
                return 0;
        data = malloc(n);
        if (!data)
                return error_origin(-ENOMEM);
        r = file_read(fd, data, n, &n);
        if (r) {
                report(table, path, true, "cannot be read");
                return 0;
        }
        r = service_parse(servicep, data, n, path, report_once, table);
        if (r == SERVICE_E_INVALID)
                return 0;
        if (r)
                return error_fold(r);
        (*servicep)->mtime = st->st_mtim;
        return 0;
}

/* an empty file hides nothing and is nothing; nor does a link to an empty device, which is meant so */
static int open_service(struct service_table *table, int *fdp, struct stat *st, const char *path)
{
        _cleanup_(closep) int fd = -1;
        char text[256];

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, st) < 0) {
                if (errno == ENOMEM)
                        return error_origin(-ENOMEM);
                snprintf(text, sizeof(text), "cannot be opened: %m");
                report(table, path, true, text);
                return SERVICE_E_INVALID;
        }
        if (st->st_size && (!S_ISREG(st->st_mode) || st->st_size > FILE_BYTES_MAX)) {
                report(table, path, true, "is not a regular file of at most 1 MiB");
                return SERVICE_E_INVALID;
        }
        if (!st->st_size && S_ISREG(st->st_mode))
                report(table, path, true, "is empty");
        *fdp = steal_fd(&fd);
        return 0;
}

/* may a service with this name come from a file with that name? */
static bool check_file_name(struct service_table *table, const struct directory *dir,
                            const struct service *service, const char *stem)
{
        if (strcmp(service->name, stem) == 0)
                return true;
        if (dir->flags & SERVICE_DIR_STRICT) {
                report(table, service->file, true, "is not called after the service it names");
                return false;
        }
        if (dir->flags & SERVICE_DIR_REMARK)
                report(table, service->file, false, "is not called after the service it names");
        return true;
}

/* put a service into the new table, unless a better one has its name. @service is consumed */
static int take_service(struct service_table *table, struct services *new,
                        const struct directory *dir, struct service *service, const char *stem)
{
        char text[512];
        size_t at;

        if (!check_file_name(table, dir, service, stem)) {
                service_unref(service);
                return 0;
        }
        if (!services_find(new, &at, service->name))
                return error_fold(services_insert(new, at, service));
        snprintf(text, sizeof(text), "is not used: %s names the same service", new->v[at]->file);
        report(table, service->file, false, text);
        service_unref(service);
        return 0;
}

static int scan_file(struct service_table *table, struct services *new,
                     const struct directory *dir, const char *name)
{
        _cleanup_(freep) char *path = NULL, *stem = NULL;
        struct service *service;
        _cleanup_(closep) int fd = -1;
        struct stat st;
        int r;

        stem = strndup(name, strlen(name) - strlen(SUFFIX));
        if (!stem)
                return error_origin(-ENOMEM);
        if (asprintf(&path, "%s/%s", dir->path, name) < 0) {
                path = NULL;
                return error_origin(-ENOMEM);
        }
        r = open_service(table, &fd, &st, path);
        if (r)
                return r == SERVICE_E_INVALID ? 0 : error_fold(r);
        service = find_unchanged(&table->services, stem, path, &st);
        if (!service) {
                r = read_service(table, &service, fd, path, &st);
                if (r)
                        return error_fold(r);
        }
        return service ? error_fold(take_service(table, new, dir, service, stem)) : 0;
}

/* ---- all files ---- */

static int is_service(const struct dirent *entry)
{
        size_t n = strlen(entry->d_name), suffix = strlen(SUFFIX);

        return n >= suffix && strcmp(entry->d_name + n - suffix, SUFFIX) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int scan_dir(struct service_table *table, struct services *new,
                    const struct directory *dir)
{
        struct dirent **entries = NULL;
        char text[256];
        int i, n, r = 0;

        n = scandir(dir->path, &entries, is_service, by_name);
        if (n < 0 && errno == ENOMEM)
                return error_origin(-ENOMEM);
        if (n < 0 && errno != ENOENT) {
                snprintf(text, sizeof(text), "cannot be read: %m");
                report(table, dir->path, true, text);
        }
        for (i = 0; i < n; ++i) {
                if (!r)
                        r = scan_file(table, new, dir, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return error_fold(r);
}

/* Zero for a directory that is not there. */
static struct timespec changed_on(const struct directory *dir)
{
        struct stat st;

        return stat(dir->path, &st) < 0 ? (struct timespec){ 0 } : st.st_mtim;
}

static bool is_before(struct timespec a, struct timespec b)
{
        return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* Was a file added or removed since the last look? One in the same clock tick cannot be told. */
static bool is_changed(const struct service_table *table)
{
        for (size_t i = 0; i < table->n_dirs; ++i) {
                struct timespec now = changed_on(&table->dirs[i]);

                if (!same_time(now, table->dirs[i].mtime) || !is_before(now, table->scanned_on))
                        return true;
        }
        return false;
}

static time_t now_s(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

/**
 * service_table_new() - an empty table
 * @report:     told of each problem once, or NULL
 */
int service_table_new(struct service_table **tablep, service_report_fn *report_fn, void *arg)
{
        struct service_table *table;

        table = calloc(1, sizeof(*table));
        if (!table)
                return error_origin(-ENOMEM);
        table->report = report_fn;
        table->arg = arg;
        *tablep = table;
        return 0;
}

struct service_table *service_table_free(struct service_table *table)
{
        size_t i;

        if (!table)
                return NULL;
        services_deinit(&table->services);
        for (i = 0; i < table->n_dirs; ++i)
                free(table->dirs[i].path);
        free(table->dirs);
        free(table->told);
        free(table);
        return NULL;
}

/**
 * service_table_add_dir() - a directory to look in after those added before
 * @path:       copied; need not exist
 * @flags:      SERVICE_DIR_*
 */
int service_table_add_dir(struct service_table *table, const char *path, unsigned int flags)
{
        struct directory *grown;

        grown = reallocarray(table->dirs, table->n_dirs + 1, sizeof(*grown));
        if (!grown)
                return error_origin(-ENOMEM);
        table->dirs = grown;
        grown[table->n_dirs] = (struct directory){ .path = strdup(path), .flags = flags };
        if (!grown[table->n_dirs].path)
                return error_origin(-ENOMEM);
        ++table->n_dirs;
        return 0;
}

/**
 * service_table_scan() - look at all directories again
 *
 * Files that did not change are not read again. On failure the table is as it was.
 */
int service_table_scan(struct service_table *table)
{
        _cleanup_(services_deinit) struct services new = { 0 };
        struct services old;
        size_t i;
        int r;

        clock_gettime(CLOCK_REALTIME_COARSE, &table->scanned_on);
        for (i = 0; i < table->n_dirs; ++i) {
                table->dirs[i].mtime = changed_on(&table->dirs[i]);
                r = scan_dir(table, &new, &table->dirs[i]);
                if (r)
                        return error_fold(r);
        }
        old = table->services;
        table->services = new;
        new = old;
        table->scanned = true;
        table->scanned_at = now_s();
        return 0;
}

static bool is_fresh(const struct service *service)
{
        struct stat st;

        return stat(service->file, &st) == 0 && same_time(st.st_mtim, service->mtime);
}

static bool rescan_is_due(const struct service_table *table)
{
        return !table->scanned || now_s() - table->scanned_at >= RESCAN_INTERVAL_S ||
               is_changed(table);
}

/**
 * service_table_find() - what is known of a service now
 * @servicep:   a reference
 *
 * If its file changed, or if the name is unknown and a directory changed or the last look is a
 * second old, the directories are looked at again.
 *
 * Return:      0, SERVICE_E_UNKNOWN, or an error.
 */
int service_table_find(struct service_table *table, struct service **servicep, const char *name)
{
        size_t at;
        bool found = services_find(&table->services, &at, name);
        int r;

        if (found ? !is_fresh(table->services.v[at]) : rescan_is_due(table)) {
                r = service_table_scan(table);
                if (r)
                        return error_fold(r);
                found = services_find(&table->services, &at, name);
        }
        if (!found)
                return SERVICE_E_UNKNOWN;
        *servicep = service_ref(table->services.v[at]);
        return 0;
}

/* service_table_may_have() - would service_table_find() have to look? Changes nothing. */
bool service_table_may_have(const struct service_table *table, const char *name)
{
        size_t at;

        return services_find(&table->services, &at, name) || rescan_is_due(table);
}

size_t service_table_n(const struct service_table *table)
{
        return table->services.n;
}

/* service_table_at() - number @i in the order of the names; NULL behind the last */
const struct service *service_table_at(const struct service_table *table, size_t i)
{
        return i < table->services.n ? table->services.v[i] : NULL;
}
