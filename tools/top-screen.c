/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The screen of lambusctl top: the header, the table as far as it fits, and the keys. Drawn by
 * ncurses, which also knows how to give the terminal back.
 */

#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_NCURSES
#define NCURSES_WIDECHAR 1
#include <curses.h>
#endif

#include "bus-core/util/error.h"
#include "shim/bus/poller.h"
#include "tools/top.h"

#ifndef HAVE_NCURSES

int top_screen(struct top *top)
{
        return 1;
}

#else

#define LINE_SIZE  4096
#define FIRST_USEC 300000 /* to the second look: nobody wants to wait for the first numbers */
#define DELAY_MIN  100000
#define DELAY_MAX  60000000

struct screen {
        struct top *top;
        size_t skipped; /* rows above what is shown */
        bool help;
        bool done;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
        interrupted = 1;
}

/* --- drawing ---------------------------------------------------------------------------------- */

static const char *const help_lines[] = {
        "What the rows are            How they are sorted",
        "  c  connections               M  messages sent and received per second",
        "  u  users                     B  bytes per second",
        "  t  units of systemd          K  bytes that wait in the queue",
        "  p  processes                 F  file descriptors that wait",
        "  i  interface.member          W  wake-ups: writes to the socket",
        "                               P  pressure: how full the fullest limit is",
        "",
        "  up, down, page keys, home    scroll",
        "  + -                          look less or more often",
        "  space                        look now",
        "  h                            this page          q  quit",
        "",
        "SENT, RECV  messages to and from the bus",
        "QUEUE, FDS  bytes and descriptors that it has yet to read",
        "FULL%       of the fullest of its limits",
};

static size_t table_height(void)
{
        return LINES > TOP_HEADER + 2 ? LINES - TOP_HEADER - 2 : 0;
}

static void draw_line(int y, const char *text, attr_t attributes)
{
        attrset(attributes);
        move(y, 0);
        clrtoeol();
        addnstr(text, LINE_SIZE);
        attrset(A_NORMAL);
}

static void draw_table(struct screen *s)
{
        const struct rates *rates = &s->top->rates;
        size_t height = table_height();
        char line[LINE_SIZE];

        s->skipped = MIN(s->skipped, rates->n > height ? rates->n - height : 0);
        for (size_t i = 0; i < height && s->skipped + i < rates->n; i++) {
                rates_line(rates, s->skipped + i, line, sizeof(line), COLS);
                draw_line(TOP_HEADER + 1 + i, line, A_NORMAL);
        }
}

static void draw_help(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(help_lines) && i < table_height(); i++)
                mvaddnstr(TOP_HEADER + 1 + i, 0, help_lines[i], COLS);
}

