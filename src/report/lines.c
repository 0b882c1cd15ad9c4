/* SPDX-License-Identifier: Apache-2.0
 *
 * lines - rows for the console, as text: training progress, and what was seen on a picture (spec 7.12, 9.6). */
#include "report/report.h"

#include <math.h>
#include <string.h>

char *duration_text(char *buf, size_t size, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(buf, size, "-");
        return buf;
    }
    long long s = llround(seconds), minutes = s / 60, hours = s / 3600, days = s / 86400;
    if (days)
        snprintf(buf, size, "%lldd %02lld:%02lld", days, hours % 24, minutes % 60);
    else if (hours)
        snprintf(buf, size, "%lld:%02lld:%02lld", hours, minutes % 60, s % 60);
    else if (minutes)
        snprintf(buf, size, "%lld:%02lld", minutes, s % 60);
    else
        snprintf(buf, size, "%llds", s);
    return buf;
}

char *train_header(char *buf, size_t size)
{
    snprintf(buf, size, "%9s%10s%10s%10s%11s%6s%11s%9s%7s%10s", "Epoch", "box_loss", "cls_loss", "dfl_loss",
             "Instances", "Size", "Batch", "img/s", "wait", "left");
    return buf;
}

char *train_line(char *buf, size_t size, const TrainProgress *p)
{
    char epoch[32], step[48], eta[32];
    snprintf(epoch, sizeof epoch, "%d/%d", p->epoch, p->epochs);
    snprintf(step, sizeof step, "%lld/%lld", (long long)p->step, (long long)p->steps);
    snprintf(buf, size, "%9s%10.4g%10.4g%10.4g%11lld%6d%11s%9.3g%6.0f%%%10s", epoch, p->loss[0], p->loss[1], p->loss[2],
             (long long)p->instances, p->imgsz, step, p->images_per_s, 100 * p->wait,
             duration_text(eta, sizeof eta, p->eta_seconds));
    return buf;
}

char *speed_text(char *buf, size_t size, double preprocess_ms, double inference_ms, double loss_ms,
                 double postprocess_ms)
{
    const char *const what[] = { "preprocess", "inference", "loss", "postprocess" };
    const double ms[] = { preprocess_ms, inference_ms, loss_ms, postprocess_ms };
    size_t used = 0;
    snprintf(buf, size, "Speed:");
    for (size_t i = 0; i < COUNT_OF(what); i++) {
        used = strlen(buf);
        if (ms[i] >= 0) snprintf(buf + used, size - used, "%s %.1fms %s", used > 6 ? "," : "", ms[i], what[i]);
    }
    used = strlen(buf);
    snprintf(buf + used, size - used, " per image");
    return buf;
}

char *counts_text(Arena *a, const Detection *det, size_t n, const char *const *names, int32_t n_names)
{
    char *text = arena_strdup(a, n ? "" : "(no detections), ");
    int32_t cls = INT32_MIN;
    for (size_t done = 0; done < n && text;) {
        int32_t next = INT32_MAX;
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            if (det[i].cls > cls || done == 0) next = MIN(next, det[i].cls);
        cls = next;
        for (size_t i = 0; i < n; i++)
            count += det[i].cls == cls;
        done += count;
        const char *many = count > 1 ? "s" : "";
        if (cls >= 0 && cls < n_names)
            text = arena_printf(a, "%s%zu %s%s, ", text, count, names[cls], many);
        else
            text = arena_printf(a, "%s%zu class %d%s, ", text, count, cls, many);
    }
    return text;
}
