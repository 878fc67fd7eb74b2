#include "tui/look.h"

#include "base/digest.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { RED = 1, GREEN = 2, YELLOW = 3, MAGENTA = 5, CYAN = 6 };
#define NONE COLOUR_DEFAULT

static const struct style styles[ROLE_N] = {
    [ROLE_TEXT] = {NONE, NONE, 0},
    [ROLE_DIM] = {NONE, NONE, ATTR_DIM},
    [ROLE_STRONG] = {NONE, NONE, ATTR_BOLD},
    [ROLE_RULE] = {NONE, NONE, ATTR_DIM},
    [ROLE_TITLE] = {NONE, NONE, 0},
    [ROLE_FOCUS] = {CYAN, NONE, ATTR_BOLD},
    [ROLE_SELECTED] = {NONE, NONE, ATTR_REVERSE},
    [ROLE_SELECTED_AWAY] = {NONE, NONE, ATTR_BOLD},
    [ROLE_KEY] = {NONE, NONE, ATTR_BOLD},
    [ROLE_GOOD] = {GREEN, NONE, 0},
    [ROLE_HIT] = {CYAN, NONE, 0},
    [ROLE_BAD] = {RED, NONE, ATTR_BOLD},
    [ROLE_BUSY] = {YELLOW, NONE, 0},
    [ROLE_QUIET] = {NONE, NONE, ATTR_DIM},
    [ROLE_STOPPED] = {MAGENTA, NONE, 0},
    [ROLE_WARNING] = {YELLOW, NONE, ATTR_BOLD},
    [ROLE_OLD] = {RED, NONE, 0},
    [ROLE_NEW] = {GREEN, NONE, 0},
    [ROLE_MATCH] = {NONE, NONE, ATTR_REVERSE},
    [ROLE_MATCH_HERE] = {YELLOW, NONE, ATTR_REVERSE | ATTR_BOLD},
};

static const struct {
    const char *glyph, *word;
    enum role role;
} states[STATE_N] = {
    [STATE_IDLE] = {"·", "not run", ROLE_QUIET},
    [STATE_WAITING] = {"○", "waiting", ROLE_QUIET},
    [STATE_QUEUED] = {"○", "queued", ROLE_TEXT},
    [STATE_RUNNING] = {"●", "running", ROLE_BUSY},
    [STATE_PASSED] = {"✓", "passed", ROLE_GOOD},
    [STATE_CACHED] = {"≡", "cached", ROLE_HIT},
    [STATE_FAILED] = {"✗", "failed", ROLE_BAD},
    [STATE_SKIPPED] = {"–", "skipped", ROLE_QUIET},
    [STATE_CANCELLED] = {"⊘", "cancelled", ROLE_STOPPED},
};

struct style look_style(enum role role)
{
    return styles[role];
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
    if (step->timed_out) {
        buf_addf(out, "timed out after %s", text_duration(step->duration_ms, duration));
    } else if (step->state == STATE_FAILED && step->signal > 0) {
        const char *name = sigabbrev_np(step->signal);
        if (name)
            buf_addf(out, "killed by SIG%s", name);
        else
            buf_addf(out, "killed by signal %d", step->signal);
    } else if (step->state == STATE_FAILED && step->exit_code > 0) {
        buf_addf(out, "exit %d", step->exit_code);
    } else if (step->error) {
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
