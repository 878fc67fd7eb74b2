/* libFuzzer: any bytes as kiln.json give a config or an error with words, never both, never a crash
 * or a leak. */
#include "config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct err err = ERR_INIT;
    int code =
        config_parse((const char *)data, size, "/tmp/kiln.json", "/tmp", false, &config, &err);

    if (code == 0 ? !config || *err_text(&err) : config || !*err_text(&err))
        abort();
    config_free(config);
    err_release(&err);
    return 0;
}
