#include "tui/caps.h"

#include "base/mem.h"

/* The curses headers define short macros: nothing else may come after them. */
#include <curses.h>
#include <term.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Terminfo's strings may ask for delays, "$<5>"; no terminal of this century needs them. */
static char *without_delays(const char *s)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "");
    while (*s) {
        const char *end = s[0] == '$' && s[1] == '<' ? strchr(s, '>') : NULL;
        if (end)
            s = end + 1;
        else
            buf_addc(&out, *s++);
    }
    return out.data ? buf_detach(&out) : mem_strdup("");
}

/* The capability; fallback when terminfo knows nothing of the terminal, "" when the terminal lacks
 * it. */
static char *string(bool found, const char *name, const char *fallback)
{
    if (!found)
        return mem_strdup(fallback);
    char *value = tigetstr(name);
    return value && value != (char *)-1 ? without_delays(value) : mem_strdup("");
}

static char *colour_string(bool found, const char *name, int colour, int colours)
{
    if (colour >= colours)
        return mem_strdup("");
    if (!found)
        return mem_printf("\x1b[%dm", (name[4] == 'f' ? 30 : 40) + colour);
    char *value = tigetstr(name);
    if (!value || value == (char *)-1)
        return mem_strdup("");
    char *made = tparm(value, (long)colour, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L);
    return made ? without_delays(made) : mem_strdup("");
}

/* Private modes are passed over by terminals that read them as xterm does; others may print
 * rubbish. */
static bool reads_private_modes(const char *term)
{
    static const char *const known[] = {
        "xterm", "tmux",    "alacritty", "foot",   "kitty", "wezterm", "ghostty", "contour", "vte",
        "gnome", "konsole", "st-",       "mintty", "iterm", "rio",     "screen",  "rxvt"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(term, known[i], strlen(known[i])) == 0)
            return true;
    return strcmp(term, "st") == 0;
}

/* How many it has; of what terminfo cannot say, the environment tells. */
static int colours_of(bool found)
{
    int colours = found ? tigetnum("colors") : 8;
    const char *more = getenv("COLORTERM");
    if (colours >= COLOURS_TRUE || (found && (tigetflag("RGB") == 1 || tigetflag("Tc") == 1)) ||
        (colours >= 256 && more && (!strcmp(more, "truecolor") || !strcmp(more, "24bit"))))
        return COLOURS_TRUE;
    return colours >= 256 ? 256 : colours >= 16 ? 16 : colours >= 8 ? 8 : 0;
}

/* rxvt and its kin say "foreground;background", in the sixteen colours. */
static bool is_light(void)
{
    const char *said = getenv("COLORFGBG"), *last = said ? strrchr(said, ';') : NULL;
    char *end;
    long colour = last ? strtol(last + 1, &end, 10) : -1;
    return last && end != last + 1 && *end == '\0' && (colour == 7 || (colour > 8 && colour < 16));
}

/* Two ways are about; terminals that know neither pass over both. */
static const char *desktop_of(const char *term)
{
    bool other =
        strncmp(term, "rxvt", 4) == 0 || strncmp(term, "foot", 4) == 0 || getenv("VTE_VERSION");
    return other ? "777" : "9";
}

int caps_load(struct caps *caps, const char *term, int fd, bool colour)
{
    memset(caps, 0, sizeof *caps);
    int status = 0;
    bool found = setupterm(term, fd, &status) == OK && status == 1;
    char *move = found ? tigetstr("cup") : NULL;
    if (found && (!move || move == (char *)-1)) {
        del_curterm(cur_term);
        return -1;
    }
    caps->enter = string(found, "smcup", "\x1b[?1049h");
    caps->leave = string(found, "rmcup", "\x1b[?1049l");
    caps->hide = string(found, "civis", "\x1b[?25l");
    caps->show = string(found, "cnorm", "\x1b[?25h");
    caps->clear = string(found, "clear", "\x1b[H\x1b[2J");
    caps->erase_line = string(found, "el", "\x1b[K");
    caps->plain = string(found, "sgr0", "\x1b[m");
    caps->bold = string(found, "bold", "\x1b[1m");
    caps->dim = string(found, "dim", "\x1b[2m");
    caps->reverse = string(found, "rev", "\x1b[7m");
    caps->underline = string(found, "smul", "\x1b[4m");
    caps->italic = string(found, "sitm", "");
    caps->strike = string(found, "smxx", "");
    /* The common form is written without tparm. */
    if (found && strcmp(move, "\x1b[%i%p1%d;%p2%dH") != 0)
        caps->move = mem_strdup(move);
    caps->colours = colour ? colours_of(found) : 0;
    for (int i = 0; i < CAPS_COLOURS; i++) {
        caps->fg[i] = colour_string(found, "setaf", i, caps->colours);
        caps->bg[i] = colour_string(found, "setab", i, caps->colours);
    }
    caps->light = is_light();
    caps->console = term && strncmp(term, "linux", 5) == 0;
    caps->private_modes = term && reads_private_modes(term);
    caps->desktop = caps->private_modes ? desktop_of(term) : NULL;
    caps->sync_begin = mem_strdup(caps->private_modes ? "\x1b[?2026h" : "");
    caps->sync_end = mem_strdup(caps->private_modes ? "\x1b[?2026l" : "");
    caps->modes_on = mem_strdup(caps->private_modes ? "\x1b[?2004h\x1b[?1004h" : "");
    caps->modes_off = mem_strdup(caps->private_modes ? "\x1b[?2004l\x1b[?1004l" : "");
    char *mouse = found ? tigetstr("kmous") : NULL;
    bool has_mouse = caps->private_modes || (mouse && mouse != (char *)-1);
    caps->mouse_on = mem_strdup(has_mouse ? "\x1b[?1000h\x1b[?1006h" : "");
    caps->mouse_off = mem_strdup(has_mouse ? "\x1b[?1006l\x1b[?1000l" : "");
    caps->ask = mem_strdup(caps->private_modes ? "\x1b[?2026$p\x1b]11;?\x1b\\\x1b[c" : "");
    caps->clip = clip_way(term, getenv("TMUX"), getenv("STY"));
    caps->edge_ok = !found || tigetflag("am") != 1 || tigetflag("xenl") == 1;
    if (found)
        del_curterm(cur_term);
    return 0;
}

