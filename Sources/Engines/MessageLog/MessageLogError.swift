import KernelStorage

/// Why the log cannot do what was asked.
public enum MessageLogError: Error, Equatable, Sendable, CustomStringConvertible {
    case disk(DiskError)
    /// What was promised to be there cannot be read.
    case damaged(path: String, offsetBytes: Int, String)
    /// A record of more bytes than the log takes.
    case tooLarge(bytes: Int, limit: Int)

    public var description: String {
        switch self {
        case .disk(.busy(let path)): "\(DiskPath.parent(of: path)) is in use by another broker"
        case .disk(let error): error.description
        case .damaged(let path, let offset, let what): "\(path) is damaged at byte \(offset): \(what)"
        case .tooLarge(let bytes, let limit): "a message of \(bytes) bytes; the log takes \(limit) at most"
        }
    }

    /// Does something with the disk.
    static func tried<R>(_ body: () throws(DiskError) -> R) throws(MessageLogError) -> R {
        do throws(DiskError) { return try body() } catch { throw .disk(error) }
    }
}
