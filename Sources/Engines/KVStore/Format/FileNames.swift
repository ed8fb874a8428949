import KernelStorage

/// The names in a store's directory. A number belongs to one file only, whatever its kind, and later files have higher
/// ones.
///
///     CURRENT           the name of the manifest that counts, and a newline
///     LOCK              locked while the store is open
///     MANIFEST-000002   the record of which tables make up the store
///     000003.log        a log: the writes that are in no table yet
///     000004.sst        a table; LevelDB calls its own `.ldb`, and reads both
///     000005.dbtmp      the next CURRENT, before it gets its name
enum StoreFile: Equatable {
    case current
    case lock
    case manifest(UInt64)
    case log(UInt64)
    case table(UInt64)
    case temporary(UInt64)
    /// What LevelDB and RocksDB tell about themselves.
    case information

    init?(_ name: String) {
        switch name {
        case "CURRENT": self = .current
        case "LOCK": self = .lock
        case "LOG", "LOG.old": self = .information
        default:
            if name.hasPrefix("MANIFEST-") {
                guard let number = Self.number(name.dropFirst(9)) else { return nil }
                self = .manifest(number)
                return
            }
            guard let point = name.lastIndex(of: "."), let number = Self.number(name[..<point]) else { return nil }
            switch name[point...] {
            case ".log": self = .log(number)
            case ".sst", ".ldb": self = .table(number)
            case ".dbtmp": self = .temporary(number)
            default: return nil
            }
        }
    }

    private static func number(_ text: Substring) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return UInt64(text)
    }

    private static func sixDigits(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    /// The name that this store gives it.
    var name: String {
        switch self {
        case .current: "CURRENT"
        case .lock: "LOCK"
        case .manifest(let number): "MANIFEST-" + Self.sixDigits(number)
        case .log(let number): Self.sixDigits(number) + ".log"
        case .table(let number): Self.sixDigits(number) + ".sst"
        case .temporary(let number): Self.sixDigits(number) + ".dbtmp"
        case .information: "LOG"
        }
    }
}

/// A store's directory on its node's disk.
struct StoreDirectory {
    let disk: NodeDisk
    let path: String

    func path(_ file: StoreFile) -> String { path + "/" + file.name }

    /// The path of a table, under the name that it has.
    func tablePath(_ number: UInt64) throws(DiskError) -> String {
        let ours = path(.table(number))
        do throws(DiskError) {
            _ = try disk.attributes(ours)
            return ours
        } catch {
            guard case .notFound = error else { throw error }
            let theirs = String(ours.dropLast(3)) + "ldb"
            guard (try? disk.attributes(theirs)) != nil else { throw error }
            return theirs
        }
    }

    func files() throws(DiskError) -> [(name: String, file: StoreFile)] {
        try disk.list(path).compactMap { name in StoreFile(name).map { (name, $0) } }
    }

    func sync() throws(DiskError) { try disk.syncDirectory(path) }
}
