/* Any bytes as the payload of a request to the warden: refused, or all of it lies within the
 * payload. */
#include "runners/launch.h"

#include "tests/fuzz/fuzz.h"

static void check_string(const char *string, const char *from, const char *end)
{
    CLAIM(string >= from && string < end && memchr(string, '\0', (size_t)(end - string)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct launch launch = {0};
    char *payload = malloc(size + !size); /* aligned, as a mapping is */
    CLAIM(payload);
    if (size)
        memcpy(payload, data, size);
    if (launch_read(&launch, payload, size) == 0) {
        struct warden_payload head;
        memcpy(&head, data, sizeof(head));
        const char *strings = payload + head.strings, *end = payload + head.scratch;
        check_string(launch.cwd, strings, end);
        for (uint32_t i = 0; i < head.argc; i++)
            check_string(launch.argv[i], strings, end);
        for (uint32_t i = 0; i < head.envc; i++)
            check_string(launch.envp[i], strings, end);
        CLAIM(launch.scratch + strlen(launch.path) + strlen(launch.argv[0]) + 2 <= payload + size);
        launch.argv[-1] = launch.argv[0];
    }
    free(payload);
    return 0;
}
