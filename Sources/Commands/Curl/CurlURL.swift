import KernelWire

/// What curl says about a URL that it cannot use, and the status it ends with.
struct CurlMalformedURL: Error {
    let text: String
    let status: Int

    init(text: String, status: Int) {
        self.text = text
        self.status = status
    }

    init(_ error: HTTPURL.Malformed) {
        let refusal = "URL using bad/illegal format or missing URL"
        switch error {
        case .scheme(let scheme):
            self.init(text: "Protocol \"\(scheme)\" not supported or disabled in libcurl", status: 1)
        case .noHost, .port, .character: self.init(text: refusal, status: 3)
        case .address(let text): self.init(text: "\(refusal): \(text)", status: 3)
        }
    }

    /// Of a `Location`.
    init(ofRedirect error: HTTPURL.Malformed) {
        switch error {
        case .scheme, .noHost, .port, .address: self.init(error)
        case .character: self.init(text: "The redirect target URL could not be parsed: Bad path", status: 3)
        }
    }
}

extension HTTPURL {
    /// Reads a URL with curl's complaints.
    static func ofCurl(_ text: String) throws(CurlMalformedURL) -> HTTPURL {
        let url: HTTPURL
        do throws(HTTPURL.Malformed) { url = try HTTPURL(text) } catch { throw CurlMalformedURL(error) }
        if let user = url.user, user.contains("@") || user.contains("%00") { throw CurlMalformedURL(.character) }
        return url
    }

    /// The URL with what the options put into it: the data of `-G`, and the name of an uploaded file behind a slash.
    func carrying(_ options: CurlOptions) throws(CurlMalformedURL) -> HTTPURL {
        var url = self
        let query = target.dropFirst(path.count)
        if let name = options.uploadName, path.hasSuffix("/") {
            url.target = path + Self.withSmallDigits(PercentCoding.encode(name)) + query
        }
        guard options.dataInURL, let data = options.body else { return url }
        let text = Self.withSmallDigits(String(decoding: data, as: UTF8.self))
        guard text.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else { throw CurlMalformedURL(.character) }
        url.target += (url.target.contains("?") ? "&" : "?") + text
        return url
    }

    /// `%4f` for `%4F`, as curl writes what it puts into a URL.
    private static func withSmallDigits(_ text: String) -> String {
        var bytes = Array(text.utf8)
        for index in bytes.indices where bytes[index] == UInt8(ascii: "%") {
            for digit in bytes.indices.dropFirst(index + 1).prefix(2) where (65...70).contains(bytes[digit]) {
                bytes[digit] += 32
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The target as it is sent: in a path, bytes beyond ASCII are encoded; a query goes as it is.
    var sentTarget: String {
        let query = target.dropFirst(path.count)
        return Self.encoded(path.utf8) { byte in byte > 126 ? nil : [byte] } + query
    }

    /// A `Location` as curl takes it: of the blanks that servers leave there those in a query become `+`, others `%20`,
    /// and bytes beyond ASCII are encoded.
    static func locationOfCurl(_ text: String) -> String {
        var isQuery = false
        return encoded(text.utf8) { byte in
            if byte == UInt8(ascii: "?") { isQuery = true }
            if byte == 32 { return isQuery ? [UInt8(ascii: "+")] : Array("%20".utf8) }
            return byte > 126 ? nil : [byte]
        }
    }

    /// - Parameter spelling: of one byte; nil: its number.
    private static func encoded(_ bytes: some Sequence<UInt8>, _ spelling: (UInt8) -> [UInt8]?) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            out += spelling(byte) ?? Array("%\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// `user:password` from the URL, decoded; nil without any. Who gives no password has an empty one.
    var credentials: [UInt8]? {
        guard let user else { return nil }
        let parts = Array(user.utf8).split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        let name = PercentCoding.decodeLeniently(parts[0])
        return name + [UInt8(ascii: ":")] + (parts.count > 1 ? PercentCoding.decodeLeniently(parts[1]) : [])
    }
}
