/*
 * Command and ActionResult messages: what decodes is written in canonical form, and that form is
 * read and written without a change. An even first byte says that the rest is a Command.
 */
#include "cache/action.h"

#include "base/file.h"
#include "base/text.h"
#include "tests/fuzz/fuzz.h"

static void must(int rc)
{
    CLAIM(rc == 0);
}

static void check_equal(const struct buf *a, const struct buf *b)
{
    CLAIM(a->len == b->len && memcmp(buf_str(a), buf_str(b), a->len) == 0);
}

static bool check_command(const uint8_t *bytes, size_t n, struct arena *arena, struct err *err)
{
    struct action_command command, again;
    struct buf first = BUF_INIT, second = BUF_INIT;
    if (action_command_decode(bytes, n, arena, &command, err) != 0)
        return false;
    action_command_encode(&command, &first);
    must(action_command_decode(first.data, first.len, arena, &again, NULL));
    CLAIM(again.n_argv == command.n_argv && again.n_env == command.n_env);
    for (size_t i = 0; i < command.n_argv; i++)
        CLAIM(strcmp(command.argv[i], again.argv[i]) == 0);
    action_command_encode(&again, &second);
    check_equal(&first, &second);
    buf_release(&first);
    buf_release(&second);
    return true;
}

static bool check_result(const uint8_t *bytes, size_t n, struct arena *arena, struct err *err)
{
    struct action_result result, again;
    struct buf first = BUF_INIT, second = BUF_INIT;
    if (action_result_decode(bytes, n, arena, &result, err) != 0)
        return false;
    uint64_t left[3] = {0, result.stdout_digest.size, result.stderr_digest.size};
    for (size_t i = 0; i < result.n_chunks; i++) {
        uint8_t stream = result.chunks[i].stream;
        CLAIM(stream == 1 || stream == 2);
        CLAIM(result.chunks[i].bytes <= left[stream]);
        left[stream] -= result.chunks[i].bytes;
    }
    for (size_t i = 0; i < result.n_outputs; i++) {
        const char *path = result.outputs[i].path;
        char *normal = path_normalize(path);
        CLAIM(*path && normal && strcmp(path, normal) == 0 && utf8_valid(path, strlen(path)));
        CLAIM((result.outputs[i].kind == OUTPUT_SYMLINK) == (result.outputs[i].target != NULL));
        free(normal);
    }
    action_result_encode(&result, &first);
    must(action_result_decode(first.data, first.len, arena, &again, NULL));
    CLAIM(again.n_outputs == result.n_outputs && again.n_chunks == result.n_chunks);
    CLAIM(again.start_ns == result.start_ns && again.end_ns == result.end_ns);
    action_result_encode(&again, &second);
    check_equal(&first, &second);
    buf_release(&first);
    buf_release(&second);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    bool ok = data[0] % 2 ? check_result(data + 1, size - 1, &arena, &err)
                          : check_command(data + 1, size - 1, &arena, &err);
    CLAIM(ok ? err.kind == ERR_NONE : err.kind == ERR_CORRUPT && *err_text(&err));
    err_release(&err);
    arena_release(&arena);
    return 0;
}
