#include "tui/look.h"

#include "base/digest.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NONE  COLOUR_DEFAULT
#define BOLD  ATTR_BOLD
#define DIM   ATTR_DIM
#define REV   ATTR_REVERSE
#define UNDER ATTR_UNDERLINE

/* Dark uses the sixteen colours that people have set for themselves; light the darker ones of the
 * palette; high contrast white and pure colours on black, nothing dim; mono no colours. */
static const struct {
    struct style theme[THEME_N];
} looks[ROLE_N] = {
    /* clang-format off */
    /*                      dark                light               high contrast         mono */
    [ROLE_TEXT] =          {{{NONE, NONE, 0, 0},    {NONE, NONE, 0, 0},    {231, 16, 0, 0},             {NONE, NONE, 0, 0}}},
    [ROLE_DIM] =           {{{NONE, NONE, DIM, 0},  {241, NONE, 0, 0},     {231, NONE, 0, 0},           {NONE, NONE, DIM, 0}}},
    [ROLE_STRONG] =        {{{NONE, NONE, BOLD, 0}, {NONE, NONE, BOLD, 0}, {231, NONE, BOLD, 0},        {NONE, NONE, BOLD, 0}}},
    [ROLE_RULE] =          {{{NONE, NONE, DIM, 0},  {247, NONE, 0, 0},     {231, NONE, 0, 0},           {NONE, NONE, DIM, 0}}},
    [ROLE_TITLE] =         {{{NONE, NONE, 0, 0},    {NONE, NONE, 0, 0},    {231, NONE, 0, 0},           {NONE, NONE, 0, 0}}},
    [ROLE_FOCUS] =         {{{6, NONE, BOLD, 0},    {25, NONE, BOLD, 0},   {51, NONE, BOLD | UNDER, 0}, {NONE, NONE, BOLD, 0}}},
    [ROLE_SELECTED] =      {{{NONE, NONE, REV, 0},  {NONE, NONE, REV, 0},  {231, 16, REV | BOLD, 0},    {NONE, NONE, REV, 0}}},
    [ROLE_SELECTED_AWAY] = {{{NONE, NONE, BOLD, 0}, {NONE, NONE, BOLD, 0}, {231, NONE, BOLD | UNDER, 0},{NONE, NONE, BOLD, 0}}},
    [ROLE_KEY] =           {{{NONE, NONE, BOLD, 0}, {NONE, NONE, BOLD, 0}, {226, NONE, BOLD, 0},        {NONE, NONE, BOLD, 0}}},
    [ROLE_GOOD] =          {{{2, NONE, 0, 0},       {28, NONE, 0, 0},      {46, NONE, 0, 0},            {NONE, NONE, 0, 0}}},
    [ROLE_HIT] =           {{{6, NONE, 0, 0},       {25, NONE, 0, 0},      {51, NONE, 0, 0},            {NONE, NONE, 0, 0}}},
    [ROLE_BAD] =           {{{1, NONE, BOLD, 0},    {124, NONE, BOLD, 0},  {231, 124, BOLD, 0},         {NONE, NONE, BOLD, 0}}},
    [ROLE_BUSY] =          {{{3, NONE, 0, 0},       {94, NONE, 0, 0},      {226, NONE, 0, 0},           {NONE, NONE, 0, 0}}},
    [ROLE_QUIET] =         {{{NONE, NONE, DIM, 0},  {241, NONE, 0, 0},     {231, NONE, 0, 0},           {NONE, NONE, DIM, 0}}},
    [ROLE_STOPPED] =       {{{5, NONE, 0, 0},       {90, NONE, 0, 0},      {213, NONE, 0, 0},           {NONE, NONE, 0, 0}}},
    [ROLE_WARNING] =       {{{3, NONE, BOLD, 0},    {94, NONE, BOLD, 0},   {16, 226, BOLD, 0},          {NONE, NONE, BOLD, 0}}},
    [ROLE_OLD] =           {{{1, NONE, 0, 0},       {124, NONE, 0, 0},     {217, NONE, 0, 0},           {NONE, NONE, 0, 0}}},
    [ROLE_NEW] =           {{{2, NONE, 0, 0},       {28, NONE, 0, 0},      {46, NONE, BOLD, 0},         {NONE, NONE, 0, 0}}},
    [ROLE_MATCH] =         {{{NONE, NONE, REV, 0},  {NONE, NONE, REV, 0},  {231, 16, REV, 0},           {NONE, NONE, REV, 0}}},
    [ROLE_MATCH_HERE] =    {{{3, NONE, REV | BOLD, 0}, {16, 220, BOLD, 0}, {16, 226, BOLD, 0},          {NONE, NONE, REV | BOLD, 0}}},
    /* clang-format on */
};

const char *const look_themes[THEME_N] = {"dark", "light", "high-contrast", "mono"};

