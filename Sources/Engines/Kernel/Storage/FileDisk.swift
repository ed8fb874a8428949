import Glibc

/// The host's file system under a root directory: what a node writes stays when the lab ends.
///
/// With a root, lab paths are confined to it: symbolic links that lead outside are refused. Without one (a tool that
/// runs as a process of its own) paths are the host's.
public final class FileDisk: Disk {
    /// Without a slash at the end; empty for the host's own root.
    private let root: String
    private var locks = LockTable()

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

    private func isInside(_ text: String) -> Bool { text == root || text.utf8.starts(with: (root + "/").utf8) }

    private func host(_ path: String) throws(DiskError) -> String {
        // The kernel would take what stands before it for the whole.
        if path.utf8.contains(0) { throw .notPermitted(path) }
        if root.isEmpty { return path }
        // Follow the links of the longest part of the path that exists, and see where it ends.
        var existing = path
        while existing != "/" {
            if let resolved = realpath(root + existing, nil) {
                defer { free(resolved) }
                guard isInside(String(cString: resolved)) else { throw .notPermitted(path) }
                break
            }
            // A link to nowhere: what is created through it would stand where it points.
            var info = stat()
            if lstat(root + existing, &info) == 0, info.st_mode & S_IFMT == S_IFLNK { throw .notPermitted(path) }
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
        case ENOSPC, EDQUOT, EFBIG: .noSpace(path)
        case EACCES, EPERM, EROFS: .notPermitted(path)
        default: .failed(path, operation: operation)
        }
    }

    public func open(_ path: String, _ options: OpenOptions, owner: DiskOwner) throws(DiskError) -> any DiskFile {
        if options.contains(.truncate), !options.contains(.write) { throw .notPermitted(path) }
        let target = try host(path)
        // A pipe would have its opener wait for a writer, and have a writer that waits lose what it writes.
        var info = stat()
        if stat(target, &info) == 0, [S_IFIFO, S_IFSOCK].contains(info.st_mode & S_IFMT) { throw .notFile(path) }
        var flags = O_CLOEXEC | O_NONBLOCK | (options.contains(.write) ? O_RDWR : O_RDONLY)
        if options.contains(.create) { flags |= O_CREAT }
        if options.contains(.truncate) { flags |= O_TRUNC }
        if options.contains(.exclusive) { flags |= O_EXCL }
        let descriptor = Glibc.open(target, flags, options.contains(.secret) ? 0o600 : 0o644)
        if descriptor < 0 { throw Self.error(errno, path, "open") }
        let file = OpenFile(descriptor: descriptor, path: path, isWritable: options.contains(.write))
        if file.isDirectory { throw .isDirectory(path) }
        return file
    }

    public func attributes(_ path: String) throws(DiskError) -> FileAttributes {
        var info = stat()
        guard stat(try host(path), &info) == 0 else { throw Self.error(errno, path, "stat") }
        let isDirectory = info.st_mode & S_IFMT == S_IFDIR
        return FileAttributes(
            isDirectory: isDirectory, size: isDirectory ? 0 : Int(info.st_size),
            isSpecial: !isDirectory && info.st_mode & S_IFMT != S_IFREG)
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
        for part in DiskPath.parts(of: path) {
            made += "/" + part
            let target: String
            do throws(DiskError) { target = try host(made) } catch { throw .notPermitted(path) }
            if mkdir(target, 0o755) != 0, errno != EEXIST { throw Self.error(errno, path, "mkdir") }
        }
        guard try attributes(path).isDirectory else { throw .notDirectory(path) }
    }

    public func remove(_ path: String, owner: DiskOwner) throws(DiskError) {
        if path == "/" { throw .notPermitted(path) }
        guard Glibc.remove(try host(path)) == 0 else { throw Self.error(errno, path, "remove") }
    }

    public func link(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        guard Glibc.link(try host(source), try host(target)) != 0 else { return }
        switch errno {
        // Another file system, or one without links.
        case EXDEV, EPERM, EOPNOTSUPP, EMLINK: throw .notPermitted(target)
        default: throw Self.error(errno, target, "link")
        }
    }

