/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bus-core/util/cleanup.h"
#include "bus-core/util/error.h"
#include "shim/kdbus/item.h"
#include "shim/kdbus/limits.h"
#include "shim/kdbus/kmeta.h"

#define OVERFLOW_ID 65534
#define STATUS_KINDS                                                                               \
        (KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS | KDBUS_ATTACH_CAPS)

/* --- tasks --- */

/**
 * task_open() - pin a process
 * @pid:        as the kernel vouched for it
 * @pidfd:      refers to that process; consumed, also on failure
 *
 * Return: 0; -ESRCH if the process has gone.
 */
int task_open(struct task *t, pid_t pid, int pidfd)
{
        char path[32];

        t->pid = pid;
        t->pidfd = pidfd;
        snprintf(path, sizeof(path), "/proc/%d", pid);
        t->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        /* alive now: so the number was not reused when the directory was opened */
        if (t->proc_fd < 0 || !task_alive(t)) {
                task_close(t);
                return error_origin(-ESRCH);
        }
        return 0;
}

void task_close(struct task *t)
{
        closep(&t->pidfd);
        closep(&t->proc_fd);
        t->pidfd = t->proc_fd = -1;
}

bool task_alive(const struct task *t)
{
        struct pollfd p = {.fd = t->pidfd, .events = POLLIN};

        return t->pidfd >= 0 && poll(&p, 1, 0) == 0;
}

/* --- reading /proc --- */

/* a small file below a task's directory, with a NUL added; NULL if it cannot be read */
static char *read_file(int dir, const char *name, size_t max, size_t *np)
{
        _cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *buf = NULL;
        size_t n = 0, room = 1024;
        ssize_t r;

        if (fd < 0)
                return NULL;
        for (;;) {
                char *more = realloc(buf, room + 1);

                if (!more)
                        return NULL;
                buf = more;
                r = read(fd, buf + n, room - n);
                if (r < 0)
                        return NULL;
                n += r;
                if (r == 0 || n == max)
                        break;
                if (n == room)
                        room = MIN(room * 2, max);
        }
        buf[n] = '\0';
        if (np)
                *np = n;
        return steal(&buf);
}

static char *read_line(int dir, const char *name)
{
        char *s = read_file(dir, name, KD_META_STRING_MAX, NULL);

        if (s)
                s[strcspn(s, "\n")] = '\0';
        return s;
}

/* what follows "key:" on its line */
static const char *status_field(const char *status, const char *key)
{
        size_t n = strlen(key);

        for (const char *p = status; p; p = strchr(p, '\n')) {
                if (*p == '\n')
                        p++;
                if (strncmp(p, key, n) == 0 && p[n] == ':')
                        return p + n + 1;
        }
        return "";
}

static size_t parse_numbers(const char *s, int base, uint64_t *out, size_t max)
{
        size_t n = 0;

        for (;;) {
                char *end;

                while (*s == ' ' || *s == '\t')
                        s++;
                if (n == max || !isxdigit((unsigned char)*s))
                        return n;
                out[n++] = strtoull(s, &end, base);
                s = end;
        }
}

static void parse_chain(const char *status, struct pid_chain *c)
{
        uint64_t v[KMETA_NS_DEPTH];

        c->n = parse_numbers(status_field(status, "NSpid"), 10, v, KMETA_NS_DEPTH);
        for (unsigned i = 0; i < c->n; i++)
                c->pid[i] = v[i];
}

static void parse_groups(struct kmeta *m, const char *status)
{
        const char *s = status_field(status, "Groups");
        size_t max = 1;
        uint64_t *v;

        for (const char *p = s; *p && *p != '\n'; p++)
                max += *p == ' ';
        max = MIN(max, (size_t)KD_GROUPS_MAX);
        v = calloc(max, sizeof(*v));
        m->groups = calloc(max, sizeof(*m->groups));
        if (v && m->groups)
                m->n_groups = parse_numbers(s, 10, v, max);
        for (size_t i = 0; i < m->n_groups; i++)
                m->groups[i] = v[i];
        free(v);
}

