/* SPDX-License-Identifier: Apache-2.0
 *
 * The world fails: disks fill up, folders are read-only, files go away between the listing and the reading, memory runs
 * out in any allocation of the data loaders, signals come at any time, two runs want one folder. What must hold: one
 * line that says it, a status that is not zero, files that were whole before are whole after, nothing half-written is
 * found under a file's name. (SIGKILL is tests/kill.sh; the readers' own allocations are in their tests.) */
#include "command.h"

#include "data/data.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char train[] = "train model=yolov8n.yaml data=shapes imgsz=32 batch=8 plots=False project=p threads=1";

static int setup(void **state)
{
    if (command_setup(state) != 0) return -1;
    return run("synth out=shapes n=20 imgsz=64 classes=2");
}

/* No file that somebody was writing aside, and weights that load. */
static void assert_whole(const char *folder)
{
    if (!dir_exists(folder)) return;
    assert_int_equal(system(arena_printf(arena, "! find %s -name '*.tmp-*' | grep -q .", folder)), 0);
    const char *last = arena_printf(arena, "%s/weights/last.safetensors", folder);
    if (file_exists(last)) assert_runs("info model=%s imgsz=32 verbose=False", last);
}

/* ---- disks ----------------------------------------------------------------------------------------------------------
 */

/* `dynyolo ARGS` with at most so many KiB in a file; every write beyond fails. */
static int run_limited(int kib, const char *args)
{
    return system(
        arena_printf(arena, "cd %s && (ulimit -f %d && exec %s %s) >out.txt 2>err.txt", home, kib, command_path, args));
}

static void files_that_may_not_grow(void **state)
{
    assert_runs("%s name=full epochs=1", train);
    assert_int_equal(system("cp -r p/full before"), 0);
    /* the weights take 12 MB, the state beside them more: its write fails, and the old pair stays */
    int status = run_limited(16384, "train model=yolov8n.yaml data=shapes imgsz=32 batch=8 plots=False project=p "
                                    "threads=1 name=full exist_ok=True epochs=1 seed=5");
    slurp("err.txt", errs);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_says(errs, "dynyolo: cannot write 'p/full/weights/best.state.safetensors'");
    assert_int_equal(system("cmp p/full/weights/last.safetensors before/weights/last.safetensors && "
                            "cmp p/full/weights/last.state.safetensors before/weights/last.state.safetensors"),
                     0);
    assert_whole("p/full");
    status = run_limited(512, "convert in=yolov8n.yaml out=cut.safetensors");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1 && !file_exists("cut.safetensors"));
    status = run_limited(512, "convert in=yolov8n.yaml out=cut.pt");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1 && !file_exists("cut.pt"));
    status = run_limited(1, "synth out=cut n=4 imgsz=320");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_int_equal(system("! find . -name '*.tmp-*' | grep -q ."), 0);
}

/* `dynyolo ARGS` with a file system of its own at `disk`, mounted so. False where users may not mount. */
static bool run_on_disk(const char *options, const char *args, int *status)
{
    static const char probe[] = "unshare -rm sh -c 'mount -t tmpfs none disk' >/dev/null 2>&1";
    if (mkdir("disk", 0700) != 0 && !dir_exists("disk")) return false;
    if (system(probe) != 0) return false;
    *status = system(arena_printf(arena,
                                  "cd %s && unshare -rm sh -c 'mount -t tmpfs -o %s none disk && exec %s %s' "
                                  ">out.txt 2>err.txt",
                                  home, options, command_path, args));
    slurp("err.txt", errs);
    return true;
}

/* Each job ends with status 1 and one line that names the trouble. */
static void jobs_fail_on(const char *options, const char *const *job, size_t n, const char *const *words)
{
    for (size_t i = 0; i < n; i++) {
        int status;
        if (!run_on_disk(options, job[i], &status)) skip_without("a way to mount (unshare -rm)");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) fail_msg("%s: %d: %s", job[i], status, errs);
        for (size_t k = 0; words[k]; k++)
            assert_says(errs, words[k]);
    }
}

