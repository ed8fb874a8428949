import Glibc

/// One sync of a file of the host, for a thread to do while the loop goes on.
///
/// It has a descriptor of its own for the same open file, so that the file may be closed meanwhile, and an error that
/// the system has to tell about that file is told here (Linux tells it once for each open file, not for each name).
public final class FileSync: Sendable {
    private let descriptor: Int32
    private let path: String

    /// - Returns: nil if there is no descriptor left.
    init?(_ descriptor: Int32, path: String) {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        if copy < 0 { return nil }
        self.descriptor = copy
        self.path = path
    }

    deinit { Glibc.close(descriptor) }

    /// Makes durable what was written to the file before, and says why that failed, if it did. Takes as long as the
    /// device does.
    public func run() -> DiskError? { fdatasync(descriptor) == 0 ? nil : FileDisk.error(errno, path, "sync") }
}
