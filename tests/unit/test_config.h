/*
 * test_config.h - kiln.json texts for the config tests. In a text ' stands for ", and ` for '.
 */
#ifndef KILN_TEST_CONFIG_H
#define KILN_TEST_CONFIG_H

#include "config/config.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

struct config_case {
    const char *name;
    const char *text;
    const char *error; /* part of the message; a leading ^ is "kiln.json:" at its beginning */
};

/* One step "a" on line 2: its body begins at column 7. */
#define STEP(body) "{'version': 1, 'steps': {\n'a': {" body "}}}"
/* The body of the steps' object, from line 2, column 1. */
#define STEPS(body) "{'version': 1, 'steps': {\n" body "}}"

static inline char *case_text(const char *text)
{
    char *json = mem_strdup(text);
    for (char *c = json; *c; c++)
        *c = *c == '\'' ? '"' : *c == '`' ? '\'' : *c;
    return json;
}

static inline int case_parse_in(const char *text, const char *path, const char *root,
                                struct config **config, struct err *err)
{
    char *json = case_text(text);
    int code = config_parse(json, strlen(json), path, root, false, config, err);
    free(json);
    return code;
}

static inline int case_parse(const char *text, struct config **config, struct err *err)
{
    return case_parse_in(text, "/p/demo/kiln.json", "/p/demo", config, err);
}

/* Parses a text that must be good; the caller frees the result. */
static inline struct config *case_good(const char *text)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;
    if (case_parse(text, &config, &err) < 0)
        print_error("unexpected: %s\n", err_text(&err));
    assert_non_null(config);
    err_release(&err);
    return config;
}

static inline bool case_fails_so(const struct config_case *it)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;
    int code = case_parse(it->text, &config, &err);
    char *wanted =
        it->error[0] == '^' ? mem_printf("kiln.json:%s", it->error + 1) : mem_strdup(it->error);
    const char *found = strstr(err_text(&err), wanted);
    bool right = code == -ERR_CONFIG && !config &&
                 (it->error[0] == '^' ? found == err_text(&err) : found != NULL);

    if (!right)
        print_error("%s:\n  expected: %s\n  message:  %s\n", it->name, wanted,
                    code < 0 ? err_text(&err) : "(none)");
    free(wanted);
    err_release(&err);
    config_free(config);
    return right;
}

static inline void case_check_all(const struct config_case *cases, size_t n)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += !case_fails_so(&cases[i]);
    assert_int_equal(wrong, 0);
}

#define check_cases(cases) case_check_all(cases, sizeof(cases) / sizeof((cases)[0]))

#endif
