import KernelStructures

/// curl's cookies: what `-b` gives, what responses set, and the Netscape file that `-c` writes.
struct CurlCookies {
    struct Cookie {
        var domain: String
        var includesSubdomains: Bool
        var path: String
        var isSecure: Bool
        /// Seconds since 1970; 0 until the session ends.
        var expires: Int
        var name: String
        var value: String
    }

    private(set) var cookies: [Cookie] = []

    /// Cookies kept; further ones push out the oldest.
    static let limit = 300

    /// Reads a Netscape cookie file: seven columns separated by tabs.
    mutating func load(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            var line = line
            if line.hasPrefix("#HttpOnly_") { line = line.dropFirst(10) } else if line.hasPrefix("#") { continue }
            let columns = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard columns.count == 7 else { continue }
            set(
                Cookie(
                    domain: columns[0].hasPrefix(".") ? String(columns[0].dropFirst()) : columns[0],
                    includesSubdomains: columns[1] == "TRUE", path: columns[2], isSecure: columns[3] == "TRUE",
                    expires: Int(columns[4]) ?? 0, name: columns[5], value: columns[6]))
        }
    }

    /// Takes a `Set-Cookie` of a response to `url`, RFC 6265 §5.3.
    mutating func take(_ setCookie: String, from url: CurlURL, now: LabTime) {
        let parts = setCookie.split(separator: ";").map { $0.trimmingPrefix { $0 == " " } }
        guard let first = parts.first, let equals = first.firstIndex(of: "=") else { return }
        var cookie = Cookie(
            domain: url.host.lowercased(), includesSubdomains: false, path: Self.defaultPath(url.path), isSecure: false,
            expires: 0, name: String(first[..<equals]), value: String(first[first.index(after: equals)...]))
        for part in parts.dropFirst() {
            let name = part.prefix { $0 != "=" }.lowercased()
            let value = String(part.dropFirst(name.count + 1))
            switch name {
            case "path" where value.hasPrefix("/"): cookie.path = value
            case "secure": cookie.isSecure = true
            case "max-age":
                if let seconds = Int(value) {
                    cookie.expires = max(1, Int(now.unixSeconds).addingReportingOverflow(seconds).partialValue)
                }
            case "domain":
                let domain = value.lowercased().drop { $0 == "." }
                guard url.host.lowercased() == domain || url.host.lowercased().hasSuffix("." + domain) else { return }
                cookie.domain = String(domain)
                cookie.includesSubdomains = true
            default: break
            }
        }
        set(cookie)
    }

    private static func defaultPath(_ target: String) -> String {
        let path = target.prefix { $0 != "?" }
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private mutating func set(_ cookie: Cookie) {
        cookies.removeAll { $0.name == cookie.name && $0.domain == cookie.domain && $0.path == cookie.path }
        cookies.append(cookie)
        if cookies.count > Self.limit { cookies.removeFirst() }
    }

    /// `a=1; b=2` for a request to `url`, longest paths first; nil without any.
    func header(for url: CurlURL, now: LabTime) -> String? {
        let host = url.host.lowercased()
        let path = String(url.path.prefix { $0 != "?" })
        let matching = cookies.filter { cookie in
            (cookie.domain == host || (cookie.includesSubdomains && host.hasSuffix("." + cookie.domain)))
                && (path == cookie.path || path.hasPrefix(cookie.path.hasSuffix("/") ? cookie.path : cookie.path + "/"))
                && (!cookie.isSecure || url.isSecure) && (cookie.expires == 0 || cookie.expires > Int(now.unixSeconds))
        }
        let sorted = matching.enumerated().sorted {
            ($1.element.path.count, $0.offset) < ($0.element.path.count, $1.offset)
        }
        return sorted.isEmpty ? nil : sorted.map { "\($0.element.name)=\($0.element.value)" }.joined(separator: "; ")
    }

    /// The jar as a Netscape cookie file.
    func file(now: LabTime) -> String {
        var text = "# Netscape HTTP Cookie File\n\n"
        for cookie in cookies where cookie.expires == 0 || cookie.expires > Int(now.unixSeconds) {
            let domain = cookie.includesSubdomains ? "." + cookie.domain : cookie.domain
            text +=
                [
                    domain, cookie.includesSubdomains ? "TRUE" : "FALSE", cookie.path,
                    cookie.isSecure ? "TRUE" : "FALSE",
                    String(cookie.expires), cookie.name, cookie.value,
                ].joined(separator: "\t") + "\n"
        }
        return text
    }
}
