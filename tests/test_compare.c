/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparisons: the numbers of the table against numbers worked out here, the figure's pixels, and the command with tiny
 * models, interrupted and killed on its way. A training of its own, which nobody interrupts, is what the trainings of
 * a comparison are held to. */
#include "command.h"

#include "model/model.h"
#include "report/report.h"

#include <math.h>
#include <signal.h>

/* ---- table and figure of made-up results --------------------------------------------------------------------------
 */

enum { EPOCHS = 5 };

static CompareRun made_run(double level, bool done)
{
    static double epoch[] = { 1, 2, 3, 4, 5 }, values[16][EPOCHS];
    static int used;
    double *map50 = values[used++ % 16], *map = values[used++ % 16];
    for (int i = 0; i < EPOCHS; i++)
        map50[i] = level * (i + 1) / EPOCHS, map[i] = map50[i] / 2;
    return (CompareRun) { done, NULL, EPOCHS, epoch, map50, map, level, level / 2 };
}

/* Two models and three seeds; the second model has failed with the last. */
static Comparison made_up(CompareModel m[3], CompareRun run[9])
{
    static const int64_t seed[] = { 0, 1, 7 };
    const double level[] = { 0.5, 0.6, 0.9, 0.8, 0.6, 0.2 };
    for (int i = 0; i < 6; i++)
        run[i] = made_run(level[i], i != 5);
    run[5].failed = "the loss, \"cls\", is not a number";
    memset(run + 6, 0, 3 * sizeof *run);
    m[0] = (CompareModel) { "base", "base.yaml", NULL, 2e6, 8, 9, 10, 5, 20, 100, 90, run };
    m[1] = (CompareModel) { "other", "a/other.yaml", NULL, 3e6, 10, 6, 9, NAN, 25, 101, 90, run + 3 };
    m[2] = (CompareModel) { "none", "none.yaml", "no such file", NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, run + 6 };
    return (Comparison) { m, 3, 3, seed, 64, 4, "all alike", FITNESS_CLASSIC };
}

/* Field k (from 0) of line `line` of a CSV without commas inside the fields before it. */
static double field(const char *csv, int line, int k)
{
    while (line--)
        csv = strchr(csv, '\n') + 1;
    while (k--)
        csv = strchr(csv, ',') + 1;
    return *csv == ',' ? NAN : strtod(csv, NULL);
}

static int column(const char *csv, const char *name)
{
    const char *end = strchr(csv, '\n');
    for (int k = 0; csv < end; k++) {
        size_t n = strcspn(csv, ",\n");
        if (n == strlen(name) && strncmp(csv, name, n) == 0) return k;
        csv += n + 1;
    }
    fail_msg("no column %s", name);
    return -1;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-6)) fail_msg("%.9g, wanted %.9g", got, want);
}

static void figures_are_those_worked_out_by_hand(void **state)
{
    CompareModel m[3];
    CompareRun run[9];
    Comparison c = made_up(m, run);
    char *csv = compare_csv(arena, &c), *text = compare_text(arena, &c);
    assert_true(csv && text);
    /* base: 0.5 0.6 0.9, mean 2/3, squares of differences 0.0277777 0.0044444 0.0544444 over 2 */
    near(field(csv, 1, column(csv, "mAP50")), 2.0 / 3);
    near(field(csv, 1, column(csv, "mAP50_sd")), sqrt(0.0866666667 / 2));
    near(field(csv, 1, column(csv, "mAP50-95")), 1.0 / 3);
    near(field(csv, 1, column(csv, "mAP50_diff")), 0);
    near(field(csv, 1, column(csv, "seeds_done")), 3);
    /* other: 0.8 0.6; its differences are to 0.5 and 0.6, not to the mean of all three */
    near(field(csv, 2, column(csv, "mAP50")), 0.7);
    near(field(csv, 2, column(csv, "mAP50_sd")), sqrt(0.02));
    near(field(csv, 2, column(csv, "mAP50_diff")), 0.15);
    near(field(csv, 2, column(csv, "mAP50-95_diff")), 0.075);
    near(field(csv, 2, column(csv, "seeds_done")), 2);
    near(field(csv, 2, column(csv, "mAP50-95_seed1")), 0.3);
    assert_true(isnan(field(csv, 2, column(csv, "mAP50_seed7"))));
    assert_true(isnan(field(csv, 2, column(csv, "bf16_ms"))));
    near(field(csv, 2, column(csv, "params")), 3e6);
    near(field(csv, 3, column(csv, "seeds_done")), 0);
    assert_says(csv, "\"the loss, \"\"cls\"\", is not a number\"");
    assert_says(text, "the epoch with the best 0.1 mAP50 + 0.9 mAP50-95, mean");
    c.fitness = FITNESS_MAP;
    assert_says(compare_text(arena, &c), "the epoch with the best mAP50-95, mean");
    assert_says(text, "0.667 ± 0.208");
    assert_says(text, "0.700 ± 0.141 (+0.150)");
    assert_says(text, "3.000 (+50.0%)");
    assert_says(text, "6.000 (-33.3%)");
    assert_says(text, "9.00 (-10.0%)");
    assert_says(text, "25.00 (+25.0%)");
    assert_says(text, "- none failed: no such file");
    assert_says(text, "- other, seed 7, failed: the loss");
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "so far")); /* nothing more is to come */
    run[1].done = false;
    assert_says(compare_text(arena, &c), "4 of 5 trainings are done so far");
}

