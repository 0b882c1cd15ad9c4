/* SPDX-License-Identifier: Apache-2.0
 *
 * The room image against OpenCV 4.6 and Pillow. tests/data/image/golden.txt (made by tools/golden_image.py) has a line
 * a case; pictures are compared through the CRC-32 of their packed RGB bytes. */
#include "test.h"

#include "image/image.h"

#include <math.h>
#include <unistd.h>

#define GOLDEN "tests/data/image/"

static uint32_t crc_update(uint32_t crc, const uint8_t *p, size_t n)
{
    static uint32_t table[8][256];
    if (!table[0][1])
        for (int k = 0; k < 8; k++)
            for (uint32_t i = 0; i < 256; i++) {
                uint32_t v = k ? table[k - 1][i] : i;
                for (int bit = 0; bit < 8; bit++)
                    v = v >> 1 ^ (v & 1 ? 0xedb88320u : 0);
                table[k][i] = v;
            }
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t v = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][v & 255] ^ table[6][v >> 8 & 255] ^ table[5][v >> 16 & 255] ^ table[4][v >> 24] ^
              table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n > 0; n--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return crc;
}

static uint32_t crc_of(const Image *im)
{
    uint32_t crc = ~0u;
    for (int y = 0; y < im->h; y++)
        crc = crc_update(crc, im->data + (ptrdiff_t)y * im->stride_bytes, (size_t)im->w * 3);
    return ~crc;
}

/* The same picture as noise() of the script. */
static Image noise(int w, int h, uint32_t seed)
{
    Image im;
    Error err;
    assert_ok(image_new(&im, w, h, &err));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++) {
                uint32_t v =
                    (uint32_t)x * 73856093u ^ (uint32_t)y * 19349663u ^ (uint32_t)c * 83492791u ^ seed * 2654435761u;
                v = (v ^ v >> 15) * 2246822519u;
                v = (v ^ v >> 13) * 3266489917u;
                im.data[(size_t)y * (size_t)im.stride_bytes + 3 * (size_t)x + (size_t)c] = (uint8_t)(v >> 24);
            }
    return im;
}

/* A picture inside a larger buffer of guard bytes: what is written outside shows. */
typedef struct Guarded {
    Image im;
    uint8_t *mem;
    size_t bytes;
} Guarded;

static Guarded guarded(int w, int h)
{
    int stride = 3 * w + 7;
    Guarded g = { .bytes = (size_t)stride * (size_t)(h + 2) };
    assert_non_null(g.mem = mem_alloc(g.bytes));
    memset(g.mem, 0xa5, g.bytes);
    g.im = (Image) { .w = w, .h = h, .stride_bytes = stride, .data = g.mem + stride };
    return g;
}

static void guard_check(Guarded *g)
{
    for (size_t i = 0; i < g->bytes; i++) {
        ptrdiff_t at = (ptrdiff_t)i - g->im.stride_bytes;
        bool inside = at >= 0 && at < (ptrdiff_t)g->im.stride_bytes * g->im.h && at % g->im.stride_bytes < 3 * g->im.w;
        if (!inside && g->mem[i] != 0xa5) fail_msg("wrote outside a picture of %d x %d", g->im.w, g->im.h);
    }
    mem_free(g->mem);
}

typedef void CaseFn(const char *values, int line);

/* Calls fn for each golden line of this kind; there must be some. */
static void each(const char *kind, CaseFn *fn)
{
    char line[1024];
    int n = 0, number = 0;
    size_t len = strlen(kind);
    FILE *f = fopen(GOLDEN "golden.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        number++;
        if (strncmp(line, kind, len) == 0 && line[len] == ' ') fn(line + len + 1, number), n++;
    }
    fclose(f);
    assert_true(n > 0);
}

/* ---- decode --------------------------------------------------------------------------------------------------- */
static void check_file(const char *path, int w, int h, uint32_t crc)
{
    Error err;
    Image im;
    ImageInfo info;
    assert_ok(image_read(path, &im, &err));
    if (im.w != w || im.h != h) fail_msg("%s: %d x %d, wanted %d x %d", path, im.w, im.h, w, h);
    if (crc_of(&im) != crc) fail_msg("%s: other pixels than the oracle", path);
    image_free(&im);
    assert_ok(image_probe_file(path, &info, &err));
    assert_int_equal(info.w, w);
    assert_int_equal(info.h, h);
}

