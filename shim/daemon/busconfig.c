/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <expat.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bus-core/util/error.h"
#include "bus-core/util/file.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/busconfig-private.h"
#include "shim/daemon/selinux-paths.h"
#include "shim/daemon/userdb.h"

#define FILE_BYTES_MAX (16 * 1024 * 1024)
#define INCLUDE_DEPTH_MAX 512
#define NESTING_MAX 4 /* busconfig, policy, allow; one more is refused by the table of elements */
#define DEFAULT_DATA_DIRS "/usr/local/share:/usr/share"

struct reader;

/*
 * What may stand where. start() sees the attributes as name, value, ..., NULL; without it there
 * must be none. An element with text() must have text, any other must have none.
 */
struct element {
        const char *name;
        const char *parent;
        int (*start)(struct reader *rd, const char **attributes);
        int (*text)(struct reader *rd, const char *text);
};

/* one file being read */
struct reader {
        struct reader *parent;       /* the file that includes this one */
        struct busconfig *config;    /* what this file says; merged into the parent's at its end */
        struct busconfig_note *error; /* why reading failed: one for all files */
        const struct busconfig *last; /* the last good configuration, or NULL */
        const char *path;            /* config->files[0] */
        unsigned int flags;
        unsigned int depth;
        dev_t dev;
        ino_t ino;
        bool is_null; /* a link to /dev/null */

        XML_Parser xml;
        int r; /* why expat was stopped */
        const struct element *stack[NESTING_MAX];
        size_t n_stack;

        struct {
                char *ptr;
                size_t n, allocated;
        } text; /* of the innermost element */

        struct { /* the <policy> that is open */
                bool ignored;
                enum policy_context context;
                uint32_t id;
        } policy;
        struct { /* the <include> that is open */
                bool ignore_missing, if_selinux_enabled, selinux_root_relative;
        } include;
        size_t limit; /* the <limit> that is open */
};

static int include_file(struct reader *rd, const char *path, bool ignore_missing,
                        bool quarantine);

/* ---- saying what is wrong ---- */

static unsigned int line(const struct reader *rd)
{
        return rd->xml ? XML_GetCurrentLineNumber(rd->xml) : 0;
}

_printf_(2, 3) static int refuse(struct reader *rd, const char *format, ...)
{
        char text[BUSCONFIG_TEXT_MAX];
        va_list args;
        int r;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        r = busconfig_note_set(rd->error, rd->path, line(rd), text);
        return r ? error_fold(r) : BUSCONFIG_E_INVALID;
}

