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
        switch error {
        case .scheme(let scheme):
            self.init(text: "Protocol \"\(scheme)\" not supported or disabled in libcurl", status: 1)
        case .noHost: self.init(text: "URL rejected: No host part in the URL", status: 3)
        case .port:
            self.init(text: "URL rejected: Port number was not a decimal number between 1 and 65535", status: 3)
        case .address(let text): self.init(text: "URL rejected: \(text)", status: 3)
        case .character: self.init(text: "URL rejected: Malformed input to a URL function", status: 3)
        }
    }
}

extension HTTPURL {
    /// Reads a URL with curl's complaints.
    static func ofCurl(_ text: String) throws(CurlMalformedURL) -> HTTPURL {
        do throws(HTTPURL.Malformed) { return try HTTPURL(text) } catch { throw CurlMalformedURL(error) }
    }
}