static const char *folder;

static void odd_case(const char *values, int line)
{
    char name[128], result[32], path[1200];
    int w, h;
    Error err;
    assert_int_equal(sscanf(values, "%127s %d %d %31s", name, &w, &h, result), 4);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!str_eq(result, "refused")) {
        check_file(path, w, h, (uint32_t)strtoul(result, NULL, 16));
        return;
    }
    Image im = { .w = 1 };
    err.text[0] = 0;
    if (image_read(path, &im, &err) == DYN_OK) fail_msg("%s was not refused", name);
    assert_true(strstr(err.text, name) && strlen(err.text) > strlen(path) + 8 && !strchr(err.text, '\n'));
    assert_null(im.data);
}

static void odd_images(void **state)
{
    if (!(folder = shared_dir("data/images-odd"))) skip_without("data/images-odd");
    each("odd", odd_case);
}

static void photo_case(const char *values, int line)
{
    char name[128], path[1200];
    int w, h;
    unsigned crc;
    assert_int_equal(sscanf(values, "%127s %d %d %x", name, &w, &h, &crc), 4);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check_file(path, w, h, crc);
}

static void photos(void **state)
{
    if (!(folder = shared_dir("data/coco128"))) skip_without("data/coco128");
    each("coco", photo_case);
}

static void formats(void **state)
{
    folder = "tests/data/image";
    each("file", photo_case);
}

static void tolerant_case(const char *values, int line)
{
    char name[128], path[256], *bytes;
    int cut;
    unsigned crc;
    size_t n;
    Error err;
    Image im;
    Arena *a = arena_new();
    assert_int_equal(sscanf(values, "%127s %d %x", name, &cut, &crc), 3);
    snprintf(path, sizeof path, GOLDEN "%s", name);
    assert_ok(file_read(a, path, 1 << 20, &bytes, &n, &err));
    assert_fails(image_decode(bytes, (size_t)cut, "cut", &im, &err), DYN_FORMAT, "truncated");
    assert_ok(image_decode_tolerant(bytes, (size_t)cut, "cut", &im, &err));
    assert_int_equal(crc_of(&im), crc);
    image_free(&im);
    assert_ok(image_decode(bytes, n - 2, "end marker missing", &im, &err));
    image_free(&im);
    arena_free(&a);
}

static void truncated_jpeg(void **state)
{
    each("tolerant", tolerant_case);
}

/* Every prefix of every small file: no crash, and an error has a text. */
static void every_prefix_of(const char *dir)
{
    Error err;
    Arena *a = arena_new();
    char **paths, *bytes;
    size_t files, n;
    assert_ok(dir_list(a, dir, false, &paths, &files, &err));
    assert_true(files > 0);
    for (size_t i = 0; i < files; i++) {
        assert_ok(file_read(a, paths[i], 1 << 20, &bytes, &n, &err));
        for (size_t cut = 0; cut < MIN(n, 3000); cut += 1 + cut / 64) {
            Image im;
            err.text[0] = 0;
            uint8_t *copy = malloc(MAX(cut, 1)); /* exactly so long: the sanitizer sees a read beyond */
            memcpy(copy, bytes, cut);
            if (image_decode(copy, cut, "prefix", &im, &err) == DYN_OK)
                image_free(&im);
            else
                assert_true(strlen(err.text) > 10);
            free(copy);
        }
    }
    arena_free(&a);
}

static void every_prefix(void **state)
{
    every_prefix_of("tests/data/image");
    every_prefix_of("fuzz/seeds/image");
}