void caps_linear(struct caps *caps)
{
    caps_release(caps);
    char **const all[] = {&caps->enter,    &caps->leave,     &caps->hide,     &caps->show,
                          &caps->clear,    &caps->plain,     &caps->modes_on, &caps->modes_off,
                          &caps->mouse_on, &caps->mouse_off, &caps->ask,      &caps->sync_begin,
                          &caps->sync_end};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        *all[i] = mem_strdup("");
    caps->linear = true;
}

void caps_release(struct caps *caps)
{
    char *const all[] = {caps->enter,      caps->leave,     caps->hide,       caps->show,
                         caps->clear,      caps->plain,     caps->bold,       caps->dim,
                         caps->reverse,    caps->move,      caps->italic,     caps->underline,
                         caps->erase_line, caps->sync_end,  caps->sync_begin, caps->strike,
                         caps->modes_on,   caps->modes_off, caps->mouse_on,   caps->mouse_off,
                         caps->ask};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (int i = 0; i < CAPS_COLOURS; i++) {
        free(caps->fg[i]);
        free(caps->bg[i]);
    }
    memset(caps, 0, sizeof *caps);
}

void caps_move(const struct caps *caps, struct buf *out, int x, int y)
{
    if (!caps->move) {
        buf_addf(out, "\x1b[%d;%dH", y + 1, x + 1);
        return;
    }
    char *made = tparm(caps->move, (long)y, (long)x, 0L, 0L, 0L, 0L, 0L, 0L, 0L);
    char *clean = without_delays(made ? made : "");
    buf_adds(out, clean);
    free(clean);
}

/* All terminals of more than sixteen agree on how they are named. what: 38 or 48. */
static void add_colour(const struct caps *caps, struct buf *out, int what, int32_t colour)
{
    colour = colour_nearest(colour, caps->colours);
    if (colour > 255)
        buf_addf(out, "\x1b[%d;2;%d;%d;%dm", what, (int)(colour >> 16 & 255),
                 (int)(colour >> 8 & 255), (int)(colour & 255));
    else if (colour >= CAPS_COLOURS)
        buf_addf(out, "\x1b[%d;5;%dm", what, (int)colour);
    else if (colour >= 0)
        buf_adds(out, what == 38 ? caps->fg[colour] : caps->bg[colour]);
}

void caps_style(const struct caps *caps, struct buf *out, struct style from, struct style to)
{
    if (from.fg == to.fg && from.bg == to.bg && from.attrs == to.attrs)
        return;
    bool fewer = (from.attrs & ~to.attrs) != 0 || (from.fg != to.fg && to.fg == COLOUR_DEFAULT) ||
                 (from.bg != to.bg && to.bg == COLOUR_DEFAULT);
    if (fewer) {
        buf_adds(out, caps->plain);
        from = STYLE_PLAIN;
    }
    static const uint8_t bits[] = {ATTR_BOLD,      ATTR_DIM,    ATTR_REVERSE,
                                   ATTR_UNDERLINE, ATTR_ITALIC, ATTR_STRIKE};
    const char *const strings[] = {caps->bold,      caps->dim,    caps->reverse,
                                   caps->underline, caps->italic, caps->strike};
    for (size_t i = 0; i < sizeof bits; i++)
        if (to.attrs & ~from.attrs & bits[i])
            buf_adds(out, strings[i]);
    if (to.fg != from.fg)
        add_colour(caps, out, 38, to.fg);
    if (to.bg != from.bg)
        add_colour(caps, out, 48, to.bg);
}

void caps_restore(const struct caps *caps, struct buf *out)
{
    if (caps->linear)
        return;
    /* CAN ends an escape sequence that was cut off in the middle. */
    buf_addc(out, '\x18');
    buf_adds(out, caps->sync_end);
    buf_adds(out, caps->mouse_off);
    buf_adds(out, caps->modes_off);
    buf_adds(out, caps->plain);
    if (!caps->leave[0])
        buf_adds(out, caps->clear);
    buf_adds(out, caps->show);
    buf_adds(out, caps->leave);
}
