import KernelStorage
import KernelStructures

/// Why the store could not do what it was asked to.
public enum KVStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The disk refused; what was asked for did not happen.
    case disk(DiskError)
    /// Bytes on the disk are not what was once written there. Nothing was returned in their place.
    case corruption(Corruption)
    /// Writes are not accepted.
    case readOnly(ReadOnlyReason)
    /// Another process, or another node, has this directory open.
    case locked(String)
    /// There is no store in this directory, and it was not to be made.
    case missing(String)
    /// A key, a value or a batch beyond the limits; an option out of range.
    case invalid(String)

    public var description: String {
        switch self {
        case .disk(let error): error.description
        case .corruption(let corruption): corruption.description
        case .readOnly(let reason): "the store is read-only: \(reason)"
        case .locked(let path): "\(path): the store is open elsewhere; stop that process first"
        case .missing(let path): "\(path): there is no store here"
        case .invalid(let text): text
        }
    }
}

/// A place on the disk whose bytes are wrong.
public struct Corruption: Error, Equatable, Sendable, CustomStringConvertible {
    /// Path of the file.
    public let file: String
    /// Where in the file, in bytes; nil where the whole file is meant.
    public let offset: Int?
    /// What is wrong: `checksum mismatch`.
    public let detail: String

    public init(file: String, offset: Int?, detail: String) {
        self.file = file
        self.offset = offset
        self.detail = detail
    }

    public var description: String {
        "\(file)\(offset.map { " at byte \($0)" } ?? ""): \(detail) (`repair` saves what can be read)"
    }
}

/// Why no writes are accepted.
public enum ReadOnlyReason: Equatable, Sendable, CustomStringConvertible {
    /// The store was opened so.
    case asked
    /// The disk is full; `resume` tries again.
    case diskFull(DiskError)
    /// A write or a sync failed. What the device holds is unknown from here on: only opening the store again tells.
    case diskFailed(DiskError)
    /// A file that was to be merged is damaged.
    case damaged(Corruption)

    public var description: String {
        switch self {
        case .asked: "it was opened for reading only"
        case .diskFull(let error): "the disk is full (\(error)); writes are accepted again when there is space"
        case .diskFailed(let error): "the disk failed (\(error)); open the store again once the disk is sound"
        case .damaged(let corruption): "\(corruption)"
        }
    }
}