static void parse_cap(const char *status, const char *key, uint64_t *cap)
{
        parse_numbers(status_field(status, key), 16, cap, 1);
}

static void parse_status(struct kmeta *m, const char *status)
{
        uint64_t v[4] = {};

        parse_numbers(status_field(status, "Uid"), 10, v, 4);
        m->uid = v[0];
        m->euid = v[1];
        m->suid = v[2];
        m->fsuid = v[3];
        parse_numbers(status_field(status, "Gid"), 10, v, 4);
        m->gid = v[0];
        m->egid = v[1];
        m->sgid = v[2];
        m->fsgid = v[3];
        parse_groups(m, status);
        parse_cap(status, "CapInh", &m->cap_inheritable);
        parse_cap(status, "CapPrm", &m->cap_permitted);
        parse_cap(status, "CapEff", &m->cap_effective);
        parse_cap(status, "CapBnd", &m->cap_bounding);
        parse_chain(status, &m->tid);
}

/* the task directory of the thread that calls itself @inner_tid in its own pid namespace */
static int open_thread(int proc_fd, const struct pid_chain *process, pid_t inner_tid)
{
        _cleanup_(closep) int tasks = -1;
        char name[32];
        struct dirent *e;
        int found = -1;
        DIR *dir;

        if (process->n <= 1) {
                snprintf(name, sizeof(name), "task/%d", inner_tid);
                return openat(proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        }
        tasks = openat(proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = tasks < 0 ? NULL : fdopendir(tasks);
        if (!dir)
                return -1;
        steal_fd(&tasks);
        while (found < 0 && (e = readdir(dir))) {
                _cleanup_(closep) int fd = -1;
                _cleanup_(freep) char *status = NULL;
                struct pid_chain c = {};

                if (!isdigit((unsigned char)e->d_name[0]))
                        continue;
                fd = openat(dirfd(dir), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                status = fd < 0 ? NULL : read_file(fd, "status", 65536, NULL);
                if (status)
                        parse_chain(status, &c);
                if (c.n && c.pid[c.n - 1] == inner_tid)
                        found = steal_fd(&fd);
        }
        closedir(dir);
        return found;
}

static ino_t ns_inode(int dir, const char *name)
{
        struct stat st;

        return fstatat(dir, name, &st, 0) < 0 ? 0 : st.st_ino;
}

static void collect_status(struct kmeta *m, const struct task *t, pid_t inner_tid, int *thread_fd)
{
        _cleanup_(freep) char *process = NULL, *thread = NULL, *parent = NULL;
        _cleanup_(closep) int parent_fd = -1;
        uint64_t ppid = 0;
        char path[32];

        process = read_file(t->proc_fd, "status", 1 << 20, NULL);
        if (!process)
                return;
        parse_chain(process, &m->pid);
        *thread_fd = inner_tid > 0 ? open_thread(t->proc_fd, &m->pid, inner_tid) : -1;
        if (*thread_fd >= 0)
                thread = read_file(*thread_fd, "status", 1 << 20, NULL);
        parse_status(m, thread ?: process);

        parse_numbers(status_field(process, "PPid"), 10, &ppid, 1);
        snprintf(path, sizeof(path), "/proc/%d", (int)ppid);
        if (ppid)
                parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent_fd >= 0)
                parent = read_file(parent_fd, "status", 1 << 20, NULL);
        if (parent)
                parse_chain(parent, &m->ppid);

        m->user_ns = ns_inode(t->proc_fd, "ns/user");
        m->pid_ns = ns_inode(t->proc_fd, "ns/pid");
        m->status = true;
        m->have |= STATUS_KINDS;
}

static char *collect_exe(struct kmeta *m, const struct task *t)
{
        char buf[KD_META_STRING_MAX];
        struct stat st;
        ssize_t n;

        n = readlinkat(t->proc_fd, "exe", buf, sizeof(buf) - 1);
        if (n < 0 || fstatat(t->proc_fd, "root", &st, 0) < 0)
                return NULL;
        buf[n] = '\0';
        m->root_dev = st.st_dev;
        m->root_ino = st.st_ino;
        return strdup(buf);
}

static char *collect_cgroup(const struct task *t)
{
        char *s = read_file(t->proc_fd, "cgroup", 65536, NULL);
        char *path;

        if (!s)
                return NULL;
        /* id:controllers:path, the first hierarchy */
        path = strchr(s, ':');
        path = path ? strchr(path + 1, ':') : NULL;
        if (!path) {
                free(s);
                return NULL;
        }
        path++;
        path[strcspn(path, "\n")] = '\0';
        memmove(s, path, strlen(path) + 1);
        return s;
}

static char *collect_cmdline(struct kmeta *m, const struct task *t)
{
        char *s = read_file(t->proc_fd, "cmdline", KD_META_STRING_MAX, &m->n_cmdline);

        if (s && m->n_cmdline && s[m->n_cmdline - 1] != '\0')
                m->n_cmdline++; /* cut short: the NUL that read_file() added ends it */
        if (s && !m->n_cmdline) {
                free(s);
                s = NULL;
        }
        return s;
}

static bool collect_audit(struct kmeta *m, const struct task *t)
{
        _cleanup_(freep) char *session = read_line(t->proc_fd, "sessionid");
        _cleanup_(freep) char *login = read_line(t->proc_fd, "loginuid");

        if (!session || !login)
                return false;
        m->sessionid = strtoul(session, NULL, 10);
        m->loginuid = strtoul(login, NULL, 10);
        return true;
}

/* keep a string if there is one */
static void keep(struct kmeta *m, uint64_t flag, char **field, char *value)
{
        if (value && !*value) {
                free(value);
                value = NULL;
        }
        *field = value;
        if (value)
                m->have |= flag;
}

/**
 * kmeta_collect() - read what is wanted of a process and was not read yet
 * @inner_tid:  the calling thread in its own numbering, or 0; checked against /proc
 * @mask:       attach flags
 */
void kmeta_collect(struct kmeta *m, const struct task *t, pid_t inner_tid, uint64_t mask)
{
        _cleanup_(closep) int thread_fd = -1;

        mask &= KMETA_PROC & ~m->tried;
        if (!mask || m->fake || t->proc_fd < 0)
                return;
        m->tried |= mask;
        if ((mask & (STATUS_KINDS | KDBUS_ATTACH_TID_COMM)) && !m->status)
                collect_status(m, t, inner_tid, &thread_fd);
        if (mask & KDBUS_ATTACH_TID_COMM)
                keep(m, KDBUS_ATTACH_TID_COMM, &m->tid_comm,
                     read_line(thread_fd >= 0 ? thread_fd : t->proc_fd, "comm"));
        if (mask & KDBUS_ATTACH_PID_COMM)
                keep(m, KDBUS_ATTACH_PID_COMM, &m->pid_comm, read_line(t->proc_fd, "comm"));
        if (mask & KDBUS_ATTACH_EXE)
                keep(m, KDBUS_ATTACH_EXE, &m->exe, collect_exe(m, t));
        if (mask & KDBUS_ATTACH_CMDLINE) {
                m->cmdline = collect_cmdline(m, t);
                m->have |= m->cmdline ? KDBUS_ATTACH_CMDLINE : 0;
        }
        if (mask & KDBUS_ATTACH_CGROUP)
                keep(m, KDBUS_ATTACH_CGROUP, &m->cgroup, collect_cgroup(t));
        if (mask & KDBUS_ATTACH_SECLABEL)
                keep(m, KDBUS_ATTACH_SECLABEL, &m->seclabel, read_line(t->proc_fd, "attr/current"));
        if ((mask & KDBUS_ATTACH_AUDIT) && collect_audit(m, t))
                m->have |= KDBUS_ATTACH_AUDIT;
}

/**
 * kmeta_copy_creds() - copy what was read of ids, groups, pids and capabilities
 */
int kmeta_copy_creds(struct kmeta *to, const struct kmeta *from)
{
        gid_t *groups = NULL;

        if (from->n_groups) {
                groups = malloc(from->n_groups * sizeof(*groups));
                if (!groups)
                        return error_origin(-ENOMEM);
                memcpy(groups, from->groups, from->n_groups * sizeof(*groups));
        }
        *to = *from;
        to->groups = groups;
        to->tid_comm = to->pid_comm = to->exe = to->cmdline = to->cgroup = to->seclabel = NULL;
        to->have = to->tried = from->have & STATUS_KINDS;
        return 0;
}

void kmeta_deinit(struct kmeta *m)
{
        free(m->groups);
        free(m->tid_comm);
        free(m->pid_comm);
        free(m->exe);
        free(m->cmdline);
        free(m->cgroup);
        free(m->seclabel);
        *m = (struct kmeta){};
}

/**
 * caller_meta() - metadata of whoever issues a command, with @mask collected
 */
const struct kmeta *caller_meta(struct caller *caller, uint64_t mask)
{
        kmeta_collect(&caller->meta, caller->task, caller->tid, mask);
        return &caller->meta;
}

const struct kmeta *caller_creds(struct caller *caller)
{
        return caller_meta(caller, KDBUS_ATTACH_CREDS);
}

bool kmeta_in_group(const struct kmeta *m, gid_t gid)
{
        if (m->egid == gid)
                return true;
        for (size_t i = 0; i < m->n_groups; i++)
                if (m->groups[i] == gid)
                        return true;
        return false;
}

/* --- the receiver's point of view --- */

static struct id_range *read_map(int dir, const char *name, size_t *np)
{
        _cleanup_(freep) char *s = read_file(dir, name, 65536, NULL);
        struct id_range *map;
        size_t lines = 0;

        *np = 0;
        if (!s)
                return NULL;
        for (char *p = s; *p; p++)
                lines += *p == '\n';
        map = calloc(lines + 1, sizeof(*map));
        for (char *p = s; map && p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
                uint64_t v[3];

                if (*np <= lines && parse_numbers(p, 10, v, 3) == 3)
                        map[(*np)++] = (struct id_range){v[0], v[1], v[2]};
        }
        return map;
}

/* the user namespaces from the receiver's own upwards, as far as the daemon may look */
static void view_user_chain(struct kmeta_view *v, int proc_fd)
{
        int fd = openat(proc_fd, "ns/user", O_RDONLY | O_CLOEXEC);

        while (fd >= 0 && v->n_user_ns < KMETA_NS_DEPTH) {
                struct stat st;
                uid_t owner = -1;
                int up;

                if (fstat(fd, &st) < 0)
                        break;
                if (ioctl(fd, NS_GET_OWNER_UID, &owner) < 0)
                        owner = -1;
                v->user_ns[v->n_user_ns] = st.st_ino;
                v->user_ns_owner[v->n_user_ns++] = owner;
                up = ioctl(fd, NS_GET_PARENT);
                close(fd);
                fd = up;
        }
        closep(&fd);
}

/**
 * kmeta_view_init() - learn where a receiver stands
 * @m:          its metadata, with the status kinds collected
 */
void kmeta_view_init(struct kmeta_view *v, const struct task *t, const struct kmeta *m)
{
        struct stat st;

        *v = (struct kmeta_view){.same_user_ns = true};
        v->pid_ns = m->pid_ns;
        v->pid_depth = m->pid.n ? m->pid.n - 1 : 0;
        if (t->proc_fd < 0)
                return;
        if (fstatat(t->proc_fd, "root", &st, 0) == 0) {
                v->root_dev = st.st_dev;
                v->root_ino = st.st_ino;
        }
        view_user_chain(v, t->proc_fd);
        if (fstatat(AT_FDCWD, "/proc/self/ns/user", &st, 0) == 0 && m->user_ns &&
            st.st_ino != m->user_ns) {
                v->same_user_ns = false;
                v->uids = read_map(t->proc_fd, "uid_map", &v->n_uids);
                v->gids = read_map(t->proc_fd, "gid_map", &v->n_gids);
        }
}

void kmeta_view_deinit(struct kmeta_view *v)
{
        free(v->uids);
        free(v->gids);
        *v = (struct kmeta_view){};
}

static bool map_in(const struct id_range *map, size_t n, uint64_t id, uint64_t *out)
{
        for (size_t i = 0; i < n; i++)
                if (id >= map[i].outside && id - map[i].outside < map[i].count) {
                        *out = map[i].inside + (id - map[i].outside);
                        return true;
                }
        return false;
}

static bool map_out(const struct id_range *map, size_t n, uint64_t id, uint64_t *out)
{
        for (size_t i = 0; i < n; i++)
                if (id >= map[i].inside && id - map[i].inside < map[i].count) {
                        *out = map[i].outside + (id - map[i].inside);
                        return true;
                }
        return false;
}

/**
 * kmeta_view_uid() - an id of ours as the receiver reads it; unmapped ones are the overflow id
 */
uint64_t kmeta_view_uid(const struct kmeta_view *v, uint64_t uid)
{
        uint64_t out = OVERFLOW_ID;

        if (v->same_user_ns || uid == (uint64_t)-1)
                return uid;
        map_in(v->uids, v->n_uids, uid, &out);
        return out;
}

uint64_t kmeta_view_gid(const struct kmeta_view *v, uint64_t gid)
{
        uint64_t out = OVERFLOW_ID;

        if (v->same_user_ns || gid == (uint64_t)-1)
                return gid;
        map_in(v->gids, v->n_gids, gid, &out);
        return out;
}

static bool unview(const struct kmeta_view *v, const struct id_range *map, size_t n, uint64_t inner,
                   uint32_t *idp)
{
        uint64_t out = inner;

        if (!v->same_user_ns && !map_out(map, n, inner, &out))
                return false;
        if (out >= UINT32_MAX)
                return false;
        *idp = out;
        return true;
}

/**
 * kmeta_unview_uid() - an id as the caller writes it, in our numbering
 */
bool kmeta_unview_uid(const struct kmeta_view *v, uint64_t inner, uid_t *uidp)
{
        return unview(v, v->uids, v->n_uids, inner, uidp);
}

bool kmeta_unview_gid(const struct kmeta_view *v, uint64_t inner, gid_t *gidp)
{
        return unview(v, v->gids, v->n_gids, inner, gidp);
}

/* a pid in the receiver's namespace; 0 if it cannot be seen there */
static uint64_t view_pid(const struct kmeta_view *v, const struct kmeta *m, const struct pid_chain *c)
{
        if (v->pid_depth >= c->n)
                return 0;
        /* at the daemon's own depth everyone is in the same namespace; deeper, only if the
         * sender's is the receiver's (or is nested in it, which needs the same ancestors) */
        if (v->pid_depth > 0 && v->pid_ns != m->pid_ns)
                return 0;
        return c->pid[v->pid_depth];
}

/**
 * kmeta_pid_visible() - whether a receiver could look the process up in its own /proc
 */
bool kmeta_pid_visible(const struct kmeta *m, const struct kmeta_view *v)
{
        return view_pid(v, m, &m->pid) != 0;
}

static struct kdbus_creds view_creds(const struct kmeta *m, const struct kmeta_view *v)
{
        if (m->fake)
                return m->fake_creds;
        return (struct kdbus_creds){
                .uid = kmeta_view_uid(v, m->uid),
                .euid = kmeta_view_uid(v, m->euid),
                .suid = kmeta_view_uid(v, m->suid),
                .fsuid = kmeta_view_uid(v, m->fsuid),
                .gid = kmeta_view_gid(v, m->gid),
                .egid = kmeta_view_gid(v, m->egid),
                .sgid = kmeta_view_gid(v, m->sgid),
                .fsgid = kmeta_view_gid(v, m->fsgid),
        };
}

static struct kdbus_pids view_pids(const struct kmeta *m, const struct kmeta_view *v)
{
        if (m->fake)
                return m->fake_pids;
        return (struct kdbus_pids){
                .pid = view_pid(v, m, &m->pid),
                .tid = view_pid(v, m, &m->tid),
                .ppid = view_pid(v, m, &m->ppid),
        };
}

static unsigned last_cap(void)
{
        static unsigned cached;
        unsigned v = cached;
        FILE *f;

        if (v)
                return v;
        f = fopen("/proc/sys/kernel/cap_last_cap", "re");
        if (!f || fscanf(f, "%u", &v) != 1 || v > 63)
                v = 40;
        if (f)
                fclose(f);
        cached = v;
        return v;
}

/* a sender's capabilities count where the receiver's namespace descends from the sender's */
static bool caps_shown(const struct kmeta *m, const struct kmeta_view *v, bool *all)
{
        *all = false;
        if (v->same_user_ns && !v->n_user_ns)
                return true;
        for (unsigned i = 0; i < v->n_user_ns; i++) {
                if (v->user_ns[i] == m->user_ns)
                        return true;
                if (v->user_ns_owner[i] == m->euid) {
                        *all = true;
                        return true;
                }
        }
        return false;
}

#define CAPS_PAYLOAD (sizeof(uint32_t) * (1 + 4 * 2))

static void view_caps(uint32_t *out, const struct kmeta *m, const struct kmeta_view *v)
{
        uint64_t mask = last_cap() >= 63 ? ~0ULL : (1ULL << (last_cap() + 1)) - 1;
        uint64_t sets[4] = {m->cap_inheritable, m->cap_permitted, m->cap_effective,
                            m->cap_bounding};
        bool all, shown = caps_shown(m, v, &all);

        out[0] = last_cap();
        for (unsigned i = 0; i < 4; i++) {
                uint64_t set = !shown ? 0 : !all ? sets[i] : i ? ~0ULL : 0;

                set &= mask;
                out[1 + 2 * i] = set;
                out[2 + 2 * i] = set >> 32;
        }
}

static bool exe_shown(const struct kmeta *m, const struct kmeta_view *v)
{
        return m->exe && m->root_dev == v->root_dev && m->root_ino == v->root_ino;
}

static size_t string_size(const char *s)
{
        return s ? ITEM_ALIGN(ITEM_SIZE(strlen(s) + 1)) : 0;
}

/**
 * kmeta_size() - bytes that kmeta_write() will need, padding included
 */
size_t kmeta_size(const struct kmeta *m, const struct kmeta_view *v, uint64_t mask)
{
        size_t n = 0;

        mask &= m->have;
        if (mask & KDBUS_ATTACH_CREDS)
                n += ITEM_SIZE(sizeof(struct kdbus_creds));
        if (mask & KDBUS_ATTACH_PIDS)
                n += ITEM_SIZE(sizeof(struct kdbus_pids));
        if ((mask & KDBUS_ATTACH_AUXGROUPS) && m->n_groups)
                n += ITEM_SIZE(m->n_groups * sizeof(uint64_t));
        if (mask & KDBUS_ATTACH_TID_COMM)
                n += string_size(m->tid_comm);
        if (mask & KDBUS_ATTACH_PID_COMM)
                n += string_size(m->pid_comm);
        if ((mask & KDBUS_ATTACH_EXE) && exe_shown(m, v))
                n += string_size(m->exe);
        if (mask & KDBUS_ATTACH_CMDLINE)
                n += ITEM_ALIGN(ITEM_SIZE(m->n_cmdline));
        if (mask & KDBUS_ATTACH_CGROUP)
                n += string_size(m->cgroup);
        if (mask & KDBUS_ATTACH_CAPS)
                n += ITEM_ALIGN(ITEM_SIZE(CAPS_PAYLOAD));
        if (mask & KDBUS_ATTACH_SECLABEL)
                n += string_size(m->seclabel);
        if (mask & KDBUS_ATTACH_AUDIT)
                n += ITEM_SIZE(sizeof(struct kdbus_audit));
        return n;
}

static void *put_string(void *at, uint64_t type, const char *s)
{
        return s ? item_put(at, type, s, strlen(s) + 1) : at;
}

static void *put_groups(void *at, const struct kmeta *m, const struct kmeta_view *v)
{
        struct kdbus_item *item = at;

        at = item_put(at, KDBUS_ITEM_AUXGROUPS, NULL, m->n_groups * sizeof(uint64_t));
        for (size_t i = 0; i < m->n_groups; i++)
                item->data64[i] = kmeta_view_gid(v, m->groups[i]);
        return at;
}

static void *put_audit(void *at, const struct kmeta *m, const struct kmeta_view *v)
{
        struct kdbus_audit audit = {.sessionid = m->sessionid, .loginuid = m->loginuid};

        if (m->loginuid != UINT32_MAX)
                audit.loginuid = kmeta_view_uid(v, m->loginuid);
        return item_put(at, KDBUS_ITEM_AUDIT, &audit, sizeof(audit));
}

/**
 * kmeta_write() - render metadata as items, in the order of the ABI
 *
 * Return: where the next item goes.
 */
void *kmeta_write(void *at, const struct kmeta *m, const struct kmeta_view *v, uint64_t mask)
{
        struct kdbus_creds creds;
        struct kdbus_pids pids;
        uint32_t caps[CAPS_PAYLOAD / sizeof(uint32_t)];

        mask &= m->have;
        if (mask & KDBUS_ATTACH_CREDS) {
                creds = view_creds(m, v);
                at = item_put(at, KDBUS_ITEM_CREDS, &creds, sizeof(creds));
        }
        if (mask & KDBUS_ATTACH_PIDS) {
                pids = view_pids(m, v);
                at = item_put(at, KDBUS_ITEM_PIDS, &pids, sizeof(pids));
        }
        if ((mask & KDBUS_ATTACH_AUXGROUPS) && m->n_groups)
                at = put_groups(at, m, v);
        if (mask & KDBUS_ATTACH_TID_COMM)
                at = put_string(at, KDBUS_ITEM_TID_COMM, m->tid_comm);
        if (mask & KDBUS_ATTACH_PID_COMM)
                at = put_string(at, KDBUS_ITEM_PID_COMM, m->pid_comm);
        if ((mask & KDBUS_ATTACH_EXE) && exe_shown(m, v))
                at = put_string(at, KDBUS_ITEM_EXE, m->exe);
        if (mask & KDBUS_ATTACH_CMDLINE)
                at = item_put(at, KDBUS_ITEM_CMDLINE, m->cmdline, m->n_cmdline);
        if (mask & KDBUS_ATTACH_CGROUP)
                at = put_string(at, KDBUS_ITEM_CGROUP, m->cgroup);
        if (mask & KDBUS_ATTACH_CAPS) {
                view_caps(caps, m, v);
                at = item_put(at, KDBUS_ITEM_CAPS, caps, sizeof(caps));
        }
        if (mask & KDBUS_ATTACH_SECLABEL)
                at = put_string(at, KDBUS_ITEM_SECLABEL, m->seclabel);
        if (mask & KDBUS_ATTACH_AUDIT)
                at = put_audit(at, m, v);
        return at;
}