/* Pixels of this colour; a band is the colour at 16 % on white. */
static long pixels(const Image *im, Rgb color, double alpha)
{
    long n = 0;
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            const uint8_t *p = im->data + (size_t)y * (size_t)im->stride_bytes + 3 * (size_t)x;
            double want[] = { color.r, color.g, color.b }, far = 0;
            for (int k = 0; k < 3; k++)
                far = fmax(far, fabs(p[k] - 255 * (1 + alpha * (want[k] - 1))));
            n += far <= 2;
        }
    return n;
}

static void figure_has_a_line_and_a_band_for_each_model(void **state)
{
    CompareModel m[3];
    CompareRun run[9];
    Comparison c = made_up(m, run);
    Image im;
    for (int i = 0; i < 3; i++) /* below the other's, so that bands do not lie on each other */
        run[i] = made_run(0.1 + 0.1 * i, true);
    assert_ok(report_comparison("made.png", &c, &err));
    assert_ok(image_read("made.png", &im, &err));
    assert_true(pixels(&im, palette_line(0), 1) > 400 && pixels(&im, palette_line(0), 0.16) > 4000);
    /* Without results there is nothing but the legend's key, whose edge may be of a band's shade. */
    assert_true(pixels(&im, palette_line(1), 0.16) < 100);
    image_free(&im);
    c.n_seeds = 1; /* one run has no range; the second model's range goes too */
    c.n = 1;
    assert_ok(report_comparison("made.png", &c, &err));
    assert_ok(image_read("made.png", &im, &err));
    assert_true(pixels(&im, palette_line(0), 0.16) < 400); /* edges of its line and of the key */
    image_free(&im);
    run[0].n = 0; /* nothing yet */
    assert_ok(report_comparison("made.png", &c, &err));
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static const char TINY[] = "nc: 1\nreg_max: 4\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Conv, [%d, 3, 2]]\n"
                           "  - [-1, 1, Conv, [16, 3, 2]]\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n"
                           "  - [[2, 3], 1, Detect, [nc]]\n";
/* AdamW with a high rate, so that a few dozen steps lead to boxes. */
#define BUDGET                                                                                                         \
    "data=shapes imgsz=64 epochs=12 batch=4 nbs=4 optimizer=AdamW lr0=0.01 warmup_epochs=0 mosaic=0 threads=1 "        \
    "precision=f32"

static const char *write_model(const char *name, int width)
{
    char *text = arena_printf(arena, TINY, width); /* NOLINT */
    assert_ok(file_write(name, text, strlen(text), &err));
    return name;
}

/* A weights file that trains to nothing: one of its numbers is none. */
static void write_sick_model(const char *name, const char *from)
{
    Model *m;
    ModelOptions mo = { 0 };
    assert_ok(model_from_file(from, &mo, &m, &err));
    m->w.data[0] = NAN;
    assert_ok(model_save(m, name, NULL, 0, &err));
    model_free(&m);
}

/* Starts the command, waits until the file has the lines, and sends the signal. Gives the wait status. */
static int interrupted(const char *args, const char *csv, int lines, int sig)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char *line = arena_printf(arena, "exec %s %s >out.txt 2>err.txt", command_path, args);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(98);
    }
    assert_true(pid > 0);
    for (int i = 0; i < 12000 && lines_in(csv) < lines; i++)
        usleep(5000);
    assert_true(lines_in(csv) >= lines);
    kill(pid, sig);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    slurp("out.txt", out);
    slurp("err.txt", errs);
    return status;
}

/* Rows of a results.csv without the clock's column. */
static char *results(const char *path)
{
    static char text[TEXT_MAX];
    Text t = { .a = arena };
    slurp(path, text);
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n'), *comma = strchr(line, ','), *rest = comma ? strchr(comma + 1, ',') : NULL;
        assert_true(end && rest && rest < end);
        text_add(&t, "%.*s%.*s\n", (int)(comma - line), line, (int)(end - rest), rest);
        line = end + 1;
    }
    return text_done(&t);
}

