import Glibc

/// A directory of the host that is gone when the test is over.
public final class TemporaryDirectory {
    public let path: String

    public init() {
        var template = Array("/tmp/sdlab-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? ""
        precondition(!path.isEmpty, "no temporary directory")
    }

    deinit { Self.removeAll(path) }

    private static func removeAll(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        if info.st_mode & S_IFMT == S_IFDIR, let stream = opendir(path) {
            var names: [String] = []
            while let entry = readdir(stream) {
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { names.append(String(cString: $0)) }
                }
            }
            closedir(stream)
            for name in names where name != "." && name != ".." { removeAll(path + "/" + name) }
        }
        remove(path)
    }
}
