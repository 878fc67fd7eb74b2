#include "base/err.h"

#include "base/mem.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Takes text over. The old text is freed last, since the new one may have been made from it. */
static int set_text(struct err *err, enum err_kind kind, int errnum, char *text)
{
    free(err->text);
    err->kind = kind;
    err->errnum = errnum;
    err->text = text;
    return -(int)kind;
}

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    if (!err)
        return -(int)kind;
    va_list args;
    va_start(args, format);
    char *text = mem_vprintf(format, args);
    va_end(args);
    return set_text(err, kind, 0, text);
}

int err_sys(struct err *err, int errnum, const char *format, ...)
{
    if (!err)
        return -(int)ERR_SYSTEM;
    va_list args;
    va_start(args, format);
    char *words = mem_vprintf(format, args);
    va_end(args);
    char space[128];
    char *text = mem_printf("%s: %s", words, strerror_r(errnum, space, sizeof(space)));
    free(words);
    return set_text(err, ERR_SYSTEM, errnum, text);
}

int err_wrap(struct err *err, const char *format, ...)
{
    if (!err)
        return -(int)ERR_SYSTEM;
    if (err->kind == ERR_NONE)
        return 0;
    va_list args;
    va_start(args, format);
    char *words = mem_vprintf(format, args);
    va_end(args);
    char *text = mem_printf("%s: %s", words, err_text(err));
    free(words);
    return set_text(err, err->kind, err->errnum, text);
}

int err_move(struct err *to, struct err *from)
{
    if (!from)
        return -(int)ERR_SYSTEM;
    int code = -(int)from->kind;
    if (to == from)
        return code;
    if (!to) {
        err_release(from);
        return code;
    }
    free(to->text);
    *to = *from;
    *from = (struct err)ERR_INIT;
    return code;
}

const char *err_text(const struct err *err)
{
    return err && err->text ? err->text : "";
}

void err_release(struct err *err)
{
    if (!err)
        return;
    free(err->text);
    *err = (struct err)ERR_INIT;
}
