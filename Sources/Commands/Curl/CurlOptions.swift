import CommandKit
import KernelStructures
import KernelWire
import ShellSession

/// What curl was told to do.
struct CurlOptions {
    var urls: [String] = []
    var method: String?
    var body: [UInt8]?
    /// What the body is made of, until its input has been read.
    private var pieces: [Piece] = []
    var bodyIsJSON = false
    /// The body's length is not known before its input ends, so it is sent in chunks.
    private(set) var isChunked = false
    /// `-T`: the body is a file, and no form.
    var isUpload = false
    /// `-G`: the data go into the URL.
    var dataInURL = false
    var fields: [(name: String, value: String?)] = []
    var userAgent: String?
    var referer: String?
    var user: String?
    var includesHead = false
    var isHeadRequest = false
    var isVerbose = false
    var isSilent = false
    var showsErrors = false
    var failsOnStatus = false
    var failsWithBody = false
    var followsRedirects = false
    var redirectLimit = 50
    var outputs: [String] = []
    var remoteName = false
    var writeOut: String?
    var maxTime: LabDuration?
    var connectTimeout: LabDuration?
    var retries = 0
    var retryDelay: LabDuration?
    var retriesRefused = false
    var cookieData: [String] = []
    var cookieFiles: [String] = []
    var cookieJar: String?
    var usesHTTP10 = false
    var tls = CurlTLSOptions()

    func hasField(_ name: String) -> Bool { fields.contains { $0.name.lowercased() == name.lowercased() } }
    var usesCookieEngine: Bool { !cookieFiles.isEmpty || cookieJar != nil }

    static let flags: [CommandDescription.Flag] =
        [
            .init("request", "X", .text("METHOD"), "the method"),
            .init("data", "d", .text("DATA"), repeatable: true, "a body, POSTed; from a file: @FILE, @-"),
            .init("data-raw", nil, .text("DATA"), repeatable: true, "the same, @ is nothing special"),
            .init("data-binary", nil, .text("DATA"), repeatable: true, "the same, newlines of a file are kept"),
            .init("data-urlencode", nil, .text("DATA"), repeatable: true, "the same, encoded: name=value"),
            .init("json", nil, .text("DATA"), repeatable: true, "a JSON body, POSTed"),
            .init("get", "G", "the data go into the URL, as a query"),
            .init("upload-file", "T", .file, "PUTs a file; - PUTs the input"),
            .init("header", "H", .text("FIELD"), repeatable: true, "a header field; 'Name:' leaves one out"),
            .init("user-agent", "A", .text("NAME"), "the User-Agent field"),
            .init("referer", "e", .text("URL"), "the Referer field"),
            .init("user", "u", .text("USER:PASSWORD"), "basic authentication"),
            .init("cookie", "b", .text("DATA|FILE"), repeatable: true, "cookies: a=1; b=2, or a file"),
            .init("cookie-jar", "c", .file, "writes the cookies to a file afterwards"),
            .init("include", "i", "shows the response's head, too"),
            .init("head", "I", "asks for the head only"),
            .init("location", "L", "follows redirects"),
            .init("max-redirs", nil, .integer(0...1000), "how many redirects at most (50)"),
            .init("output", "o", .file, repeatable: true, "writes the body to a file"),
            .init("remote-name", "O", "writes the body to a file called as in the URL"),
            .init("write-out", "w", .text("FORMAT"), "what to say at the end: %{http_code} %{time_total} …"),
            .init("fail", "f", "no output and status 22 for a status of 400 and more"),
            .init("fail-with-body", nil, "the same, with the body"),
            .init("silent", "s", "no error messages"), .init("show-error", "S", "error messages in spite of -s"),
            .init("verbose", "v", "shows what goes over the wire"),
            .init("max-time", "m", .duration(), "how long it may take"),
            .init("connect-timeout", nil, .duration(), "how long connecting may take"),
            .init("retry", nil, .integer(0...1000), "tries again after passing troubles"),
            .init("retry-delay", nil, .duration(), "waits that long before each"),
            .init("retry-connrefused", nil, "a refused connection is a passing trouble, too"),
            .init("url", nil, .text("URL"), repeatable: true, "a URL"),
            .init("http1.0", "0", "speaks HTTP/1.0"), .init("http1.1", nil, "speaks HTTP/1.1 (always)"),
            .init("no-progress-meter", nil, "no progress meter (there never is one)"),
            .init("no-buffer", "N", "output as it comes (always)"),
            .init("compressed", nil, "asks for nothing compressed"),
            .init("globoff", "g", "URLs have no patterns (never)"),
        ] + CurlTLSOptions.flags