static void memory_runs_out(void **state)
{
    static const char *const names[] = { "baseline.jpg", "cmyk.jpg",    "turned.png",
                                         "turned.tif",   "moving.webp", "grey.pgm" };
    Error err;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[256];
        snprintf(path, sizeof path, GOLDEN "%s", names[i]);
        Status s = DYN_NOMEM;
        for (long k = 1; s != DYN_OK; k++) {
            Image im;
            assert_true(k < 30);
            mem_fail_after(k);
            s = image_read(path, &im, &err);
            mem_fail_after(0);
            assert_true(s == DYN_OK || s == DYN_NOMEM);
            if (s == DYN_OK) image_free(&im);
        }
    }
}

static void facts(void **state)
{
    Error err;
    Image im;
    ImageFacts f;
    char dir[] = "/tmp/dynyolo-image-XXXXXX", path[64], *bytes;
    size_t n;
    Arena *a = arena_new();
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.jpg", dir);
    assert_ok(image_verify(GOLDEN "baseline.jpg", &f, &err));
    assert_false(f.too_small || f.jpeg_end_missing);
    assert_string_equal(f.info.format, "jpeg");
    assert_ok(image_verify(GOLDEN "turned.webp", &f, &err));
    assert_int_equal(f.info.orientation, 8);
    assert_ok(file_read(a, GOLDEN "baseline.jpg", 1 << 20, &bytes, &n, &err));
    assert_ok(file_write(path, bytes, n - 1, &err));
    assert_ok(image_verify(path, &f, &err));
    assert_true(f.jpeg_end_missing);
    im = noise(9, 40, 0);
    assert_ok(image_write_png(path, &im, &err)); /* the content decides, not the extension */
    image_free(&im);
    assert_ok(image_verify(path, &f, &err));
    assert_true(f.too_small);
    assert_string_equal(f.info.format, "png");
    assert_fails(image_verify("tests/test_image.c", &f, &err), DYN_UNSUPPORTED, "known format");
    assert_fails(image_verify("nowhere.jpg", &f, &err), DYN_IO, "nowhere.jpg");
    assert_true(image_extension_known("JPG") && image_extension_known("tiff") && !image_extension_known("jp") &&
                !image_extension_known("txt") && !image_extension_known(""));
    unlink(path);
    rmdir(dir);
    arena_free(&a);
}

static void bombs(void **state)
{
    static const char png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    static const char jpeg[] = "\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x11\0\x02\x11\1\x03\x11\1";
    static const char gif[] = "GIF89a\xff\xff\xff\xff\0\0\0";
    static const char pnm[] = "P6 65535 65535 255\n";
    Error err;
    Image im;
    assert_fails(image_decode(png, sizeof png - 1, "bomb", &im, &err), DYN_FORMAT, "65535 x 65535");
    assert_fails(image_decode(jpeg, sizeof jpeg - 1, "bomb", &im, &err), DYN_FORMAT, "65535 x 65535");
    assert_fails(image_decode(gif, sizeof gif - 1, "bomb", &im, &err), DYN_FORMAT, "65535 x 65535");
    assert_fails(image_decode(pnm, sizeof pnm - 1, "bomb", &im, &err), DYN_FORMAT, "65535 x 65535");
    assert_fails(image_decode("", 0, "nothing", &im, &err), DYN_FORMAT, "empty");
}

/* ---- resize, letterbox ---------------------------------------------------------------------------------------- */
static void resize_case(const char *values, int line)
{
    int w, h, dw, dh;
    unsigned seed, crc;
    Error err;
    assert_int_equal(sscanf(values, "%d %d %u %d %d %x", &w, &h, &seed, &dw, &dh, &crc), 6);
    Image src = noise(w, h, seed);
    Guarded dst = guarded(dw, dh);
    assert_ok(image_resize_into(&src, &dst.im, &err));
    if (crc_of(&dst.im) != crc) fail_msg("golden line %d: resize %d x %d -> %d x %d differs", line, w, h, dw, dh);
    guard_check(&dst);
    image_free(&src);
}

static void resize(void **state)
{
    each("resize", resize_case);
}

