// snappy: the compression of blocks in tables that other programs wrote.
#include <snappy-c.h>
