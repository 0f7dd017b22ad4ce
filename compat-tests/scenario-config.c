/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Configuration: files that are right, files that are wrong, and what a reload makes of them.
 */

#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat-tests/client.h"
#include "compat-tests/scenario.h"

#define LISTEN   "<listen>unix:path=${dir}/bus</listen>"
#define POLICY   "<policy context=\"default\"><allow send_destination=\"*\"/>" \
                 "<allow receive_sender=\"*\"/><allow own=\"*\"/></policy>"
#define FILE_OF(text) "<busconfig>" LISTEN POLICY text "</busconfig>"
#define DENY     "<policy context=\"default\"><deny own=\"com.example.A\"/></policy>"
#define PART(text) "<busconfig>" text "</busconfig>"
#define FILES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* rows that start, and rows that do not */
#define GOOD(name, text) { name, TALK("a: GetId -> s *"), .options.config = FILE_OF(text) }
#define BAD(name, text) { name, .run = fails, \
                          .options = { .config = FILE_OF(text), .no_address = true } }
#define BAD_FILE(name, text) { name, .run = fails, \
                               .options = { .config = text, .no_address = true } }
#define GOOD_RULE(name, rule) GOOD(name, "<policy context=\"default\">" rule "</policy>")
#define BAD_RULE(name, rule)  BAD(name, "<policy context=\"default\">" rule "</policy>")

/* an includedir with one bad file and one good one, which is read */
#define SKIPS(name, text) { name, TALK("a: RequestName su com.example.A 0 -> error AccessDenied", \
                                       "a: RequestName su com.example.B 0 -> u 1"), \
        .options = { .config = FILE_OF("<includedir>${dir}/part.d</includedir>"), \
                     .files = FILES("part.d/a-bad.conf", text, "part.d/b-good.conf", PART(DENY)) } }

/* the daemon ends with 1 and says which file is to blame */
static void fails(struct bus *bus)
{
        int status = bus_wait(bus);
        char *log;

        if (status == -1)
                kill(bus->pid, SIGKILL);
        ck_assert_int_ne(status, -1);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
                bus_fail(bus, "ended with %#x", status);
        log = bus_log(bus);
        ck_assert_str_ne(log, "");
        free(log);
}

/* the log names the bad file and the line in it */
static void names_file_and_line(struct bus *bus)
{
        char *log;

        fails(bus);
        log = bus_log(bus);
        ck_assert_ptr_nonnull(strstr(log, "frobnicate"));
        if (differs("mistake-is-located")) {
                ck_assert_ptr_nonnull(strstr(log, "bus.conf"));
                ck_assert_ptr_nonnull(strstr(log, "3"));
        }
        free(log);
}

