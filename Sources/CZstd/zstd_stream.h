// zstd: the compression of bodies and of data that is rarely read.
#include <zstd.h>
#include <zstd_errors.h>
