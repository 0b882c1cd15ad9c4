/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer on a small network and pictures made in memory: same seed, same bits; stopped anywhere and resumed, same
 * bits; files, events, early stop, mosaic. The loss curve itself is compared with the reference package in
 * test_train_trace.c. */
#include "train_case.h"

static const char tiny[] = "nc: 2\n"
                           "reg_max: 4\n"
                           "activation: nn.SiLU()\n"
                           "backbone:\n"
                           "  - [-1, 1, Conv, [8, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n"
                           "head:\n"
                           "  - [[2, 3], 1, Detect, [nc]]\n";

/* ---- tests --------------------------------------------------------------------------------------------------------
 */

static void test_learns(void **state)
{
    Run r;
    run_open(&r, tiny, NULL);
    r.job.opt.epochs = 20, r.job.opt.nominal_batch = BATCH, r.job.opt.optimizer = "AdamW", r.job.opt.lr0 = 0.01;
    r.job.opt.warmup_epochs = 0;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_int_equal(r.epochs_told, 20);
    double first = 0, last = 0;
    for (int k = 0; k < 3; k++)
        first += r.told[0].row.train_loss[k], last += r.told[19].row.train_loss[k];
    if (!(last < 0.75 * first)) fail_msg("the loss went from %g to %g", first, last);
    assert_true(r.result.best_fitness < 0); /* without validation: minus the loss */
    run_close(&r);
}

static void test_same_seed(void **state)
{
    Run a, b, c;
    run_open(&a, tiny, NULL);
    run_open(&b, tiny, NULL);
    run_open(&c, tiny, NULL);
    c.toy.seed = 6;
    a.job.opt.epochs = b.job.opt.epochs = c.job.opt.epochs = 2;
    assert_ok(train_run(&a.job, &a.result, &err));
    assert_ok(train_run(&b.job, &b.result, &err));
    assert_ok(train_run(&c.job, &c.result, &err));
    same_slab(&a.m->w, &b.m->w);
    assert_true(memcmp(a.m->w.data, c.m->w.data, (size_t)a.m->w.n * 4) != 0);
    run_close(&a);
    run_close(&b);
    run_close(&c);
}

static void test_resume(void **state)
{
    run_resumes(tiny, (RunHow) { .optimizer = "SGD" }, (int[]) { 3 }, 1);       /* after the last batch of an epoch */
    run_resumes(tiny, (RunHow) { .optimizer = "SGD" }, (int[]) { 5, 1, 2 }, 3); /* in the middle, gradients pending */
    run_resumes(tiny, (RunHow) { .optimizer = "AdamW" }, (int[]) { 4 }, 1);
    run_resumes(tiny, (RunHow) { .optimizer = "NAdam" }, (int[]) { 7 }, 1);
}

/* time= counts in place of epochs: a run whose hours are over ends with the epoch that it is in, whole files and all;
 * one that has hours left goes on past `epochs`. */
static void test_hours(void **state)
{
    Run r, long_run;
    char last[256];
    run_open(&r, tiny, "hours");
    r.job.opt.epochs = 100, r.job.opt.hours = 1e-12;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_int_equal(r.epochs_told, 1);
    in_dir(&r, "weights/last.safetensors", last);
    assert_true(file_exists(last));
    run_close(&r);
    run_open(&long_run, tiny, "hours_left");
    long_run.job.opt.epochs = 1, long_run.job.opt.hours = 1000, long_run.job.opt.patience = 0;
    long_run.stop_after = 2 * BATCHES + 1;
    assert_int_equal(train_run(&long_run.job, &long_run.result, &err), DYN_STOPPED);
    assert_int_equal(long_run.epochs_told, 2);
    run_close(&long_run);
}

/* What a run goes on from is written last: killed (here: unable to write) before it, best and epochK are there already,
 * and the epoch, which is then repeated, writes them again. The other way round, best would stay a run's epoch behind.
 */
