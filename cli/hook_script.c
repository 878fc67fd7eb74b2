/*
 * hook_script.c - see hook_script.h.
 *
 * The script's second line says that it is kiln's; its last one has a digest of all before, so that
 * nobody's changes are thrown away. It calls no other program: clients with windows may start git
 * with next to nothing in PATH.
 */
#include "cli/hook_script.h"

#include "base/digest.h"
#include "base/mem.h"

#include <string.h>

#define SECOND \
    "# kiln's hook: \"kiln hook install\" wrote it, \"kiln hook uninstall\" removes it.\n"
#define KILN "kiln="
#define LAST "# "

static void last_line(struct buf *out)
{
    char hex[DIGEST_HEX + 1];
    struct digest digest = digest_of(buf_str(out), out->len);
    digest_hex(&digest, hex);
    buf_addf(out, LAST "%.16s\n", hex);
}

static void add_before(const struct hook_script *script, bool listens, struct buf *out)
{
    buf_addf(out, "before=${0%%/*}/%s" HOOK_BEFORE "\n", script->name);
    if (!listens) {
        buf_adds(out, "if [ -x \"$before\" ]; then\n"
                      "    \"$before\" \"$@\" || exit\n"
                      "fi\n");
        return;
    }
    /* Both want to read what git says. Without another program only lines can be read, which takes
     * long where they are very many. */
    buf_adds(out, "unset said\n"
                  "if [ -x \"$before\" ]; then\n"
                  "    said=\n"
                  "    if command -v cat >/dev/null; then\n"
                  "        said=$(cat; echo .)\n"
                  "        said=${said%.}\n"
                  "    else\n"
                  "        while IFS= read -r line; do\n"
                  "            said=\"$said$line\n\"\n"
                  "        done\n"
                  "    fi\n"
                  "    printf '%s' \"$said\" | \"$before\" \"$@\" || exit\n"
                  "fi\n");
}

static void add_call(const struct hook_script *script, struct buf *out)
{
    buf_addf(out, "\"$kiln\"%s", *script->folder ? " -C \"./$project\"" : "");
    if (script->config) {
        buf_adds(out, " --config ");
        buf_add_quoted(out, script->config);
    }
    buf_addf(out, " hook run %s", script->name);
}

void hook_script_write(const struct hook_script *script, struct buf *out)
{
    bool pushes = !strcmp(script->name, "pre-push");
    bool message = !strcmp(script->name, "commit-msg");
    bool merges = !strcmp(script->name, "pre-merge-commit");
    buf_adds(out, "#!/bin/sh\n" SECOND KILN);
    buf_add_quoted(out, script->kiln);
    buf_adds(out, "\nproject=");
    buf_add_quoted(out, script->folder);
    buf_addc(out, '\n');
    add_before(script, pushes, out);
    if (!script->config)
        buf_adds(out,
                 "[ -e \"${project}kiln.json\" ] || exit 0 # another branch, another project\n");
    buf_adds(
        out,
        "if ! [ -x \"$kiln\" ]; then\n"
        "    gone=$kiln\n"
        "    kiln=$(command -v kiln) || for kiln in \"$HOME/.local/bin/kiln\" "
        "/usr/local/bin/kiln /usr/bin/kiln; do\n"
        "        [ -x \"$kiln\" ] && break\n"
        "    done\n"
        "    if ! [ -x \"$kiln\" ]; then\n"
        "        echo \"hook: kiln is no longer at $gone, nor in PATH, so nothing was tested.\" "
        ">&2\n");
    buf_addf(out,
             "        echo \"hook: install it again, or go on without it: git %s --no-verify; "
             "or remove $0\" >&2\n"
             "        exit 1\n"
             "    fi\n"
             "fi\n",
             pushes   ? "push"
             : merges ? "merge"
                      : "commit");
    if (*script->folder) /* what git names from here */
        buf_adds(out, "case ${GIT_DIR-} in '' | /*) ;; *) GIT_DIR=$PWD/$GIT_DIR ;; esac\n"
                      "case ${GIT_WORK_TREE-} in '' | /*) ;; *) "
                      "GIT_WORK_TREE=$PWD/$GIT_WORK_TREE ;; esac\n");
    if (*script->folder && message)
        buf_adds(out, "case $1 in /*) ;; *) set -- \"$PWD/$1\" ;; esac\n");
    if (pushes) {
        buf_adds(out, "if [ -n \"${said+x}\" ]; then\n"
                      "    printf '%s' \"$said\" | ");
        add_call(script, out);
        buf_adds(out, "\n    exit\nfi\n");
    }
    buf_adds(out, "exec ");
    add_call(script, out);
    buf_adds(out, message ? " \"$1\"\n" : "\n");
    last_line(out);
}

/* The text within the quotes of buf_add_quoted(), as far as there is one line of it. */
static char *unquote(const char *from)
{
    struct buf out = BUF_INIT;
    for (from++; *from && *from != '\n'; from++) {
        if (!strncmp(from, "'\\''", 4)) {
            buf_addc(&out, '\'');
            from += 3;
        } else if (*from == '\'') {
            break;
        } else {
            buf_addc(&out, *from);
        }
    }
    return out.data ? buf_detach(&out) : mem_strdup("");
}

enum hook_script_is hook_script_read(const struct buf *text, char **kiln)
{
    const char *second = strchr(buf_str(text), '\n');
    size_t last = text->len > 1 ? text->len - 1 : 0;
    *kiln = NULL;
    if (!second || strncmp(second + 1, SECOND, strlen(SECOND)) != 0 ||
        strncmp(second + 1 + strlen(SECOND), KILN, strlen(KILN)) != 0)
        return HOOK_IS_OTHER;
    *kiln = unquote(second + 1 + strlen(SECOND) + strlen(KILN));
    while (last && text->data[last - 1] != '\n')
        last--;
    struct buf again = BUF_INIT;
    buf_add(&again, text->data, last);
    last_line(&again);
    bool same = again.len == text->len && memcmp(again.data, text->data, text->len) == 0;
    buf_release(&again);
    return same ? HOOK_IS_OURS : HOOK_IS_CHANGED;
}