/* Of eight or sixteen the nearest would be yellow, cyan or white on white. */
static void darken(struct style *style)
{
    static const struct {
        int32_t of, to;
    } dark[] = {{25, 4}, {28, 2}, {90, 5}, {94, 5}, {124, 1}, {220, 3}};
    if (style->fg > 231) {
        style->fg = NONE;
        style->attrs |= DIM;
    }
    for (size_t i = 0; i < sizeof dark / sizeof *dark; i++) {
        style->fg = style->fg == dark[i].of ? dark[i].to : style->fg;
        style->bg = style->bg == dark[i].of ? dark[i].to : style->bg;
    }
}

void look_theme(enum theme theme, int colours, struct style out[ROLE_N])
{
    for (int role = 0; role < ROLE_N; role++) {
        out[role] = looks[role].theme[colours ? theme : THEME_MONO];
        if (theme == THEME_LIGHT && colours < 256)
            darken(&out[role]);
    }
}

static const struct {
    const char *glyph, *word;
    enum role role;
} states[STATE_N] = {
    [STATE_IDLE] = {"·", "not run", ROLE_QUIET},
    [STATE_WAITING] = {"○", "waiting", ROLE_QUIET},
    [STATE_QUEUED] = {"○", "queued", ROLE_TEXT},
    [STATE_RUNNING] = {"●", "running", ROLE_BUSY},
    [STATE_PAUSED] = {"◆", "paused", ROLE_WARNING},
    [STATE_PASSED] = {"✓", "passed", ROLE_GOOD},
    [STATE_CACHED] = {"≡", "cached", ROLE_HIT},
    [STATE_FAILED] = {"✗", "failed", ROLE_BAD},
    [STATE_SKIPPED] = {"–", "skipped", ROLE_QUIET},
    [STATE_CANCELLED] = {"⊘", "cancelled", ROLE_STOPPED},
};

struct style look_style(enum role role)
{
    return (struct style){COLOUR_DEFAULT, COLOUR_DEFAULT, 0, (uint8_t)role};
}

const char *look_glyph(enum step_state state)
{
    return states[state].glyph;
}

const char *look_word(enum step_state state)
{
    return states[state].word;
}

enum role look_role(enum step_state state)
{
    return states[state].role;
}

char *look_elapsed(uint64_t ms, char out[16])
{
    if (ms < 60000) {
        snprintf(out, 16, "%us", (unsigned)(ms / 1000));
        return out;
    }
    return text_duration(ms, out);
}

void look_value(const char *value, size_t max, struct buf *out)
{
    struct digest digest;
    size_t n = strlen(value);
    if (digest_parse(value, 0, &digest)) {
        buf_add(out, value, 7);
        return;
    }
    if (n > max) {
        n = max;
        while (n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
            n--;
        buf_add_shown(out, value, n);
        buf_adds(out, "…");
        return;
    }
    buf_add_shown(out, value, n);
}

void look_failure(const struct model_step *step, struct buf *out)
{
    char duration[16];
    bool failed = step->state == STATE_FAILED || step->held_failed;
    if (step->timed_out) {
        buf_addf(out, "timed out after %s", text_duration(step->duration_ms, duration));
    } else if (failed && step->signal > 0 && !step->error) {
        const char *name = sigabbrev_np(step->signal);
        if (name)
            buf_addf(out, "killed by SIG%s", name);
        else
            buf_addf(out, "killed by signal %d", step->signal);
    } else if (failed && step->exit_code > 0) {
        buf_addf(out, "exit %d", step->exit_code);
    } else if (step->error) { /* where kiln killed it, that is why */
        const char *newline = strchr(step->error, '\n');
        buf_add_shown(out, step->error,
                      newline ? (size_t)(newline - step->error) : strlen(step->error));
    }
}

void look_reason(const struct model_step *step, struct buf *out)
{
    if (step->n_reasons == 0)
        return;
    const struct reason *reason = &step->reasons[0];
    const char *subject = reason->subject ? reason->subject : "";
    const char *slash = strrchr(subject, '/');
    switch (reason->kind) {
    case REASON_NEW: buf_adds(out, "first time"); break;
    case REASON_FILE:
        buf_add_shown(out, slash && slash[1] ? slash + 1 : subject,
                      strlen(slash && slash[1] ? slash + 1 : subject));
        buf_adds(out, !reason->old ? " added" : !reason->now ? " removed" : " changed");
        break;
    case REASON_COMMAND: buf_adds(out, "command changed"); break;
    case REASON_ENV:
        buf_add_shown(out, subject, strlen(subject));
        buf_adds(out, " changed");
        break;
    case REASON_UPSTREAM:
        buf_add_shown(out, reason->step ? reason->step : subject,
                      strlen(reason->step ? reason->step : subject));
        buf_adds(out, "'s output changed");
        break;
    case REASON_SETTINGS: buf_adds(out, "settings changed"); break;
    case REASON_FORCED: buf_adds(out, "asked for"); break;
    case REASON_EVICTED: buf_adds(out, "result was evicted"); break;
    case REASON_FAILED: buf_adds(out, "failed last time"); break;
    case REASON_TAINTED: buf_adds(out, "inputs moved last time"); break;
    case REASON_UNCACHEABLE: buf_adds(out, "never cached"); break;
    case REASON_N: break;
    }
    if (step->all_reasons > 1)
        buf_addf(out, " +%zu", step->all_reasons - 1);
}