_printf_(2, 3) static int warn(struct reader *rd, const char *format, ...)
{
        char text[BUSCONFIG_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        return error_fold(busconfig_note_add(&rd->config->warnings, &rd->config->n_warnings,
                                             rd->path, line(rd), text));
}

/* ---- attributes ---- */

static int refuse_attribute(struct reader *rd, const char *element, const char *name)
{
        return refuse(rd, "<%s> has no attribute \"%s\"", element, name);
}

static int read_yes_no(struct reader *rd, bool *to, const char *name, const char *value)
{
        *to = strcmp(value, "yes") == 0;
        if (!*to && strcmp(value, "no") != 0)
                return refuse(rd, "%s=\"%s\" is neither yes nor no", name, value);
        return 0;
}

static int start_include(struct reader *rd, const char **at)
{
        int r = 0;

        memset(&rd->include, 0, sizeof(rd->include));
        for (; !r && *at; at += 2) {
                if (strcmp(at[0], "ignore_missing") == 0)
                        r = read_yes_no(rd, &rd->include.ignore_missing, at[0], at[1]);
                else if (strcmp(at[0], "if_selinux_enabled") == 0)
                        r = read_yes_no(rd, &rd->include.if_selinux_enabled, at[0], at[1]);
                else if (strcmp(at[0], "selinux_root_relative") == 0)
                        r = read_yes_no(rd, &rd->include.selinux_root_relative, at[0], at[1]);
                else
                        r = refuse_attribute(rd, "include", at[0]);
        }
        return r;
}

static int start_limit(struct reader *rd, const char **at)
{
        const char *name = NULL;

        for (; *at; at += 2) {
                if (strcmp(at[0], "name") != 0)
                        return refuse_attribute(rd, "limit", at[0]);
                name = at[1];
        }
        if (!name)
                return refuse(rd, "<limit> needs the attribute \"name\"");
        if (limit_find(&rd->limit, name))
                return refuse(rd, "there is no limit \"%s\"", name);
        return 0;
}

/* a policy for someone unknown is read, but its rules are left out */
static int policy_for(struct reader *rd, bool user, const char *name)
{
        int r = USERDB_E_UNKNOWN;

        rd->policy.context = user ? POLICY_USER : POLICY_GROUP;
        if (!(rd->flags & BUSCONFIG_ALONE))
                r = user ? userdb_user(&rd->policy.id, NULL, name)
                         : userdb_group(&rd->policy.id, name);
        if (r < 0)
                return error_fold(r);
        rd->policy.ignored = r > 0;
        return r ? warn(rd, "no %s \"%s\": the policy is left out", user ? "user" : "group", name)
                 : 0;
}

static int policy_of_context(struct reader *rd, const char *context)
{
        if (strcmp(context, "default") == 0)
                rd->policy.context = POLICY_DEFAULT;
        else if (strcmp(context, "mandatory") == 0)
                rd->policy.context = POLICY_MANDATORY;
        else
                return refuse(rd, "<policy context=\"%s\"> is neither default nor mandatory",
                              context);
        return 0;
}

static int policy_at_console(struct reader *rd, const char *value)
{
        rd->policy.context = POLICY_AT_CONSOLE;
        rd->policy.id = strcmp(value, "true") == 0;
        if (!rd->policy.id && strcmp(value, "false") != 0)
                return refuse(rd, "<policy at_console=\"%s\"> is neither true nor false", value);
        return 0;
}

static int start_policy(struct reader *rd, const char **at)
{
        memset(&rd->policy, 0, sizeof(rd->policy));
        for (size_t i = 0; at[i]; i += 2)
                if (strcmp(at[i], "context") != 0 && strcmp(at[i], "user") != 0 &&
                    strcmp(at[i], "group") != 0 && strcmp(at[i], "at_console") != 0)
                        return refuse_attribute(rd, "policy", at[i]);
        if (!at[0] || at[2])
                return refuse(rd, "<policy> needs exactly one of context, user, group and "
                                  "at_console");
        if (strcmp(at[0], "context") == 0)
                return policy_of_context(rd, at[1]);
        if (strcmp(at[0], "at_console") == 0)
                return policy_at_console(rd, at[1]);
        return policy_for(rd, strcmp(at[0], "user") == 0, at[1]);
}

static int start_rule(struct reader *rd, const char **at)
{
        const char *element = rd->stack[rd->n_stack - 1]->name;
        char text[BUSCONFIG_TEXT_MAX];
        struct policy_rule rule;
        int r;

        r = busconfig_rule(&rule, element, at, !(rd->flags & BUSCONFIG_ALONE), text);
        if (r == RULE_E_INVALID)
                return refuse(rd, "%s", text);
        if (r == RULE_E_DROPPED)
                return warn(rd, "%s", text);
        if (r)
                return error_fold(r);
        if (rd->policy.ignored)
                return 0;
        if (rule.kind == POLICY_CONNECT_USER || rule.kind == POLICY_CONNECT_GROUP) {
                if (rd->policy.context == POLICY_USER || rd->policy.context == POLICY_GROUP)
                        return refuse(rd, "a rule on who may connect cannot stand in the policy "
                                          "of one user or group");
        }
        rule.context = rd->policy.context;
        rule.context_id = rd->policy.id;
        rule.file = rd->path;
        rule.line = line(rd);
        return error_fold(policy_append(rd->config->policy, &rule));
}

static int start_associate(struct reader *rd, const char **at)
{
        const char *own = NULL, *context = NULL;

        for (; *at; at += 2) {
                if (strcmp(at[0], "own") == 0)
                        own = at[1];
                else if (strcmp(at[0], "context") == 0)
                        context = at[1];
                else
                        return refuse_attribute(rd, "associate", at[0]);
        }
        if (!own || !context)
                return refuse(rd, "<associate> needs the attributes \"own\" and \"context\"");
        return error_fold(busconfig_add_association(rd->config, own, context));
}

static int start_apparmor(struct reader *rd, const char **at)
{
        static const char *const modes[] = {
                [BUSCONFIG_APPARMOR_ENABLED] = "enabled",
                [BUSCONFIG_APPARMOR_DISABLED] = "disabled",
                [BUSCONFIG_APPARMOR_REQUIRED] = "required",
        };
        size_t i;

        rd->config->apparmor = BUSCONFIG_APPARMOR_ENABLED;
        for (; *at; at += 2) {
                if (strcmp(at[0], "mode") != 0)
                        return refuse_attribute(rd, "apparmor", at[0]);
                for (i = 1; i < ARRAY_SIZE(modes); ++i)
                        if (strcmp(modes[i], at[1]) == 0)
                                break;
                if (i == ARRAY_SIZE(modes))
                        return refuse(rd, "mode=\"%s\" is not one of enabled, disabled, required",
                                      at[1]);
                rd->config->apparmor = i;
        }
        return 0;
}

static int no_attributes(struct reader *rd, const char **at)
{
        return at[0] ? refuse_attribute(rd, rd->stack[rd->n_stack - 1]->name, at[0]) : 0;
}

static int start_fork(struct reader *rd, const char **at)
{
        rd->config->fork = true;
        return no_attributes(rd, at);
}

static int start_keep_umask(struct reader *rd, const char **at)
{
        rd->config->keep_umask = true;
        return no_attributes(rd, at);
}

static int start_syslog(struct reader *rd, const char **at)
{
        rd->config->syslog = true;
        return no_attributes(rd, at);
}

static int start_allow_anonymous(struct reader *rd, const char **at)
{
        rd->config->allow_anonymous = true;
        return no_attributes(rd, at);
}

/* <first><second>, as a service directory */
static int add_servicedir(struct reader *rd, const char *first, size_t n_first,
                          const char *second, unsigned int flags)
{
        char path[PATH_MAX];

        if ((size_t)snprintf(path, sizeof(path), "%.*s%s", (int)MIN(n_first, sizeof(path)), first,
                             second) >= sizeof(path))
                return warn(rd, "a service directory in the environment has too long a path");
        return error_fold(busconfig_add_servicedir(rd->config, path, flags));
}

static int add_session_data_dirs(struct reader *rd)
{
        const char *dirs = getenv("XDG_DATA_DIRS"), *next;
        int r = 0;

        if (!dirs || !*dirs)
                dirs = DEFAULT_DATA_DIRS;
        for (; !r && dirs; dirs = next) {
                next = strchrnul(dirs, ':');
                if (next > dirs)
                        r = add_servicedir(rd, dirs, next - dirs, "/dbus-1/services", 0);
                next = *next ? next + 1 : NULL;
        }
        return r;
}

static int start_session_servicedirs(struct reader *rd, const char **at)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
        int r;

        r = no_attributes(rd, at);
        if (!r && runtime && *runtime)
                r = add_servicedir(rd, runtime, strlen(runtime), "/dbus-1/services",
                                   SERVICE_DIR_STRICT | SERVICE_DIR_UNWATCHED);
        if (!r && data && *data)
                r = add_servicedir(rd, data, strlen(data), "/dbus-1/services", 0);
        else if (!r && home && *home)
                r = add_servicedir(rd, home, strlen(home), "/.local/share/dbus-1/services", 0);
        if (!r)
                r = add_session_data_dirs(rd);
        if (!r)
                r = add_servicedir(rd, DBUS_DATADIR, strlen(DBUS_DATADIR), "/dbus-1/services", 0);
        return r;
}

