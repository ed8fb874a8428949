import Glibc

/// Whether the long form of the tests was asked for.
public let isLong = getenv("SDLAB_LONG") != nil