static void letterbox_case(const char *values, int line)
{
    int w, h, fa, ff, fs, fc, W, H, ow, oh, left, top;
    unsigned seed, crc;
    Error err;
    LetterboxPlan p;
    assert_int_equal(sscanf(values, "%d %d %u %d %d %d %d %d %d %d %d %d %d %x", &w, &h, &seed, &W, &H, &fa, &ff, &fs,
                            &fc, &ow, &oh, &left, &top, &crc),
                     14);
    Letterbox lb = LETTERBOX(W, H);
    lb.auto_pad = fa, lb.scale_fill = ff, lb.scaleup = fs, lb.center = fc;
    assert_ok(letterbox_plan(&lb, w, h, &p, &err));
    if (p.out_w != ow || p.out_h != oh || p.left != left || p.top != top)
        fail_msg("golden line %d: %d x %d at (%d, %d), wanted %d x %d at (%d, %d)", line, p.out_w, p.out_h, p.left,
                 p.top, ow, oh, left, top);
    Image src = noise(w, h, seed), out;
    assert_ok(image_new(&out, ow, oh, &err));
    assert_ok(letterbox_into(&p, lb.pad, &src, out.data, &err));
    if (crc_of(&out) != crc) fail_msg("golden line %d: letterbox pixels differ", line);
    image_free(&src);
    image_free(&out);
}

static void letterboxes(void **state)
{
    each("letterbox", letterbox_case);
}

/* Spec section 13. Sizes are h x w there. */
static void letterbox_vectors(void **state)
{
    static const struct {
        int h, w, auto_pad, in_h, in_w, out_h, out_w, top, bottom, left, right;
    } v[] = {
        { 1080, 810, 1, 640, 480, 640, 480, 0, 0, 0, 0 },    { 720, 1280, 1, 360, 640, 384, 640, 12, 12, 0, 0 },
        { 333, 500, 1, 426, 640, 448, 640, 11, 11, 0, 0 },   { 427, 640, 1, 427, 640, 448, 640, 10, 11, 0, 0 },
        { 100, 1000, 1, 64, 640, 64, 640, 0, 0, 0, 0 },      { 1080, 810, 0, 640, 480, 640, 640, 0, 0, 80, 80 },
        { 427, 640, 0, 427, 640, 640, 640, 106, 107, 0, 0 }, { 333, 500, 0, 426, 640, 640, 640, 107, 107, 0, 0 },
    };
    static const int fit[][4] = { { 1080, 810, 640, 480 }, { 333, 500, 427, 640 }, { 375, 500, 480, 640 } };
    Error err;
    LetterboxPlan p;
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        Letterbox lb = LETTERBOX(640, 640);
        lb.auto_pad = v[i].auto_pad;
        assert_ok(letterbox_plan(&lb, v[i].w, v[i].h, &p, &err));
        assert_true(p.h == v[i].in_h && p.w == v[i].in_w && p.out_h == v[i].out_h && p.out_w == v[i].out_w);
        assert_true(p.top == v[i].top && p.bottom == v[i].bottom && p.left == v[i].left && p.right == v[i].right);
    }
    for (size_t i = 0; i < COUNT_OF(fit); i++) {
        int w, h;
        image_fit_size(fit[i][1], fit[i][0], 640, &w, &h);
        assert_true(h == fit[i][2] && w == fit[i][3]);
    }
    Letterbox lb = LETTERBOX(32, 32);
    assert_fails(letterbox_plan(&lb, 10000, 2, &p, &err), DYN_SHAPE, "vanishes");
}

/* ---- geometry ------------------------------------------------------------------------------------------------- */
static void warp_case(const char *values, int line, int n)
{
    int w, h, dw, dh, used;
    unsigned seed, crc;
    double m[9];
    Error err;
    assert_int_equal(sscanf(values, "%d %d %u %d %d %x%n", &w, &h, &seed, &dw, &dh, &crc, &used), 6);
    char *p = (char *)(uintptr_t)values + used;
    for (int i = 0; i < n; i++)
        m[i] = strtod(p, &p);
    Image src = noise(w, h, seed);
    Guarded dst = guarded(dw, dh);
    assert_ok(n == 6 ? image_warp_affine(&src, m, IMAGE_PAD, &dst.im, &err)
                     : image_warp_perspective(&src, m, IMAGE_PAD, &dst.im, &err));
    if (crc_of(&dst.im) != crc) fail_msg("golden line %d: warp %d x %d -> %d x %d differs", line, w, h, dw, dh);
    guard_check(&dst);
    image_free(&src);
}