/* the environment has no say on the system bus */
static int start_system_servicedirs(struct reader *rd, const char **at)
{
        static const char *const roots[] = { "/etc", "/run", "/usr/local/share", "/usr/share",
                                             DBUS_DATADIR, "/lib" };
        size_t i;
        int r;

        r = no_attributes(rd, at);
        for (i = 0; !r && i < ARRAY_SIZE(roots); ++i)
                r = add_servicedir(rd, roots[i], strlen(roots[i]), "/dbus-1/system-services",
                                   SERVICE_DIR_REMARK);
        return r;
}

/* ---- text ---- */

static int set_string(char **to, const char *text)
{
        char *copy = strdup(text);

        if (!copy)
                return error_origin(-ENOMEM);
        free(*to);
        *to = copy;
        return 0;
}

static int text_type(struct reader *rd, const char *text)
{
        return set_string(&rd->config->type, text);
}

static int text_user(struct reader *rd, const char *text)
{
        return set_string(&rd->config->user, text);
}

static int text_pidfile(struct reader *rd, const char *text)
{
        return set_string(&rd->config->pidfile, text);
}

static int text_servicehelper(struct reader *rd, const char *text)
{
        return set_string(&rd->config->servicehelper, text);
}

static int text_listen(struct reader *rd, const char *text)
{
        return error_fold(strings_append(&rd->config->listen, &rd->config->n_listen, text));
}