static void test_last_is_written_last(void **state)
{
    Run r;
    char last[256], path[256];
    run_open(&r, tiny, "order");
    r.job.opt.save_period = 1;
    in_dir(&r, "weights/last.state.safetensors", path);
    assert_ok(dir_make(path, &err)); /* a folder in its place */
    assert_fails(train_run(&r.job, &r.result, &err), DYN_IO, "last.state.safetensors");
    in_dir(&r, "weights/last.safetensors", last);
    assert_false(file_exists(last));
    static const char *const before[] = { "best.safetensors", "best.state.safetensors", "epoch0.safetensors" };
    for (size_t i = 0; i < COUNT_OF(before); i++) {
        char name[64];
        snprintf(name, sizeof name, "weights/%s", before[i]);
        in_dir(&r, name, path);
        if (!file_exists(path)) fail_msg("%s is not there", path);
    }
    run_close(&r);
}

static void test_resume_refused(void **state)
{
    Run r;
    char last[256], best[256], path[256];
    run_open(&r, tiny, "refused");
    r.job.opt.epochs = 1;
    assert_ok(train_run(&r.job, &r.result, &err));
    in_dir(&r, "weights/last.safetensors", last);
    in_dir(&r, "weights/best.safetensors", best);
    in_dir(&r, "weights/last.state.safetensors", path);

    r.job.opt.resume = last;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "nothing to resume");
    r.job.opt.epochs = 2, r.job.opt.optimizer = "AdamW";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "trained with SGD");
    r.job.opt.optimizer = "SGD", r.job.opt.resume = "/nowhere/last.safetensors";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_IO, "is missing");
    r.job.opt.resume = "yolov8n.pt";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "last.safetensors");

    const char *args;
    Arena *a = arena_new();
    assert_ok(train_resume_args(last, a, &args, &err));
    assert_string_equal(args, "{\"seed\": 5}");

    BlobFile f;
    assert_ok(safetensors_read(a, path, &f, &err));
    r.job.opt.resume = last;
    static const char *const odd[][3] = { { "epoch", "9000000000000000000", "out of range" },
                                          { "batch", "-1", "negative" },
                                          { "epochs", "0", "negative" },
                                          { "seconds", "nan", "out of range" },
                                          { "updates", "x", "not a number" } };
    for (size_t k = 0; k < COUNT_OF(odd); k++)
        for (size_t i = 0; i < f.n_note; i++) {
            if (!str_eq(f.note[i].key, odd[k][0])) continue;
            const char *was = f.note[i].value;
            f.note[i].value = odd[k][1];
            assert_ok(safetensors_write(path, &f, &err));
            assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, odd[k][2]);
            f.note[i].value = was;
        }
    for (size_t i = 0; i < f.n_note; i++)
        if (str_eq(f.note[i].key, "run")) f.note[i].value = "0123456789abcdef";
    assert_ok(safetensors_write(path, &f, &err));
    assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, "two different runs");
    f.n--;
    assert_ok(safetensors_write(path, &f, &err));
    assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, "another model");
    arena_free(&a);
    run_close(&r);
}

/* Spec 4.6: (1 / count)^power to a mean of 1, no object counts as one. Worked out by hand. */
static void test_class_weights(void **state)
{
    static const int64_t count[4] = { 100, 25, 0, 4 };
    static const struct {
        double power, weight[4];
    } want[] = { { 0, { 1, 1, 1, 1 } },
                 { 0.5, { 0.1 / 0.45, 0.2 / 0.45, 1 / 0.45, 0.5 / 0.45 } },
                 { 1, { 0.01 / 0.325, 0.04 / 0.325, 1 / 0.325, 0.25 / 0.325 } } };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        float got[4];
        train_class_weights(count, 4, want[i].power, got);
        for (int k = 0; k < 4; k++)
            if (!(fabs((double)got[k] - want[i].weight[k]) < 1e-6))
                fail_msg("%g: [%d] %g", want[i].power, k, (double)got[k]);
    }
}

