import KernelStorage
import KernelStructures
import ShellLanguage

/// What went wrong with a file that a terminal used.
public struct LabFileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    init(_ error: DiskError) { description = "\(error)" }
    init(_ text: String) { description = text }
}

/// The lab's files as its terminals see them. Paths are relative to `directory` and never leave the lab.
public final class LabFiles {
    private let disk: any Disk
    public private(set) var directory = "/"
    /// The one before it; nil until somebody has changed it.
    public private(set) var previousDirectory: String?

    /// Bytes that a command reads from one file at once.
    public static let readLimit = 256 << 20

    public init(disk: any Disk, directory: String = "/") {
        self.disk = disk
        self.directory = directory
    }

    /// The path of something in a directory, written as the directory was.
    public static func path(of name: String, in directory: String) -> String {
        directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }

    public func absolute(_ path: String) -> String { DiskPath.normalized(path, in: directory) }

    /// The error as the user knows the file.
    private func failure(_ error: DiskError, _ path: String) -> LabFileError {
        // The disk may name the directory that is missing on the way; the user knows what was typed.
        let text = error.description
        let full = absolute(path)
        guard let colon = text.firstRange(of: ": ")?.lowerBound, full.hasPrefix(text[..<colon]) else {
            return LabFileError(text)
        }
        return LabFileError(path + text[colon...])
    }

    /// Scripts from elsewhere expect a `/tmp`: it is made when somebody goes there, or writes there.
    private func makeTemporaryDirectory(for path: String) {
        let full = absolute(path)
        guard full == "/tmp" || full.hasPrefix("/tmp/"), !isThere("/tmp") else { return }
        try? disk.makeDirectory("/tmp", owner: .lab)
    }

    public func changeDirectory(_ path: String) throws(LabFileError) {
        makeTemporaryDirectory(for: path)
        let target = absolute(path)
        do throws(DiskError) {
            guard try disk.attributes(target).isDirectory else { throw .notDirectory(target) }
        } catch { throw failure(error, path) }
        (previousDirectory, directory) = (directory, target)
    }

    /// Back to where a subshell began, even if that is gone by now.
    func returnTo(_ directory: String) { self.directory = directory }

    /// A device that takes everything; what the others give: `DeviceSource`. `sdlab TOOL` finds the host's own.
    func isNullDevice(_ path: String) -> Bool {
        guard path.contains("dev") || directory == "/dev" else { return false }
        let full = absolute(path)
        return full == "/dev/null" || DeviceSource.isDevice(full)
    }

    /// What `<(…)` wrote, by the names that stand for it; the oldest go.
    private var kept: [(name: String, bytes: [UInt8])] = []
    private var keptCount = 0
    private static let keptLimit = 32

    /// Keeps bytes for whoever reads a file of the name that this returns: `/dev/fd/63`.
    func keep(_ bytes: [UInt8]) -> String {
        let name = "/dev/fd/\(63 + keptCount)"
        keptCount += 1
        kept.append((name, bytes))
        if kept.count > Self.keptLimit { kept.removeFirst() }
        return name
    }

    public func read(_ path: String) throws(LabFileError) -> [UInt8] {
        if isNullDevice(path) {
            if absolute(path) == "/dev/null" { return [] }
            throw LabFileError("\(path): it has no end; head -c N takes so many bytes of it")
        }
        if path.hasPrefix("/dev/fd/"), let found = kept.last(where: { $0.name == path }) {
            return found.bytes
        }
        do throws(DiskError) {
            let file = try disk.open(absolute(path), [], owner: .lab)
            defer { file.close() }
            guard file.size <= Self.readLimit else {
                throw .failed(absolute(path), operation: "read: larger than \(byteCountText(Self.readLimit))")
            }
            return try file.read(at: 0, count: file.size)
        } catch { throw failure(error, path) }
    }

    public func write(_ bytes: [UInt8], to path: String) throws(LabFileError) {
        let file = try openForWriting(path, appends: false)
        defer { file.close() }
        try file.append(bytes)
    }

