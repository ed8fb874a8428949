import Glibc

/// The project's own text, for checks that need no program.
enum Repository {
    /// The package's directory: three levels above this file.
    static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// The Swift files under a directory of the package, as paths relative to that directory, sorted.
    static func swiftFiles(under directory: String) throws -> [String] {
        var found: [String] = []
        var open = [""]
        while let place = open.popLast() {
            for name in try names(in: "\(root)/\(directory)/\(place)") {
                let path = place.isEmpty ? name : "\(place)/\(name)"
                if name.hasSuffix(".swift") {
                    found.append(path)
                } else if !name.contains(".") {
                    open.append(path)
                }
            }
        }
        return found.sorted()
    }

    /// The files directly in a directory of the package whose names end so, as paths in the package.
    static func files(in directory: String, suffix: String) throws -> [String] {
        try names(in: "\(root)/\(directory)").filter { $0.hasSuffix(suffix) }.sorted().map { "\(directory)/\($0)" }
    }

    private static func names(in path: String) throws -> [String] {
        guard let stream = opendir(path) else {
            throw Failure(description: "\(path): \(String(cString: strerror(errno)))")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    /// The text of a file of the package.
    static func text(_ path: String) throws -> String {
        guard let file = fopen("\(root)/\(path)", "r") else {
            throw Failure(description: "\(path): \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        return String(decoding: rest(of: file), as: UTF8.self)
    }

    static func rest(of file: UnsafeMutablePointer<FILE>) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    static func lines(_ path: String) throws -> [Substring] {
        try text(path).split(separator: "\n", omittingEmptySubsequences: false)
    }
}

/// Swift without its comments and the contents of its string literals: what is left is what a program does. Line ends
/// stay, so that lines keep their numbers. What an interpolation does is lost with its literal.
struct BareSource {
    private let source: [UInt8]
    private var position = 0
    private var bare: [UInt8] = []

    static func of(_ text: String) -> [Substring] {
        var stripper = BareSource(source: Array(text.utf8))
        stripper.strip()
        return String(decoding: stripper.bare, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    }

    private init(source: [UInt8]) { self.source = source }

    private mutating func strip() {
        while position < source.count {
            if looksAt("//") {
                skip(until: "\n", including: false)
            } else if looksAt("/*") {
                skip(until: "*/", including: true)
            } else if looksAt("\"\"\"") {
                position += 3
                skip(until: "\"\"\"", including: true)
            } else if looksAt("\"") {
                position += 1
                skip(until: "\"", including: true)
            } else {
                bare.append(source[position])
                position += 1
            }
        }
    }

    private func looksAt(_ text: StaticString) -> Bool {
        text.withUTF8Buffer {
            position + $0.count <= source.count && source[position..<(position + $0.count)].elementsEqual($0)
        }
    }

    private mutating func skip(until end: StaticString, including: Bool) {
        while position < source.count, !looksAt(end) {
            if source[position] == UInt8(ascii: "\n") { bare.append(source[position]) }
            position += source[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        if including { position += end.utf8CodeUnitCount }
    }
}