    init(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        urls = arguments.texts("url") + arguments.arguments
        if urls.isEmpty { throw UsageError("curl: (2) no URL specified; try: curl http://localhost:8081/") }
        method = arguments.text("request")
        dataInURL = arguments.has("get")
        userAgent = arguments.text("user-agent")
        referer = arguments.text("referer")
        user = arguments.text("user")
        includesHead = arguments.has("include")
        isHeadRequest = arguments.has("head")
        isVerbose = arguments.has("verbose")
        isSilent = arguments.has("silent")
        showsErrors = arguments.has("show-error")
        failsOnStatus = arguments.has("fail") || arguments.has("fail-with-body")
        failsWithBody = arguments.has("fail-with-body")
        followsRedirects = arguments.has("location")
        redirectLimit = arguments.integer("max-redirs") ?? 50
        outputs = arguments.texts("output")
        remoteName = arguments.has("remote-name")
        writeOut = arguments.text("write-out")
        maxTime = arguments.duration("max-time")
        connectTimeout = arguments.duration("connect-timeout")
        retries = arguments.integer("retry") ?? 0
        retryDelay = arguments.duration("retry-delay")
        retriesRefused = arguments.has("retry-connrefused")
        cookieJar = arguments.text("cookie-jar")
        usesHTTP10 = arguments.has("http1.0")
        for cookie in arguments.texts("cookie") {
            if cookie.contains("=") { cookieData.append(cookie) } else { cookieFiles.append(cookie) }
        }
        tls = try CurlTLSOptions(invocation)
        try readFields(arguments.texts("header"))
        try readBody(invocation)
        if isHeadRequest, body != nil, !dataInURL {
            throw UsageError("curl: (2) you can only select one HTTP request method: -I and -d exclude each other")
        }
    }

    private mutating func readFields(_ lines: [String]) throws {
        for line in lines {
            let name: String
            let value: String?
            if let colon = line.firstIndex(of: ":") {
                name = String(line[..<colon])
                let text = line[line.index(after: colon)...].drop { $0 == " " }
                value = text.isEmpty ? nil : String(text)
            } else if line.hasSuffix(";") {
                name = String(line.dropLast())
                value = ""
            } else {
                throw UsageError("curl: -H: '\(line)' is no field; write 'Name: value'")
            }
            guard HTTPWriter.isSafeField(name: name, value: value ?? "") else {
                throw UsageError("curl: -H: '\(line)' has characters that a field cannot have")
            }
            fields.append((name, value))
        }
    }

    private enum Piece {
        case bytes([UInt8])
        /// Standard input, all that is left of it.
        case input(keepsNewlines: Bool)
    }

    private mutating func readBody(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        for (flag, keepsNewlines, readsFiles) in [
            ("data", false, true), ("data-binary", true, true), ("data-raw", true, false),
        ] {
            for text in arguments.texts(flag) {
                pieces.append(try Self.data(text, invocation, keepsNewlines: keepsNewlines, readsFiles: readsFiles))
            }
        }
        for text in arguments.texts("data-urlencode") { pieces.append(.bytes(Array(Self.encoded(text).utf8))) }
        let json = arguments.texts("json")
        if !json.isEmpty {
            pieces = try json.map { try Self.data($0, invocation, keepsNewlines: true, readsFiles: true) }
            bodyIsJSON = true
        }
        if let file = arguments.text("upload-file") {
            pieces = [file == "-" ? .input(keepsNewlines: true) : .bytes(try Self.file(file, invocation))]
            isUpload = true
            isChunked = file == "-"
            if method == nil { method = "PUT" }
        }
        if !pieces.isEmpty { body = [] }
        if !readsInput { fillBody(input: []) }
    }

    /// Whether standard input is a part of the body: `fillBody` has to come before the first request.
    var readsInput: Bool {
        pieces.contains { if case .input = $0 { true } else { false } }
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
            }
        }
        body = Array(filled.joined(separator: bodyIsJSON ? [] : [UInt8(ascii: "&")]))
        pieces = []
    }

    private static func withoutNewlines(_ bytes: [UInt8]) -> [UInt8] { bytes.filter { $0 != 10 && $0 != 13 } }

    private static func file(_ path: String, _ invocation: Invocation) throws -> [UInt8] {
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

    /// `name=value` with the value encoded; `=value` and `value` without a name.
    private static func encoded(_ text: String) -> String {
        guard let equals = text.firstIndex(of: "=") else { return PercentCoding.encodeForm(text) }
        let name = text[..<equals]
        return (name.isEmpty ? "" : name + "=") + PercentCoding.encodeForm(text[text.index(after: equals)...])
    }

    /// The method of the first request.
    var firstMethod: String {
        if let method { return method }
        if isHeadRequest { return "HEAD" }
        return body != nil && !dataInURL ? "POST" : "GET"
    }
}