static void a_disk_that_is_full(void **state)
{
    static const char *const jobs[] = {
        "convert in=yolov8n.yaml out=disk/a.safetensors",
        "convert in=yolov8n.yaml out=disk/a.pt",
        "synth out=disk/s n=400 imgsz=224",
        "train model=yolov8n.yaml data=shapes imgsz=32 batch=8 plots=False project=disk threads=1 epochs=1",
    };
    static const char *const words[] = { "dynyolo: cannot ", "disk/", "space", NULL };
    jobs_fail_on("size=3m", jobs, COUNT_OF(jobs), words);
}

static void a_disk_that_is_read_only(void **state)
{
    static const char *const jobs[] = {
        "convert in=yolov8n.yaml out=disk/a.safetensors",
        "synth out=disk/s n=4",
        "train model=yolov8n.yaml data=shapes imgsz=32 plots=False project=disk epochs=1",
        "val model=yolov8n.yaml data=shapes imgsz=32 project=disk",
        "predict model=yolov8n.yaml source=shapes/images/val imgsz=32 project=disk",
    };
    static const char *const words[] = { "Read-only file system", NULL };
    jobs_fail_on("ro", jobs, COUNT_OF(jobs), words);
}

/* Results that nobody could take are no success. */
static void a_standard_output_that_is_full(void **state)
{
    static const char *const jobs[] = {
        "info model=yolov8n.yaml imgsz=32", "help train", "check data=shapes format=json",
        "predict model=yolov8n.yaml source=shapes/images/val imgsz=32 save=False format=json"
    };
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        int status = system(arena_printf(arena, "%s %s >/dev/full 2>err.txt", command_path, jobs[i]));
        slurp("err.txt", errs);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) fail_msg("%s: %d: %s", jobs[i], status, errs);
        assert_says(errs, "cannot write to standard output");
    }
}

/* ---- files that go away ---------------------------------------------------------------------------------------------
 */

static Dataset *open_shapes(const char *dir)
{
    DataConfig config;
    Dataset *ds;
    DatasetOptions opt = DATASET_OPTIONS;
    assert_ok(data_config_read(arena, dir, &config, &err));
    assert_ok(dataset_open(&ds, &config, &config.train, &opt, NULL, &err));
    return ds;
}

/* Half of the pictures are removed, cut in the header or in the pixels, or exchanged after the scan: the batches are as
 * many and as large, those pictures come grey and without labels, with and without workers. */
static void pictures_that_change_after_the_scan(void **state)
{
    int64_t labels[2] = { 0 };
    for (int workers = 0; workers < 2; workers++) {
        Loader *l;
        Batch b;
        LoaderOptions opt = LOADER_OPTIONS;
        assert_int_equal(system("rm -rf gone && cp -r shapes gone"), 0);
        Dataset *ds = open_shapes("gone");
        assert_true(ds->n >= 12);
        for (int64_t i = 0; i < ds->n; i += 2)
            assert_int_equal(i % 3 == 0   ? unlink(ds->item[i].path)
                             : i % 3 == 1 ? truncate(ds->item[i].path, i % 4 ? 10 : 1000)
                                          : system(arena_printf(arena, "echo x >%s", ds->item[i].path)),
                             0);
        opt.imgsz = 64, opt.batch = 4, opt.workers = workers * 3;
        assert_ok(loader_new(&l, ds, &opt, NULL, &err));
        assert_ok(loader_start(l, 0, 0, false, &err));
        int64_t images = 0;
        do {
            assert_ok(loader_next(l, &b, NULL, &err));
            images += b.n, labels[workers] += b.n_targets;
        } while (b.n);
        assert_int_equal(images, ds->n);
        int64_t want = 0;
        for (int64_t i = 1; i < ds->n; i += 2)
            want += ds->item[i].n_labels;
        assert_int_equal(labels[workers], want);
        loader_free(&l);
        dataset_free(&ds);
    }
}

