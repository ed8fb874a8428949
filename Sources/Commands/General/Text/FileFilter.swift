import CommandKit
import ShellLanguage
import ShellSession

/// Which files `grep -r` looks into.
struct FileFilter {
    let included: [String]
    let excluded: [String]
    let excludedDirectories: [String]

    /// Files that one search looks into.
    private static let limit = 100_000
    private static let depthLimit = 64

    /// The files that names stand for, those in directories sorted by name; without any name, all below here.
    func files(_ names: [String], in files: LabFiles, isRecursive: Bool) throws -> [String] {
        var found: [String] = []
        for name in names.isEmpty && isRecursive ? ["."] : names {
            if isRecursive, files.isDirectory(name) {
                try collect(
                    name, prefix: names.isEmpty ? "" : name + (name.hasSuffix("/") ? "" : "/"), files, 0, &found)
            } else if name == "-" || passes(name) {
                found.append(name)
            }
        }
        return found
    }

    private func collect(
        _ directory: String, prefix: String, _ files: LabFiles, _ depth: Int, _ found: inout [String]
    ) throws {
        guard depth < Self.depthLimit else { throw CommandFailure("\(directory): directories more than 64 deep") }
        for (name, attributes) in try files.reading({ try $0.list(directory) }) {
            if attributes.isDirectory {
                if Self.matches(name, excludedDirectories) { continue }
                try collect(prefix + name, prefix: prefix + name + "/", files, depth + 1, &found)
            } else if passes(name) {
                found.append(prefix + name)
            }
            guard found.count <= Self.limit else { throw CommandFailure("more than \(Self.limit) files") }
        }
    }

    private func passes(_ path: String) -> Bool {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return (included.isEmpty || Self.matches(name, included)) && !Self.matches(name, excluded)
    }

    private static func matches(_ name: String, _ patterns: [String]) -> Bool {
        patterns.contains { GlobPattern($0).matches(name) }
    }
}