static int text_auth(struct reader *rd, const char *text)
{
        if (strcmp(text, "EXTERNAL") != 0 && strcmp(text, "DBUS_COOKIE_SHA1") != 0 &&
            strcmp(text, "ANONYMOUS") != 0)
                return refuse(rd, "<auth>%s</auth> is not one of EXTERNAL, DBUS_COOKIE_SHA1, "
                                  "ANONYMOUS", text);
        return error_fold(strings_append(&rd->config->auth, &rd->config->n_auth, text));
}

/* a number in C's notation; what follows it is ignored, as dbus-daemon does */
static int text_limit(struct reader *rd, const char *text)
{
        const char *name = limit_describe(rd->limit)->name;
        char *end;
        long n;

        errno = 0;
        n = strtol(text, &end, 0);
        if (errno || end == text)
                return refuse(rd, "the limit %s cannot be \"%s\": that is not a number", name,
                              text);
        if (n < 0)
                return refuse(rd, "the limit %s cannot be negative", name);
        *limit_at(&rd->config->limits, rd->limit) = n;
        rd->config->limit_origin[rd->limit].file = rd->path;
        rd->config->limit_origin[rd->limit].line = line(rd);
        if (end[strspn(end, " \t\r\n")])
                return warn(rd, "the limit %s is %ld; \"%s\" behind it is ignored", name, n, end);
        return 0;
}

/* relative paths are relative to the file that names them; NULL: out of memory */
static char *resolve(const struct reader *rd, const char *path)
{
        const char *slash = strrchr(rd->path, '/');
        char *resolved;

        if (path[0] == '/' || !slash)
                return strdup(path);
        if (asprintf(&resolved, "%.*s/%s", (int)(slash - rd->path), rd->path, path) < 0)
                return NULL;
        return resolved;
}

static int text_servicedir(struct reader *rd, const char *text)
{
        _cleanup_(freep) char *path = resolve(rd, text);

        if (!path)
                return error_origin(-ENOMEM);
        return error_fold(busconfig_add_servicedir(rd->config, path, 0));
}

static int text_include(struct reader *rd, const char *text)
{
        bool lenient = rd->flags & BUSCONFIG_LENIENT;
        _cleanup_(freep) char *path = NULL;
        const char *root;

        if (rd->flags & BUSCONFIG_ALONE)
                return 0;
        if (rd->include.if_selinux_enabled && !selinux_paths_enabled())
                return 0;
        if (!rd->include.selinux_root_relative || text[0] == '/') {
                path = resolve(rd, text);
        } else {
                root = selinux_paths_root();
                if (!root)
                        return refuse(rd, "%s is relative to SELinux's policy, which is not known",
                                      text);
                if (asprintf(&path, "%s/%s", root, text) < 0)
                        path = NULL;
        }
        if (!path)
                return error_origin(-ENOMEM);
        return include_file(rd, path, rd->include.ignore_missing, lenient);
}