static double number_behind(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    if (!at) fail_msg("'%s' does not say '%s'", text, words);
    return strtod(at + strlen(words), NULL);
}

static void same_results(const char *run_folder, const char *alone)
{
    const char *got = results(arena_printf(arena, "%s/results.csv", run_folder)),
               *want = results(arena_printf(arena, "%s/results.csv", alone));
    assert_int_equal(count(want, "\n"), 13);
    assert_string_equal(got, want);
}

static const char compare_line[] =
    "compare models=t1.yaml,bad.yaml,t2.yaml " BUDGET " seeds=0 iters=1 project=c name=x exist_ok";

/* The best row by 0.1 mAP50 + 0.9 mAP50-95, which is what the table has to show. */
static void best_row(const char *run_folder, double best[2])
{
    ResultsTable t;
    double fitness = -1;
    assert_ok(results_read(arena, arena_printf(arena, "%s/results.csv", run_folder), &t, &err));
    int c50 = results_column(&t, "metrics/mAP50(B)"), c = results_column(&t, "metrics/mAP50-95(B)");
    for (size_t i = 0; i < t.n_rows; i++) {
        double v50 = t.value[i * t.n_columns + (size_t)c50], v = t.value[i * t.n_columns + (size_t)c];
        if (0.1 * v50 + 0.9 * v > fitness) fitness = 0.1 * v50 + 0.9 * v, best[0] = v50, best[1] = v;
    }
    assert_true(best[0] > 0);
}

static void interrupted_and_killed_it_goes_on(void **state)
{
    static char csv[TEXT_MAX];
    double best[2], other[2];
    assert_runs("synth out=shapes n=20 imgsz=64 classes=1");
    write_model("t1.yaml", 16);
    write_model("t2.yaml", 24);
    const char *bad = "nc: 1\nbackbone:\n  - [-1, 1, Cnov, [8, 3, 2]]\nhead: []\n";
    assert_ok(file_write("bad.yaml", bad, strlen(bad), &err));
    int status = interrupted(compare_line, "c/x/t1-seed0/results.csv", 4, SIGINT);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_says(errs, "go on with: dynyolo compare resume=c/x");
    assert_false(file_exists("c/x/t1-seed0/finished"));

    status = interrupted("compare resume=c/x", "c/x/t2-seed0/results.csv", 3, SIGKILL);
    assert_true(WIFSIGNALED(status));
    assert_says(out, "t1, seed 0: goes on");
    assert_true(file_exists("c/x/t1-seed0/finished"));
    assert_false(file_exists("c/x/t2-seed0/finished"));
    assert_says(arena_strdup(arena, results("c/x/t1-seed0/results.csv")), "\n12,");
    slurp("c/x/compare.md", csv); /* a table of what is known is there already */
    assert_says(csv, "1 of 2 trainings are done so far");

    assert_runs("%s", compare_line);
    assert_says(out, "t1, seed 0: done before");
    assert_says(out, "t2, seed 0: goes on");
    assert_says(errs, "bad.yaml:3");
    assert_says(out, "- bad failed: bad.yaml:3");
    assert_runs("train model=t1.yaml " BUDGET " project=c name=alone1 plots=False");
    assert_runs("train model=t2.yaml " BUDGET " project=c name=alone2 plots=False");
    same_results("c/x/t1-seed0", "c/alone1");
    same_results("c/x/t2-seed0", "c/alone2");
    /* the same pictures in the same order for both */
    assert_int_equal(system("cmp -s c/x/t1-seed0/train_batch0.jpg c/x/t2-seed0/train_batch0.jpg"), 0);

    slurp("c/x/compare.csv", csv);
    best_row("c/alone1", best);
    best_row("c/alone2", other);
    near(field(csv, 1, column(csv, "mAP50")), best[0]);
    near(field(csv, 1, column(csv, "mAP50-95")), best[1]);
    near(field(csv, 3, column(csv, "mAP50-95")), other[1]);
    near(field(csv, 3, column(csv, "mAP50_diff")), other[0] - best[0]);
    assert_true(isnan(field(csv, 2, column(csv, "params"))));
    assert_true(field(csv, 3, column(csv, "params")) > field(csv, 1, column(csv, "params")));
    assert_runs("info model=t1.yaml nc=1 imgsz=64");
    assert_near(field(csv, 1, column(csv, "true_gflops")), number_behind(out, "At 64x64, true: "), 5.1e-5);
    assert_near(field(csv, 1, column(csv, "profiler_gflops")), number_behind(out, "profiler of layers sees: "), 5.1e-5);
    static const char *const costs[] = { "f32_ms", "train_ms_per_image", "planned_mb" };
    for (size_t i = 0; i < COUNT_OF(costs); i++)
        assert_true(field(csv, 1, column(csv, costs[i])) > 0);
    assert_true(file_exists("c/x/compare.png"));
}

