/*
 * cmd_doctor.c - kiln doctor: what this machine allows, and what to do about what it doesn't.
 *
 *     --json    {"works", "checks": [{"name", "verdict": "ok"|"limited"|"missing", "found",
 *               "means", "remedy", "commands": [...]}]}; works: steps run isolated here
 */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/doctor.h"
#include "cli/options.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *word, *glyph, *ascii, *color;
} verdicts[] = {
    [PROBE_OK] = {"ok", "✓", "+", "32"},
    [PROBE_LIMITED] = {"limited", "!", "!", "33"},
    [PROBE_MISSING] = {"missing", "✗", "x", "31"},
};

/* Columns: "✓ ok       user namespaces  ...". */
#define AT_FOUND 27
#define AT_MEANS 11

/* Calls add for each line of a list of commands. */
static const char *next_line(const char **rest)
{
    const char *line = *rest;
    if (!*line)
        return NULL;
    *rest = line + strcspn(line, "\n");
    return line;
}

void doctor_text(const struct probe *const *probes, size_t n, bool utf8, bool color,
                 struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct probe *probe = probes[i];
        const char *glyph = utf8 ? verdicts[probe->verdict].glyph : verdicts[probe->verdict].ascii;
        if (color)
            buf_addf(out, "\033[%sm%s %-7s\033[0m  ", verdicts[probe->verdict].color, glyph,
                     verdicts[probe->verdict].word);
        else
            buf_addf(out, "%s %-7s  ", glyph, verdicts[probe->verdict].word);
        buf_addf(out, "%-16s", probe->name);
        options_wrap(out, buf_str(&probe->found), AT_FOUND, AT_FOUND);
        if (probe->means.len || probe->remedy.len) {
            char *text = mem_printf("%s%s%s", buf_str(&probe->means),
                                    probe->means.len && probe->remedy.len ? " " : "",
                                    buf_str(&probe->remedy));
            buf_addf(out, "%*s", AT_MEANS, "");
            options_wrap(out, text, AT_MEANS, AT_MEANS);
            free(text);
        }
        /* Commands are to be copied: they are not wrapped. */
        const char *rest = buf_str(&probe->commands);
        for (const char *line; (line = next_line(&rest)); rest += *rest == '\n')
            buf_addf(out, "%*s%.*s\n", AT_MEANS + 4, "", (int)(rest - line), line);
    }
}

void doctor_json(const struct probe *const *probes, size_t n, bool works, struct buf *out)
{
    buf_addf(out, "{\"works\":%s,\"checks\":[", works ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        const struct probe *probe = probes[i];
        const struct {
            const char *key, *value;
        } fields[] = {{"name", probe->name},
                      {"verdict", verdicts[probe->verdict].word},
                      {"found", buf_str(&probe->found)},
                      {"means", buf_str(&probe->means)},
                      {"remedy", buf_str(&probe->remedy)}};
        buf_adds(out, i ? ",{" : "{");
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
            buf_addf(out, "\"%s\":", fields[k].key);
            buf_add_json_str(out, fields[k].value);
            buf_addc(out, ',');
        }
        buf_adds(out, "\"commands\":[");
        const char *rest = buf_str(&probe->commands);
        for (const char *line, *first = rest; (line = next_line(&rest)); rest += *rest == '\n') {
            if (line != first)
                buf_addc(out, ',');
            buf_add_json(out, line, (size_t)(rest - line));
        }
        buf_adds(out, "]}");
    }
    buf_adds(out, "]}\n");
}

/* The project that one stands in, or none: doctor works anywhere. */
static char *project_here(const struct options *options)
{
    char *path = NULL, *root = NULL;
    if (app_find(options, &path, &root, NULL) < 0) {
        free(root);
        root = NULL;
    }
    free(path);
    return root;
}

int command_doctor(const struct options *options)
{
    enum { OTHERS = 5 };
    struct probe_report report;
    struct probe others[OTHERS] = {0};
    const struct probe *all[PROBE_N + OTHERS];
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    char *cache = cache_default_path();
    char *boxes = cache ? path_join(cache, "v1/box") : NULL;
    char *project = project_here(options);
    bool usable = boxes && file_mkdirs(boxes, 0711, NULL) == 0;
    probe_all(&(struct probe_options){.dir = usable ? boxes : NULL}, &report);
    doctor_skopeo("", &others[0]);
    doctor_cache(cache, &others[1]);
    doctor_clock(usable ? boxes : NULL, clock_realtime_ns(), &others[2]);
    doctor_inotify("", project, &others[3]);
    /* Tried only when nothing that it needs is missing: that is told with a remedy of its own. */
    bool works =
        usable && probe_first_missing(&report, &err) == 0 && others[1].verdict != PROBE_MISSING;
    size_t n = PROBE_N + OTHERS - 1;
    if (works) {
        char *place = path_join(cache, "v1");
        doctor_box(place, boxes, &others[4]);
        free(place);
        works = others[4].verdict != PROBE_MISSING;
        n++;
    }
    for (size_t i = 0; i < PROBE_N; i++)
        all[i] = &report.probes[i];
    for (size_t i = 0; i < OTHERS; i++)
        all[PROBE_N + i] = &others[i];
    if (options->json) {
        doctor_json(all, n, works, &out);
    } else {
        doctor_text(all, n, !strcmp(nl_langinfo(CODESET), "UTF-8"),
                    color_wanted(options, STDOUT_FILENO), &out);
        buf_adds(&out, works ? "\nSteps can run isolated here, in a sandbox or a container.\n"
                             : "\nSteps can't run isolated here, but for what is missing above. "
                               "Those of the\nrunner \"host\" can.\n");
    }
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    err_release(&err);
    probe_release(&report);
    for (size_t i = 0; i < OTHERS; i++) {
        buf_release(&others[i].found);
        buf_release(&others[i].means);
        buf_release(&others[i].remedy);
        buf_release(&others[i].commands);
    }
    free(cache);
    free(boxes);
    free(project);
    return output_end(options, works ? EXIT_OK : EXIT_STEP_FAILED);
}