static void affine_case(const char *values, int line)
{
    warp_case(values, line, 6);
}

static void perspective_case(const char *values, int line)
{
    warp_case(values, line, 9);
}

static void warps(void **state)
{
    each("affine", affine_case);
    each("perspective", perspective_case);
}

/* Wild matrices must stay inside the buffers (the sanitizer watches) and fill the whole output. */
static void wild_warps(void **state)
{
    static const double wild[] = { 0, 1e-300, -1e-9, 1e-3, 1, -1, 40, 1e9, -1e18, 1e300, INFINITY, NAN };
    Rng r = rng_at(5, 0, 0, 0);
    Error err;
    Image src = noise(23, 19, 1);
    for (int k = 0; k < 4000; k++) {
        double m[9];
        for (int i = 0; i < 9; i++)
            m[i] = wild[rng_int(&r, COUNT_OF(wild))] * (rng_int(&r, 2) ? 1 : rng_unit(&r));
        Guarded dst = guarded(31, 3);
        assert_ok(k & 1 ? image_warp_affine(&src, m, 7, &dst.im, &err)
                        : image_warp_perspective(&src, m, 7, &dst.im, &err));
        guard_check(&dst);
    }
    image_free(&src);
}

/* Wide pictures are mirrored in runs. */
static void wide_flips(void **state)
{
    Error err;
    for (int w = 1; w < 1100; w = w * 3 + w % 2) {
        Image a = noise(w, 2, 5), b;
        assert_ok(image_copy(&b, &a, &err));
        image_flip_lr(&b);
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < w; x++)
                assert_memory_equal(b.data + y * b.stride_bytes + 3 * x, a.data + y * a.stride_bytes + 3 * (w - 1 - x),
                                    3);
        image_free(&a);
        image_free(&b);
    }
}

static void flips(void **state)
{
    Error err;
    Image a = noise(5, 4, 2), b;
    assert_ok(image_copy(&b, &a, &err));
    image_flip_lr(&b);
    assert_memory_equal(b.data, a.data + 4 * 3, 3);
    image_flip_ud(&b);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 5; x++)
            assert_memory_equal(b.data + 15 * y + 3 * x, a.data + 15 * (3 - y) + 3 * (4 - x), 3);
    assert_ok(image_orient(&b, 3, &err)); /* half a turn back */
    assert_memory_equal(a.data, b.data, 60);
    assert_ok(image_orient(&b, 6, &err)); /* clockwise: the lower left corner comes to the upper left */
    assert_int_equal(b.w, 4);
    assert_memory_equal(b.data, a.data + 15 * 3, 3);
    assert_ok(image_orient(&b, 8, &err));
    assert_memory_equal(a.data, b.data, 60);
    image_free(&a);
    image_free(&b);
    assert_null(a.data);
}

/* ---- colour --------------------------------------------------------------------------------------------------- */
static void all_colours(const char *values, void (*convert)(const uint8_t *, uint8_t *, size_t))
{
    enum { SLICE = 1 << 16 };
    static uint8_t in[3 * SLICE], out[3 * SLICE];
    uint32_t crc = ~0u;
    for (uint32_t from = 0; from < 1u << 24; from += SLICE) {
        for (uint32_t i = 0; i < SLICE; i++)
            in[3 * i] = (uint8_t)((from + i) >> 16), in[3 * i + 1] = (uint8_t)((from + i) >> 8),
                   in[3 * i + 2] = (uint8_t)i;
        convert(in, out, SLICE);
        crc = crc_update(crc, out, sizeof out);
    }
    assert_int_equal(~crc, (uint32_t)strtoul(values, NULL, 16));
}

static void to_hsv_case(const char *values, int line)
{
    all_colours(values, rgb_to_hsv);
}

static void to_rgb_case(const char *values, int line)
{
    all_colours(values, hsv_to_rgb);
}