/* Further models and seeds join; nothing is trained twice; a model that diverges is told and left. */
static void more_models_and_seeds_join(void **state)
{
    static char csv[TEXT_MAX];
    write_model("t3.yaml", 12);
    write_sick_model("sick.safetensors", "t1.yaml");
    char *before = results("c/x/t1-seed0/results.csv");
    assert_runs("compare resume=c/x models=t1.yaml,sick.safetensors seeds=[0,1] iters=1 plots=False");
    assert_says(out, "[1/4] t1, seed 0: done before");
    assert_says(out, "[3/4] t1, seed 1\n");
    assert_says(out, "- sick, seed 1, failed: the loss is not a number in epoch 1");
    assert_string_equal(results("c/x/t1-seed0/results.csv"), before);
    slurp("c/x/compare.csv", csv);
    double a = field(csv, 1, column(csv, "mAP50-95_seed0")), b = field(csv, 1, column(csv, "mAP50-95_seed1"));
    assert_true(a != b);
    near(field(csv, 1, column(csv, "mAP50-95")), (a + b) / 2);
    near(field(csv, 1, column(csv, "mAP50-95_sd")), fabs(a - b) / sqrt(2));
    near(field(csv, 2, column(csv, "seeds_done")), 0);
    /* killed after its last epoch and before it said so: only what comes after the epochs is done again */
    assert_int_equal(system("rm c/x/t1-seed0/finished c/x/t1-seed0/results.png"), 0);
    assert_runs("compare resume=True project=c name=x models=t1.yaml seeds=0 iters=1 plots=True");
    assert_says(out, "t1, seed 0: goes on");
    assert_true(file_exists("c/x/t1-seed0/finished") && file_exists("c/x/t1-seed0/results.png"));
    assert_string_equal(results("c/x/t1-seed0/results.csv"), before);
    assert_int_equal(run("compare models=sick.safetensors " BUDGET " iters=1 project=c name=sick"), 1);
    assert_says(errs, "no model could be trained: the loss is not a number");
}

/* min_transfer keeps a model out that the weights do not fit; what is timed anew needs none. */
static void weights_that_give_too_little(void **state)
{
    static char csv[TEXT_MAX];
    assert_runs("compare models=t1.yaml,t2.yaml data=shapes imgsz=64 batch=4 epochs=1 workers=1 plots=False iters=1 "
                "project=c name=w pretrained=c/alone1/weights/last.safetensors min_transfer=0.95");
    assert_says(out, "- t2 failed: min_transfer=0.95");
    slurp("c/w/compare.csv", csv);
    assert_true(field(csv, 1, column(csv, "f32_ms")) > 0);
}

static void what_would_not_compare_is_refused(void **state)
{
    assert_refuses(2, "which models", "compare data=shapes");
    assert_refuses(2, "stands there twice", "compare models=t1.yaml,t1.yaml data=shapes");
    assert_refuses(2, "seeds=a", "compare models=t1.yaml seeds=a data=shapes");
    assert_refuses(2, "twice", "compare models=t1.yaml seeds=1,1 data=shapes");
    assert_refuses(1, "models", "compare models=t1.yaml,,t2.yaml data=shapes");
    assert_refuses(2, "not an option of compare", "compare model=t1.yaml");
    assert_false(dir_exists("runs"));
    assert_refuses(1, "holds no comparison", "compare resume=c/none");
    assert_refuses(2, "no comparison's folder", "compare models=t1.yaml data=shapes project=c name=alone1 exist_ok");
    assert_refuses(2, "was begun with epochs=12, now it is 13", "compare resume=c/x epochs=13");
    assert_refuses(2, "was begun with batch=4, now it is 16",
                   "compare models=t1.yaml " BUDGET " batch=16 project=c name=x exist_ok");
    write_model("t1.yaml", 20);
    assert_int_equal(run("compare resume=c/x"), 2);
    assert_says(errs, "'t1.yaml' is not what 'c/x/t1-seed0' was trained from");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_worked_out_by_hand),
        cmocka_unit_test(figure_has_a_line_and_a_band_for_each_model),
        cmocka_unit_test(interrupted_and_killed_it_goes_on),
        cmocka_unit_test(more_models_and_seeds_join),
        cmocka_unit_test(weights_that_give_too_little),
        cmocka_unit_test(what_would_not_compare_is_refused),
    };
    return cmocka_run_group_tests(tests, command_setup, command_teardown);
}
