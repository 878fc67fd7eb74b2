#include "base/links.h"

#include "base/mem.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* Of a line, no more than this is looked at: some expressions need the square of it. */
#define LOOKED_MAX 1000

/* A path with an extension, or to one of the files that are known without (Makefile, Dockerfile and
 * their kin); nothing that a URL has. */
#define PART      "[^][ \t:;,'\"`()<>|=*?]"
#define PATH      "(" PART "+\\.[A-Za-z][A-Za-z0-9_+]*|(" PART "*[a-z]file|" PART "*configure))"
#define ANY_PATH  "([^\"]+)"
#define NUMBER    "([0-9]{1,7})"
#define AT        PATH ":" NUMBER
#define AT_COLUMN AT ":" NUMBER

struct rule {
    enum link_kind kind;
    const char *needle; /* no line without it is looked at closer */
    const char *regex;
    int file, line, column; /* groups; 0: it has none */
};

/* PATH has two groups of its own. The first that matches counts, so what says more comes first. */
static const struct rule rules[] = {
    /* gcc, clang, gfortran, zig, swiftc, ghc, shellcheck -f gcc, cppcheck, cmocka, UBSan */
    {LINK_ERROR, "rror", AT_COLUMN ": (fatal |runtime |internal compiler )?[Ee]rror", 1, 3, 4},
    {LINK_ERROR, "rror", AT ": (fatal )?[Ee]rror", 1, 3, 0},
    {LINK_WARNING, "arning", AT_COLUMN ": [Ww]arning", 1, 3, 4},
    {LINK_WARNING, "arning", AT ": [Ww]arning", 1, 3, 0},
    {LINK_PLACE, ": note:", AT_COLUMN ": note", 1, 3, 4},
    {LINK_ERROR, "undefined reference", AT ": undefined reference", 1, 3, 0},
    {LINK_ERROR, "undefined reference", "undefined reference to ", 0, 0, 0},
    {LINK_ERROR, "multiple definition", AT ": multiple definition", 1, 3, 0},
    {LINK_ERROR, " error: ", "^[^ ]*(ld|lld|collect2|cc1[a-z]*): (fatal )?error: ", 0, 0, 0},
    /* tsc, csc, cl */
    {LINK_ERROR, "error", PATH "\\(" NUMBER "(,([0-9]{1,7}))?\\) ?: (fatal )?error", 1, 3, 5},
    {LINK_WARNING, "warning", PATH "\\(" NUMBER "(,([0-9]{1,7}))?\\) ?: warning", 1, 3, 5},
    {LINK_ERROR, "error", AT_COLUMN " - error", 1, 3, 4},
    /* rustc, cargo test */
    {LINK_ERROR, "error", "^error(\\[E[0-9]+\\])?: ", 0, 0, 0},
    {LINK_WARNING, "warning", "^warning(\\[[a-z_:]+\\])?: ", 0, 0, 0},
    {LINK_PLACE, "-->", "^ *--> " AT_COLUMN, 1, 3, 4},
    {LINK_ERROR, "panicked at", "panicked at (.*[ ,])?" AT_COLUMN, 2, 4, 5},
    {LINK_ERROR, "FAILED", "^test .* \\.\\.\\. FAILED", 0, 0, 0},
    /* go build, go vet, go test */
    {LINK_ERROR, ".go:", "^(vet: )?(([^ :]*/)?[^ :]+\\.go):" NUMBER ":" NUMBER ": ", 2, 4, 5},
    {LINK_ERROR, ".go:", "^ +([^ :]+\\.go):" NUMBER ": ", 1, 2, 0},
    {LINK_ERROR, "--- FAIL", "^ *--- FAIL: ", 0, 0, 0},
    {LINK_ERROR, "FAIL", "^FAIL[ \t:]", 0, 0, 0},
    {LINK_ERROR, "panic: ", "^panic: ", 0, 0, 0},
    {LINK_PLACE, ".go:", "([^ \t:]+\\.go):" NUMBER, 1, 2, 0},
    /* maven, gradle and java's stacks */
    {LINK_ERROR, "[ERROR]", "^\\[ERROR\\] +" PATH ":\\[" NUMBER ",([0-9]+)\\]", 1, 3, 4},
    {LINK_ERROR, "Exception", "^(Exception in thread|Caused by: )", 0, 0, 0},
    {LINK_PLACE, "\tat ", "\\(([A-Za-z0-9_$]+\\.(java|kt|scala|groovy)):" NUMBER "\\)", 1, 3, 0},
    /* python, pytest, unittest */
    {LINK_ERROR, "File \"", "^E +File \"" ANY_PATH "\", line " NUMBER, 1, 2, 0},
    {LINK_PLACE, "File \"", "File \"" ANY_PATH "\", line " NUMBER, 1, 2, 0},
    {LINK_ERROR, ": ", "^([^ :]+\\.py):" NUMBER ": [A-Za-z_.]*(Error|Exception|Failed|Exit)", 1, 2,
     0},
    {LINK_ERROR, "E  ", "^E {2,}[^ ]", 0, 0, 0},
    {LINK_ERROR, ".py", "^(FAILED|ERROR) (([^ :]+\\.py))", 2, 0, 0},
    {LINK_ERROR, ": ", "^(FAIL|ERROR): [A-Za-z_]+ \\(", 0, 0, 0},
    {LINK_ERROR, "Error", "^([A-Za-z_]+\\.)*[A-Z][A-Za-z_]*(Error|Exception)(:|$)", 0, 0, 0},
    {LINK_ERROR, "KeyboardInterrupt", "^KeyboardInterrupt", 0, 0, 0},
    /* node, jest, mocha, vitest, eslint */
    {LINK_PLACE, "at ", "at ([^()]* )?\\(?(file://)?([^ ():]+\\.[A-Za-z]+):" NUMBER ":" NUMBER, 3,
     4, 5},
    {LINK_ERROR, "●", "^ *● [^ ]+", 0, 0, 0},
    {LINK_ERROR, "✕", "^ *(✕|✗|×) ", 0, 0, 0},
    {LINK_ERROR, "  error  ", "^ +[0-9]+:[0-9]+  error  ", 0, 0, 0},
    /* gtest, catch2, cmocka, ctest, meson, bats, TAP */
    {LINK_ERROR, "Failure", AT ": Failure", 1, 3, 0},
    {LINK_ERROR, "FAILED", AT ": FAILED", 1, 3, 0},
    {LINK_ERROR, "FAILED", "^\\[ *FAILED *\\]", 0, 0, 0},
    {LINK_ERROR, "***", "\\*\\*\\*(Failed|Timeout|Exception|Not Run)", 0, 0, 0},
    {LINK_ERROR, "not ok", "^ *not ok", 0, 0, 0},
    {LINK_ERROR, ":FAIL", AT ":[^: ]+:FAIL(:|$)", 1, 3, 0}, /* Unity */
    {LINK_ERROR, "Assertion", AT ":( [^:]+:)? Assertion ", 1, 3, 0},
    /* sanitizers, valgrind */
    {LINK_ERROR, "==ERROR: ", "==ERROR: [A-Za-z]+Sanitizer", 0, 0, 0},
    /* make, ninja, cmake, meson, the shells */
    {LINK_ERROR, "***", "^[^ ]*make(\\[[0-9]+\\])?: \\*\\*\\* \\[(([^][ :]+)):" NUMBER, 2, 4, 0},
    {LINK_ERROR, "***", "^[^ ]*make(\\[[0-9]+\\])?: \\*\\*\\*", 0, 0, 0},
    {LINK_ERROR, "*** ", PATH ":" NUMBER ": \\*\\*\\* ", 1, 3, 0},
    {LINK_ERROR, "FAILED: ", "^FAILED: ", 0, 0, 0},
    {LINK_ERROR, "CMake Error", "^CMake Error at ([^ :]+):" NUMBER, 1, 2, 0},
    {LINK_ERROR, "CMake Error", "^CMake Error", 0, 0, 0},
    {LINK_WARNING, "CMake Warning", "^CMake Warning at ([^ :]+):" NUMBER, 1, 2, 0},
    {LINK_ERROR, "ERROR: ", AT_COLUMN ": ERROR: ", 1, 3, 4},
    {LINK_ERROR, ": line ", "^([^ :]+): line " NUMBER ": ", 1, 2, 0},
    {LINK_ERROR, "not found", "^([^ :]+): (line )?" NUMBER ": [^:]+: (Permission denied|not found)",
     1, 3, 0},
    {LINK_ERROR, "rror: ", "^(npm|yarn|pnpm)? ?(ERR!|[Ff]atal [Ee]rror:|[Ff]atal:|[Ee]rror:) ", 0,
     0, 0},
    {LINK_ERROR, "ERR!", "^npm ERR! ", 0, 0, 0},
    {LINK_ERROR, "fatal: ", "^fatal: ", 0, 0, 0},
    /* ruby, perl, php, lua */
    {LINK_ERROR, ".rb:", "^([^ :]+\\.rb):" NUMBER ":in ", 1, 2, 0},
    {LINK_PLACE, " line ", "at ([^ ]+\\.(pl|pm|t)) line " NUMBER, 1, 3, 0},
    {LINK_ERROR, "PHP ", "^PHP .* in ([^ ]+\\.php)(:| on line )" NUMBER, 1, 3, 0},
    /* anything else of the form */
    {LINK_PLACE, ":", AT_COLUMN, 1, 3, 4},
    {LINK_PLACE, ":", AT, 1, 3, 0},
};

