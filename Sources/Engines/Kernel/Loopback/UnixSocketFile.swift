import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// A listening unix socket and its name among the machine's files.
///
/// The kernel keeps the name when the process that listened there has died, and refuses to bind it again. So a name is
/// tried first: if somebody answers, it is in use; if it is a socket and nobody does, it is left over, and removed.
/// Whatever else is there stays there. Only the socket's owner may connect, from the first moment on: the mode is set
/// before the name exists.
final class UnixSocketFile {
    let descriptor: Int32
    private let path: String
    /// Which file it was when it was made: another one of that name is not ours to remove.
    private var identity: (device: dev_t, number: ino_t)?

    /// Bytes of a path that a socket's address has room for, the zero at the end not counted.
    private static let pathLimitBytes = 107

    init(listeningAt path: String) throws(NetworkError) {
        try Self.check(path)
        try Self.removeLeftover(path)
        self.path = path
        descriptor = try Self.make()
        fchmod(descriptor, 0o600)
        guard Self.withAddress(path, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 128) == 0 else {
            let code = errno
            close(descriptor)
            throw .system(code == EADDRINUSE ? "\(path) is in use" : "\(path): \(errorText(code))")
        }
        identity = Self.file(path).map { ($0.st_dev, $0.st_ino) }
    }

    /// A socket on its way to the one at `path`. Such a connection is made at once, or not at all.
    static func connecting(to path: String) throws(NetworkError) -> Int32 {
        try check(path)
        let descriptor = try make()
        if withAddress(path, { connect(descriptor, $0, $1) }) == 0 { return descriptor }
        let code = errno
        close(descriptor)
        throw .system("\(path): \(errorText(code))")
    }

    private static func check(_ path: String) throws(NetworkError) {
        guard !path.isEmpty, path.utf8.count <= pathLimitBytes, !path.utf8.contains(0) else {
            throw .system("\(path): the path of a unix socket has 1 to \(pathLimitBytes) bytes, not \(path.utf8.count)")
        }
    }

    /// Takes the name away, unless it means another file by now.
    func remove() {
        guard let identity, let found = Self.file(path), (found.st_dev, found.st_ino) == identity else { return }
        unlink(path)
    }

    private static func removeLeftover(_ path: String) throws(NetworkError) {
        guard let found = file(path) else { return }
        guard found.st_mode & S_IFMT == S_IFSOCK else { throw .system("\(path) exists, and is no socket") }
        let probe = try make()
        defer { close(probe) }
        if withAddress(path, { connect(probe, $0, $1) }) == 0 || errno == EAGAIN { throw .system("\(path) is in use") }
        guard errno == ECONNREFUSED else { throw .system("\(path): \(errorText(errno))") }
        unlink(path)
    }

    private static func make() throws(NetworkError) -> Int32 {
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw .system("socket: \(errorText(errno))") }
        return fd
    }

    /// What the name itself is: a link is not followed.
    private static func file(_ path: String) -> stat? {
        var information = stat()
        return lstat(path, &information) == 0 ? information : nil
    }

    private static func withAddress<R>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
