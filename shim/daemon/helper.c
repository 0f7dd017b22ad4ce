/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-core/util/error.h"
#include "bus-core/util/file.h"
#include "shim/daemon/busconfig.h"
#include "shim/daemon/helper.h"
#include "shim/daemon/userdb.h"
#include "shim/wire/type.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define SYSTEM_ADDRESS "unix:path=/run/dbus/system_bus_socket"

static void say_problem(void *arg, const struct service_problem *problem)
{
        fprintf(stderr, "%s line %u: %s\n", problem->file, problem->line, problem->text);
}

enum helper_status helper_configure(struct busconfig **out, const char *file)
{
        struct busconfig_note note = BUSCONFIG_NOTE_NULL;
        struct busconfig *config;
        int r;

        r = busconfig_read(&config, file, 0, &note);
        if (r) {
                fprintf(stderr, "%s line %u: %s\n", note.file ? note.file : file, note.line,
                        note.text ? note.text : "it cannot be read");
                busconfig_note_deinit(&note);
                return r == -ENOMEM ? HELPER_NO_MEMORY : HELPER_CONFIG_INVALID;
        }
        if (!config->user) {
                fprintf(stderr, "%s: it does not say who the bus's <user> is\n", file);
                busconfig_free(config);
                return HELPER_CONFIG_INVALID;
        }
        *out = config;
        return HELPER_OK;
}

enum helper_status helper_check_caller(const struct busconfig *config, uid_t uid, uid_t euid)
{
        uid_t bus_uid;
        int r;

        r = userdb_user(&bus_uid, NULL, config->user);
        if (r < 0)
                return HELPER_NO_MEMORY;
        if (r) {
                fprintf(stderr, "there is no user \"%s\"\n", config->user);
                return HELPER_CONFIG_INVALID;
        }
        if ((uid == bus_uid || uid == 0) && euid == 0)
                return HELPER_OK;
        if (euid)
                fprintf(stderr, "not installed setuid to root\n");
        else
                fprintf(stderr, "not started by user \"%s\"\n", config->user);
        return HELPER_PERMISSIONS_INVALID;
}

/* The text of a file, or an error with errno's meaning. */
static int read_file(char **out, size_t *out_n, const char *path)
{
        _cleanup_(freep) char *data = NULL;
        _cleanup_(closep) int fd = -1;
        struct stat st;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_origin(-errno);
        if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
                return error_origin(-EINVAL);
        data = malloc(st.st_size + 1);
        if (!data)
                return error_origin(-ENOMEM);
        r = file_read(fd, data, st.st_size, out_n);
        if (r)
                return error_origin(r);
        *out = steal(&data);
        return 0;
}

static enum helper_status judge(const struct service *service, const char *name)
{
        if (strcmp(service->name, name) != 0) {
                fprintf(stderr, "%s is for %s\n", service->file, service->name);
                return HELPER_FILE_INVALID;
        }
        if (!service->user) {
                fprintf(stderr, "%s has no User=\n", service->file);
                return HELPER_FILE_INVALID;
        }
        if (!service->argv) {
                fprintf(stderr, "%s has no command in Exec=\n", service->file);
                return HELPER_INVALID_ARGS;
        }
        return HELPER_OK;
}

/* A file that breaks the format is passed over, as the bus does. */
static enum helper_status find_in(struct service **out, const char *dir, const char *name)
{
        _cleanup_(service_unrefp) struct service *service = NULL;
        _cleanup_(freep) char *path = NULL, *data = NULL;
        enum helper_status status;
        size_t n = 0;
        int r;

        if (asprintf(&path, "%s/%s.service", dir, name) < 0) {
                path = NULL;
                return HELPER_NO_MEMORY;
        }
        r = read_file(&data, &n, path);
        if (r)
                return r == -ENOMEM ? HELPER_NO_MEMORY : HELPER_SERVICE_NOT_FOUND;
        r = service_parse(&service, data, n, path, say_problem, NULL);
        if (r)
                return r < 0 ? HELPER_NO_MEMORY : HELPER_SERVICE_NOT_FOUND;
        status = judge(service, name);
        if (!status)
                *out = steal(&service);
        return status;
}

enum helper_status helper_find(struct service **out, const struct busconfig *config,
                               const char *name)
{
        enum helper_status status = HELPER_SERVICE_NOT_FOUND;

        if (!valid_well_known_name(name, strlen(name))) {
                fprintf(stderr, "\"%s\" is not a name of a service\n", name);
                return HELPER_NAME_INVALID;
        }
        for (size_t i = 0; i < config->n_servicedirs; i++) {
                status = find_in(out, config->servicedirs[i].path, name);
                if (status != HELPER_SERVICE_NOT_FOUND)
                        return status;
        }
        fprintf(stderr, "there is no file %s.service\n", name);
        return status;
}

enum helper_status helper_become(const char *user)
{
        uid_t uid;
        gid_t gid;
        int r;

        r = userdb_user(&uid, &gid, user);
        if (r < 0)
                return HELPER_NO_MEMORY;
        if (r) {
                fprintf(stderr, "there is no user \"%s\"\n", user);
                return HELPER_SETUP_FAILED;
        }
        if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(uid, uid, uid) < 0) {
                fprintf(stderr, "cannot become user \"%s\": %m\n", user);
                return HELPER_SETUP_FAILED;
        }
        if (uid != 0 && setuid(0) == 0) { /* it cannot be, and must not */
                fprintf(stderr, "could become root again\n");
                return HELPER_SETUP_FAILED;
        }
        return HELPER_OK;
}

enum helper_status helper_exec(const struct service *service)
{
        static char *const env[] = {
                (char *)"DBUS_STARTER_ADDRESS=" SYSTEM_ADDRESS,
                (char *)"DBUS_STARTER_BUS_TYPE=system",
                NULL,
        };
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        umask(022);
        if (chdir("/") < 0)
                return HELPER_SETUP_FAILED;
        execve(service->argv[0], service->argv, env);
        fprintf(stderr, "cannot execute %s: %m\n", service->argv[0]);
        return HELPER_EXEC_FAILED;
}
