/* SPDX-License-Identifier: Apache-2.0
 *
 * blob - named tensors as bytes, and the two files that hold them and nothing else: safetensors, and a PyTorch state
 * dict.
 *
 * Names, shapes and order are those of the file (PyTorch's: "model.0.conv.weight", OIHW). Nothing is converted here. */
#ifndef FORMATS_BLOB_H
#define FORMATS_BLOB_H

#include "base/dtype.h"

enum { BLOB_MAX_RANK = 8 };

/* A dense row-major little-endian tensor. data is aligned at least to its element, read-only, and owned by the arena
 * that it was read into (or by whoever made the Blob); several may share the same bytes. bytes = product of dim *
 * dtype_bytes. */
typedef struct Blob {
    const char *name;
    DType dtype;
    int rank; /* 0 for a scalar */
    int64_t dim[BLOB_MAX_RANK];
    const void *data;
    size_t bytes;
} Blob;

typedef struct BlobNote {
    const char *key, *value;
} BlobNote;

/* Blobs with names unlike one another, in the file's order, and the notes that a safetensors header carries. */
typedef struct BlobFile {
    Blob *blob;
    size_t n;
    BlobNote *note;
    size_t n_note;
} BlobFile;

/* NULL when there is none. Linear: for a handful of look-ups. */
const Blob *blob_find(const BlobFile *f, const char *name);
const char *blob_note(const BlobFile *f, const char *key);
int64_t blob_count(const Blob *b); /* elements */
/* Sets bytes from dtype, rank and dim; false when a size is negative, the rank too high or the product overflows. */
bool blob_set_bytes(Blob *b);
/* DYN_FORMAT when two blobs have one name; `where` begins the message. */
Status blob_check_names(Arena *a, const BlobFile *f, const char *where, Error *err);
/* What both writers ask first: names differ and are none that the file format keeps for itself, bytes fit the shape.
 * DYN_SHAPE or DYN_FORMAT. The arena is for scratch. */
Status blob_check_write(Arena *a, const BlobFile *f, const char *path, Error *err);

/* ---- safetensors ---------------------------------------------------------------------------------------------
 *
 * Format: github.com/huggingface/safetensors, README "Format": u64 header length, JSON header, data. Read strictly, as
 * the reference does: the tensors cover the data without hole or overlap, no name twice, header at most 100 MB. Types
 * that dtype.h lacks are DYN_UNSUPPORTED; everything malformed is DYN_FORMAT. The order of the blobs is that of the
 * header. */
enum { SAFETENSORS_MAX_HEADER = 100000000 };

Status safetensors_read(Arena *a, const char *path, BlobFile *out, Error *err);
/* The same from memory; the blobs point into data, which must stay and be aligned to 8 bytes. `name` is for messages.
 */
Status safetensors_parse(Arena *a, const char *name, const void *data, size_t n, BlobFile *out, Error *err);
/* Whole or not at all (file_begin); data in the order given. Two writes of the same blobs give the same bytes. */
Status safetensors_write(const char *path, const BlobFile *f, Error *err);

/* ---- PyTorch state dict --------------------------------------------------------------------------------------
 *
 * Writes an ordered dict of tensors as torch.save does (zip, stored, data at multiples of 64 bytes, pickle protocol 2
 * in data.pkl), readable by torch.load(path, weights_only=True). Notes are not written. Whole or not at all. */
Status pt_write(const char *path, const BlobFile *f, Error *err);

#endif