static void draw(struct screen *s)
{
        const struct rates *rates = &s->top->rates;
        char line[LINE_SIZE], last[256];

        erase();
        for (int i = 0; i < TOP_HEADER && i < LINES; i++) {
                top_header(s->top, i, line, sizeof(line), COLS);
                draw_line(i, line, i ? A_NORMAL : A_BOLD);
        }
        if (LINES > TOP_HEADER) {
                rates_head(rates, line, sizeof(line), COLS);
                draw_line(TOP_HEADER, line, A_REVERSE);
        }
        if (s->help)
                draw_help();
        else
                draw_table(s);
        if (LINES > TOP_HEADER + 1) {
                snprintf(last, sizeof(last),
                         "q quit  h help  rows: c u t p i  sort: M B K F W P  "
                         "every %.3g s  %zu-%zu/%zu",
                         s->top->delay / 1000000.0, MIN(s->skipped + 1, rates->n),
                         MIN(s->skipped + table_height(), rates->n), rates->n);
                last[MIN((size_t)COLS, sizeof(last) - 1)] = 0;
                draw_line(LINES - 1, last, A_DIM);
        }
        refresh();
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool choose_rows(struct screen *s, int key)
{
        static const char keys[RATES_N + 1] = {
                [RATES_CONNECTIONS] = 'c', [RATES_USERS] = 'u',   [RATES_UNITS] = 't',
                [RATES_PROCESSES] = 'p',   [RATES_MEMBERS] = 'i',
        };
        const char *at = key > 0 && key < 128 ? strchr(keys, key) : NULL;

        if (!at)
                return false;
        s->top->by = at - keys;
        s->skipped = 0;
        return true;
}

static bool choose_sort(struct screen *s, int key)
{
        static const char keys[RATES_SORT_N + 1] = {
                [RATES_BY_MESSAGES] = 'M', [RATES_BY_BYTES] = 'B',   [RATES_BY_QUEUE] = 'K',
                [RATES_BY_FDS] = 'F',      [RATES_BY_WAKEUPS] = 'W', [RATES_BY_PRESSURE] = 'P',
        };
        const char *at = key > 0 && key < 128 ? strchr(keys, key) : NULL;

        if (!at)
                return false;
        s->top->sort = at - keys;
        s->top->sort_given = true;
        s->skipped = 0;
        return true;
}

static void scroll_by(struct screen *s, long n)
{
        s->skipped = n < 0 && (size_t)-n > s->skipped ? 0 : s->skipped + n;
}

/* What a key does; @now: look at the bus again at once */
static int take_key(struct screen *s, int key, bool *now)
{
        if (choose_rows(s, key) || choose_sort(s, key))
                return top_again(s->top);
        switch (key) {
        case 'q':
        case 'Q':
                s->done = true;
                break;
        case 'h':
        case '?':
                s->help = !s->help;
                break;
        case '\f': /* control-L: something else has written on it */
                clearok(curscr, TRUE);
                break;
        case ' ':
                *now = true;
                break;
        case '+':
                s->top->delay = MIN(s->top->delay * 2, (uint64_t)DELAY_MAX);
                break;
        case '-':
                s->top->delay = MAX(s->top->delay / 2, (uint64_t)DELAY_MIN);
                break;
        case KEY_UP:
                scroll_by(s, -1);
                break;
        case KEY_DOWN:
                scroll_by(s, 1);
                break;
        case KEY_PPAGE:
                scroll_by(s, -(long)table_height());
                break;
        case KEY_NPAGE:
                scroll_by(s, table_height());
                break;
        case KEY_HOME:
                s->skipped = 0;
                break;
        }
        return 0;
}

/* Until it is time for the next look. */
static int wait_for_keys(struct screen *s, uint64_t until)
{
        struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
        bool now = false;
        uint64_t left;
        int key, r = 0;

        while (!r && !s->done && !now && !interrupted && now_usec() < until) {
                left = until - now_usec();
                if (poll(&in, 1, MIN(left / 1000 + 1, UINT64_C(60000))) < 0 && errno != EINTR)
                        return error_origin(-errno);
                if (in.revents & (POLLHUP | POLLERR))
                        s->done = true;
                while (!r && (key = getch()) != ERR)
                        r = take_key(s, key, &now);
                if (!r)
                        draw(s);
        }
        return r;
}

/* --- from start to end ------------------------------------------------------------------------ */

static int show(struct screen *s)
{
        uint64_t shown = 0;
        int r;

        r = top_look(s->top);
        if (r)
                return r;
        draw(s);
        r = wait_for_keys(s, now_usec() + MIN(s->top->delay, (uint64_t)FIRST_USEC));
        while (!r && !s->done && !interrupted) {
                r = top_look(s->top);
                if (r)
                        return r;
                draw(s);
                if (s->top->iterations && ++shown >= s->top->iterations)
                        break;
                r = wait_for_keys(s, now_usec() + s->top->delay);
        }
        return r;
}

int top_screen(struct top *top)
{
        const struct sigaction stop = { .sa_handler = on_signal };
        struct screen s = { .top = top };
        SCREEN *terminal;
        int r;

        terminal = newterm(NULL, stdout, stdin);
        if (!terminal) {
                fprintf(stderr, "lambusctl: the terminal '%s' is not known: plain text instead\n",
                        getenv("TERM") ? getenv("TERM") : "");
                return 1;
        }
        sigaction(SIGINT, &stop, NULL);
        sigaction(SIGTERM, &stop, NULL);
        sigaction(SIGHUP, &stop, NULL);
        cbreak();
        noecho();
        curs_set(0);
        keypad(stdscr, TRUE);
        nodelay(stdscr, TRUE);
        r = show(&s);
        endwin();
        delscreen(terminal);
        return r;
}

#endif
