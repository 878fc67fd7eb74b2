/* plain_ci.c - the orders that the log viewers of CIs take (see plain_ci.h). */
#include "cli/plain_ci.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static bool is_true(const char *name)
{
    const char *value = getenv(name);
    return value && !strcmp(value, "true");
}

enum plain_ci plain_ci_here(void)
{
    return is_true("GITHUB_ACTIONS") ? PLAIN_CI_GITHUB
           : is_true("GITLAB_CI")    ? PLAIN_CI_GITLAB
           : is_true("BUILDKITE")    ? PLAIN_CI_BUILDKITE
                                     : PLAIN_CI_NONE;
}

/* GitHub takes "::name" behind blanks at the start of a line, and "##[name" anywhere in it; it ends
 * lines at \r, too. Kiln's own words have no other control characters. */
void plain_ci_words(enum plain_ci ci, const char *text, size_t n, struct buf *out)
{
    bool blank = true; /* nothing but blanks in this line so far */
    if (ci != PLAIN_CI_GITHUB) {
        buf_add(out, text, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bool next_same = i + 1 < n && text[i + 1] == text[i];
        buf_addc(out, text[i]);
        if (next_same && ((blank && text[i] == ':') || text[i] == '#'))
            buf_addc(out, ' ');
        blank = text[i] == '\n' || text[i] == '\r' ||
                (blank && (isspace((unsigned char)text[i]) || (unsigned char)text[i] >= 0x80));
    }
}

/* What stands in the value of one of GitHub's orders, or of one of its properties. */
static void add_value(struct buf *out, const char *text, bool property)
{
    for (; *text; text++) {
        if (*text == '%' || *text == '\r' || *text == '\n' ||
            (property && (*text == ':' || *text == ',')))
            buf_addf(out, "%%%02X", (unsigned char)*text);
        else
            buf_addc(out, *text);
    }
}

/* A name for GitLab's section: letters, digits, "_", "." and "-". */
static void add_section(struct buf *out, const char *id)
{
    for (; *id; id++)
        buf_addc(out, isalnum((unsigned char)*id) || strchr("_.-", *id) ? *id : '_');
}

void plain_ci_open(enum plain_ci ci, struct buf *out, const char *id, const char *title,
                   bool failed, uint64_t now_ns)
{
    if (ci == PLAIN_CI_GITHUB) {
        buf_adds(out, "::group::");
        add_value(out, title, false);
        buf_addc(out, '\n');
    } else if (ci == PLAIN_CI_GITLAB) {
        buf_addf(out, "\033[0Ksection_start:%" PRIu64 ":", now_ns / 1000000000);
        add_section(out, id);
        buf_addf(out, "[collapsed=true]\r\033[0K%s\n", title);
    } else if (ci == PLAIN_CI_BUILDKITE) {
        buf_addf(out, "%s %s\n", failed ? "+++" : "---", title);
    }
}

void plain_ci_close(enum plain_ci ci, struct buf *out, const char *id, uint64_t now_ns)
{
    if (ci == PLAIN_CI_GITHUB) {
        buf_adds(out, "::endgroup::\n");
    } else if (ci == PLAIN_CI_GITLAB) {
        buf_addf(out, "\033[0Ksection_end:%" PRIu64 ":", now_ns / 1000000000);
        add_section(out, id);
        buf_adds(out, "\r\033[0K\n");
    } else if (ci == PLAIN_CI_BUILDKITE) {
        buf_adds(out, "+++ kiln\n");
    }
}

void plain_ci_hush(enum plain_ci ci, struct buf *out, struct plain_ci_hush *hush)
{
    unsigned char random[16];
    if (ci != PLAIN_CI_GITHUB)
        return;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        abort(); /* the kernel gives that many whole; a word to be guessed would be worse */
    for (size_t i = 0; i < sizeof random; i++) {
        hush->word[2 * i] = "0123456789abcdef"[random[i] >> 4];
        hush->word[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
    hush->word[32] = '\0';
    buf_addf(out, "::stop-commands::%s\n", hush->word);
}

void plain_ci_unhush(enum plain_ci ci, struct buf *out, const struct plain_ci_hush *hush)
{
    if (ci == PLAIN_CI_GITHUB)
        buf_addf(out, "::%s::\n", hush->word);
}

/* Adds the path from where the repository was checked out, if it lies there. */
static void add_file(struct buf *out, const char *file)
{
    const char *workspace = getenv("GITHUB_WORKSPACE");
    size_t n = workspace ? strlen(workspace) : 0;
    while (n && workspace[n - 1] == '/')
        n--;
    if (n && !strncmp(file, workspace, n) && file[n] == '/')
        file += n + 1;
    add_value(out, file, true);
}

void plain_ci_error_at(struct buf *out, const char *step, const struct plain_place *place)
{
    buf_adds(out, "::error file=");
    add_file(out, place->file);
    buf_addf(out, ",line=%lu", place->line);
    if (place->column)
        buf_addf(out, ",col=%lu", place->column);
    buf_adds(out, ",title=");
    add_value(out, step, true);
    buf_adds(out, "::");
    add_value(out, place->text, false);
    buf_addc(out, '\n');
}

void plain_ci_error(struct buf *out, const char *step, const char *text)
{
    buf_adds(out, "::error title=");
    add_value(out, step, true);
    buf_adds(out, "::");
    add_value(out, text, false);
    buf_addc(out, '\n');
}
