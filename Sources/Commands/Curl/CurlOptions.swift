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
    var pieces: [Piece] = []
    var bodyIsJSON = false
    /// The body's length is not known before its input ends, so it is sent in chunks.
    var isChunked = false
    /// `-T`: the body is a file, and no form.
    var isUpload = false
    /// The last part of that file's name, which a URL that ends in a slash gets; nil where it is the input.
    var uploadName: String?
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
    /// nil: any number.
    var redirectLimit: Int? = 50
    /// Whether URLs are patterns: see `CurlGlob`.
    var expandsURLs = true
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
            .init("data-urlencode", nil, .text("DATA"), repeatable: true, "the same, encoded: name=value, name@FILE"),
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
            .init("max-redirs", nil, .integer(-1...1000), "how many redirects at most (50); -1: any number"),
            .init("output", "o", .file, repeatable: true, "writes the body to a file"),
            .init("remote-name", "O", "writes the body to a file called as in the URL"),
            .init("write-out", "w", .text("FORMAT"), "what to say at the end: %{http_code} …; from a file: @FILE"),
            .init("fail", "f", "no output and status 22 for a status of 400 and more"),
            .init("fail-with-body", nil, "the same, with the body"),
            .init("silent", "s", "no error messages"), .init("show-error", "S", "error messages in spite of -s"),
            .init("verbose", "v", "shows what goes over the wire"),
            .init("max-time", "m", .duration(allowsZero: true), "how long it may take; 0: for ever"),
            .init("connect-timeout", nil, .duration(allowsZero: true), "how long connecting may take"),
            .init("retry", nil, .integer(0...1000), "tries again after passing troubles"),
            .init("retry-delay", nil, .duration(allowsZero: true), "waits that long before each; 0: longer each time"),
            .init("retry-connrefused", nil, "a refused connection is a passing trouble, too"),
            .init("url", nil, .text("URL"), repeatable: true, "a URL"),
            .init("http1.0", "0", "speaks HTTP/1.0"), .init("http1.1", nil, "speaks HTTP/1.1 (always)"),
            .init("no-progress-meter", nil, "no progress meter (there never is one)"),
            .init("no-buffer", "N", "output as it comes (always)"),
            .init("compressed", nil, "asks for nothing compressed"),
            .init("globoff", "g", "[1-3] and {a,b} in a URL are no patterns"),
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
        let limit = arguments.integer("max-redirs") ?? 50
        redirectLimit = limit < 0 ? nil : limit
        expandsURLs = !arguments.has("globoff")
        outputs = arguments.texts("output")
        remoteName = arguments.has("remote-name")
        writeOut = try arguments.text("write-out").map { try Self.format($0, invocation) }
        maxTime = Self.positive(arguments.duration("max-time"))
        connectTimeout = Self.positive(arguments.duration("connect-timeout"))
        retries = arguments.integer("retry") ?? 0
        retryDelay = Self.positive(arguments.duration("retry-delay"))
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

    /// curl takes a time of 0 for one that was not given.
    private static func positive(_ duration: LabDuration?) -> LabDuration? {
        duration.flatMap { $0 > .zero ? $0 : nil }
    }

    /// The text of `-w`, which may lie in a file; the ends of its lines do not count there.
    private static func format(_ text: String, _ invocation: Invocation) throws -> String {
        guard text.hasPrefix("@") else { return text }
        if text == "@-" { throw UsageError("curl: -w: the input is for bodies; put the format into a file: -w @FILE") }
        return String(decoding: withoutNewlines(try file(String(text.dropFirst()), invocation)), as: UTF8.self)
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
                // curl passes over what is no field.
                continue
            }
            guard HTTPWriter.isSafeField(name: name, value: value ?? "") else {
                throw UsageError("curl: -H: '\(line)' has characters that a field cannot have")
            }
            fields.append((name, value))
        }
    }

    /// The method of the first request.
    var firstMethod: String {
        if let method { return method }
        if isHeadRequest { return "HEAD" }
        if isUpload { return "PUT" }
        return body != nil && !dataInURL ? "POST" : "GET"
    }
}
