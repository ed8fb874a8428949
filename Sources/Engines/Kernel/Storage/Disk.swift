/// What an engine may do with files: the interface that the simulated disk and the file disk share.
///
/// Paths are absolute, separated by `/`, and normalized (`DiskPath.normalized`). Calls are synchronous; what they
/// cost in lab time is stated by `DiskCosts` and charged by the node that calls.
///
/// As on a real system, data and names become durable separately: `DiskFile.sync` makes a file's bytes durable,
/// `syncDirectory` the names in a directory. A rename or a new file whose directory was never synced can be gone
/// after a power failure, whatever was synced inside it.
public protocol Disk: AnyObject {
    /// Opens a file on behalf of `owner`. It never waits: what is no file (a pipe of the host) is refused.
    func open(_ path: String, _ options: OpenOptions, owner: DiskOwner) throws(DiskError) -> any DiskFile
    func attributes(_ path: String) throws(DiskError) -> FileAttributes
    /// The names in a directory, sorted, without `.` and `..`.
    func list(_ path: String) throws(DiskError) -> [String]
    /// Makes a directory and its missing parents; succeeds if it exists already.
    func makeDirectory(_ path: String, owner: DiskOwner) throws(DiskError)
    /// Removes a file or an empty directory.
    func remove(_ path: String, owner: DiskOwner) throws(DiskError)
    /// Replaces what stands at `target`, atomically.
    func rename(_ source: String, to target: String, owner: DiskOwner) throws(DiskError)
    /// Gives a file a second name, where nothing stands yet.
    ///
    /// - Throws: `DiskError.notPermitted` where the disk has no such thing: it takes a copy then.
    func link(_ source: String, to target: String, owner: DiskOwner) throws(DiskError)
    func syncDirectory(_ path: String, owner: DiskOwner) throws(DiskError)
    /// Keeps `path`, which need not exist as a file yet, to one owner at a time. An owner gets it again: what held it
    /// was an earlier life of the same node.
    ///
    /// - Throws: `DiskError.busy` while another owner, or on the host's disk another process, has it.
    func lock(_ path: String, owner: DiskOwner) throws(DiskError) -> DiskLock
    /// Drops what `owner` wrote and never synced, as a power failure does. Returns nil where the disk cannot forget.
    func losePower(owner: DiskOwner, policy: PowerLossPolicy) -> PowerLoss?
}

extension Disk {
    public func link(_ source: String, to target: String, owner: DiskOwner) throws(DiskError) {
        throw .notPermitted(target)
    }
}

/// An open file. Reads beyond the end are short; writes beyond the end fill the gap with zeros.
public protocol DiskFile: AnyObject {
    var size: Int { get }
    /// What stays the same when the file gets another name (the inode's number), and is another file's only once this
    /// one is gone. 0 where the disk has no such thing, or the file is closed.
    var identity: UInt64 { get }
    /// Copies up to `buffer.count` bytes from `offset` and returns how many there were.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError)
    func truncate(to size: Int) throws(DiskError)
    /// Makes every byte written so far durable.
    func sync() throws(DiskError)
    /// The next sync as something that another thread can do: it covers every byte written before it runs. nil where
    /// the loop has to do it: the disk is not the host's own, or one of its faults is to act.
    func syncForWorker() -> FileSync?
    func close()
    /// Says that the file will grow to so many bytes by many small writes: a disk may keep room for them, and make each
    /// cost less. Until it is truncated or closed its owner alone knows where it ends: to others, and to whoever opens
    /// it after its owner was killed, zeros stand behind that.
    func reserve(_ byteCount: Int)
}

extension DiskFile {
    public func reserve(_ byteCount: Int) {}
    public func syncForWorker() -> FileSync? { nil }
}

/// Who wrote something: a node's number, or `lab` for the terminals, whose writes count as synced at once.
public struct DiskOwner: Hashable, Sendable {
    public let number: Int
    public init(_ number: Int) { self.number = number }
    public static let lab = DiskOwner(0)
}

public struct OpenOptions: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    /// Without it, the file can only be read.
    public static let write = OpenOptions(rawValue: 1)
    public static let create = OpenOptions(rawValue: 2)
    public static let truncate = OpenOptions(rawValue: 4)
    /// Fails if the file exists; only together with `create`.
    public static let exclusive = OpenOptions(rawValue: 8)
    /// A file that is made is for its owner's eyes only (mode 600, where there are modes): keys.
    public static let secret = OpenOptions(rawValue: 16)
}

