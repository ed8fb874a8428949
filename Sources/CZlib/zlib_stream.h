// zlib: gzip and deflate. The two functions that begin a stream are macros, which Swift cannot call.
#ifndef SDLAB_ZLIB_STREAM_H
#define SDLAB_ZLIB_STREAM_H

#include <zlib.h>

static inline int sdlab_deflate_begin(z_stream *stream, int level, int window_bits) {
  return deflateInit2(stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
}

static inline int sdlab_inflate_begin(z_stream *stream, int window_bits) {
  return inflateInit2(stream, window_bits);
}

#endif
