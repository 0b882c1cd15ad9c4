/* SPDX-License-Identifier: Apache-2.0
 *
 * canvas - a picture being drawn.
 *
 * A cairo context that has met an error ignores all further calls, so callers draw on and ask once, in canvas_save or
 * canvas_check. Text is made valid UTF-8 first, because invalid text is such an error. */
#include "report/canvas.h"

#include <math.h>
#include <string.h>

const Rgb INK = { 0.13, 0.15, 0.19 }, SOFT_INK = { 0.38, 0.42, 0.48 }, GRID = { 0.90, 0.91, 0.93 }, WHITE = { 1, 1, 1 };

static Rgb rgb_hex(uint32_t hex)
{
    return (Rgb) { (hex >> 16) / 255., (hex >> 8 & 255) / 255., (hex & 255) / 255. };
}

Rgb palette_box(int32_t cls)
{
    static const uint32_t hex[20] = { 0x042AFF, 0x0BDBEB, 0xF3F3F3, 0x00DFB7, 0x111F68, 0xFF6FDD, 0xFF444F,
                                      0xCCED00, 0x00F344, 0xBD00FF, 0x00B4FF, 0xDD00BA, 0x00FFFF, 0x26C000,
                                      0x01FFB3, 0x7D24FF, 0x7B0068, 0xFF1B6C, 0xFC6D2F, 0xA2FF0B };
    return rgb_hex(hex[(uint32_t)cls % COUNT_OF(hex)]);
}

Rgb palette_line(size_t i)
{
    static const uint32_t hex[20] = { 0x2563C9, 0xE2711D, 0x2A9D58, 0xC9304A, 0x7B4FC4, 0x8A5A3C, 0xD6559E,
                                      0x6B7280, 0xA8A21A, 0x17A2B8, 0x7FB0F0, 0xF5AE6B, 0x86CF9E, 0xEE8C98,
                                      0xBBA0E8, 0xC4A48E, 0xF0A6CE, 0x1F3A68, 0x5C7A12, 0x0E6B6B };
    return rgb_hex(hex[i % COUNT_OF(hex)]);
}

Rgb heat_color(double t)
{
    static const uint32_t stop[] = { 0xFFFFFF, 0xDCE9F7, 0xA9CBE9, 0x5F9FD3, 0x2A6DB0, 0x0B3C7A };
    double at = CLAMP(t, 0, 1) * (COUNT_OF(stop) - 1);
    size_t i = MIN((size_t)at, COUNT_OF(stop) - 2);
    double f = at - (double)i;
    Rgb a = rgb_hex(stop[i]), b = rgb_hex(stop[i + 1]);
    return (Rgb) { a.r + f * (b.r - a.r), a.g + f * (b.g - a.g), a.b + f * (b.b - a.b) };
}

