import KernelWire

// What a service may want to know of a request before it believes it.
extension HTTPExchange {
    /// A body that is compressed would be read as if it were what it is not.
    ///
    /// - Throws: `HTTPProblem` 415 with `Accept-Encoding`, RFC 9110 §8.4 and §12.5.3.
    public func expectPlainBody() throws(HTTPProblem) {
        guard let coding = field("Content-Encoding"), !coding.isEmpty, coding.lowercased() != "identity" else { return }
        throw HTTPProblem(
            415, "Content-Encoding '\(coding.prefix(40))' is not understood here", remedy: "send the body as it is",
            field: "Accept-Encoding", "identity")
    }

    /// Whether a page of another origin has a browser ask: it says so in `Origin` (WHATWG Fetch §3.2), and whoever is
    /// no browser says nothing. Its visitor need not know of it, and a body of text is sent without asking first.
    public var comesFromForeignPage: Bool {
        guard let origin = field("Origin"), !origin.isEmpty else { return false }
        guard let mark = origin.firstRange(of: "://") else { return true }
        let scheme = origin[..<mark.lowerBound].lowercased()
        let standard = scheme == "https" ? ":443" : ":80"
        func plain(_ authority: some StringProtocol) -> String {
            let text = authority.lowercased()
            return text.hasSuffix(standard) ? String(text.dropLast(standard.count)) : text
        }
        // A proxy in front may have asked for another host than the browser did; a page cannot say so in its place.
        return ![field("Host"), field("X-Forwarded-Host")].contains { host in
            host.map { plain($0) == plain(origin[mark.upperBound...]) } ?? false
        }
    }

    /// For services whose doors are open: what changes something must not come from somebody else's page.
    ///
    /// - Throws: `HTTPProblem` 403.
    public func refuseForeignPages() throws(HTTPProblem) {
        guard method != .get, method != .head, comesFromForeignPage else { return }
        throw HTTPProblem(
            403, "a page of another origin (\((field("Origin") ?? "").prefix(80))) may change nothing here",
            remedy: "give the service keys, and send one")
    }
}