static void hsv_case(const char *values, int line)
{
    int w, h, used;
    unsigned seed, crc;
    double g[3];
    HsvTables t;
    assert_int_equal(sscanf(values, "%d %d %u %x%n", &w, &h, &seed, &crc, &used), 4);
    char *p = (char *)(uintptr_t)values + used;
    for (int i = 0; i < 3; i++)
        g[i] = strtod(p, &p);
    Image im = noise(w, h, seed);
    hsv_tables(&t, g[0], g[1], g[2]);
    image_hsv(&im, &t);
    if (crc_of(&im) != crc) fail_msg("golden line %d: HSV differs", line);
    image_free(&im);
}

/* Every colour, in rows that the vector code cannot do alone, against the two conversions that OpenCV's sums vouch for.
 */
static void augmented_colours(void **state)
{
    enum { W = 4099 };
    static uint8_t in[3 * W], hsv[3 * W], want[3 * W];
    HsvTables t;
    hsv_tables(&t, 0.013, -0.4, 0.31);
    for (uint32_t from = 0; from < 1u << 24; from += W) {
        for (uint32_t i = 0; i < W; i++)
            in[3 * i] = (uint8_t)((from + i) >> 16), in[3 * i + 1] = (uint8_t)((from + i) >> 8),
                   in[3 * i + 2] = (uint8_t)(from + i);
        rgb_to_hsv(in, hsv, W);
        for (size_t i = 0; i < W; i++)
            hsv[3 * i] = t.h[hsv[3 * i]], hsv[3 * i + 1] = t.s[hsv[3 * i + 1]], hsv[3 * i + 2] = t.v[hsv[3 * i + 2]];
        hsv_to_rgb(hsv, want, W);
        image_hsv(&(Image) { .data = in, .w = W, .h = 1, .stride_bytes = sizeof in }, &t);
        assert_memory_equal(in, want, sizeof in);
    }
}

static void colours(void **state)
{
    each("to_hsv", to_hsv_case);
    each("to_rgb", to_rgb_case);
    each("hsv", hsv_case);
}

/* ---- encode --------------------------------------------------------------------------------------------------- */
static void write_case(const char *values, int line)
{
    int w, h, quality, full;
    unsigned seed, crc;
    char path[] = "/tmp/dynyolo-image-XXXXXX";
    Error err;
    Image back;
    assert_int_equal(sscanf(values, "%d %d %u %d %d %x", &w, &h, &seed, &quality, &full, &crc), 6);
    Image im = noise(w, h, seed);
    for (int i = 0; i < 3 * w * h; i++)
        im.data[i] = (uint8_t)(im.data[i] / 4 + 64);
    close(mkstemp(path));
    assert_ok(image_write_jpeg(path, &im, quality, full, &err));
    assert_ok(image_read(path, &back, &err));
    if (crc_of(&back) != crc) fail_msg("golden line %d: written JPEG differs", line);
    image_free(&back);
    assert_ok(image_write_png(path, &im, &err));
    assert_ok(image_read(path, &back, &err));
    assert_memory_equal(im.data, back.data, 3 * w * h);
    image_free(&back);
    image_free(&im);
    unlink(path);
}

static void writers(void **state)
{
    Error err;
    Image im = noise(3, 3, 0);
    each("write", write_case);
    assert_fails(image_write_jpeg("/nowhere/x.jpg", &im, 90, false, &err), DYN_IO, "/nowhere/x.jpg");
    assert_fails(image_write_png("/nowhere/x.png", &im, &err), DYN_IO, "/nowhere/x.png");
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_images),
        cmocka_unit_test(photos),
        cmocka_unit_test(formats),
        cmocka_unit_test(truncated_jpeg),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(facts),
        cmocka_unit_test(bombs),
        cmocka_unit_test(resize),
        cmocka_unit_test(letterboxes),
        cmocka_unit_test(warps),
        cmocka_unit_test(letterbox_vectors),
        cmocka_unit_test(wild_warps),
        cmocka_unit_test(flips),
        cmocka_unit_test(wide_flips),
        cmocka_unit_test(colours),
        cmocka_unit_test(augmented_colours),
        cmocka_unit_test(writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