static int is_conf(const struct dirent *entry)
{
        size_t n = strlen(entry->d_name);

        return n >= 5 && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int include_entry(struct reader *rd, const char *dir, const char *name)
{
        _cleanup_(freep) char *path = NULL;

        if (asprintf(&path, "%s/%s", dir, name) < 0) {
                path = NULL;
                return error_origin(-ENOMEM);
        }
        return include_file(rd, path, false, true);
}

static int text_includedir(struct reader *rd, const char *text)
{
        struct dirent **entries = NULL;
        _cleanup_(freep) char *dir = NULL;
        int i, n, r;

        if (rd->flags & BUSCONFIG_ALONE)
                return 0;
        dir = resolve(rd, text);
        if (!dir)
                return error_origin(-ENOMEM);
        r = strings_append(&rd->config->dirs, &rd->config->n_dirs, dir);
        if (r)
                return error_fold(r);
        n = scandir(dir, &entries, is_conf, by_name);
        if (n < 0 && errno == ENOENT)
                return 0;
        if (n < 0 && errno == ENOMEM)
                return error_origin(-ENOMEM);
        if (n < 0 && (rd->flags & BUSCONFIG_LENIENT))
                return warn(rd, "the directory %s is left out: %m", dir);
        if (n < 0)
                return refuse(rd, "cannot read the directory %s: %m", dir);
        for (i = 0; i < n; ++i) {
                if (!r)
                        r = include_entry(rd, dir, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return r;
}

/* ---- elements ---- */

static const struct element elements[] = {
        { "busconfig", NULL, NULL, NULL },
        { "type", "busconfig", NULL, text_type },
        { "user", "busconfig", NULL, text_user },
        { "fork", "busconfig", start_fork, NULL },
        { "keep_umask", "busconfig", start_keep_umask, NULL },
        { "syslog", "busconfig", start_syslog, NULL },
        { "allow_anonymous", "busconfig", start_allow_anonymous, NULL },
        { "listen", "busconfig", NULL, text_listen },
        { "pidfile", "busconfig", NULL, text_pidfile },
        { "auth", "busconfig", NULL, text_auth },
        { "include", "busconfig", start_include, text_include },
        { "includedir", "busconfig", NULL, text_includedir },
        { "servicedir", "busconfig", NULL, text_servicedir },
        { "servicehelper", "busconfig", NULL, text_servicehelper },
        { "standard_session_servicedirs", "busconfig", start_session_servicedirs, NULL },
        { "standard_system_servicedirs", "busconfig", start_system_servicedirs, NULL },
        { "limit", "busconfig", start_limit, text_limit },
        { "policy", "busconfig", start_policy, NULL },
        { "allow", "policy", start_rule, NULL },
        { "deny", "policy", start_rule, NULL },
        { "selinux", "busconfig", NULL, NULL },
        { "associate", "selinux", start_associate, NULL },
        { "apparmor", "busconfig", start_apparmor, NULL },
};

static const struct element *find_element(const char *name, const struct element *parent)
{
        size_t i;

        for (i = 0; i < ARRAY_SIZE(elements); ++i) {
                if (strcmp(elements[i].name, name) != 0)
                        continue;
                if (parent ? elements[i].parent && strcmp(elements[i].parent, parent->name) == 0
                           : !elements[i].parent)
                        return &elements[i];
        }
        return NULL;
}

static int open_element(struct reader *rd, const char *name, const char **attributes)
{
        const struct element *parent = rd->n_stack ? rd->stack[rd->n_stack - 1] : NULL;
        const struct element *e = find_element(name, parent);

        if (!e && !parent)
                return refuse(rd, "the outermost element is <%s>, not <busconfig>", name);
        if (!e)
                return refuse(rd, "<%s> cannot stand inside <%s>", name, parent->name);
        rd->stack[rd->n_stack++] = e;
        rd->text.n = 0;
        return e->start ? e->start(rd, attributes) : no_attributes(rd, attributes);
}

static int close_element(struct reader *rd)
{
        const struct element *e = rd->stack[rd->n_stack - 1];
        int r = 0;

        if (e->text && !rd->text.n)
                r = refuse(rd, "<%s> is empty", e->name);
        else if (e->text)
                r = e->text(rd, rd->text.ptr);
        --rd->n_stack;
        return r;
}

static int add_text(struct reader *rd, const char *text, size_t n)
{
        const struct element *e = rd->stack[rd->n_stack - 1];
        size_t want = rd->text.n + n + 1;
        char *grown;
        size_t i;

        for (i = 0; !e->text && i < n; ++i)
                if (!strchr(" \t\r\n", text[i]))
                        return refuse(rd, "<%s> has no text inside", e->name);
        if (!e->text)
                return 0;
        if (want > rd->text.allocated) {
                grown = realloc(rd->text.ptr, want * 2);
                if (!grown)
                        return error_origin(-ENOMEM);
                rd->text.ptr = grown;
                rd->text.allocated = want * 2;
        }
        memcpy(rd->text.ptr + rd->text.n, text, n);
        rd->text.n += n;
        rd->text.ptr[rd->text.n] = '\0';
        return 0;
}

/* expat goes on for a while after it was stopped */
static void stop(struct reader *rd, int r)
{
        if (r) {
                rd->r = r;
                XML_StopParser(rd->xml, XML_FALSE);
        }
}

static void XMLCALL on_start(void *data, const char *name, const char **attributes)
{
        struct reader *rd = data;

        if (!rd->r)
                stop(rd, open_element(rd, name, attributes));
}

static void XMLCALL on_end(void *data, _unused_ const char *name)
{
        struct reader *rd = data;

        if (!rd->r)
                stop(rd, close_element(rd));
}

static void XMLCALL on_text(void *data, const char *text, int n)
{
        struct reader *rd = data;

        if (!rd->r && rd->n_stack)
                stop(rd, add_text(rd, text, n));
}

static void XMLCALL on_instruction(void *data, const char *target, const char *text)
{
        struct reader *rd = data;

        if (!rd->r && strcmp(target, LIMIT_INSTRUCTION) == 0)
                stop(rd, busconfig_limit(rd->config, rd->path, line(rd), text,
                                         !(rd->flags & BUSCONFIG_ALONE)));
}

static int parse(struct reader *rd, const char *data, size_t n)
{
        enum XML_Status status;
        int r;

        rd->xml = XML_ParserCreate("UTF-8");
        if (!rd->xml)
                return error_origin(-ENOMEM);
        XML_SetUserData(rd->xml, rd);
        XML_SetElementHandler(rd->xml, on_start, on_end);
        XML_SetCharacterDataHandler(rd->xml, on_text);
        XML_SetProcessingInstructionHandler(rd->xml, on_instruction);
        status = XML_Parse(rd->xml, data, n, 1);
        if (rd->r)
                r = rd->r;
        else if (status == XML_STATUS_OK)
                r = 0;
        else if (XML_GetErrorCode(rd->xml) == XML_ERROR_NO_MEMORY)
                r = error_origin(-ENOMEM);
        else
                r = refuse(rd, "%s", XML_ErrorString(XML_GetErrorCode(rd->xml)));
        XML_ParserFree(rd->xml);
        rd->xml = NULL;
        free(steal(&rd->text.ptr));
        return r;
}

/* ---- files ---- */

static bool is_dev_null(const struct stat *st)
{
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* 0, BUSCONFIG_E_* with a note, or an error */
static int load(struct reader *rd, char **datap, size_t *np)
{
        _cleanup_(freep) char *data = NULL;
        _cleanup_(closep) int fd = -1;
        struct stat st;
        int r;

        fd = open(rd->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0) {
                bool missing = errno == ENOENT;

                r = refuse(rd, "cannot be opened: %m");
                return r == BUSCONFIG_E_INVALID && missing ? BUSCONFIG_E_MISSING : r;
        }
        rd->dev = st.st_dev;
        rd->ino = st.st_ino;
        rd->is_null = is_dev_null(&st);
        if (!S_ISREG(st.st_mode) && !rd->is_null)
                return refuse(rd, "is not a regular file");
        if (st.st_size > FILE_BYTES_MAX)
                return refuse(rd, "is larger than %d bytes", FILE_BYTES_MAX);
        data = malloc(st.st_size + 1);
        if (!data)
                return error_origin(-ENOMEM);
        r = file_read(fd, data, st.st_size, np);
        if (r)
                return refuse(rd, "cannot be read: %s", strerror(-r));
        *datap = steal(&data);
        return 0;
}

static int reader_init(struct reader *rd, struct reader *parent, const char *path)
{
        int r;

        *rd = (struct reader){ .parent = parent };
        if (parent) {
                rd->error = parent->error;
                rd->flags = parent->flags;
                rd->last = parent->last;
                rd->depth = parent->depth + 1;
        }
        r = busconfig_new(&rd->config);
        if (!r)
                r = strings_append(&rd->config->files, &rd->config->n_files, path);
        if (r)
                return error_fold(r);
        rd->path = rd->config->files[0];
        return 0;
}

static void reader_deinit(struct reader *rd)
{
        busconfig_free(rd->config);
}

/* is the file that was just opened one of those that led to it? */
static bool is_circular(const struct reader *rd)
{
        const struct reader *up;

        for (up = rd->parent; up; up = up->parent)
                if (up->dev == rd->dev && up->ino == rd->ino)
                        return true;
        return false;
}

/* what holds in the place of a file that is broken, or empty, though a login needs it; or NULL */
static const char *stand_in(const struct reader *rd)
{
        return rd->flags & BUSCONFIG_LENIENT && !rd->is_null ? busconfig_stand_in(rd->path) : NULL;
}

static int warn_of_stand_in(struct reader *rd)
{
        struct busconfig *config = rd->config;

        return error_fold(busconfig_note_add(&config->warnings, &config->n_warnings, rd->path, 0,
                          "what is built in holds in its place, so that people can log in"));
}

/* an empty file, or a link to /dev/null, is how one hides a file of the distribution */
static int read_file(struct reader *rd, bool may_be_empty)
{
        _cleanup_(freep) char *data = NULL;
        const char *text;
        size_t n = 0;
        int r;

        if (rd->depth > INCLUDE_DEPTH_MAX)
                return refuse(rd, "is included more than %d levels deep", INCLUDE_DEPTH_MAX);
        r = load(rd, &data, &n);
        if (r)
                return r;
        if (is_circular(rd))
                return refuse(rd, "includes itself");
        text = data;
        if (!n && may_be_empty && !rd->is_null) {
                r = warn(rd, "the file is empty");
                if (!r && stand_in(rd)) {
                        r = warn_of_stand_in(rd);
                        text = stand_in(rd);
                        n = strlen(text);
                }
        }
        if (!r && (n || !may_be_empty))
                r = parse(rd, text, n);
        if (!r && rd->parent && (rd->flags & BUSCONFIG_KEEP))
                r = busconfig_add_text(rd->config, rd->path, text, n);
        return r;
}

/* the text of a file when it was good */
static const struct busconfig_text *last_text(const struct reader *rd)
{
        const struct reader *up;
        size_t i;

        for (up = rd->parent; up; up = up->parent)
                if (strcmp(up->path, rd->path) == 0)
                        return NULL;
        for (i = 0; rd->last && i < rd->last->n_texts; ++i)
                if (strcmp(rd->last->texts[i].path, rd->path) == 0)
                        return &rd->last->texts[i];
        return NULL;
}

/* put the including file into a note on an included one */
static int add_includer(const struct reader *rd)
{
        char text[2 * BUSCONFIG_TEXT_MAX];

        snprintf(text, sizeof(text), "%s (included by %s:%u)", rd->error->text, rd->path,
                 line(rd));
        return error_fold(busconfig_note_set(rd->error, rd->error->file, rd->error->line, text));
}

/* why a file is left out: it may be that one which it includes is bad */
static int add_skipped(struct reader *rd, const struct reader *child)
{
        struct busconfig *config = rd->config;
        const struct busconfig_note *error = rd->error;
        bool itself = strcmp(error->file, child->path) == 0;
        char text[4 * BUSCONFIG_TEXT_MAX];

        snprintf(text, sizeof(text), "%s%s%s", itself ? "" : error->file, itself ? "" : " ",
                 error->text);
        return error_fold(busconfig_note_add(&config->skipped, &config->n_skipped, child->path,
                                             itself ? error->line : 0, text));
}

/* the file has no effect; what remains is that it was tried, and why it was left out */
static int leave_out(struct reader *rd, struct reader *child, bool silent)
{
        int r;

        r = busconfig_keep_traces(rd->config, child->config);
        if (!r && !silent)
                r = add_skipped(rd, child);
        return error_fold(r);
}

/* a file is bad, but nobody could log in without it */
static int include_stand_in(struct reader *rd, struct reader *bad)
{
        _cleanup_(reader_deinit) struct reader child = { 0 };
        int r;

        r = add_skipped(rd, bad);
        if (!r)
                r = reader_init(&child, rd, bad->path);
        if (!r)
                r = warn_of_stand_in(&child);
        if (!r)
                r = parse(&child, stand_in(bad), strlen(stand_in(bad)));
        return r ? error_fold(r) : error_fold(busconfig_merge(rd->config, child.config));
}

/* a file is bad now, but was good: it stays as it was. BUSCONFIG_E_* if it was not. */
static int include_last(struct reader *rd, const char *path)
{
        _cleanup_(reader_deinit) struct reader child = { 0 };
        const struct busconfig_text *text;
        struct busconfig *config = rd->config;
        char why[2 * BUSCONFIG_TEXT_MAX];
        int r;

        r = reader_init(&child, rd, path);
        if (r)
                return error_fold(r);
        text = last_text(&child);
        if (!text)
                return BUSCONFIG_E_INVALID;
        snprintf(why, sizeof(why), "%s: what it said before still holds", rd->error->text);
        r = busconfig_note_add(&config->warnings, &config->n_warnings, rd->error->file,
                               rd->error->line, why);
        if (!r && text->n)
                r = parse(&child, text->data, text->n);
        if (!r)
                r = busconfig_add_text(child.config, path, text->data, text->n);
        return r ? r : error_fold(busconfig_merge(config, child.config));
}

/**
 * include_file() - read another file as a part of this one
 * @ignore_missing: it need not exist. As for dbus-daemon, nor need the files it includes: if one
 *                  is missing, the whole file is left out
 * @quarantine:     if it is bad, it is left out
 */
static int include_file(struct reader *rd, const char *path, bool ignore_missing, bool quarantine)
{
        _cleanup_(reader_deinit) struct reader child = { 0 };
        struct stat st;
        bool itself;
        int r;

        r = reader_init(&child, rd, path);
        if (r)
                return error_fold(r);
        r = read_file(&child, quarantine);
        if (r < 0)
                return error_fold(r);
        if (!r)
                return error_fold(busconfig_merge(rd->config, child.config));
        itself = r == BUSCONFIG_E_MISSING && strcmp(rd->error->file, path) == 0 &&
                 lstat(path, &st) < 0; /* else a link that leads nowhere */
        if (r == BUSCONFIG_E_MISSING && ignore_missing)
                return leave_out(rd, &child, itself);
        if (quarantine && r == BUSCONFIG_E_INVALID && rd->last) {
                r = include_last(rd, path);
                if (r <= 0)
                        return r;
        }
        if (quarantine && stand_in(&child))
                return error_fold(include_stand_in(rd, &child));
        if (quarantine)
                return leave_out(rd, &child, false);
        return add_includer(rd) < 0 ? error_origin(-ENOMEM) : r;
}

/* what is asked of the configuration as a whole */
static int finish(struct reader *rd, struct busconfig **configp)
{
        int r;

        if (!rd->config->n_listen)
                return refuse(rd, "there is no <listen> element that gives an address");
        r = policy_seal(rd->config->policy);
        if (r)
                return error_fold(r);
        busconfig_note_deinit(rd->error); /* of a file that was left out */
        *configp = steal(&rd->config);
        return 0;
}

/**
 * busconfig_read() - read a configuration file and all that it includes
 * @path:       the root file
 * @flags:      BUSCONFIG_*
 * @error:      BUSCONFIG_NOTE_NULL, or to be overwritten; on BUSCONFIG_E_* it says what is wrong
 *
 * Return:      0, BUSCONFIG_E_*, or an error.
 */
int busconfig_read(struct busconfig **configp, const char *path, unsigned int flags,
                   struct busconfig_note *error)
{
        return error_fold(busconfig_read_again(configp, NULL, path, flags, error));
}

/**
 * busconfig_read_again() - the same, when there is a configuration already
 * @last:       read with BUSCONFIG_KEEP: a file that would be left out, but was good then, is taken
 *              as it was; NULL: none
 */
int busconfig_read_again(struct busconfig **configp, const struct busconfig *last,
                         const char *path, unsigned int flags, struct busconfig_note *error)
{
        _cleanup_(reader_deinit) struct reader rd = { 0 };
        int r;

        r = reader_init(&rd, NULL, path);
        if (r)
                return error_fold(r);
        rd.last = last;
        rd.flags = flags;
        rd.error = error;
        r = read_file(&rd, false);
        return r ? r : finish(&rd, configp);
}

/**
 * busconfig_parse() - the same, with the root file in memory
 * @path:       what it is called in messages; includes are relative to it
 */
int busconfig_parse(struct busconfig **configp, const char *path, const char *data, size_t n,
                    unsigned int flags, struct busconfig_note *error)
{
        _cleanup_(reader_deinit) struct reader rd = { 0 };
        int r;

        if (n > FILE_BYTES_MAX)
                return error_origin(-EFBIG);
        r = reader_init(&rd, NULL, path);
        if (r)
                return error_fold(r);
        rd.flags = flags;
        rd.error = error;
        r = parse(&rd, data, n);
        return r ? r : finish(&rd, configp);
}
