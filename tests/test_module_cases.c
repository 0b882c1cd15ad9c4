/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules by their own lines, ModuleDef.cases: what holds for every module without an oracle. Gradients equal central
 * differences in double; f32 and bf16 on the processor equal the double result, folded and fused as well; samples of a
 * batch do not see one another at inference. (That a module computes what its paper says, only PyTorch can tell:
 * test_modules.c.) */
#include "module_case.h"

/* The largest difference of two results over the largest element, or (mean) over their root mean squares. */
static double distance(const Tensor *got, const Tensor *want, bool mean)
{
    double top = 0, most = 0, sum = 0, squares = 0;
    assert_int_equal(tensor_count(got), tensor_count(want));
    for (int64_t e = 0; e < tensor_count(want); e++) {
        double w = tensor_get(want, e), d = fabs(tensor_get(got, e) - w);
        top = MAX(top, fabs(w));
        most = d <= most ? most : d;
        squares += d * d, sum += w * w;
    }
    if (mean) return sqrt(squares / MAX(sum, 1e-300));
    return top > 0 ? most / top : most;
}

/* Element `at` of leaf `name`: the gradient in r against (loss(+e) - loss(-e)) / 2e. */
static void check_element(const ModuleCase *c, const ModuleRun *r, const char *name, int64_t at, Arena *a)
{
    const double e = 1e-5;
    ModuleCase n = *c;
    Tensor g = module_result(r, arena_printf(a, "grad:%s", name));
    n.nudge = name, n.nudge_at = at;
    n.nudge_by = e;
    double up = module_loss(&n, a);
    n.nudge_by = -e;
    double difference = (up - module_loss(&n, a)) / (2 * e), gradient = g.data ? tensor_get(&g, at) : 0;
    if (!(fabs(gradient - difference) <= 1e-6 * MAX(1, fabs(difference))))
        fail_msg("%s: %s: gradient of %s[%lld] is %.9g, differences say %.9g", c->module, c->line, name, (long long)at,
                 gradient, difference);
}

/* First, last and two elements between. */
static void check_leaf(const ModuleCase *c, const ModuleRun *r, const char *name, int64_t n, Arena *a)
{
    for (int64_t k = 0; k < MIN(n, 4); k++)
        check_element(c, r, name, n > 4 ? k * (n - 1) / 3 : k, a);
}

static void check_gradients(const ModuleCase *c, Arena *a)
{
    ModuleRun r = module_walk(c, a);
    Graph *g = module_graph(c, F64, a);
    check_leaf(c, &r, "x", shape_count(&c->x), a);
    for (int i = 0; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec(g, i);
        if (p->trainable) check_leaf(c, &r, p->name, shape_count(&p->shape), a);
    }
    graph_free(&g);
}

static void check_same(const ModuleCase *c, const ModuleRun *got, const ModuleRun *want, double tol, bool mean,
                       const char *how)
{
    int compared = 0;
    for (int i = 0; i < got->n; i++) {
        Tensor w = module_result(want, got->name[i]);
        if (!w.data || str_eq(got->name[i], "loss")) continue;
        double d = distance(&got->t[i], &w, mean);
        if (!(d <= tol))
            fail_msg("%s: %s: %s: %s is %.3g of its size away, at most %g", c->module, c->line, how, got->name[i], d,
                     tol);
        compared++;
    }
    assert_true(compared > 0);
}

static void check_finite(const ModuleCase *c, const Tensor *t, const char *name)
{
    for (int64_t e = 0; e < tensor_count(t); e++)
        if (!isfinite(tensor_get(t, e))) fail_msg("%s: %s: bf16: %s is not finite", c->module, c->line, name);
}

static void check_precisions(const ModuleCase *c, Arena *a)
{
    ModuleRun want = module_walk(c, a), f32 = module_run(c, F32, a), bf16 = module_run(c, BF16, a);
    check_same(c, &f32, &want, 2e-5, false, "f32");
    for (int i = 0; i < bf16.n; i++) /* gradients keep too few bits to tell where they cancel or a maximum is a tie */
        if (str_starts(bf16.name[i], "grad:")) check_finite(c, &bf16.t[i], bf16.name[i]);
    if (c->train) return;
    f32 = module_infer(c, F32, a), bf16 = module_infer(c, BF16, a);
    check_same(c, &f32, &want, 1e-5, false, "f32, folded");
    check_same(c, &bf16, &want, 0.05, true, "bf16, folded");
}

static void check_samples(const ModuleCase *c, Arena *a)
{
    ModuleCase one = *c;
    ModuleRun all = module_infer(c, F32, a);
    Tensor y = module_result(&all, "y");
    one.x.dim[0] = 1;
    for (int64_t n = 0; n < c->x.dim[0]; n++) {
        one.x_from = n * shape_count(&one.x);
        ModuleRun r = module_infer(&one, F32, a);
        Tensor z = module_result(&r, "y"), part = y;
        part.dim[0] = 1;
        part.data = (double *)y.data + n * y.stride[0];
        double d = distance(&z, &part, false);
        if (!(d <= 1e-6)) fail_msg("%s: %s: sample %lld by itself is %.3g away", c->module, c->line, (long long)n, d);
    }
}

typedef void CheckFn(const ModuleCase *c, Arena *a);

static void each_case(CheckFn *check)
{
    int modules = 0, cases = 0;
    for (int i = 0; i < modules_count(); i++) {
        const ModuleDef *def = modules_at(i);
        modules += def->cases != NULL;
        for (const char *s = def->cases; s && *s; cases++) {
            Arena *a = arena_new();
            size_t n = strcspn(s, "\n");
            ModuleCase c = module_case(a, def->name, arena_strndup(a, s, n));
            check(&c, a);
            arena_free(&a);
            s += n + (s[n] == '\n');
        }
    }
    print_message("%d modules, %d cases\n", modules, cases);
    assert_true(modules >= 13);
}

static void gradients(void **state)
{
    each_case(check_gradients);
}

static void precisions(void **state)
{
    each_case(check_precisions);
}

static void samples(void **state)
{
    each_case(check_samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),
        cmocka_unit_test(precisions),
        cmocka_unit_test(samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