    /// Puts a file in place with the directories that lead to it.
    public func place(_ bytes: [UInt8], at path: String) throws(LabFileError) {
        do throws(DiskError) {
            try disk.makeDirectory(DiskPath.parent(of: absolute(path)), owner: .lab)
        } catch { throw failure(error, path) }
        try write(bytes, to: path)
    }

    /// - Parameter keepsBytes: what is in it stays, as with `appends`, but may be written over.
    public func openForWriting(
        _ path: String, appends: Bool = false, keepsBytes: Bool = false
    ) throws(LabFileError) -> LabFile {
        if isNullDevice(path) { return LabFile(nil, appends: appends) }
        makeTemporaryDirectory(for: path)
        do throws(DiskError) {
            let options: OpenOptions = appends || keepsBytes ? [.write, .create] : [.write, .create, .truncate]
            return LabFile(try disk.open(absolute(path), options, owner: .lab), appends: appends)
        } catch { throw failure(error, path) }
    }

    public func list(_ path: String) throws(LabFileError) -> [(name: String, attributes: FileAttributes)] {
        let full = absolute(path)
        do throws(DiskError) {
            guard try disk.attributes(full).isDirectory else { return [(path, try disk.attributes(full))] }
            var result: [(String, FileAttributes)] = []
            for name in try disk.list(full) {
                result.append((name, try disk.attributes(full == "/" ? "/" + name : full + "/" + name)))
            }
            return result
        } catch { throw failure(error, path) }
    }

    public func exists(_ path: String) -> Bool {
        path.hasPrefix("/dev/fd/") && kept.contains { $0.name == path } || isThere(path) || absolute(path) == "/tmp"
    }
    private func isThere(_ path: String) -> Bool { (try? disk.attributes(absolute(path))) != nil }
    /// Bytes; nil if there is no such file.
    public func size(_ path: String) -> Int? { (try? disk.attributes(absolute(path)))?.size }
    public func isDirectory(_ path: String) -> Bool {
        (try? disk.attributes(absolute(path)))?.isDirectory ?? (absolute(path) == "/tmp")
    }

    public func makeDirectory(_ path: String) throws(LabFileError) {
        if absolute(path) != "/tmp" { makeTemporaryDirectory(for: path) }
        do throws(DiskError) { try disk.makeDirectory(absolute(path), owner: .lab) } catch {
            throw failure(error, path)
        }
    }

    public func remove(_ path: String, recursively: Bool) throws(LabFileError) {
        let full = absolute(path)
        if recursively, isDirectory(path) {
            for (name, _) in try list(path) { try remove(full + "/" + name, recursively: true) }
        }
        if full == "/" { return }
        do throws(DiskError) { try disk.remove(full, owner: .lab) } catch { throw failure(error, path) }
    }

    /// Gives a file or directory another name.
    public func move(_ path: String, to target: String) throws(LabFileError) {
        do throws(DiskError) { try disk.rename(absolute(path), to: absolute(target), owner: .lab) } catch {
            throw failure(error, path)
        }
    }

    // MARK: Patterns

