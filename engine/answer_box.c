/* answer_box.c - what was changed in a failed step's box, in lines for a pane, and taking it. */
#include "engine/answers.h"

#include "base/mem.h"
#include "engine/kept_box.h"

#include <inttypes.h>
#include <string.h>

#define MOST_LINES      5000
#define MOST_LINES_EACH 500
#define MOST_MADE       100

struct lines {
    struct buf text;
    size_t n;
};

static void add_file(struct lines *lines, const char *word, const char *path)
{
    buf_addf(&lines->text, "=%s ", word);
    buf_add_shown(&lines->text, path, strlen(path));
    buf_addc(&lines->text, '\n');
    lines->n++;
}

static void add_remark(struct lines *lines, const char *text)
{
    buf_addf(&lines->text, "#%s\n", text);
    lines->n++;
}

/* The patch's lines behind its heads, of which the words of the file say the same. */
static void add_patch(struct lines *lines, const struct buf *patch)
{
    size_t shown = 0, left = 0;
    bool head = true;
    for (const char *line = buf_str(patch), *end = line + patch->len; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        head = strncmp(line, "diff ", 5) == 0 || (head && *line != '@');
        if (!head && shown < MOST_LINES_EACH) {
            buf_add(&lines->text, line, n);
            buf_addc(&lines->text, '\n');
            shown++;
        } else if (!head) {
            left++;
        }
        line += n + 1;
    }
    lines->n += shown;
    if (left) {
        char *text = mem_printf("and %zu more lines", left);
        add_remark(lines, text);
        free(text);
    }
}

static const char *word_of(const struct box_change *at)
{
    if (at->is.kind == FILE_ABSENT)
        return "removed";
    if (at->was.kind != FILE_REGULAR || at->is.kind != FILE_REGULAR)
        return "changed";
    bool same = digest_eq(&at->was.digest, &at->is.digest);
    const char *mode = at->is.executable ? "executable" : "not-executable";
    return at->was.executable != at->is.executable && same ? mode : "changed";
}

static void add_change(struct lines *lines, struct kept_box *box, const struct kept_change *change)
{
    struct buf patch = BUF_INIT;
    add_file(lines, word_of(change->at), change->at->path);
    const char *why = kept_box_patch(box, change, &patch);
    if (why)
        add_remark(lines, why);
    add_patch(lines, &patch);
    buf_release(&patch);
}

static void show(struct kept_box *box, struct question *q)
{
    struct lines lines = {.text = BUF_INIT};
    size_t n, made = 0, outputs = 0, unshown = 0;
    uint64_t more;
    const struct kept_change *changes = kept_box_changes(box, &n, &more);
    for (size_t i = 0; i < n; i++) {
        if (changes[i].class != KEPT_INPUT)
            continue;
        q->changed++;
        if (lines.n < MOST_LINES)
            add_change(&lines, box, &changes[i]);
        else
            unshown++;
    }
    if (unshown) {
        char *text =
            mem_printf("and %zu more files: kiln debug %s --diff has all", unshown, q->step);
        add_remark(&lines, text);
        free(text);
    }
    for (size_t i = 0; i < n; i++) {
        outputs += changes[i].class == KEPT_OUTPUT;
        if (changes[i].class == KEPT_MADE && made++ < MOST_MADE)
            add_file(&lines, "made", changes[i].at->path);
    }
    outputs += made > MOST_MADE ? made - MOST_MADE : 0;
    if (outputs + more > 0) {
        char *text = mem_printf("and %" PRIu64 " file%s of outputs%s", outputs + more,
                                outputs + more == 1 ? "" : "s",
                                more || made > MOST_MADE ? ", or too many to be listed" : "");
        add_remark(&lines, text);
        free(text);
    }
    q->text = arena_strdup(&q->arena, buf_str(&lines.text));
    buf_release(&lines.text);
}

static void take(struct kept_box *box, struct question *q, struct err *err)
{
    struct kept_taken taken;
    if (kept_box_take(box, NULL, 0, &taken, err) < 0)
        return;
    q->changed = taken.taken;
    for (size_t i = 0; taken.conflicts && i < taken.n; i++) {
        const struct take_item *item = &taken.items[i];
        struct buf line = BUF_INIT;
        if (!item->conflict)
            continue;
        buf_add_shown(&line, item->path, strlen(item->path));
        if (item->line)
            buf_addf(&line, ":%zu", item->line);
        q->text = arena_printf(&q->arena, "Nothing was taken: %s %s%s", buf_str(&line),
                               item->conflict, taken.conflicts > 1 ? "; and more conflicts" : "");
        buf_release(&line);
        return;
    }
    const char *secret = taken.secret ? "; what may hold a secret was left out" : "";
    q->text = taken.taken
                  ? arena_printf(&q->arena, "%zu file%s taken into the working tree%s", taken.taken,
                                 taken.taken == 1 ? "" : "s", secret)
                  : arena_printf(&q->arena, "Nothing to take: the working tree has it%s", secret);
}

void answer_box(struct kept_box *box, struct question *q)
{
    struct err err = ERR_INIT;
    if (kept_box_look(box, &err) == 0) {
        if (q->kind == QUESTION_TAKE)
            take(box, q, &err);
        else
            show(box, q);
    }
    q->found = err.kind == ERR_NONE;
    if (!q->found)
        q->error = arena_strdup(&q->arena, err_text(&err));
    err_release(&err);
}