public struct FileAttributes: Equatable, Sendable {
    public let isDirectory: Bool
    /// Bytes; 0 for a directory.
    public let size: Int
    /// Neither a file nor a directory: a pipe, a socket or a device of the host.
    public var isSpecial = false
}

/// Which unsynced writes survive a power failure.
public enum PowerLossPolicy: Sendable {
    /// None: the harshest single outcome.
    case dropAll
    /// Each write independently survives whole, in part up to a 512-byte sector, or not at all, as the seed decides:
    /// what a drive with a volatile cache may do.
    case random(seed: UInt64)
}

/// What a power failure took.
public struct PowerLoss: Equatable, Sendable {
    public var files = 0
    public var bytes = 0
    public var directoryEntries = 0
    public init() {}
}

public enum DiskError: Error, Equatable, Sendable, CustomStringConvertible {
    case notFound(String)
    case exists(String)
    case isDirectory(String)
    case notDirectory(String)
    case notEmpty(String)
    /// A pipe, a socket or a device: whoever opened it might wait for somebody at its other end.
    case notFile(String)
    /// The disk is full; nothing of the write took place.
    case noSpace(String)
    /// The device failed: `operation` is write, sync, read …
    case failed(String, operation: String)
    case notPermitted(String)
    case closed(String)
    /// Somebody else has the lock.
    case busy(String)

    public var description: String {
        switch self {
        case .notFound(let path): "\(path): No such file or directory"
        case .exists(let path): "\(path): File exists"
        case .isDirectory(let path): "\(path): Is a directory"
        case .notDirectory(let path): "\(path): Not a directory"
        case .notEmpty(let path): "\(path): Directory not empty"
        case .notFile(let path): "\(path): no file (a pipe, a socket or a device)"
        case .noSpace(let path): "\(path): No space left on device"
        case .failed(let path, let operation): "\(path): Input/output error (\(operation))"
        case .notPermitted(let path): "\(path): Permission denied"
        case .closed(let path): "\(path): the file is closed"
        case .busy(let path): "\(path): in use already, by another that runs"
        }
    }
}

extension DiskFile {
    public var identity: UInt64 { 0 }

    /// The bytes from `offset`, at most `count`.
    public func read(at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let available = max(0, min(count, size - offset))
        var result = [UInt8](repeating: 0, count: available)
        var failure: DiskError?
        let read = result.withUnsafeMutableBytes { buffer in
            do throws(DiskError) {
                return try self.read(at: offset, into: buffer)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        result.removeLast(available - read)
        return result
    }

    public func write(_ bytes: [UInt8], at offset: Int) throws(DiskError) {
        var failure: DiskError?
        bytes.withUnsafeBytes { buffer in
            do throws(DiskError) {
                try self.write(buffer, at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

/// Paths in the lab's file system.
public enum DiskPath {
    /// Resolves `path` against `directory` and removes `.`, `..` and repeated slashes. `..` stops at the root.
    public static func normalized(_ path: some StringProtocol, in directory: String = "/") -> String {
        // By bytes, as a kernel sees them: to Swift a slash with an accent on it is a character of its own, and `..`
        // before it would lead out of the root.
        var parts: [Substring.UTF8View] = []
        let isAbsolute = path.utf8.first == slash
        let full = isAbsolute ? String(path) : directory + "/" + path
        for part in full.utf8.split(separator: slash) where !part.elementsEqual(".".utf8) {
            if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.map { String(Substring($0)) }.joined(separator: "/")
    }

    public static func parent(of path: String) -> String {
        guard let last = path.utf8.lastIndex(of: slash), last != path.startIndex else { return "/" }
        return String(path[..<last])
    }

    public static func name(of path: String) -> String {
        guard let last = path.utf8.lastIndex(of: slash) else { return path }
        return String(path[path.utf8.index(after: last)...])
    }

    /// The names that lead from the root to `path`.
    static func parts(of path: String) -> [String] { path.utf8.split(separator: slash).map { String(Substring($0)) } }

    private static let slash = UInt8(ascii: "/")
}
