#include "runners/kin.h"

#include <string.h>

struct job *kin_find_job(struct kin *kin, uint64_t id)
{
    for (size_t i = 0; i < kin->n_jobs; i++)
        if (kin->jobs[i].state != JOB_FREE && kin->jobs[i].id == id)
            return &kin->jobs[i];
    return NULL;
}

struct job *kin_job_of_main(struct kin *kin, pid_t pid)
{
    for (size_t i = 0; i < kin->n_jobs; i++)
        if (kin->jobs[i].state != JOB_FREE && kin->jobs[i].pid == pid)
            return &kin->jobs[i];
    return NULL;
}

struct job *kin_free_job(struct kin *kin)
{
    for (size_t i = 0; i < kin->n_jobs; i++)
        if (kin->jobs[i].state == JOB_FREE)
            return &kin->jobs[i];
    return kin->n_jobs < KIN_JOBS ? &kin->jobs[kin->n_jobs++] : NULL;
}

/* Where the stray is, or belongs. */
static size_t stray_place(const struct kin *kin, pid_t pid)
{
    size_t low = 0, high = kin->n_strays;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kin->strays[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct stray *kin_find_stray(struct kin *kin, pid_t pid)
{
    size_t i = stray_place(kin, pid);
    return i < kin->n_strays && kin->strays[i].pid == pid ? &kin->strays[i] : NULL;
}

static struct stray *add_stray(struct kin *kin, pid_t pid)
{
    size_t i = stray_place(kin, pid);
    memmove(&kin->strays[i + 1], &kin->strays[i], (kin->n_strays - i) * sizeof kin->strays[0]);
    kin->n_strays++;
    memset(&kin->strays[i], 0, sizeof kin->strays[i]);
    kin->strays[i].pid = pid;
    return &kin->strays[i];
}

void kin_drop_stray(struct kin *kin, pid_t pid)
{
    struct stray *stray = kin_find_stray(kin, pid);
    if (!stray)
        return;
    size_t i = (size_t)(stray - kin->strays);
    kin->n_strays--;
    memmove(&kin->strays[i], &kin->strays[i + 1], (kin->n_strays - i) * sizeof kin->strays[0]);
}

/* Must the job's processes be let be for now? */
static bool holds(const struct job *job)
{
    return job->state == JOB_RUNNING || (job->state == JOB_ENDED && job->lenient);
}

void kin_narrow(struct kin *kin)
{
    for (size_t i = 0; i < kin->n_strays; i++) {
        struct stray *stray = &kin->strays[i];
        uint64_t only = 0;
        size_t n = 0;
        for (size_t k = 0; k < kin->n_jobs && !stray->owner; k++)
            if (holds(&kin->jobs[k]) && kin->jobs[k].id <= stray->newest) {
                only = kin->jobs[k].id;
                n++;
            }
        if (n == 1)
            stray->owner = only;
    }
}

bool kin_condemned(struct kin *kin, const struct stray *stray)
{
    if (stray->owner) {
        const struct job *job = kin_find_job(kin, stray->owner);
        return !job || !holds(job);
    }
    for (size_t i = 0; i < kin->n_jobs; i++)
        if (holds(&kin->jobs[i]) && kin->jobs[i].id <= stray->newest)
            return false;
    return true;
}

static uint64_t owner_by_session(struct kin *kin, const struct survey_process *process)
{
    const struct job *job = kin_job_of_main(kin, process->sid);
    if (job)
        return job->id;
    for (size_t i = 0; i < kin->survey.n; i++)
        if (kin->survey.v[i].sid == process->sid && kin->survey.v[i].owner)
            return kin->survey.v[i].owner;
    return 0;
}

static uint64_t owner_by_stream(struct kin *kin, pid_t pid)
{
    for (int stream = 1; stream <= 2; stream++) {
        struct survey_file file = survey_stream(pid, stream);
        for (size_t i = 0; i < kin->n_jobs; i++) {
            const struct job *job = &kin->jobs[i];
            for (size_t k = 0; job->state != JOB_FREE && k < 2; k++)
                if (file.inode == job->streams[k].inode && file.device == job->streams[k].device)
                    return job->id;
        }
    }
    return 0;
}

/* Can only be one that is not younger than it; the one, when there is only one, else 0 and *newest
 * the last of them. */
static uint64_t owner_by_age(const struct kin *kin, uint64_t born, uint64_t *newest)
{
    uint64_t only = 0;
    size_t n = 0;
    *newest = 0;
    for (size_t i = 0; i < kin->n_jobs; i++) {
        const struct job *job = &kin->jobs[i];
        if (job->state == JOB_FREE || (born && job->born > born))
            continue;
        n++;
        only = job->id;
        if (job->id > *newest)
            *newest = job->id;
    }
    return n == 1 ? only : 0;
}

void kin_attribute(struct kin *kin)
{
    struct survey *survey = &kin->survey;
    /* In this order: who is orphaned between the two is still below its parent in the first, and is
     * in the second. */
    survey_take(survey);
    kin->n_children = survey_children(survey, kin->children, KIN_CHILDREN);
    for (size_t i = 0; i < kin->n_jobs; i++) {
        struct job *job = &kin->jobs[i];
        struct survey_process *process =
            job->state == JOB_FREE ? NULL : survey_find(survey, job->pid);
        if (!process)
            continue;
        process->owner = job->id;
        job->born = process->born;
    }
    kin_narrow(kin);
    for (size_t i = 0; i < kin->n_strays; i++) {
        struct survey_process *process = survey_find(survey, kin->strays[i].pid);
        if (process)
            process->owner = kin->strays[i].owner;
    }
    survey_spread(survey);
    /* Each stray that becomes known can make others known: by its descendants, by its session. */
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < kin->n_children; i++) {
            struct survey_process *process = survey_find(survey, kin->children[i]);
            if (!process || process->owner)
                continue;
            process->owner = owner_by_session(kin, process);
            if (!process->owner)
                process->owner = owner_by_stream(kin, process->pid);
            again = again || process->owner;
        }
        if (again)
            survey_spread(survey);
    }
    for (size_t i = 0; i < kin->n_children; i++) {
        pid_t pid = kin->children[i];
        if (kin_job_of_main(kin, pid))
            continue;
        struct survey_process *process = survey_find(survey, pid);
        struct stray *stray = kin_find_stray(kin, pid);
        bool is_new = !stray;
        if (is_new && kin->n_strays == KIN_CHILDREN)
            break;
        if (is_new)
            stray = add_stray(kin, pid);
        if (process && process->owner)
            stray->owner = process->owner;
        else if (is_new)
            stray->owner = owner_by_age(kin, process ? process->born : 0, &stray->newest);
    }
}
