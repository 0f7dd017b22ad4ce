/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Busconfig: what is accepted was asked of dbus-daemon 1.14.10, which got every text of the tables
 * as its --config-file and either printed an address or refused to start.
 */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-core/util/test-fault.h"
#include "bus-core/util/test-run.h"
#include "shim/bus/service-file.h"
#include "shim/daemon/busconfig.h"

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define LISTEN   "<listen>unix:tmpdir=/tmp</listen>"
#define BUS(x)   "<busconfig>" LISTEN x "</busconfig>"
#define PART(x)  "<busconfig>" x "</busconfig>"

static char dir[64]; /* of this test */
static struct busconfig *config;
static struct busconfig_note note;

static void setup(void)
{
        strcpy(dir, "/tmp/test-busconfig-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        ck_assert_int_eq(chdir(dir), 0);
}

static void teardown(void)
{
        char command[100];

        config = busconfig_free(config);
        busconfig_note_deinit(&note);
        ck_assert_int_eq(chdir("/"), 0);
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
}

static void put(const char *name, const char *text)
{
        FILE *f;

        if (strchr(name, '/')) {
                char parent[100];

                snprintf(parent, sizeof(parent), "%.*s", (int)(strchr(name, '/') - name), name);
                mkdir(parent, 0700);
        }
        f = fopen(name, "we");
        ck_assert_ptr_nonnull(f);
        fputs(text, f);
        fclose(f);
}

static int read_it(unsigned int flags)
{
        char path[100];

        config = busconfig_free(config);
        snprintf(path, sizeof(path), "%s/root.conf", dir);
        return busconfig_read(&config, path, flags, &note);
}

static int parse(const char *text)
{
        config = busconfig_free(config);
        return busconfig_parse(&config, "/root.conf", text, strlen(text), 0, &note);
}

/* the name of a file without the directory of the test */
static const char *base(const char *path)
{
        ck_assert_int_eq(strncmp(path, dir, strlen(dir)), 0);
        return path + strlen(dir) + 1;
}

/* ---- what is accepted ---- */

static const char *const accepted[] = {
        BUS(""),
        "<?xml version=\"1.0\"?>" BUS(""),
        "<!DOCTYPE busconfig SYSTEM \"http://example.org/x.dtd\">" BUS(""),
        "<!DOCTYPE busconfig [<!ENTITY x \"session\">]>" BUS("<type>&x;</type>"),
        BUS("") "<!-- c -->\n",
        BUS("<?pi x?>"),
        BUS("<user> root</user>"),
        BUS("<user>nosuch</user>"),
        BUS("<user>&#114;oot</user>"),
        BUS("<user><![CDATA[root]]></user>"),
        BUS("<type> session </type>"),
        BUS("<fork> </fork><fork/>"),
        BUS("<keep_umask/><syslog/><allow_anonymous/>"),
        BUS("<auth>EXTERNAL</auth><auth>EXTERNAL</auth>"),
        BUS("<limit name=\"max_message_size\">5</limit>"),
        BUS("<limit name=\"max_message_size\"> 5</limit>"),
        BUS("<limit name=\"max_message_size\">5abc</limit>"),
        BUS("<limit name=\"max_message_size\">0x10</limit>"),
        BUS("<limit name=\"max_message_size\">+5</limit>"),
        BUS("<limit name=\"max_message_size\">1<!-- -->2</limit>"),
        BUS("<limit name=\"max_message_size\">99999999999999</limit>"),
        BUS("<limit name=\"reply_timeout\">0</limit>"),
        BUS("<limit name=\"max_containers\">5</limit>"),
        BUS("<limit name=\"max_containers_per_user\">5</limit>"),
        BUS("<limit name=\"max_connections_per_container\">5</limit>"),
        BUS("<limit name=\"max_container_metadata_bytes\">5</limit>"),
        BUS("<servicedir>x</servicedir><servicehelper>/bin/x</servicehelper>"),
        BUS("<includedir>nosuch</includedir>"),
        BUS("<include ignore_missing=\"yes\">nosuch</include>"),
        BUS("<include if_selinux_enabled=\"yes\">nosuch</include>"),
        BUS("<include if_selinux_enabled=\"yes\" selinux_root_relative=\"yes\">no</include>"),
        BUS("<standard_session_servicedirs/><standard_session_servicedirs/>"),
        BUS("<standard_system_servicedirs/>"),
        BUS("<policy context=\"default\"/><policy context=\"mandatory\"/>"),
        BUS("<policy user=\"nosuch\"><allow own=\"*\"/></policy>"),
        BUS("<policy user=\"nosuch\"><allow user=\"x\"/></policy>"),
        BUS("<policy user=\"root\"><allow user=\"nosuch\"/></policy>"),
        BUS("<policy user=\"*\"/><policy user=\"\"/><policy user=\"0\"/><policy user=\"-1\"/>"),
        BUS("<policy user=\"4294967295\"/><policy user=\"99999999999\"/>"),
        BUS("<policy group=\"nosuch\"/><policy group=\"0\"/>"),
        BUS("<policy at_console=\"true\"/><policy at_console=\"false\"/>"),
        BUS("<policy context=\"default\"><allow own=\"*\"> </allow></policy>"),
        BUS("<selinux/>"),
        BUS("<selinux><associate own=\"a.b\" context=\"c\"/></selinux>"),
        BUS("<selinux><associate own=\"zzz\" context=\"\"/></selinux>"),
        BUS("<apparmor/>"),
        BUS("<apparmor mode=\"enabled\"/>"),
        BUS("<apparmor mode=\"disabled\"> </apparmor>"),
        BUS("<apparmor mode=\"required\"/>"),
};

START_TEST(what_dbus_daemon_accepts_is_accepted)
{
        ck_assert_msg(parse(accepted[_i]) == 0, "%s: %s", accepted[_i], note.text);
        ck_assert_ptr_null(note.text);
}
END_TEST

/* with the line of the complaint; 0 where the whole is wrong */
static const struct {
        const char *text;
        unsigned int line;
} refused[] = {
        { "", 1 },
        { " ", 1 },
        { "<busconfig>", 1 },
        { "<foo/>", 1 },
        { "\n<?xml version=\"1.0\"?>" BUS(""), 2 },
        { "<busconfig a=\"b\">" LISTEN "</busconfig>", 1 },
        { BUS("") "junk", 1 },
        { PART(""), 0 },
        { BUS("text"), 1 },
        { BUS("\n\n<foo/>"), 3 },
        { BUS("<busconfig/>"), 1 },
        { BUS("<a:b/>"), 1 },
        { BUS("<user></user>"), 1 },
        { BUS("<user/>"), 1 },
        { BUS("<user>a<fork/>b</user>"), 1 },
        { BUS("<type/>"), 1 },
        { BUS("<type>&x;</type>"), 1 },
        { "<!DOCTYPE busconfig [<!ENTITY x SYSTEM \"/etc/hostname\">]>" BUS("<type>&x;</type>"), 1 },
        { BUS("<fork>x</fork>"), 1 },
        { BUS("<fork a=\"b\"/>"), 1 },
        { BUS("<listen/>"), 1 },
        { BUS("<auth/>"), 1 },
        { BUS("<auth> EXTERNAL </auth>"), 1 },
        { BUS("<auth>FOO</auth>"), 1 },
        { BUS("<limit name=\"max_message_size\">-1</limit>"), 1 },
        { BUS("<limit name=\"reply_timeout\">-1</limit>"), 1 },
        { BUS("<limit name=\"max_message_size\">abc</limit>"), 1 },
        { BUS("<limit name=\"max_message_size\">99999999999999999999999</limit>"), 1 },
        { BUS("<limit name=\"max_message_size\"/>"), 1 },
        { BUS("<limit>5</limit>"), 1 },
        { BUS("<limit name=\"foo\">5</limit>"), 1 },
        { BUS("<limit name=\"max_message_size\" foo=\"x\">5</limit>"), 1 },
        { BUS("<servicedir/>"), 1 },
        { BUS("<servicehelper/>"), 1 },
        { BUS("<pidfile/>"), 1 },
        { BUS("<include/>"), 1 },
        { BUS("<includedir/>"), 1 },
        { BUS("<include>nosuch<fork/></include>"), 1 },
        { BUS("<include ignore_missing=\"true\">nosuch</include>"), 1 },
        { BUS("<include if_selinux_enabled=\"maybe\">nosuch</include>"), 1 },
        { BUS("<include selinux_root_relative=\"x\">nosuch</include>"), 1 },
        { BUS("<include foo=\"x\">nosuch</include>"), 1 },
        { BUS("<standard_session_servicedirs>x</standard_session_servicedirs>"), 1 },
        { BUS("<policy/>"), 1 },
        { BUS("<policy context=\"x\"/>"), 1 },
        { BUS("<policy at_console=\"yes\"/>"), 1 },
        { BUS("<policy context=\"default\" user=\"root\"/>"), 1 },
        { BUS("<policy user=\"root\" group=\"root\"/>"), 1 },
        { BUS("<policy context=\"default\" foo=\"x\"/>"), 1 },
        { BUS("<policy context=\"default\">x</policy>"), 1 },
        { BUS("<policy context=\"default\"><policy context=\"default\"/></policy>"), 1 },
        { BUS("<policy context=\"default\"><allow own=\"*\">x</allow></policy>"), 1 },
        { BUS("<policy context=\"default\"><allow own=\"*\"><deny own=\"x\"/></allow></policy>"), 1 },
        { BUS("<policy context=\"default\"><allow own=\"a\" own=\"b\"/></policy>"), 1 },
        { BUS("<policy user=\"nosuch\"><bogus/></policy>"), 1 },
        { BUS("<policy user=\"nosuch\"><allow/></policy>"), 1 },
        { BUS("<policy user=\"root\"><allow user=\"root\"/></policy>"), 1 },
        { BUS("<policy group=\"root\"><deny group=\"root\"/></policy>"), 1 },
        { BUS("<allow own=\"*\"/>"), 1 },
        { BUS("<selinux a=\"b\"/>"), 1 },
        { BUS("<selinux>x</selinux>"), 1 },
        { BUS("<selinux><associate own=\"a.b\"/></selinux>"), 1 },
        { BUS("<selinux><associate own=\"a.b\" context=\"c\" d=\"e\"/></selinux>"), 1 },
        { BUS("<associate own=\"a.b\" context=\"c\"/>"), 1 },
        { BUS("<apparmor mode=\"x\"/>"), 1 },
        { BUS("<apparmor foo=\"x\"/>"), 1 },
        { BUS("<apparmor mode=\"disabled\">x</apparmor>"), 1 },
};

START_TEST(what_dbus_daemon_refuses_is_refused_with_its_line)
{
        ck_assert_msg(parse(refused[_i].text) == BUSCONFIG_E_INVALID, "%s", refused[_i].text);
        ck_assert_str_eq(note.file, "/root.conf");
        ck_assert_msg(note.line == refused[_i].line, "%s: line %u", refused[_i].text, note.line);
        ck_assert_uint_gt(strlen(note.text), 5);
        ck_assert_ptr_null(config);
}
END_TEST

/* ---- the attributes of rules ---- */

static const char *const rules_accepted[] = {
        "send_interface=\"a.b\"", "send_interface=\"*\"", "send_interface=\"not valid\"",
        "send_error=\"a.e\"", "send_error=\"*\"", "send_path=\"bad\"", "send_type=\"*\"",
        "send_type=\"method_call\"", "send_destination=\"a.d\"", "send_destination_prefix=\"*\"",
        "send_destination_prefix=\"\"", "send_broadcast=\"false\"", "send_requested_reply=\"true\"",
        "send_interface=\"*\" send_member=\"M\"", "send_path=\"*\" send_member=\"M\"",
        "send_destination=\"*\" send_broadcast=\"true\"",
        "send_destination=\"x\" send_broadcast=\"false\"",
        "send_destination_prefix=\"x\" send_broadcast=\"true\"",
        "send_broadcast=\"true\" send_type=\"method_call\"",
        "send_type=\"signal\" max_fds=\"33554432\"", "send_type=\"signal\" max_fds=\"0x5\"",
        "send_type=\"signal\" min_fds=\" 5x\"", "send_type=\"signal\" min_fds=\"5\" max_fds=\"2\"",
        "send_destination=\"a.b\" log=\"x\"", "receive_interface=\"a.b\"", "receive_error=\"a.e\"",
        "receive_path=\"/\" receive_member=\"M\"", "receive_sender=\":1.1\"",
        "receive_requested_reply=\"false\"", "eavesdrop=\"true\"", "eavesdrop=\"false\"",
        "eavesdrop=\"true\" min_fds=\"1\"", "own=\"\"", "own=\"not valid\"", "own_prefix=\"*\"",
        "own=\"a.b\" log=\"true\"", "user=\"*\" log=\"x\"", "user=\"nosuch\"", "group=\"*\"",
};

START_TEST(rules_that_dbus_daemon_accepts_are_accepted)
{
        char text[400];

        snprintf(text, sizeof(text), BUS("<policy context=\"default\"><%s %s/></policy>"),
                 _i & 1 ? "deny" : "allow", rules_accepted[_i / 2]);
        ck_assert_msg(parse(text) == 0, "%s: %s", text, note.text);
}
END_TEST

static const char *const rules_refused[] = {
        "", "bogus=\"x\"", "log=\"true\"", "min_fds=\"1\"", "max_fds=\"2\"",
        "min_fds=\"1\" max_fds=\"2\"", "send_member=\"M\"", "send_member=\"*\"",
        "receive_member=\"M\"", "send_member=\"M\" send_type=\"signal\"", "send_type=\"bogus\"",
        "send_type=\"METHOD_CALL\"", "send_type=\"\"", "send_type=\"invalid\"",
        "send_broadcast=\"yes\"", "send_requested_reply=\"x\"", "receive_requested_reply=\"x\"",
        "receive_type=\"bogus\"", "eavesdrop=\"x\"", "send_interface=\"i\" send_error=\"e\"",
        "send_interface=\"*\" send_error=\"*\"", "send_path=\"/\" send_member=\"M\" send_error=\"e\"",
        "receive_path=\"/\" receive_member=\"M\" receive_error=\"e\"",
        "send_interface=\"i\" receive_interface=\"i\"", "send_type=\"*\" receive_sender=\"s\"",
        "send_destination=\"*\" send_destination_prefix=\"x\"",
        "send_destination=\"a.d\" send_broadcast=\"true\"", "own=\"a\" own_prefix=\"a\"",
        "own=\"a\" user=\"root\"", "user=\"*\" group=\"*\"", "own=\"a\" min_fds=\"1\"",
        "own=\"a\" eavesdrop=\"true\"", "user=\"root\" send_type=\"signal\"",
        "send_type=\"signal\" max_fds=\"-1\"", "send_type=\"signal\" max_fds=\"33554433\"",
        "send_type=\"signal\" min_fds=\"x\"", "send_type=\"signal\" min_fds=\"\"",
        "send_type=\"signal\" max_fds=\"99999999999999999999\"",
};

START_TEST(rules_that_dbus_daemon_refuses_are_refused)
{
        char text[400];

        snprintf(text, sizeof(text), BUS("<policy context=\"default\"><%s %s/></policy>"),
                 _i & 1 ? "deny" : "allow", rules_refused[_i / 2]);
        ck_assert_msg(parse(text) == BUSCONFIG_E_INVALID, "%s", text);
}
END_TEST

START_TEST(a_rule_says_what_its_attributes_say)
{
        static const struct {
                const char *rule, *description;
        } table[] = {
                { "<deny own='*'/>",
                  "<deny own=\"*\"/> in <policy context=\"default\"> (/root.conf:2)" },
                { "<allow eavesdrop='true'/>",
                  "<allow receive_type=\"*\" eavesdrop=\"true\"/> in <policy context=\"default\"> "
                  "(/root.conf:2)" },
                { "<deny send_destination='a.b' send_interface='i' send_member='M' log='true'/>",
                  "<deny send_destination=\"a.b\" send_interface=\"i\" send_member=\"M\" "
                  "log=\"true\"/> in <policy context=\"default\"> (/root.conf:2)" },
                { "<allow send_type='error' send_requested_reply='false' min_fds='0x10'/>",
                  "<allow send_type=\"error\" send_requested_reply=\"false\" min_fds=\"16\"/> in "
                  "<policy context=\"default\"> (/root.conf:2)" },
                { "<allow user='root'/>",
                  "<allow user=\"0\"/> in <policy context=\"default\"> (/root.conf:2)" },
        };
        char text[400], described[400];
        int i;

        for (i = 0; i < N(table); i++) {
                snprintf(text, sizeof(text), BUS("<policy context='default'>\n%s</policy>"),
                         table[i].rule);
                ck_assert_int_eq(parse(text), 0);
                ck_assert_uint_eq(policy_n_rules(config->policy), 1);
                policy_rule_describe(policy_rule_at(config->policy, 0), described,
                                     sizeof(described));
                ck_assert_str_eq(described, table[i].description);
        }
}
END_TEST

START_TEST(rules_for_someone_unknown_are_left_out_with_a_warning)
{
        ck_assert_int_eq(parse(BUS("\n<policy user='nosuch'><allow own='a.b'/></policy>"
                                   "<policy context='default'>\n<deny group='nosuch'/></policy>")),
                         0);
        ck_assert_uint_eq(policy_n_rules(config->policy), 0);
        ck_assert_uint_eq(config->n_warnings, 2);
        ck_assert_uint_eq(config->warnings[0].line, 2);
        ck_assert_uint_eq(config->warnings[1].line, 3);
        ck_assert_ptr_nonnull(strstr(config->warnings[0].text, "nosuch"));
}
END_TEST

/* ---- values ---- */

START_TEST(values_are_taken_from_the_elements)
{
        ck_assert_int_eq(parse(PART("<type>a</type><type>system</type><user>root</user><fork/>"
                                    "<pidfile>/p</pidfile><servicehelper>/h</servicehelper>"
                                    "<listen>unix:path=/1</listen><listen>unix:path=/2</listen>"
                                    "<auth>EXTERNAL</auth><auth>ANONYMOUS</auth><allow_anonymous/>"
                                    "<apparmor mode='required'/>"
                                    "<selinux><associate own='a.b' context='c'/></selinux>"
                                    "<servicedir>s</servicedir><servicedir>/t</servicedir>\n"
                                    "<limit name='max_message_size'>7</limit>")), 0);
        ck_assert_str_eq(config->type, "system");
        ck_assert_str_eq(config->user, "root");
        ck_assert_str_eq(config->pidfile, "/p");
        ck_assert_str_eq(config->servicehelper, "/h");
        ck_assert(config->fork && config->allow_anonymous);
        ck_assert(!config->keep_umask && !config->syslog);
        ck_assert_uint_eq(config->n_listen, 2);
        ck_assert_str_eq(config->listen[1], "unix:path=/2");
        ck_assert_ptr_null(config->listen[2]);
        ck_assert_uint_eq(config->n_auth, 2);
        ck_assert_int_eq(config->apparmor, BUSCONFIG_APPARMOR_REQUIRED);
        ck_assert_str_eq(config->associations[0].context, "c");
        ck_assert_uint_eq(config->n_servicedirs, 2);
        ck_assert_str_eq(config->servicedirs[0].path, "/s");
        ck_assert_str_eq(config->servicedirs[1].path, "/t");
        ck_assert_uint_eq(config->limits.max_message_size, 7);
        ck_assert_str_eq(config->limit_origin[LIMIT_INDEX(max_message_size)].file, "/root.conf");
        ck_assert_uint_eq(config->limit_origin[LIMIT_INDEX(max_message_size)].line, 2);
        ck_assert_uint_eq(config->limits.max_names_per_connection, 512);
        ck_assert_ptr_null(config->limit_origin[LIMIT_INDEX(max_names_per_connection)].file);
}
END_TEST

#define OVERRIDE(rest) "<?lambus-limit name='max_names_per_connection' value='9' " rest "?>"

START_TEST(an_override_of_a_limit_is_an_instruction_that_may_stand_anywhere)
{
        const struct limit_override *o;

        ck_assert_int_eq(parse(OVERRIDE("user='root'") "\n"
                               BUS("<policy context='default'>" OVERRIDE("unit='a*.service'")
                                   "</policy>" OVERRIDE("executable='/bin/&amp;'"))), 0);
        ck_assert_uint_eq(config->n_warnings, 0);
        ck_assert_uint_eq(config->n_overrides, 3);
        o = config->overrides;
        ck_assert_uint_eq(o->limit, LIMIT_INDEX(max_names_per_connection));
        ck_assert_uint_eq(o->value, 9);
        ck_assert(o->has_user && o->user == 0 && !o->unit && !o->executable);
        ck_assert_str_eq(o->origin.file, "/root.conf");
        ck_assert_uint_eq(o->origin.line, 1);
        ck_assert(!o[1].has_user && !o[1].executable);
        ck_assert_str_eq(o[1].unit, "a*.service");
        ck_assert_uint_eq(o[1].origin.line, 2);
        ck_assert_str_eq(o[2].executable, "/bin/&");
        ck_assert_uint_eq(config->limits.max_names_per_connection, 512);
}
END_TEST

START_TEST(a_mistake_in_an_override_is_a_warning)
{
        static const char *const mistakes[] = {
                "", "user='root'", "name='max_names_per_connection' value='9'",
                "name='nosuch' value='9' user='root'", "name='reply_timeout' user='root'",
                "name='reply_timeout' value='-1' user='root'",
                "name='reply_timeout' value='9 x' user='root'",
                "name='reply_timeout' value='9' user='nosuch'",
                "name='reply_timeout' value='9' user='root' colour='red'",
                "name='auth_timeout' value='9' user='root'",
                "name='max_connections_per_user' value='9' unit='x'",
                "name='reply_timeout' value='9' user='root", "<x/>", "/><x",
        };
        char text[512];
        size_t i;

        for (i = 0; i < ARRAY_SIZE(mistakes); ++i) {
                snprintf(text, sizeof(text), BUS("<?lambus-limit %s?>"), mistakes[i]);
                ck_assert_int_eq(parse(text), 0);
                ck_assert_uint_eq(config->n_overrides, 0);
                ck_assert_uint_eq(config->n_warnings, 1);
                config = busconfig_free(config);
        }
}
END_TEST

START_TEST(limits_are_dbus_daemons_without_configuration)
{
        struct limits limits;

        limits_init(&limits);
        ck_assert_uint_eq(limits.max_incoming_bytes, 133169152);
        ck_assert_uint_eq(limits.max_outgoing_unix_fds, 64);
        ck_assert_uint_eq(limits.max_message_size, 33554432);
        ck_assert_uint_eq(limits.auth_timeout, 30000);
        ck_assert_uint_eq(limits.max_replies_per_connection, 128);
        ck_assert_uint_eq(limits.reply_timeout, LIMIT_NEVER);
        ck_assert_uint_eq(limits.max_container_metadata_bytes, 4096);
}
END_TEST

START_TEST(the_session_looks_for_services_where_the_environment_says)
{
        setenv("XDG_RUNTIME_DIR", "/r", 1);
        setenv("XDG_DATA_DIRS", "/a:/b::/usr/share", 1);
        setenv("HOME", "/h", 1);
        unsetenv("XDG_DATA_HOME");
        ck_assert_int_eq(parse(BUS("<standard_session_servicedirs/>")), 0);
        ck_assert_uint_eq(config->n_servicedirs, 5);
        ck_assert_str_eq(config->servicedirs[0].path, "/r/dbus-1/services");
        ck_assert_uint_eq(config->servicedirs[0].flags,
                          SERVICE_DIR_STRICT | SERVICE_DIR_UNWATCHED);
        ck_assert_str_eq(config->servicedirs[1].path, "/h/.local/share/dbus-1/services");
        ck_assert_str_eq(config->servicedirs[2].path, "/a/dbus-1/services");
        ck_assert_str_eq(config->servicedirs[3].path, "/b/dbus-1/services");
        ck_assert_str_eq(config->servicedirs[4].path, "/usr/share/dbus-1/services");
        setenv("XDG_DATA_HOME", "/d", 1);
        unsetenv("XDG_DATA_DIRS");
        unsetenv("XDG_RUNTIME_DIR");
        ck_assert_int_eq(parse(BUS("<standard_session_servicedirs/>")), 0);
        ck_assert_uint_eq(config->n_servicedirs, 3);
        ck_assert_str_eq(config->servicedirs[0].path, "/d/dbus-1/services");
        ck_assert_str_eq(config->servicedirs[1].path, "/usr/local/share/dbus-1/services");
        ck_assert_str_eq(config->servicedirs[2].path, "/usr/share/dbus-1/services");
}
END_TEST

START_TEST(the_system_looks_for_services_in_fixed_places)
{
        static const char *const places[] = { "/etc", "/run", "/usr/local/share", "/usr/share",
                                              "/lib" };
        char path[100];
        int i;

        setenv("XDG_DATA_DIRS", "/a", 1);
        ck_assert_int_eq(parse(BUS("<standard_system_servicedirs/>")), 0);
        ck_assert_uint_eq(config->n_servicedirs, N(places));
        for (i = 0; i < N(places); i++) {
                snprintf(path, sizeof(path), "%s/dbus-1/system-services", places[i]);
                ck_assert_str_eq(config->servicedirs[i].path, path);
        }
}
END_TEST

/* ---- included files ---- */

START_TEST(an_included_file_speaks_where_it_is_included)
{
        put("root.conf", BUS("<type>a</type><limit name='auth_timeout'>1</limit>"
                             "<include>sub/b.conf</include><pidfile>/root</pidfile>"));
        put("sub/b.conf", PART("<type>b</type><fork/><pidfile>/b</pidfile>"
                               "<include>c.conf</include>"
                               "<policy context='default'><allow own='b'/></policy>"));
        put("sub/c.conf", PART("<limit name='max_message_size'>5</limit>"
                               "<policy context='default'>\n<allow own='c'/></policy>"));
        ck_assert_int_eq(read_it(0), 0);
        ck_assert_str_eq(config->type, "b");
        ck_assert_str_eq(config->pidfile, "/root");
        ck_assert(config->fork);
        ck_assert_uint_eq(config->limits.auth_timeout, 1);
        ck_assert_uint_eq(config->limits.max_message_size, 5);
        ck_assert_str_eq(base(config->limit_origin[LIMIT_INDEX(max_message_size)].file),
                         "sub/c.conf");
        ck_assert_uint_eq(policy_n_rules(config->policy), 2);
        ck_assert_str_eq(base(policy_rule_at(config->policy, 0)->file), "sub/c.conf");
        ck_assert_uint_eq(policy_rule_at(config->policy, 0)->line, 2);
        ck_assert_str_eq(base(policy_rule_at(config->policy, 1)->file), "sub/b.conf");
        ck_assert_uint_eq(config->n_files, 3);
}
END_TEST

START_TEST(a_directory_is_read_in_the_order_of_names)
{
        put("root.conf", BUS("<includedir>d</includedir><includedir>none</includedir>"));
        put("d/20.conf", PART("<type>20</type>"));
        put("d/10.conf", PART("<type>10</type>"));
        put("d/30.conf.bak", PART("<type>30</type>"));
        put("d/.05.conf", PART("<user>05</user>"));
        ck_assert_int_eq(read_it(0), 0);
        ck_assert_str_eq(config->type, "20");
        ck_assert_str_eq(config->user, "05");
        ck_assert_uint_eq(config->n_files, 4);
        ck_assert_uint_eq(config->n_dirs, 2);
        ck_assert_str_eq(base(config->dirs[0]), "d");
}
END_TEST

START_TEST(a_bad_file_in_a_directory_is_left_out_as_a_whole)
{
        put("root.conf", BUS("<includedir>d</includedir>"));
        put("d/a.conf", PART("<type>a</type><limit name='auth_timeout'>1</limit>"
                             "<listen>x:</listen>\n\n"
                             "<policy context='default'><allow own='a'/><allow/></policy>"));
        put("d/b.conf", "<busconfig>");
        put("d/c.conf", PART("<type>c</type>"));
        put("d/d.conf", PART("<include>nosuch</include><type>d</type>"));
        put("d/e.conf", PART("<include>../root.conf</include><type>e</type>"));
        mkdir("d/f.conf", 0700);
        ck_assert_int_eq(symlink("nosuch", "d/g.conf"), 0);
        ck_assert_int_eq(symlink("h.conf", "d/h.conf"), 0);
        ck_assert_int_eq(read_it(0), 0);
        ck_assert_str_eq(config->type, "c");
        ck_assert_uint_eq(config->n_listen, 1);
        ck_assert_uint_eq(config->limits.auth_timeout, 30000);
        ck_assert_uint_eq(policy_n_rules(config->policy), 0);
        ck_assert_uint_eq(config->n_skipped, 7);
        ck_assert_str_eq(base(config->skipped[0].file), "d/a.conf");
        ck_assert_uint_eq(config->skipped[0].line, 3);
        ck_assert_str_eq(base(config->skipped[1].file), "d/b.conf");
        ck_assert_str_eq(base(config->skipped[2].file), "d/d.conf");
        ck_assert_ptr_nonnull(strstr(config->skipped[2].text, "nosuch"));
        ck_assert_str_eq(base(config->skipped[3].file), "d/e.conf");
        ck_assert_ptr_nonnull(strstr(config->skipped[3].text, "includes itself"));
        ck_assert_str_eq(base(config->skipped[4].file), "d/f.conf");
        ck_assert_str_eq(base(config->skipped[5].file), "d/g.conf"); /* leads nowhere */
        ck_assert_str_eq(base(config->skipped[6].file), "d/h.conf");
}
END_TEST

START_TEST(an_empty_file_in_a_directory_is_nothing)
{
        put("root.conf", BUS("<includedir>d</includedir>"));
        put("d/a.conf", "");
        ck_assert_int_eq(symlink("/dev/null", "d/b.conf"), 0);
        ck_assert_int_eq(read_it(0), 0);
        ck_assert_uint_eq(config->n_skipped, 0);
        ck_assert_uint_eq(config->n_files, 3);
        ck_assert_uint_eq(config->n_warnings, 1);
        ck_assert_str_eq(base(config->warnings[0].file), "d/a.conf");
}
END_TEST

static struct busconfig *last;

/* read with what was read before, as a daemon does */
static int read_again(void)
{
        char path[96];
        int r;

        snprintf(path, sizeof(path), "%s/root.conf", dir);
        last = busconfig_free(last);
        last = config;
        config = NULL;
        r = busconfig_read_again(&config, last, path, BUSCONFIG_LENIENT | BUSCONFIG_KEEP, &note);
        return r;
}

START_TEST(a_file_that_was_good_holds_on_when_it_breaks)
{
        put("root.conf", BUS("<includedir>d</includedir><include>x.conf</include>"));
        put("d/a.conf", PART("<limit name='auth_timeout'>1</limit>"));
        put("d/b.conf", PART("<limit name='reply_timeout'>1</limit>"));
        put("x.conf", PART("<limit name='max_message_size'>1</limit>"));
        ck_assert_int_eq(read_again(), 0);
        ck_assert_uint_eq(config->n_texts, 3);
        put("d/a.conf", PART("<limit name='auth_timeout'>"));
        put("d/b.conf", PART("<limit name='reply_timeout'>2</limit>"));
        put("x.conf", "rubbish");
        for (int i = 0; i < 2; ++i) { /* and stays when read yet again */
                ck_assert_int_eq(read_again(), 0);
                ck_assert_uint_eq(config->limits.auth_timeout, 1);
                ck_assert_uint_eq(config->limits.reply_timeout, 2);
                ck_assert_uint_eq(config->limits.max_message_size, 1);
                ck_assert_uint_eq(config->n_warnings, 2);
                ck_assert_uint_eq(config->n_skipped, 0);
                ck_assert_uint_eq(config->n_texts, 3);
                ck_assert_ptr_nonnull(strstr(config->warnings[0].text, "still holds"));
        }
        put("d/a.conf", PART(""));
        ck_assert_int_eq(unlink("x.conf"), 0);
        ck_assert_int_eq(read_again(), 0);
        ck_assert_uint_eq(config->limits.auth_timeout, 30000);
        ck_assert_uint_ne(config->limits.max_message_size, 1);
        ck_assert_uint_eq(config->n_warnings, 0);
        ck_assert_uint_eq(config->n_skipped, 1);
        last = busconfig_free(last);
}
END_TEST

START_TEST(a_file_that_holds_on_may_include_itself_no_more_than_any)
{
        put("root.conf", BUS("<includedir>d</includedir>"));
        put("d/a.conf", PART("<include>../x.conf</include>"));
        put("x.conf", PART("<type>x</type>"));
        ck_assert_int_eq(read_again(), 0);
        put("x.conf", PART("<include>d/a.conf</include>"));
        ck_assert_int_eq(read_again(), 0);
        put("d/a.conf", "rubbish");
        ck_assert_int_eq(read_again(), 0);
        last = busconfig_free(last);
}
END_TEST

static void keep_change(void *arg, const char *text)
{
        char *all = arg;

        strcat(strcat(all, text), "\n");
}

START_TEST(what_a_new_configuration_changes_is_said_group_by_group)
{
        struct busconfig *other = NULL;
        char said[2000] = "";

        ck_assert_int_eq(parse(BUS("<policy context='default'><allow own='a.b'/>"
                                   "<deny own='c.d'/><deny own='c.d'/></policy>"
                                   "<limit name='auth_timeout'>1</limit>")), 0);
        other = config;
        config = NULL;
        ck_assert_int_eq(parse(BUS("\n<servicedir>/s</servicedir>"
                                   "<policy context='default'><deny own='c.d'/>"
                                   "<allow own='a.b'/><allow own='e.f'/></policy>"
                                   "<limit name='auth_timeout'>2</limit>"
                                   OVERRIDE("user='root'"))), 0);
        ck_assert_int_eq(busconfig_diff(other, config, keep_change, said), 0);
        ck_assert_str_eq(said,
                "rules: 1 added: <allow own=\"e.f\"/> in <policy context=\"default\">, "
                "1 removed: <deny own=\"c.d\"/> in <policy context=\"default\">\n"
                "limits: auth_timeout 1 is now 2 (/root.conf:2)\n"
                "overrides of limits: 1 added: max_names_per_connection 9 names for user 0, "
                "0 removed\n"
                "service directories: 1 added: /s, 0 removed\n");
        said[0] = '\0';
        ck_assert_int_eq(busconfig_diff(config, config, keep_change, said), 0);
        ck_assert_str_eq(said, "");
        busconfig_free(other);
}
END_TEST

START_TEST(rules_in_another_order_are_a_change)
{
        struct busconfig *other;
        char said[200] = "";

        ck_assert_int_eq(parse(BUS("<policy context='default'><allow own='a.b'/>"
                                   "<deny own='c.d'/></policy>")), 0);
        other = config;
        config = NULL;
        ck_assert_int_eq(parse(BUS("<policy context='default'><deny own='c.d'/>"
                                   "<allow own='a.b'/></policy>")), 0);
        ck_assert_int_eq(busconfig_diff(other, config, keep_change, said), 0);
        ck_assert_str_eq(said, "rules: the same in another order\n");
        busconfig_free(other);
}
END_TEST

/* files beside root.conf, and whether it can be read: strictly, and leniently */
static const struct {
        const char *root;
        const char *a; /* a.conf */
        int strict, lenient;
} includes[] = {
        { "<include>a.conf</include>", PART(""), 0, 0 },
        { "<include>a.conf</include><include>a.conf</include>", PART(""), 0, 0 },
        { "<include>a.conf</include>", NULL, BUSCONFIG_E_MISSING, 0 },
        { "<include ignore_missing='yes'>a.conf</include>", NULL, 0, 0 },
        { "<include>a.conf</include>", "", BUSCONFIG_E_INVALID, 0 },
        { "<include ignore_missing='yes'>a.conf</include>", "", BUSCONFIG_E_INVALID, 0 },
        { "<include ignore_missing='yes'>a.conf</include>", "<x", BUSCONFIG_E_INVALID, 0 },
        { "<include>a.conf</include>", PART("<include>b</include>"), BUSCONFIG_E_MISSING, 0 },
        { "<include ignore_missing='yes'>a.conf</include>", PART("<include>b</include>"), 0, 0 },
        { "<include ignore_missing='yes'>a.conf/b</include>", PART(""), BUSCONFIG_E_INVALID, 0 },
        { "<include>root.conf</include>", NULL, BUSCONFIG_E_INVALID, 0 },
        { "<include>./root.conf</include>", NULL, BUSCONFIG_E_INVALID, 0 },
        { "<include>a.conf</include>", PART("<include>a.conf</include>"), BUSCONFIG_E_INVALID, 0 },
        { "<include> a.conf </include>", PART(""), BUSCONFIG_E_MISSING, 0 },
        { "<includedir>a.conf</includedir>", PART(""), BUSCONFIG_E_INVALID, 0 },
        { "<include>/</include>", PART(""), BUSCONFIG_E_INVALID, 0 },
};

START_TEST(a_bad_included_file_is_fatal_unless_reading_is_lenient)
{
        char text[300];

        snprintf(text, sizeof(text), BUS("%s"), includes[_i].root);
        put("root.conf", text);
        if (includes[_i].a)
                put("a.conf", includes[_i].a);
        ck_assert_int_eq(read_it(0), includes[_i].strict);
        ck_assert(!note.text == !includes[_i].strict);
        ck_assert_int_eq(read_it(BUSCONFIG_LENIENT), includes[_i].lenient);
        ck_assert_str_eq(config->listen[0], "unix:tmpdir=/tmp");
        if (includes[_i].strict && includes[_i].a && *includes[_i].a)
                ck_assert_uint_eq(config->n_skipped + config->n_warnings, 1);
}
END_TEST

static const struct {
        const char *name;
        const char *text;
        bool stands_in; /* leniently */
} needed[] = {
        { "org.freedesktop.login1", "<x", true },
        { "org.freedesktop.systemd1", "<x", true },
        { "org.freedesktop.login1", "", true },
        { "org.freedesktop.login1", PART(""), false },
        { "org.freedesktop.hostname1", "<x", false },
};

static bool may_own(uid_t uid, const char *name)
{
        _cleanup_(policy_list_unrefp) struct policy_list *list = NULL;
        const struct policy_creds creds = { .uid = uid };
        struct policy_verdict verdict;

        ck_assert_int_eq(policy_list_new(&list, config->policy, &creds), 0);
        return policy_can_own(list, policy_text(name), &verdict);
}

START_TEST(a_broken_file_that_a_login_needs_has_a_stand_in)
{
        char name[100];

        put("root.conf", BUS("<includedir>d</includedir>"));
        put("d/.keep", "");
        snprintf(name, sizeof(name), "d/%s.conf", needed[_i].name);
        put(name, needed[_i].text);
        ck_assert_int_eq(read_it(BUSCONFIG_LENIENT), 0);
        ck_assert(may_own(0, needed[_i].name) == needed[_i].stands_in);
        ck_assert(!may_own(1000, needed[_i].name));
        ck_assert_int_eq(read_it(0), 0);
        ck_assert(!may_own(0, needed[_i].name));
}
END_TEST

START_TEST(the_complaint_on_an_included_file_names_both_files)
{
        char text[200];

        put("root.conf", BUS("\n<include>a.conf</include>"));
        put("a.conf", PART("\n\n<nonsense/>"));
        ck_assert_int_eq(read_it(0), BUSCONFIG_E_INVALID);
        ck_assert_str_eq(base(note.file), "a.conf");
        ck_assert_uint_eq(note.line, 3);
        snprintf(text, sizeof(text), "included by %s/root.conf:2", dir);
        ck_assert_ptr_nonnull(strstr(note.text, text));
}
END_TEST

START_TEST(files_may_include_each_other_hundreds_deep)
{
        char name[20], text[100];
        int i;

        put("root.conf", BUS("<include>0.conf</include>"));
        for (i = 0; i < 500; i++) {
                snprintf(name, sizeof(name), "%d.conf", i);
                snprintf(text, sizeof(text), PART("<include>%d.conf</include>"), i + 1);
                put(name, text);
        }
        put("500.conf", PART("<type>deep</type>"));
        ck_assert_int_eq(read_it(0), 0);
        ck_assert_str_eq(config->type, "deep");
}
END_TEST

START_TEST(a_missing_root_file_is_told_from_a_bad_one)
{
        ck_assert_int_eq(read_it(0), BUSCONFIG_E_MISSING);
        mkdir("root.conf", 0700);
        ck_assert_int_eq(read_it(0), BUSCONFIG_E_INVALID);
        ck_assert_uint_eq(note.line, 0);
        ck_assert_int_eq(rmdir("root.conf"), 0);
        put("root.conf", "");
        ck_assert_int_eq(read_it(BUSCONFIG_LENIENT), BUSCONFIG_E_INVALID);
}
END_TEST

START_TEST(alone_means_that_nothing_else_is_read)
{
        static const char text[] = BUS("<include>nosuch</include><includedir>/</includedir>"
                                       "<policy user='root'><allow own='a'/></policy>");

        ck_assert_int_eq(busconfig_parse(&config, "x", text, strlen(text), BUSCONFIG_ALONE, &note),
                         0);
        ck_assert_uint_eq(policy_n_rules(config->policy), 0);
        ck_assert_uint_eq(config->n_dirs, 0);
}
END_TEST

START_TEST(the_whole_prints_with_the_origin_of_each_part)
{
        static const char *const lines[] = {
                "type session\n",
                "listen unix:tmpdir=/tmp\n",
                "auth EXTERNAL\n",
                "servicedir /s\n",
                "limit auth_timeout 5 ms (/root.conf:2)\n",
                "limit max_replies_per_connection 128 calls (built in)\n",
                "limit reply_timeout never (built in)\n",
                "<policy context=\"default\">\n"
                "  <allow own=\"*\"/> (/root.conf:4)\n"
                "<policy user=\"0\">\n"
                "  <deny send_type=\"signal\"/> (/root.conf:3)\n",
                "file /root.conf\n",
                "warning /root.conf:4: no user \"nosuch\": the policy is left out\n",
        };
        _cleanup_(freep) char *text = NULL;
        const char *at;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        int i;

        ck_assert_int_eq(parse(BUS("<type>session</type><auth>EXTERNAL</auth>\n"
                                   "<limit name='auth_timeout'>5</limit>"
                                   "<servicedir>s</servicedir>\n"
                                   "<policy user='root'><deny send_type='signal'/></policy>\n"
                                   "<policy user='nosuch'/>"
                                   "<policy context='default'><allow own='*'/></policy>")), 0);
        ck_assert_int_eq(busconfig_print(config, out), 0);
        fclose(out);
        for (at = text, i = 0; i < N(lines); i++) {
                ck_assert_msg((at = strstr(text, lines[i])) != NULL, "%s in %s", lines[i], text);
                ck_assert(at == text || at[-1] == '\n');
        }
}
END_TEST

START_TEST(the_built_in_configurations_are_good)
{
        struct policy_creds creds = { .uid = 1 };
        struct policy_verdict verdict;
        int system;

        for (system = 0; system < 2; system++) {
                ck_assert_msg(parse(busconfig_builtin(system)) == 0, "%s", note.text);
                ck_assert_str_eq(config->type, system ? "system" : "session");
                ck_assert(policy_can_connect(config->policy, &creds, 0, &verdict) == system);
        }
}
END_TEST

START_TEST(the_installed_configurations_are_good)
{
        static const char *const paths[] = { DBUS_DATADIR "/dbus-1/session.conf",
                                             DBUS_DATADIR "/dbus-1/system.conf" };

        if (access(paths[_i], R_OK))
                return;
        ck_assert_msg(busconfig_read(&config, paths[_i], 0, &note) == 0, "%s:%u: %s", note.file,
                      note.line, note.text);
        ck_assert_uint_eq(config->n_skipped, 0);
        ck_assert_uint_ge(policy_n_rules(config->policy), 3);
}
END_TEST

/* ---- out of memory ---- */

START_TEST(each_allocation_may_fail)
{
        bool failed = true;
        size_t n = 0;
        int r;

        put("root.conf", BUS("<include>a.conf</include><includedir>d</includedir>"
                             "<standard_session_servicedirs/><auth>EXTERNAL</auth>"));
        put("a.conf", PART("<type>a</type><policy user='root'><allow own='a'/></policy>"
                           "<policy user='nosuch'/>"
                           "<selinux><associate own='a' context='b'/></selinux>"));
        put("d/a.conf", PART("<bad/>"));
        while (failed) {
                config = busconfig_free(config);
                busconfig_note_deinit(&note);
                fault_after(++n);
                r = busconfig_read(&config, "root.conf", 0, &note);
                failed = !fault_is_due();
                fault_after(0); /* the test's own library allocates, too */
                ck_assert_int_eq(r, failed ? -ENOMEM : 0);
                ck_assert(!config == failed);
        }
        ck_assert_uint_gt(n, 50);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("busconfig");
        TCase *tcase = tcase_create("busconfig");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, what_dbus_daemon_accepts_is_accepted, 0, N(accepted));
        tcase_add_loop_test(tcase, what_dbus_daemon_refuses_is_refused_with_its_line, 0,
                            N(refused));
        tcase_add_loop_test(tcase, rules_that_dbus_daemon_accepts_are_accepted, 0,
                            2 * N(rules_accepted));
        tcase_add_loop_test(tcase, rules_that_dbus_daemon_refuses_are_refused, 0,
                            2 * N(rules_refused));
        tcase_add_test(tcase, a_rule_says_what_its_attributes_say);
        tcase_add_test(tcase, rules_for_someone_unknown_are_left_out_with_a_warning);
        tcase_add_test(tcase, values_are_taken_from_the_elements);
        tcase_add_test(tcase, an_override_of_a_limit_is_an_instruction_that_may_stand_anywhere);
        tcase_add_test(tcase, a_mistake_in_an_override_is_a_warning);
        tcase_add_test(tcase, limits_are_dbus_daemons_without_configuration);
        tcase_add_test(tcase, the_session_looks_for_services_where_the_environment_says);
        tcase_add_test(tcase, the_system_looks_for_services_in_fixed_places);
        tcase_add_test(tcase, an_included_file_speaks_where_it_is_included);
        tcase_add_test(tcase, a_directory_is_read_in_the_order_of_names);
        tcase_add_test(tcase, a_bad_file_in_a_directory_is_left_out_as_a_whole);
        tcase_add_test(tcase, an_empty_file_in_a_directory_is_nothing);
        tcase_add_test(tcase, a_file_that_was_good_holds_on_when_it_breaks);
        tcase_add_test(tcase, a_file_that_holds_on_may_include_itself_no_more_than_any);
        tcase_add_test(tcase, what_a_new_configuration_changes_is_said_group_by_group);
        tcase_add_test(tcase, rules_in_another_order_are_a_change);
        tcase_add_loop_test(tcase, a_bad_included_file_is_fatal_unless_reading_is_lenient, 0,
                            N(includes));
        tcase_add_test(tcase, the_complaint_on_an_included_file_names_both_files);
        tcase_add_loop_test(tcase, a_broken_file_that_a_login_needs_has_a_stand_in, 0,
                            ARRAY_SIZE(needed));
        tcase_add_test(tcase, files_may_include_each_other_hundreds_deep);
        tcase_add_test(tcase, a_missing_root_file_is_told_from_a_bad_one);
        tcase_add_test(tcase, alone_means_that_nothing_else_is_read);
        tcase_add_test(tcase, the_whole_prints_with_the_origin_of_each_part);
        tcase_add_test(tcase, the_built_in_configurations_are_good);
        tcase_add_loop_test(tcase, the_installed_configurations_are_good, 0, 2);
        tcase_add_test(tcase, each_allocation_may_fail);
        suite_add_tcase(suite, tcase);

        return test_run(suite);
}