Rgb readable_on(Rgb c)
{
    return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b > 0.55 ? INK : WHITE;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

Status canvas_check(const Canvas *c, Error *err)
{
    cairo_status_t s = cairo_status(c->cr);
    if (s == CAIRO_STATUS_SUCCESS) s = cairo_surface_status(c->surface);
    if (s == CAIRO_STATUS_SUCCESS) return DYN_OK;
    return fail(err, s == CAIRO_STATUS_NO_MEMORY ? DYN_NOMEM : DYN_UNSUPPORTED, "drawing %gx%g pixels: %s", c->w, c->h,
                cairo_status_to_string(s));
}

static Status canvas_blank(Canvas *c, int w, int h, Error *err)
{
    c->w = w, c->h = h;
    c->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
    c->cr = cairo_create(c->surface);
    Status s = canvas_check(c, err);
    if (s != DYN_OK) canvas_free(c);
    return s;
}

Status canvas_new(Canvas *c, int w, int h, Error *err)
{
    TRY(canvas_blank(c, w, h, err));
    canvas_color(c, WHITE, 1);
    cairo_paint(c->cr);
    return DYN_OK;
}

void canvas_free(Canvas *c)
{
    if (c->cr) cairo_destroy(c->cr);
    if (c->surface) cairo_surface_destroy(c->surface);
    *c = (Canvas) { 0 };
}

/* cairo's RGB24 is one native 32-bit word a pixel. */
Status canvas_from_image(Canvas *c, const Image *im, Error *err)
{
    TRY(canvas_blank(c, im->w, im->h, err));
    cairo_surface_flush(c->surface);
    unsigned char *to = cairo_image_surface_get_data(c->surface);
    int step = cairo_image_surface_get_stride(c->surface);
    for (int y = 0; y < im->h; y++) {
        const uint8_t *p = im->data + (size_t)y * (size_t)im->stride_bytes;
        uint32_t *q = (uint32_t *)(void *)(to + (size_t)y * (size_t)step);
        for (int x = 0; x < im->w; x++, p += 3)
            q[x] = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    }
    cairo_surface_mark_dirty(c->surface);
    return DYN_OK;
}

void canvas_to_image(Canvas *c, Image *im)
{
    cairo_surface_flush(c->surface);
    const unsigned char *from = cairo_image_surface_get_data(c->surface);
    int step = cairo_image_surface_get_stride(c->surface);
    for (int y = 0; y < im->h; y++) {
        const uint32_t *p = (const uint32_t *)(const void *)(from + (size_t)y * (size_t)step);
        uint8_t *q = im->data + (size_t)y * (size_t)im->stride_bytes;
        for (int x = 0; x < im->w; x++, q += 3)
            q[0] = (uint8_t)(p[x] >> 16), q[1] = (uint8_t)(p[x] >> 8), q[2] = (uint8_t)p[x];
    }
}

Status canvas_save(Canvas *c, const char *path, Error *err)
{
    Image im;
    TRY(canvas_check(c, err));
    TRY(image_new(&im, (int)c->w, (int)c->h, err));
    canvas_to_image(c, &im);
    bool jpeg = str_ends_nocase(path, ".jpg") || str_ends_nocase(path, ".jpeg");
    Status s = jpeg ? image_write_jpeg(path, &im, 92, true, err) : image_write_png(path, &im, err);
    image_free(&im);
    return s;
}

/* ---- shapes -------------------------------------------------------------------------------------------------- */

void canvas_color(Canvas *c, Rgb color, double alpha)
{
    cairo_set_source_rgba(c->cr, color.r, color.g, color.b, alpha);
}

void canvas_fill_rect(Canvas *c, Rect r, Rgb color)
{
    canvas_color(c, color, 1);
    cairo_rectangle(c->cr, r.x, r.y, r.w, r.h);
    cairo_fill(c->cr);
}

void canvas_line(Canvas *c, double x0, double y0, double x1, double y1, Rgb color, double width)
{
    canvas_color(c, color, 1);
    cairo_set_line_width(c->cr, width);
    cairo_move_to(c->cr, x0, y0);
    cairo_line_to(c->cr, x1, y1);
    cairo_stroke(c->cr);
}

Status canvas_image(Canvas *c, const Image *im, Rect r, Error *err)
{
    Canvas from;
    TRY(canvas_from_image(&from, im, err));
    cairo_save(c->cr);
    cairo_translate(c->cr, r.x, r.y);
    cairo_scale(c->cr, r.w / im->w, r.h / im->h);
    cairo_set_source_surface(c->cr, from.surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(c->cr), CAIRO_FILTER_GOOD);
    cairo_pattern_set_extend(cairo_get_source(c->cr), CAIRO_EXTEND_PAD);
    cairo_rectangle(c->cr, 0, 0, im->w, im->h);
    cairo_fill(c->cr);
    cairo_restore(c->cr);
    canvas_free(&from);
    return DYN_OK;
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

enum { TEXT_MAX = 512 };

static size_t utf8_step(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))) return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))) return 0;
    return n;
}

/* Valid UTF-8 without control characters, cut at TEXT_MAX. */
static void clean_text(char *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;
    while (*s && used + 5 < TEXT_MAX) {
        size_t n = utf8_step(s);
        if (n == 0 || *s < 0x20 || *s == 0x7f)
            to[used++] = '?', s++;
        else
            for (; n; n--)
                to[used++] = (char)*s++;
    }
    to[used] = 0;
}

static void set_font(Canvas *c, const TextStyle *style)
{
    cairo_select_font_face(c->cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           style->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c->cr, style->size);
}

static double clean_width(Canvas *c, const char *clean, const TextStyle *style)
{
    cairo_text_extents_t e;
    set_font(c, style);
    cairo_text_extents(c->cr, clean, &e);
    return e.x_advance;
}

double text_width(Canvas *c, const char *text, const TextStyle *style)
{
    char clean[TEXT_MAX];
    clean_text(clean, text);
    return clean_width(c, clean, style);
}

static void show_clean(Canvas *c, double x, double y, const char *clean, const TextStyle *style)
{
    double w = clean_width(c, clean, style), back = style->align == ALIGN_LEFT     ? 0
                                                    : style->align == ALIGN_CENTER ? w / 2
                                                                                   : w;
    cairo_save(c->cr);
    cairo_translate(c->cr, x, y);
    if (style->upward) cairo_rotate(c->cr, -acos(-1) / 2);
    canvas_color(c, style->color, 1);
    cairo_move_to(c->cr, -back, 0.36 * style->size); /* half a capital's height below the middle line */
    cairo_show_text(c->cr, clean);
    cairo_restore(c->cr);
}

void canvas_text(Canvas *c, double x, double y, const char *text, const TextStyle *style)
{
    char clean[TEXT_MAX];
    clean_text(clean, text);
    show_clean(c, x, y, clean, style);
}

void canvas_text_within(Canvas *c, double x, double y, double max_w, const char *text, const TextStyle *style)
{
    char clean[TEXT_MAX];
    clean_text(clean, text);
    size_t n = strlen(clean);
    bool cut = false;
    while (n > 1 && clean_width(c, clean, style) > max_w) {
        n -= cut ? 3 : 0;
        do
            n--;
        while (n > 0 && ((unsigned char)clean[n] & 0xc0) == 0x80);
        memcpy(clean + n, "...", 4);
        n += 3, cut = true;
        if (n <= 3) break;
    }
    show_clean(c, x, y, clean, style);
}