static const struct scenario scenarios[] = {
        /* the file as a whole */
        GOOD("a listener and a policy are enough", ""),
        BAD_FILE("an empty file", ""),
        BAD_FILE("a file that is not XML", "listen unix:path=${dir}/bus"),
        BAD_FILE("a file that ends too early", "<busconfig>" LISTEN POLICY),
        BAD_FILE("another root element", "<config>" LISTEN POLICY "</config>"),
        BAD_FILE("no listener", "<busconfig>" POLICY "</busconfig>"),
        { "a mistake is told with file and line", .run = names_file_and_line,
          .options = { .config = "<busconfig>\n" LISTEN "\n<frobnicate/>\n</busconfig>\n",
                       .no_address = true } },
        GOOD("comments and blanks", "<!-- <listen>nonsense</listen> -->  \n\n"),
        BAD("text where none belongs", "nonsense"),
        BAD("an unknown element", "<frobnicate/>"),
        BAD("an element within another", "<type><user>root</user></type>"),
        BAD("an unknown attribute", "<type colour=\"red\">session</type>"),
        BAD("an attribute of another element", "<policy name=\"x\"/>"),

        /* elements */
        GOOD("any type", "<type>whatever</type>"),
        BAD("an unknown user", "<user>no-such-user</user>"),
        GOOD("the empty elements", "<keep_umask/><allow_anonymous/><syslog/>"),
        BAD("an unknown mechanism", "<auth>MAGIC</auth>"),
        GOOD("two mechanisms", "<auth>EXTERNAL</auth><auth>DBUS_COOKIE_SHA1</auth>"),
        GOOD("a service directory that is not there", "<servicedir>/nonexistent</servicedir>"),
        GOOD("the standard service directories", "<standard_session_servicedirs/>"),
        GOOD("a helper that is not there", "<servicehelper>/nonexistent</servicehelper>"),
        GOOD("apparmor if there is any", "<apparmor mode=\"enabled\"/>"),
        BAD("an unknown apparmor mode", "<apparmor mode=\"perhaps\"/>"),
        GOOD("selinux associations", "<selinux><associate own=\"com.example.A\" "
             "context=\"foo_t\"/></selinux>"),
        BAD("an association without a context", "<selinux><associate own=\"a.b\"/></selinux>"),

        /* limits */
        GOOD("a limit", "<limit name=\"max_match_rules_per_connection\">5</limit>"),
        GOOD("an instruction for another bus is passed over",
             "<?lambus-limit name='max_names_per_connection' value='9' user='root'?>"),
        GOOD("every limit",
             "<limit name=\"max_incoming_bytes\">1000000</limit>"
             "<limit name=\"max_incoming_unix_fds\">10</limit>"
             "<limit name=\"max_outgoing_bytes\">1000000</limit>"
             "<limit name=\"max_outgoing_unix_fds\">10</limit>"
             "<limit name=\"max_message_size\">1000000</limit>"
             "<limit name=\"max_message_unix_fds\">10</limit>"
             "<limit name=\"service_start_timeout\">10000</limit>"
             "<limit name=\"auth_timeout\">10000</limit>"
             "<limit name=\"pending_fd_timeout\">10000</limit>"
             "<limit name=\"max_completed_connections\">10</limit>"
             "<limit name=\"max_incomplete_connections\">10</limit>"
             "<limit name=\"max_connections_per_user\">10</limit>"
             "<limit name=\"max_pending_service_starts\">10</limit>"
             "<limit name=\"max_names_per_connection\">10</limit>"
             "<limit name=\"max_match_rules_per_connection\">10</limit>"
             "<limit name=\"max_replies_per_connection\">10</limit>"
             "<limit name=\"reply_timeout\">10000</limit>"),
        BAD("an unknown limit", "<limit name=\"max_fun\">5</limit>"),
        BAD("a limit without a name", "<limit>5</limit>"),
        BAD("a limit without a number", "<limit name=\"auth_timeout\">soon</limit>"),
        BAD("a negative limit", "<limit name=\"auth_timeout\">-5</limit>"),
        BAD("an empty limit", "<limit name=\"auth_timeout\"></limit>"),

        /* policies */
        BAD("a policy for nobody", "<policy><allow own=\"*\"/></policy>"),
        BAD("a policy for two", "<policy context=\"default\" user=\"root\"/>"),
        BAD("an unknown context", "<policy context=\"sometimes\"/>"),
        GOOD("policies for users and groups", "<policy user=\"root\"><allow own=\"*\"/></policy>"
             "<policy group=\"root\"><allow own=\"*\"/></policy>"
             "<policy at_console=\"true\"><allow own=\"*\"/></policy>"
             "<policy at_console=\"false\"><allow own=\"*\"/></policy>"
             "<policy context=\"mandatory\"><allow own=\"*\"/></policy>"),
        BAD("an unknown value of at_console", "<policy at_console=\"maybe\"/>"),
        BAD_RULE("a rule without an attribute", "<allow/>"),
        BAD_RULE("an unknown attribute of a rule", "<allow send_colour=\"red\"/>"),
        BAD_RULE("own and a message", "<allow own=\"*\" send_interface=\"a.b\"/>"),
        BAD_RULE("own and own_prefix", "<allow own=\"a.b\" own_prefix=\"a.b\"/>"),
        BAD_RULE("user and a message", "<allow user=\"*\" send_interface=\"a.b\"/>"),
        BAD_RULE("user and group", "<allow user=\"*\" group=\"*\"/>"),
        BAD_RULE("sending and receiving", "<allow send_interface=\"a.b\" receive_interface=\"a.b\"/>"),
        BAD_RULE("a member without interface or path", "<allow send_member=\"x\"/>"),
        GOOD_RULE("a member with a path", "<allow send_member=\"x\" send_path=\"/x\"/>"),
        BAD_RULE("an error with a member", "<allow send_error=\"a.b\" send_interface=\"a.b\" "
                 "send_member=\"x\"/>"),
        BAD_RULE("an unknown type of message", "<allow send_type=\"pigeon\"/>"),
        BAD_RULE("an unknown boolean", "<allow send_requested_reply=\"maybe\"/>"),
        BAD_RULE("a broadcast with a destination",
                 "<allow send_broadcast=\"true\" send_destination=\"a.b\"/>"),
        BAD_RULE("a destination and a prefix of one",
                 "<allow send_destination=\"a.b\" send_destination_prefix=\"a.b\"/>"),
        BAD_RULE("a number of descriptors that is none",
                 "<allow send_interface=\"a.b\" max_fds=\"many\"/>"),
        BAD("a rule for a user in the policy of one",
            "<policy user=\"root\"><allow user=\"*\"/></policy>"),
        GOOD_RULE("every attribute",
                  "<allow send_interface=\"a.b\" send_member=\"x\" send_path=\"/x\" "
                  "send_type=\"method_call\" send_destination=\"a.b\" send_requested_reply=\"true\" "
                  "eavesdrop=\"true\" min_fds=\"0\" max_fds=\"5\" log=\"true\"/>"
                  "<deny receive_interface=\"a.b\" receive_member=\"x\" receive_path=\"/x\" "
                  "receive_type=\"signal\" receive_sender=\"a.b\" receive_requested_reply=\"true\"/>"
                  "<allow send_error=\"a.b\"/><allow receive_error=\"a.b\"/>"
                  "<allow send_broadcast=\"true\" send_interface=\"a.b\"/><allow eavesdrop=\"true\"/>"
                  "<allow own_prefix=\"a\"/>"),
        GOOD_RULE("rules for a user and a group that do not exist",
                  "<allow user=\"no-such-user\"/><allow group=\"no-such-group\"/>"),

        /* files within files */
        { "an included file is read in its place",
          TALK("a: RequestName su com.example.A 0 -> error AccessDenied"),
          .options = { .config = FILE_OF("<include>part.conf</include>"),
                       .files = FILES("part.conf", PART(DENY)) } },
        { "what stands behind an include comes after it",
          TALK("a: RequestName su com.example.A 0 -> u 1"),
          .options = { .config = "<busconfig>" LISTEN "<include>part.conf</include>" POLICY
                       "</busconfig>", .files = FILES("part.conf", PART(DENY)) } },
        BAD("an included file that is missing", "<include>/nonexistent.conf</include>"),
        GOOD("an included file that may be missing",
             "<include ignore_missing=\"yes\">/nonexistent.conf</include>"),
        BAD("an unknown value of ignore_missing",
            "<include ignore_missing=\"perhaps\">/nonexistent.conf</include>"),
        GOOD("an include for SELinux only",
             "<include if_selinux_enabled=\"yes\" selinux_root_relative=\"yes\">x</include>"),
        { "an included file that is wrong", .run = fails,
          .options = { .config = FILE_OF("<include>part.conf</include>"), .no_address = true,
                       .files = FILES("part.conf", PART("<frobnicate/>")) } },
        { "a file that includes itself", .run = fails,
          .options = { .config = FILE_OF("<include>bus.conf</include>"), .no_address = true } },
        { "two files that include each other", .run = fails,
          .options = { .config = FILE_OF("<include>part.conf</include>"), .no_address = true,
                       .files = FILES("part.conf", PART("<include>bus.conf</include>")) } },
        GOOD("a directory that is missing", "<includedir>/nonexistent</includedir>"),
        { "a directory relative to the file, of which .conf files are read",
          TALK("a: RequestName su com.example.A 0 -> error AccessDenied",
               "a: RequestName su com.example.B 0 -> u 1"),
          .options = { .config = FILE_OF("<includedir>part.d</includedir>"),
                       .files = FILES("part.d/x.conf", PART(DENY), "part.d/x.conf.bak", "nonsense",
                       "part.d/README", "nonsense") } },
        SKIPS("in a directory: a file with an unknown element is skipped", PART("<frobnicate/>")),
        SKIPS("in a directory: a file that is not XML is skipped", "nonsense"),
        SKIPS("in a directory: an empty file is skipped", ""),
        SKIPS("in a directory: a file with a bad rule is skipped whole",
              PART("<policy context=\"default\"><deny own=\"com.example.B\"/>"
                   "<allow send_colour=\"red\"/></policy>")),
        SKIPS("in a directory: a file with a bad limit is skipped",
              PART("<limit name=\"auth_timeout\">soon</limit>")),
        { "a skipped file is named in the log", TALK("a: GetId -> s *", "@ log bad.conf"),
          .options = { .config = FILE_OF("<includedir>${dir}/part.d</includedir>"),
                       .files = FILES("part.d/bad.conf", PART("<frobnicate/>")) } },

        /* reload */
        { "a bad file at a reload is an error, which the log has too, and the old rules stay",
          TALK("@ write bus.conf <busconfig>nonsense</busconfig>",
               "a: ReloadConfig -> error Failed", "@ log Unable to reload configuration",
               "a: RequestName su com.example.A 0 -> u 1"),
          .options.config = FILE_OF("") },
        { "a file that has gone at a reload is FileNotFound, and the old rules stay",
          TALK("@ remove bus.conf", "a: ReloadConfig -> error FileNotFound",
               "@ log Unable to reload configuration", "a: RequestName su com.example.A 0 -> u 1"),
          .options.config = FILE_OF("") },
        { "SIGHUP reloads",
          TALK("a: AddMatch s member='ActivatableServicesChanged' ->",
               "@ write bus.conf " FILE_OF(DENY), "@ signal 1", "a? signal ActivatableServicesChanged",
               "a: RequestName su com.example.A 0 -> error AccessDenied"),
          .options.config = FILE_OF("") },
        { "a bad file at SIGHUP leaves the old rules",
          TALK("@ write bus.conf nonsense", "a: GetId -> s *", "@ signal 1", "@ sleep 50",
               "a: RequestName su com.example.A 0 -> u 1"), .options.config = FILE_OF("") },
        { "a file added to a directory is seen by itself",
          TALK("a: AddMatch s member='ActivatableServicesChanged' ->",
               "@ write part.d/x.conf " PART(DENY), "a? signal ActivatableServicesChanged",
               "a: RequestName su com.example.A 0 -> error AccessDenied"),
          .options = { .config = FILE_OF("<includedir>${dir}/part.d</includedir>"),
                       .files = FILES("part.d/README", "") } },
        { "a file removed from a directory is forgotten by itself",
          TALK("a: AddMatch s member='ActivatableServicesChanged' ->",
               "@ remove part.d/x.conf", "a? signal ActivatableServicesChanged",
               "a: RequestName su com.example.A 0 -> u 1"),
          .options = { .config = FILE_OF("<includedir>${dir}/part.d</includedir>"),
                       .files = FILES("part.d/x.conf", PART(DENY)) } },
        { "a service file added to a directory is seen by itself",
          TALK("a: AddMatch s member='ActivatableServicesChanged' ->",
               "@ write services/x.service [D-BUS Service]\nName=com.example.S\nExec=/bin/true\n",
               "a? signal ActivatableServicesChanged",
               "a: ListActivatableNames -> as [ org.freedesktop.DBus com.example.S ]") },
        { "reloading again and again changes nothing",
          TALK("a: RequestName su com.example.A 0 -> u 1", "a: AddMatch s member='Sig' ->",
               "a: ReloadConfig ->", "a: ReloadConfig ->", "a: ReloadConfig ->",
               "a: GetNameOwner s com.example.A -> s $a", "b: signal a.b.Sig",
               "a? signal Sig") },
        { "a listener added at a reload is not listened on",
          TALK("@ write bus.conf " PART("<listen>unix:path=${dir}/other</listen>" LISTEN POLICY),
               "a: ReloadConfig ->", "b: GetId -> s *"), .options.config = FILE_OF("") },
};

int main(void)
{
        return scenarios_run("config", scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