/* A file that is listed and gone when it is opened (a link to nothing): told, left out. */
static void files_that_go_between_listing_and_reading(void **state)
{
    assert_int_equal(
        system("rm -rf list && cp -r shapes list && ls list/images/train/* | sed 's|list/|./|' >list/a.txt && "
               "printf 'train: a.txt\\nval: images/val\\nnc: 2\\n' >list/data.yaml && "
               "rm $(ls list/images/train/* | head -3)"),
        0);
    Dataset *ds = open_shapes("list");
    assert_int_equal(ds->corrupt, 3);
    dataset_free(&ds);
    assert_int_equal(run("check data=list format=json"), 1);
    assert_int_equal(count(out, "\"kind\": \"unreadable\""), 3);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------
 */

static void ignore_problem(void *user, const DataProblem *p)
{
}

/* The whole way of the pictures: description, scan, check, batches with every transform. */
static Status load_everything(Arena *a)
{
    DataConfig config;
    DataReport report;
    Dataset *ds = NULL;
    Loader *l = NULL;
    Batch b = { .n = 1 };
    DatasetOptions opt = DATASET_OPTIONS;
    LoaderOptions lo = LOADER_OPTIONS;
    DataCheck check = { .split = "val", .problem = ignore_problem };
    lo.imgsz = 32, lo.batch = 3, lo.train = true, lo.cache = true;
    for (int i = 0; i < augment_param_count(); i++)
        if (augment_param_at(i)->max == 1) lo.augment.value[i] = 1;
    Status s = data_config_read(a, "shapes", &config, &err);
    if (s == DYN_OK) s = data_check(a, &config, &check, &report, &err);
    if (s == DYN_OK) s = dataset_open(&ds, &config, &config.val, &opt, NULL, &err);
    if (s == DYN_OK) s = loader_new(&l, ds, &lo, NULL, &err);
    if (s == DYN_OK) s = loader_start(l, 0, 0, true, &err);
    while (s == DYN_OK && b.n)
        s = loader_next(l, &b, NULL, &err);
    loader_free(&l);
    dataset_free(&ds);
    return s;
}

static void memory_runs_out_anywhere(void **state)
{
    Status s = DYN_NOMEM;
    long i = 1;
    for (; s != DYN_OK; i++) {
        Arena *a = arena_new();
        assert_true(i < 100000 && a);
        mem_fail_after(i);
        s = load_everything(a);
        mem_fail_after(0);
        if (s != DYN_OK && s != DYN_NOMEM) fail_msg("allocation %ld: %s: %s", i, dyn_status_name(s), err.text);
        arena_free(&a);
    }
    assert_true(i > 100); /* or nothing was injected */
}

/* ---- signals --------------------------------------------------------------------------------------------------------
 */

/* SIGINT or SIGTERM so many ms after the start. Gives the exit status; killed before main() could ask for the signal,
 * that is 130, too. */
static int signalled(const char *mode, const char *const *word, int sig, int ms)
{
    int status;
    pid_t pid = start(mode, word);
    usleep((useconds_t)ms * 1000);
    kill(pid, sig);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    slurp("err.txt", errs);
    if (WIFSIGNALED(status) && WTERMSIG(status) == sig) return 130;
    if (!WIFEXITED(status)) fail_msg("died of signal %d: %s", WTERMSIG(status), errs);
    return WEXITSTATUS(status);
}

static void a_signal_at_any_time(void **state)
{
    static const char *const words[] = { "model=yolov8n.yaml", "data=shapes",   "imgsz=32",  "batch=8",
                                         "epochs=3",           "plots=False",   "project=p", "threads=1",
                                         "name=sig",           "exist_ok=True", NULL };
    static const char *const again[] = { "model=p/sig/weights/last.safetensors", "resume=True", NULL };
    int stopped = 0;
    for (int i = 0; i < 12; i++) {
        bool resume = file_exists("p/sig/weights/last.state.safetensors");
        int rc = signalled("train", resume ? again : words, i % 2 ? SIGINT : SIGTERM, 30 + 70 * i);
        bool over = rc == 2 && strstr(errs, "nothing to resume");
        if (rc != 0 && rc != 130 && !over) fail_msg("round %d: status %d: %s", i, rc, errs);
        stopped += rc == 130;
        assert_whole("p/sig");
        if (rc == 0 || over) break;
    }
    assert_true(stopped > 0);
    static const char *const val[] = { "model=yolov8n.yaml", "data=shapes", "imgsz=640", "project=p", NULL };
    int rc = signalled("val", val, SIGTERM, 400);
    assert_true(rc == 130 || rc == 0);
}

/* Starts the command, gives it a signal as soon as `file` has these words (NULL: is there), and wants 130. */
static void stopped_at(const char *mode, const char *const *word, const char *file, const char *words)
{
    pid_t pid = start(mode, word);
    bool seen = false;
    for (int i = 0; i < 60000 && !seen; i++) {
        usleep(2000);
        slurp(file, out);
        seen = words ? strstr(out, words) != NULL : file_exists(file);
    }
    kill(pid, SIGINT);
    int rc = ended(pid);
    if (!seen || rc != 130) fail_msg("%s: %s, status %d: %s%s", mode, seen ? "begun" : "not begun", rc, out, errs);
}

/* A data set that takes seconds to look at: many rows to a picture, the first of them wrong, so that it is told. */
static void slow_shapes(void)
{
    assert_int_equal(
        system(
            "rm -rf slow && cp -r shapes slow && rm slow/labels/val/* && for f in slow/labels/train/*; do "
            "awk 'BEGIN { for (i = 0; i < 60000; i++) printf \"0 0.5 0.5 %.6f 0.2\\n\", 0.1 + i * 1e-5 }' >$f; done && "
            "sed -i 's/^0/9/' slow/labels/train/000000.txt"),
        0);
}

/* The scan of a data set stops at the next picture, before anything is written. */
static void a_signal_during_the_scan(void **state)
{
    static const char *const words[] = { "model=yolov8n.yaml", "data=slow",      "imgsz=32",
                                         "workers=0",          "project=slow-p", NULL };
    static const char *const val[] = { "model=yolov8n.yaml", "data=slow",   "imgsz=32", "workers=0",
                                       "project=slow-p",     "split=train", NULL };
    static const char *const check[] = { "data=slow", "workers=0", "split=train", NULL };
    static const char *const compare[] = { "models=yolov8n.yaml", "data=slow",      "imgsz=32",
                                           "workers=0",           "project=slow-c", NULL };
    slow_shapes();
    stopped_at("train", words, "err.txt", "WARNING: train: ");
    assert_says(errs, "dynyolo: stopped after looking at ");
    assert_says(errs, " of the 16 pictures of train\n");
    stopped_at("val", val, "err.txt", "WARNING: train: ");
    assert_says(errs, " of the 16 pictures of train\n");
    assert_false(dir_exists("slow-p"));
    stopped_at("check", check, "out.txt", "error: train: ");
    assert_says(errs, " of the 16 pictures of train\n");
    stopped_at("compare", compare, "err.txt", "WARNING: train: ");
    assert_says(errs, "dynyolo: stopped; go on with: dynyolo compare resume=slow-c/compare\n");
}

/* A folder that was not drawn to its end has no data.yaml, not even an older one, and can be drawn again. */
static void a_signal_while_drawing(void **state)
{
    static const char *const words[] = { "out=drawn", "n=300", "imgsz=320", NULL };
    assert_runs("synth out=drawn n=300 imgsz=64 seed=1");
    assert_int_equal(unlink("drawn/images/train/000000.jpg"), 0);
    stopped_at("synth", words, "drawn/images/train/000000.jpg", NULL);
    assert_says(errs, " of 300 pictures: 'drawn' has no data.yaml yet; the same command draws all of it\n");
    assert_int_equal(count(errs, "\n"), 1);
    assert_false(file_exists("drawn/data.yaml"));
    assert_int_equal(system("! find drawn -name '*.tmp-*' | grep -q ."), 0);
    assert_refuses(1, "drawn", "check data=drawn");
    assert_runs("synth out=drawn n=300 imgsz=320");
    assert_runs("synth out=drawn2 n=300 imgsz=320");
    assert_int_equal(system("diff -r drawn drawn2"), 0);
}

/* predict ends after the batch at hand; convert writes a whole file or none; compare goes on with what is left. */
static void a_signal_to_the_others(void **state)
{
    static const char *const predict[] = { "model=yolov8n.yaml", "source=shapes/images/*/*.jpg", "project=p", "name=s",
                                           NULL };
    static const char *const convert[] = { "in=yolov8x.yaml", "out=x.safetensors", NULL };
    static const char *const compare[] = { "models=yolov8n.yaml", "data=shapes", "imgsz=32",    "batch=8",   "epochs=1",
                                           "seeds=0,1,2",         "plots=False", "project=cmp", "threads=1", NULL };
    stopped_at("predict", predict, "out.txt", "image 2/20 ");
    assert_says(errs, " of 20 pictures\n");
    for (int ms = 10; ms < 700; ms += 110) {
        unlink("x.safetensors");
        int rc = signalled("convert", convert, SIGTERM, ms);
        if (rc != 0 && rc != 130) fail_msg("convert after %d ms: %d: %s", ms, rc, errs);
        assert_int_equal(file_exists("x.safetensors"), rc == 0);
        if (rc == 0) assert_runs("info model=x.safetensors imgsz=32 verbose=False");
    }
    stopped_at("compare", compare, "cmp/compare/yolov8n-seed0/finished", NULL);
    assert_says(errs, "dynyolo: stopped; go on with: dynyolo compare resume=cmp/compare\n");
    assert_false(file_exists("cmp/compare/yolov8n-seed2/finished"));
    assert_runs("compare resume=cmp/compare seeds=0,1 iters=1");
    assert_says(out, "seed 0: done before");
}

/* ---- two runs in one folder -----------------------------------------------------------------------------------------
 */

static void two_runs_in_one_folder(void **state)
{
    static const char *const words[] = { "model=yolov8n.yaml", "data=shapes",   "imgsz=32",  "batch=8",
                                         "epochs=200",         "plots=False",   "project=p", "threads=1",
                                         "name=two",           "exist_ok=True", NULL };
    int status;
    pid_t pid = start("train", words);
    for (int i = 0; i < 2400 && !file_exists("p/two/weights/last.safetensors"); i++) /* of a checkpoint the last */
        usleep(25000);
    assert_int_equal(system("cp p/two/args.yaml args.before"), 0);
    int rc = run("%s name=two exist_ok=True epochs=1", train);
    assert_int_equal(rc, 1);
    assert_says(errs, "another run is writing into 'p/two'");
    rc = run("train model=p/two/weights/last.safetensors resume=True");
    assert_int_equal(rc, 1);
    assert_says(errs, "another run is writing into 'p/two'");
    assert_int_equal(system("cmp p/two/args.yaml args.before"), 0);
    kill(pid, SIGKILL); /* the claim ends with the process, however it ends */
    waitpid(pid, &status, 0);
    assert_runs("%s name=two exist_ok=True epochs=1", train);
    assert_int_equal(lines_in("p/two/results.csv"), 2); /* its own rows only */
    assert_whole("p/two");
}

/* Without exist_ok runs that begin at once get folders of their own. */
static void runs_that_begin_at_once(void **state)
{
    enum { AT_ONCE = 4 };
    static const char *const words[] = { "model=yolov8n.yaml", "source=shapes/images/val", "imgsz=32", "project=q",
                                         NULL };
    pid_t pid[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        pid[i] = start("predict", words);
    for (int i = 0; i < AT_ONCE; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        const char *dir = i ? arena_printf(arena, "q/predict%d", i + 1) : "q/predict";
        assert_int_equal(
            system(arena_printf(arena, "[ $(ls %s/*.jpg | wc -l) = $(ls shapes/images/val | wc -l) ]", dir)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_may_not_grow),
        cmocka_unit_test(a_disk_that_is_full),
        cmocka_unit_test(a_disk_that_is_read_only),
        cmocka_unit_test(a_standard_output_that_is_full),
        cmocka_unit_test(pictures_that_change_after_the_scan),
        cmocka_unit_test(files_that_go_between_listing_and_reading),
        cmocka_unit_test(memory_runs_out_anywhere),
        cmocka_unit_test(a_signal_at_any_time),
        cmocka_unit_test(a_signal_during_the_scan),
        cmocka_unit_test(a_signal_while_drawing),
        cmocka_unit_test(a_signal_to_the_others),
        cmocka_unit_test(two_runs_in_one_folder),
        cmocka_unit_test(runs_that_begin_at_once),
    };
    return cmocka_run_group_tests(tests, setup, command_teardown);
}