static void test_files_and_events(void **state)
{
    Run r;
    char path[256];
    run_open(&r, tiny, "files");
    static const double map[] = { 0.2, 0.5, 0.4, 0.4, 0.3, 0.9 };
    memcpy(r.map, map, sizeof map);
    r.job.validate = validate, r.job.validate_user = &r;
    r.job.opt.epochs = 6, r.job.opt.patience = 3, r.job.opt.close_mosaic = 3, r.job.opt.save_period = 2;
    assert_ok(train_run(&r.job, &r.result, &err));
    assert_int_equal(r.epochs_told, 5); /* best in epoch 2, three without improvement */
    assert_true(r.result.stopped_early);
    assert_int_equal(r.result.best_epoch, 2);
    assert_true(fabs(r.result.best_fitness - 0.5) < 1e-12);
    for (int i = 0; i < 5; i++) {
        assert_true(r.told[i].best == (i <= 1));
        assert_true(r.told[i].last == (i == 4));
        assert_true(r.told[i].row.map == map[i] && r.told[i].row.val_loss[0] == 3);
    }
    assert_int_equal(r.toy.with_mosaic, 3);
    assert_int_equal(r.batches, 5 * BATCHES);
    static const char *const kept[] = { "weights/epoch0.safetensors", "weights/epoch2.safetensors",
                                        "weights/best.state.safetensors" };
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        in_dir(&r, kept[i], path);
        assert_true(file_exists(path));
    }

    Model *best, *last;
    in_dir(&r, "weights/best.safetensors", path);
    assert_ok(model_load(path, &(ModelOptions) { 0 }, &best, &err));
    in_dir(&r, "weights/last.safetensors", path);
    assert_ok(model_load(path, &(ModelOptions) { 0 }, &last, &err));
    same_slab(&last->w, &r.m->w);
    assert_true(memcmp(best->w.data, last->w.data, (size_t)last->w.n * 4) != 0);
    model_free(&best);
    model_free(&last);
    in_dir(&r, "weights/epoch4.safetensors", path);
    assert_int_equal(remove(path), 0);
    run_close(&r);
}

static void test_freeze(void **state)
{
    Run r;
    run_open(&r, tiny, NULL);
    assert_int_equal(train_freeze(r.m, (int64_t[]) { 0, 1 }, 2), 6);
    Slab before;
    assert_ok(slab_new(r.m->g, &before, &err));
    memcpy(before.data, r.m->w.data, (size_t)before.n * 4);
    r.job.opt.epochs = 1;
    assert_ok(train_run(&r.job, &r.result, &err));
    for (int i = 0; i < graph_n_params(r.m->g); i++) {
        const ParamSpec *p = graph_param_spec(r.m->g, i);
        if (p->offset < 0 || p->kind == PARAM_STATE) continue;
        bool moved = memcmp(before.data + p->offset, r.m->w.data + p->offset, (size_t)shape_count(&p->shape) * 4) != 0;
        /* the coarse level may have had no box to learn in three batches */
        if (moved != p->trainable && !str_starts(p->name, "model.4.cv2.1."))
            fail_msg("%s %s", p->name, moved ? "moved" : "did not move");
    }
    slab_free(&before);
    run_close(&r);
}

/* More labels than there was room for when the program was made. */
static void test_crowd(void **state)
{
    Run r;
    run_open(&r, tiny, NULL);
    r.job.opt.epochs = 1;
    r.toy.crowd = 100;
    assert_ok(train_run(&r.job, &r.result, &err));
    run_close(&r);
}

static void test_diverges(void **state)
{
    Run r;
    run_open(&r, tiny, NULL);
    r.m->w.data[graph_param_spec(r.m->g, 0)->offset] = NAN;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "diverged");
    run_close(&r);
    run_open(&r, tiny, NULL);
    r.toy.batches = 2;
    assert_fails(train_run(&r.job, &r.result, &err), DYN_FORMAT, "gave 2 of 3 batches");
    run_close(&r);
    run_open(&r, tiny, NULL);
    r.job.opt.optimizer = "SGDX";
    assert_fails(train_run(&r.job, &r.result, &err), DYN_USAGE, "SGDX");
    run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_learns),
                                        cmocka_unit_test(test_same_seed),
                                        cmocka_unit_test(test_resume),
                                        cmocka_unit_test(test_hours),
                                        cmocka_unit_test(test_last_is_written_last),
                                        cmocka_unit_test(test_resume_refused),
                                        cmocka_unit_test(test_files_and_events),
                                        cmocka_unit_test(test_freeze),
                                        cmocka_unit_test(test_crowd),
                                        cmocka_unit_test(test_class_weights),
                                        cmocka_unit_test(test_diverges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