    /// The files that a pattern with slashes describes, sorted; empty if there is none. Names that begin with a dot
    /// are only found by patterns that begin with one.
    ///
    /// - Parameter options: those of `shopt`.
    /// - Throws: where `**` finds more than may be kept.
    func matches(
        _ pattern: [(character: Character, isQuoted: Bool)], options: Set<String> = []
    ) throws(LabFileError) -> [String] {
        let ignoresCase = options.contains("nocaseglob")
        let isAbsolute = pattern.first?.character == "/"
        let components = pattern.split { $0.character == "/" }.map(Array.init)
        // `*/` means directories.
        let ending = pattern.last?.character == "/" ? "/" : ""
        var found = [""]
        /// Nothing so far was a pattern.
        var isPlain = true
        for (place, component) in components.enumerated() {
            let glob = GlobPattern(ignoresCase ? GlobPattern.lowercased(component) : component)
            if options.contains("globstar"), Self.isGlobstar(component) {
                // Two of them, one after the other, find what one finds.
                if place + 1 < components.count, Self.isGlobstar(components[place + 1]) { continue }
                found = try below(
                    found, isAbsolute: isAbsolute, isLast: place == components.count - 1,
                    isNamed: isPlain, findsDots: options.contains("dotglob"))
                isPlain = false
                continue
            }
            if glob.isPattern { isPlain = false }
            let literal = String(component.map(\.character))
            var next: [String] = []
            for prefix in found {
                let base = isAbsolute ? "/" + prefix : prefix
                if !glob.isPattern {
                    let candidate = prefix.isEmpty ? literal : prefix + "/" + literal
                    if exists(isAbsolute ? "/" + candidate : candidate) { next.append(candidate) }
                    continue
                }
                guard let names = try? disk.list(absolute(base.isEmpty ? "." : base)) else { continue }
                let findsDots = literal.hasPrefix(".") || options.contains("dotglob")
                for name in names where findsDots || !name.hasPrefix(".") {
                    guard glob.matches(ignoresCase ? name.lowercased() : name) else { continue }
                    next.append(prefix.isEmpty ? name : prefix + "/" + name)
                }
            }
            found = next
        }
        if options.contains("globstar") { found.sort() }
        let paths = found.map { isAbsolute ? "/" + $0 : $0 }
        return ending.isEmpty ? paths : paths.filter(isDirectory).map { $0 + ending }
    }

    private static func isGlobstar(_ component: [(character: Character, isQuoted: Bool)]) -> Bool {
        component.count == 2 && component.allSatisfy { $0.character == "*" && !$0.isQuoted }
    }

    /// Files that `**` finds at most: no command takes more words.
    private static let belowLimit = Expansion.argumentLimit

    /// `**`: the directories below those that were found, these included, and at the end of a pattern all files, too.
    private func below(
        _ found: [String], isAbsolute: Bool, isLast: Bool, isNamed: Bool, findsDots: Bool
    ) throws(LabFileError) -> [String] {
        var result: [String] = []
        var rest = Array(found.reversed())
        let first = Set(found)
        // What was found may lie below one another.
        var seen: Set<String> = []
        while let prefix = rest.popLast() {
            guard seen.insert(prefix).inserted else { continue }
            guard result.count < Self.belowLimit else {
                throw LabFileError("** finds more than \(Self.belowLimit) files")
            }
            // As in bash, a directory that was named, and not found, ends in a slash.
            let endsInSlash =
                isLast && isNamed && first.contains(prefix) && isDirectory(isAbsolute ? "/" + prefix : prefix)
            if !isLast || !prefix.isEmpty { result.append(prefix + (endsInSlash ? "/" : "")) }
            let base = isAbsolute ? "/" + prefix : prefix.isEmpty ? "." : prefix
            guard isDirectory(base), let names = try? disk.list(absolute(base)) else { continue }
            for name in names.sorted().reversed() where findsDots || !name.hasPrefix(".") {
                let path = prefix.isEmpty ? name : prefix + "/" + name
                if isLast || isDirectory(isAbsolute ? "/" + path : path) { rest.append(path) }
            }
        }
        return result
    }
}

/// A file open for writing, one piece after another.
public final class LabFile {
    /// Nil: nothing is kept.
    private let file: (any DiskFile)?
    /// Each piece goes to the file's end as it is then, so that several writers of one file lose nothing.
    private let appends: Bool
    private var end: Int

    init(_ file: (any DiskFile)?, appends: Bool) {
        self.file = file
        self.appends = appends
        end = file?.size ?? 0
    }

    public func append(_ bytes: [UInt8]) throws(LabFileError) {
        guard let file else { return }
        if appends { end = file.size }
        do throws(DiskError) { try file.write(bytes, at: end) } catch { throw LabFileError(error) }
        end += bytes.count
    }

    func read(at place: Int, limit: Int) throws(LabFileError) -> [UInt8] {
        guard let file else { return [] }
        do throws(DiskError) { return try file.read(at: place, count: limit) } catch { throw LabFileError(error) }
    }

    public func write(_ bytes: [UInt8], at place: Int) throws(LabFileError) {
        do throws(DiskError) { try file?.write(bytes, at: place) } catch { throw LabFileError(error) }
    }

    public func close() { file?.close() }
}
