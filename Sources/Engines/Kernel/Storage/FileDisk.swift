import Glibc

/// The host's file system under a root directory: what a node writes stays when the lab ends.
///
/// With a root, lab paths are confined to it: symbolic links that lead outside are refused. Without one (a tool that
/// runs as a process of its own) paths are the host's.
public final class FileDisk: Disk {
    /// Without a slash at the end; empty for the host's own root.
    private let root: String

    /// - Parameter root: an existing directory, or nil for the whole host.
    /// - Throws: `DiskError.notFound` or `.notDirectory` if there is no such directory.
    public init(root: String?) throws(DiskError) {
        guard let root else {
            self.root = ""
            return
        }
        guard let resolved = realpath(root, nil) else { throw Self.error(errno, root, "open") }
        defer { free(resolved) }
        self.root = String(cString: resolved)
        guard try attributes("/").isDirectory else { throw .notDirectory(root) }
    }

    private func host(_ path: String) throws(DiskError) -> String {
        if root.isEmpty { return path }
        // Follow the links of the longest part of the path that exists, and see where it ends.
        var existing = path
        while existing != "/" {
            if let resolved = realpath(root + existing, nil) {
                defer { free(resolved) }
                let text = String(cString: resolved)
                guard text == root || text.hasPrefix(root + "/") else { throw .notPermitted(path) }
                break
            }
            existing = DiskPath.parent(of: existing)
        }
        return root + path
    }

    static func error(_ code: Int32, _ path: String, _ operation: String) -> DiskError {
        switch code {
        case ENOENT: .notFound(path)
        case EEXIST: .exists(path)
        case EISDIR: .isDirectory(path)
        case ENOTDIR: .notDirectory(path)
        case ENOTEMPTY: .notEmpty(path)
        case ENOSPC, EDQUOT: .noSpace(path)
        case EACCES, EPERM, EROFS: .notPermitted(path)
        default: .failed(path, operation: operation)
        }
    }

    public func open(_ path: String, _ options: OpenOptions, owner: DiskOwner) throws(DiskError) -> any DiskFile {
        var flags = O_CLOEXEC | (options.contains(.write) ? O_RDWR : O_RDONLY)
        if options.contains(.create) { flags |= O_CREAT }
        if options.contains(.truncate) { flags |= O_TRUNC }
        if options.contains(.exclusive) { flags |= O_EXCL }
        let descriptor = Glibc.open(try host(path), flags, 0o644)
        if descriptor < 0 { throw Self.error(errno, path, "open") }
        let file = OpenFile(descriptor: descriptor, path: path)
        if file.isDirectory { throw .isDirectory(path) }
        return file
    }

    public func attributes(_ path: String) throws(DiskError) -> FileAttributes {
        var info = stat()
        guard stat(try host(path), &info) == 0 else { throw Self.error(errno, path, "stat") }
        let isDirectory = info.st_mode & S_IFMT == S_IFDIR
        return FileAttributes(isDirectory: isDirectory, size: isDirectory ? 0 : Int(info.st_size))
    }

    public func list(_ path: String) throws(DiskError) -> [String] {
        guard let stream = opendir(try host(path)) else { throw Self.error(errno, path, "list") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    public func makeDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            if mkdir(try host(made), 0o755) != 0, errno != EEXIST { throw Self.error(errno, path, "mkdir") }
        }
        guard try attributes(path).isDirectory else { throw .notDirectory(path) }
    }

    public func remove(_ path: String, owner: DiskOwner) throws(DiskError) {
        guard Glibc.remove(try host(path)) == 0 else { throw Self.error(errno, path, "remove") }
    }

    public func rename(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        guard Glibc.rename(try host(source), try host(target)) == 0 else {
            throw Self.error(errno, errno == ENOENT ? source : target, "rename")
        }
    }

    public func syncDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        let descriptor = Glibc.open(try host(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { throw Self.error(errno, path, "open") }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.error(errno, path, "sync") }
    }

    /// The host's page cache keeps what was written; only the machine itself could lose it.
    public func losePower(owner: DiskOwner, policy: PowerLossPolicy) -> PowerLoss? { nil }

    final class OpenFile: DiskFile {
        private var descriptor: Int32
        private let path: String

        init(descriptor: Int32, path: String) {
            self.descriptor = descriptor
            self.path = path
        }

        deinit { close() }

        private var information: stat {
            var info = stat()
            fstat(descriptor, &info)
            return info
        }

        var size: Int { Int(information.st_size) }
        var isDirectory: Bool { information.st_mode & S_IFMT == S_IFDIR }

        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
            var done = 0
            while done < buffer.count {
                let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, offset + done)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { throw FileDisk.error(errno, path, "read") }
                if count == 0 { break }
                done += count
            }
            return done
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
            var done = 0
            while done < bytes.count {
                let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, offset + done)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { throw errno == EBADF ? .notPermitted(path) : FileDisk.error(errno, path, "write") }
                done += count
            }
        }

        func truncate(to size: Int) throws(DiskError) {
            guard ftruncate(descriptor, size) == 0 else { throw FileDisk.error(errno, path, "truncate") }
        }

        func sync() throws(DiskError) {
            guard fdatasync(descriptor) == 0 else { throw FileDisk.error(errno, path, "sync") }
        }

        func close() {
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }
}