enum { RULES = sizeof rules / sizeof *rules, GROUPS = 8 };

struct links {
    regex_t regexes[RULES];
    bool compiled[RULES]; /* when first needed: all together they are large */
};

struct links *links_new(void)
{
    return mem_zalloc(1, sizeof(struct links));
}

void links_free(struct links *links)
{
    for (size_t i = 0; links && i < RULES; i++)
        if (links->compiled[i])
            regfree(&links->regexes[i]);
    free(links);
}

static const regex_t *regex_of(struct links *links, size_t i)
{
    if (!links->compiled[i]) {
        int code = regcomp(&links->regexes[i], rules[i].regex, REG_EXTENDED);
        assert(code == 0);
        (void)code;
        links->compiled[i] = true;
    }
    return &links->regexes[i];
}

static unsigned number(const char *text, const regmatch_t *match)
{
    unsigned value = 0;
    for (regoff_t i = match->rm_so; i >= 0 && i < match->rm_eo && value < 100000000; i++)
        value = value * 10 + (unsigned)(text[i] - '0');
    return value;
}

static void take(const struct rule *rule, const char *text, const regmatch_t *groups,
                 struct link *out)
{
    *out = (struct link){.kind = rule->kind};
    out->start = (size_t)groups[0].rm_so;
    out->end = (size_t)groups[0].rm_eo;
    if (rule->file == 0)
        return;
    const regmatch_t *last = &groups[rule->file];
    out->start = out->file_start = (size_t)last->rm_so;
    out->file_end = (size_t)last->rm_eo;
    if (rule->line > 0) {
        last = &groups[rule->line];
        out->line = number(text, last);
    }
    if (rule->column > 0 && groups[rule->column].rm_so >= 0) {
        last = &groups[rule->column];
        out->column = number(text, last);
    }
    out->end = (size_t)last->rm_eo;
}

bool links_find(struct links *links, const char *text, size_t n, enum link_kind least,
                struct link *out)
{
    char looked[LOOKED_MAX + 1];
    if (n > LOOKED_MAX)
        n = LOOKED_MAX;
    looked[0] = '\0';
    for (size_t i = 0; i < RULES; i++) {
        const struct rule *rule = &rules[i];
        if (rule->kind < least || !memmem(text, n, rule->needle, strlen(rule->needle)))
            continue;
        if (!looked[0]) { /* most lines do not come that far */
            memcpy(looked, text, n);
            looked[n] = '\0';
        }
        regmatch_t groups[GROUPS];
        if (regexec(regex_of(links, i), looked, GROUPS, groups, 0) != 0)
            continue;
        take(rule, looked, groups, out);
        if (strncmp(looked + out->file_start, "//", 2) == 0)
            continue; /* a URL */
        return true;
    }
    return false;
}