    public func rename(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        if source == "/" || target == "/" { throw .notPermitted(source == "/" ? source : target) }
        guard Glibc.rename(try host(source), try host(target)) == 0 else {
            // A directory cannot be moved into itself.
            if errno == EINVAL { throw .notPermitted(target) }
            throw Self.error(errno, errno == ENOENT ? source : target, "rename")
        }
    }

    public func syncDirectory(_ path: String, owner: DiskOwner) throws(DiskError) {
        let descriptor = Glibc.open(try host(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { throw Self.error(errno, path, "open") }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.error(errno, path, "sync") }
    }

    /// Within the process by a table, between processes by the kernel, which frees what a process held when it ends.
    public func lock(_ path: String, owner: DiskOwner) throws(DiskError) -> DiskLock {
        if let lock = try locks.renew(path, owner: owner) { return lock }
        let descriptor = Glibc.open(try host(path), O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw Self.error(errno, path, "lock") }
        var range = flock()
        range.l_type = Int16(F_WRLCK)
        range.l_whence = Int16(SEEK_SET)
        guard fcntl(descriptor, F_SETLK, &range) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            throw code == EACCES || code == EAGAIN ? .busy(path) : Self.error(code, path, "lock")
        }
        let lock = DiskLock(path: path, owner: owner) { [weak self] in
            Glibc.close(descriptor)
            self?.locks.forget(path)
        }
        locks.note(lock)
        return lock
    }

    /// The host's page cache keeps what was written; only the machine itself could lose it.
    public func losePower(owner: DiskOwner, policy: PowerLossPolicy) -> PowerLoss? { nil }

    final class OpenFile: DiskFile {
        private var descriptor: Int32
        private let path: String
        private let isWritable: Bool
        private var room: ReservedRoom?

        init(descriptor: Int32, path: String, isWritable: Bool) {
            self.descriptor = descriptor
            self.path = path
            self.isWritable = isWritable
        }

        private func check(toWrite: Bool = false) throws(DiskError) {
            if descriptor < 0 { throw .closed(path) }
            if toWrite, !isWritable { throw .notPermitted(path) }
        }

        deinit { close() }

        private var information: stat {
            var info = stat()
            if descriptor >= 0 { fstat(descriptor, &info) }
            return info
        }

        var size: Int { room?.usedByteCount ?? Int(information.st_size) }
        var identity: UInt64 { UInt64(information.st_ino) }
        var isDirectory: Bool { information.st_mode & S_IFMT == S_IFDIR }

        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int {
            try check()
            var done = 0
            let wanted = room.map { min(buffer.count, max(0, $0.usedByteCount - offset)) } ?? buffer.count
            while done < wanted {
                let count = pread(descriptor, buffer.baseAddress! + done, wanted - done, offset + done)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { throw FileDisk.error(errno, path, "read") }
                if count == 0 { break }
                done += count
            }
            return done
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
            try check(toWrite: true)
            if let room {
                if room.write(bytes, at: offset) { return }
                try giveRoomBack()
            }
            var done = 0
            while done < bytes.count {
                let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, offset + done)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { throw FileDisk.error(errno, path, "write") }
                done += count
            }
        }

        func truncate(to size: Int) throws(DiskError) {
            try check(toWrite: true)
            try giveRoomBack()
            guard ftruncate(descriptor, size) == 0 else { throw FileDisk.error(errno, path, "truncate") }
        }

        func sync() throws(DiskError) {
            try check()
            guard fdatasync(descriptor) == 0 else { throw FileDisk.error(errno, path, "sync") }
        }

        func syncForWorker() -> FileSync? { descriptor < 0 ? nil : FileSync(descriptor, path: path) }

        func reserve(_ byteCount: Int) {
            guard descriptor >= 0, isWritable, room == nil else { return }
            room = ReservedRoom(descriptor, byteCount: byteCount)
        }

        /// The file ends where its bytes do, and is written as any other from now on.
        private func giveRoomBack() throws(DiskError) {
            guard let used = room?.usedByteCount else { return }
            room = nil
            guard ftruncate(descriptor, used) == 0 else { throw FileDisk.error(errno, path, "truncate") }
        }

        func close() {
            try? giveRoomBack()
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }
}
