import Glibc

enum ProcessEnvironment {
    static func has(_ name: String) -> Bool { getenv(name) != nil }
}
