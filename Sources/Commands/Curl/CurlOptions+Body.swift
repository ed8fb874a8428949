import CommandKit
import KernelStructures
import KernelWire
import ShellSession

/// What a request carries: `-d` and its like, `--json`, `-T`.
extension CurlOptions {
    enum Piece {
        case bytes([UInt8])
        /// Standard input, all that is left of it.
        case input(keepsNewlines: Bool)
        /// The same, encoded as the value of that name; of none if that is empty.
        case encodedInput(name: String)
    }

    mutating func readBody(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        for (flag, keepsNewlines, readsFiles) in [
            ("data", false, true), ("data-binary", true, true), ("data-raw", true, false),
        ] {
            for text in arguments.texts(flag) {
                pieces.append(try Self.data(text, invocation, keepsNewlines: keepsNewlines, readsFiles: readsFiles))
            }
        }
        for text in arguments.texts("data-urlencode") { pieces.append(try Self.encoded(text, invocation)) }
        let json = arguments.texts("json")
        if !json.isEmpty {
            pieces = try json.map { try Self.data($0, invocation, keepsNewlines: true, readsFiles: true) }
            bodyIsJSON = true
        }
        if let file = arguments.text("upload-file") {
            pieces = [file == "-" ? .input(keepsNewlines: true) : .bytes(try Self.file(file, invocation))]
            isUpload = true
            isChunked = file == "-"
            uploadName = file == "-" ? nil : file.split(separator: "/").last.map(String.init)
        }
        if !pieces.isEmpty { body = [] }
        if !readsInput { fillBody(input: []) }
    }

    /// Whether standard input is a part of the body: `fillBody` has to come before the first request.
    var readsInput: Bool {
        pieces.contains { if case .bytes = $0 { false } else { true } }
    }

    /// Puts the body together. Of several that ask for the input the first gets it.
    mutating func fillBody(input: [UInt8]) {
        if pieces.isEmpty { return }
        var rest = input
        let filled = pieces.map { piece -> [UInt8] in
            switch piece {
            case .bytes(let bytes): return bytes
            case .input(let keepsNewlines):
                defer { rest = [] }
                return keepsNewlines ? rest : Self.withoutNewlines(rest)
            case .encodedInput(let name):
                defer { rest = [] }
                return Self.pair(name, ofFile: rest)
            }
        }
        body = Array(filled.joined(separator: bodyIsJSON ? [] : [UInt8(ascii: "&")]))
        pieces = []
    }

    static func withoutNewlines(_ bytes: [UInt8]) -> [UInt8] { bytes.filter { $0 != 10 && $0 != 13 } }

    static func file(_ path: String, _ invocation: Invocation) throws -> [UInt8] {
        do throws(LabFileError) {
            return try invocation.session.files.read(path)
        } catch {
            throw CommandFailure("(26) Failed to open \(error)", status: 26)
        }
    }

    private static func data(_ text: String, _ invocation: Invocation, keepsNewlines: Bool, readsFiles: Bool) throws
        -> Piece
    {
        guard readsFiles, text.hasPrefix("@") else { return .bytes(Array(text.utf8)) }
        if text == "@-" { return .input(keepsNewlines: keepsNewlines) }
        let bytes = try file(String(text.dropFirst()), invocation)
        return .bytes(keepsNewlines ? bytes : withoutNewlines(bytes))
    }

    /// `name=value` with the value encoded, `=value` and `value` without a name; `name@FILE` and `@FILE` the same with
    /// what is in a file. The first `=` counts, and only without one the first `@`.
    private static func encoded(_ text: String, _ invocation: Invocation) throws -> Piece {
        guard let mark = text.firstIndex(of: "=") ?? text.firstIndex(of: "@") else {
            return .bytes(Array(PercentCoding.encodeForm(text).utf8))
        }
        let name = String(text[..<mark])
        let rest = String(text[text.index(after: mark)...])
        if text[mark] == "=" { return .bytes(pair(name, Array(rest.utf8))) }
        return rest == "-" ? .encodedInput(name: name) : .bytes(pair(name, ofFile: try file(rest, invocation)))
    }

    private static func pair(_ name: String, _ value: [UInt8]) -> [UInt8] {
        Array(((name.isEmpty ? "" : name + "=") + PercentCoding.encodeForm(bytes: value)).utf8)
    }

    /// An empty file is nothing, not even a name.
    private static func pair(_ name: String, ofFile bytes: [UInt8]) -> [UInt8] {
        bytes.isEmpty ? [] : pair(name, bytes)
    }
}
