import KernelStructures
import KernelWire

/// curl's cookies: what `-b` gives, what responses set, and the Netscape file that `-c` writes.
///
/// As curl 7.88 does it, which is RFC 6265 with `__Host-` and `__Secure-`, its own reading of dates, and rules of its
/// own where servers are sloppy. Not here: the list of public suffixes. A domain of one word is refused as if it were
/// one.
struct CurlCookies {
    struct Cookie {
        var name = ""
        var value = ""
        /// Without a dot before it.
        var domain = ""
        var includesSubdomains = false
        /// As it was said, for the file; nil until something has been said.
        var path: String?
        var isSecure = false
        var isHTTPOnly = false
        /// Seconds since 1970; 0 until the session ends.
        var expires = 0
        /// Smaller is older; one that takes another's place takes its age, too.
        var age = 0
        /// Set by a response, and not read from a file.
        var isLive = false

        /// The path without quotes and without a slash at its end: what is compared.
        var directory: String { CurlCookies.directory(path ?? "/") }
    }

    private(set) var cookies: [Cookie] = []
    private var lastAge = 0

    /// Cookies kept; further ones push out the oldest.
    static let limit = 300
    /// Bytes of a name or a value.
    private static let partLimitBytes = 4095
    /// Cookies of one request, and bytes of its field.
    private static let sendLimit = 150
    private static let fieldLimitBytes = 8190

    // MARK: Files

    /// Reads a Netscape cookie file: seven columns separated by tabs.
    mutating func load(_ text: String) {
        for line in text.utf8.split(whereSeparator: { $0 == 10 || $0 == 13 }) {
            var cookie = Cookie()
            var line = String(Substring(line))[...]
            if line.hasPrefix("#HttpOnly_") {
                cookie.isHTTPOnly = true
                line = line.dropFirst(10)
            }
            if line.hasPrefix("#") { continue }
            var columns = line.split(separator: "\t").map(String.init)
            // Two that are true or false: a file of old, without paths.
            if columns.count > 2, ["TRUE", "FALSE"].contains(columns[2]) { columns.insert("/", at: 2) }
            if columns.count == 6 { columns.append("") }
            // A number that 64 bits cannot hold is none.
            guard columns.count == 7, let expires = Self.number(columns[4]), Self.isWithinLimits(columns[4]) else {
                continue
            }
            cookie.domain = columns[0].hasPrefix(".") ? String(columns[0].dropFirst()) : columns[0]
            cookie.includesSubdomains = columns[1].lowercased() == "true"
            cookie.path = columns[2]
            cookie.isSecure = columns[3].lowercased() == "true"
            (cookie.expires, cookie.name, cookie.value) = (expires, columns[5], columns[6])
            if Self.keepsPromise(cookie) { put(cookie, isFromSecure: true) }
        }
    }

    /// The jar as a Netscape cookie file, the youngest first.
    mutating func file(now: LabTime) -> String {
        removeExpired(now)
        var text = "# Netscape HTTP Cookie File\n\n"
        for cookie in cookies.sorted(by: { $0.age > $1.age }) where !cookie.domain.isEmpty {
            let columns = [
                (cookie.isHTTPOnly ? "#HttpOnly_" : "") + (cookie.includesSubdomains ? "." : "") + cookie.domain,
                cookie.includesSubdomains ? "TRUE" : "FALSE", cookie.path ?? "/", cookie.isSecure ? "TRUE" : "FALSE",
                String(cookie.expires), cookie.name, cookie.value,
            ]
            text += columns.joined(separator: "\t") + "\n"
        }
        return text
    }

    // MARK: Responses

    /// Takes a `Set-Cookie` of a response.
    ///
    /// - Parameters:
    ///   - host: whom the request was for, as its `Host` field said it.
    ///   - target: path and query of the request.
    mutating func take(_ setCookie: String, host: String, target: String, isSecure: Bool, now: LabTime) {
        let isTrusted = isSecure || Self.isOwnMachine(host)
        guard var cookie = Self.parse(setCookie, host: host.lowercased(), isTrusted: isTrusted, now: now),
            Self.keepsPromise(cookie)
        else { return }
        if cookie.path == nil { cookie.path = Self.defaultPath(target) }
        if cookie.domain.isEmpty { cookie.domain = host.lowercased() }
        cookie.isLive = true
        removeExpired(now)
        put(cookie, isFromSecure: isTrusted)
    }

    private static func isOwnMachine(_ host: String) -> Bool {
        ["localhost", "127.0.0.1", "::1"].contains(host.lowercased())
    }

    private static func parse(_ text: String, host: String, isTrusted: Bool, now: LabTime) -> Cookie? {
        var cookie: Cookie?
        for part in text.prefix(while: { $0 != "\r" && $0 != "\n" }).split(
            separator: ";", omittingEmptySubsequences: true)
        {
            let pair = trimmed(part)
            let name = trimmed(pair.prefix { $0 != "=" && $0 != "\t" })
            let equals = pair.firstIndex { $0 == "=" || $0 == "\t" }
            let hasValue = equals.map { pair[$0] == "=" } ?? false
            let value = hasValue ? trimmed(pair[pair.index(after: equals!)...]) : ""
            guard !value.contains("\t"), name.utf8.count < partLimitBytes, value.utf8.count < partLimitBytes,
                name.utf8.count + value.utf8.count <= partLimitBytes + 1
            else { return nil }
            if name.isEmpty {
                if cookie == nil { return nil }
                continue
            }
            guard cookie != nil else {
                guard hasValue, !(name + value).utf8.contains(where: { $0 < 32 || $0 == 127 }) else { return nil }
                cookie = Cookie(name: String(name), value: String(value))
                continue
            }
            guard cookie!.read(name.lowercased(), String(value), hasValue, host, isTrusted, now) else { return nil }
        }
        return cookie
    }

    static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        return start.lastIndex { $0 != " " && $0 != "\t" }.map { start[...$0] } ?? ""
    }

    private static func defaultPath(_ target: String) -> String {
        let path = target.prefix { $0 != "?" }
        return path.lastIndex(of: "/").map { String(path[...$0]) } ?? "/"
    }

    static func directory(_ path: String) -> String {
        var path = path[...]
        if path.hasPrefix("\"") { path = path.dropFirst() }
        if path.hasSuffix("\"") { path = path.dropLast() }
        guard path.hasPrefix("/") else { return "/" }
        return String(path.utf8.count > 1 && path.hasSuffix("/") ? path.dropLast() : path)
    }

    /// RFC 6265bis §4.1.3: the prefixes promise how a cookie was set.
    private static func keepsPromise(_ cookie: Cookie) -> Bool {
        let name = cookie.name.lowercased()
        if name.hasPrefix("__secure-") { return cookie.isSecure }
        if name.hasPrefix("__host-") { return cookie.isSecure && cookie.path == "/" && !cookie.includesSubdomains }
        return true
    }

    private mutating func put(_ cookie: Cookie, isFromSecure: Bool) {
        var cookie = cookie
        lastAge += 1
        cookie.age = lastAge
        let sameName = { (old: Cookie) in
            old.name.lowercased() == cookie.name.lowercased() && old.domain.lowercased() == cookie.domain.lowercased()
        }
        // A cookie that was set in safety is not taken over by one that was not.
        let wouldOverlay = cookies.contains { old in
            guard sameName(old), old.isSecure, !cookie.isSecure, !isFromSecure else { return false }
            let directory = old.directory
            let first = directory.dropFirst().firstIndex(of: "/").map { directory[..<$0] } ?? directory[...]
            return cookie.directory.lowercased().hasPrefix(first.lowercased())
        }
        if wouldOverlay { return }
        if let index = cookies.firstIndex(where: { old in
            sameName(old) && old.includesSubdomains == cookie.includesSubdomains
                && old.directory.lowercased() == cookie.directory.lowercased()
        }) {
            if cookies[index].isLive, !cookie.isLive { return }
            cookie.age = cookies[index].age
            cookies.remove(at: index)
        }
        cookies.append(cookie)
        if cookies.count > Self.limit { cookies.removeFirst() }
    }

    private mutating func removeExpired(_ now: LabTime) {
        cookies.removeAll { $0.expires != 0 && $0.expires < Int(now.unixSeconds) }
    }

    // MARK: Requests

    /// `a=1; b=2` for a request; nil without any.
    mutating func field(host: String, target: String, isSecure: Bool, now: LabTime) -> String? {
        removeExpired(now)
        let isTrusted = isSecure || Self.isOwnMachine(host)
        let host = host.lowercased()
        let path = String(target.prefix { $0 != "?" })
        let matching = cookies.filter { cookie in
            let isMeant =
                cookie.includesSubdomains && !Self.isAddress(host)
                ? Self.isWithin(host, cookie.domain) : host == cookie.domain.lowercased()
            return isMeant && Self.isWithin(path: path, cookie.directory) && (isTrusted || !cookie.isSecure)
        }
        // Longest paths first, then longest domains and names, then the youngest.
        let sorted = matching.prefix(Self.sendLimit).sorted { a, b in
            (b.path?.utf8.count ?? 1, b.domain.utf8.count, b.name.utf8.count, b.age)
                < (a.path?.utf8.count ?? 1, a.domain.utf8.count, a.name.utf8.count, a.age)
        }
        var text = ""
        for cookie in sorted {
            let pair = (text.isEmpty ? "" : "; ") + "\(cookie.name)=\(cookie.value)"
            if text.utf8.count + pair.utf8.count >= Self.fieldLimitBytes { break }
            text += pair
        }
        return text.isEmpty ? nil : text
    }

    static func isAddress(_ host: String) -> Bool {
        IPv4Address(parsing: host) != nil || IPv6Address(parsing: host) != nil
    }

    /// Whether a host is a domain, or below it.
    static func isWithin(_ host: String, _ domain: String) -> Bool {
        host == domain.lowercased() || host.hasSuffix("." + domain.lowercased())
    }

    private static func isWithin(path: String, _ directory: String) -> Bool {
        directory.utf8.count == 1 || path == directory || path.hasPrefix(directory + "/")
    }

    private static func isWithinLimits(_ text: String) -> Bool {
        let digits = text.drop { " \t+-".contains($0) }.prefix { $0.isASCII && $0.isNumber }
        return Int(digits) != nil
    }

    /// The number that a text begins with; nil without one. What 64 bits cannot hold is the nearest they can.
    static func number(_ text: some StringProtocol) -> Int? {
        let text = text.drop { $0 == " " || $0 == "\t" }
        let sign = text.prefix { $0 == "-" || $0 == "+" }.prefix(1)
        let digits = text.dropFirst(sign.count).prefix { $0.isASCII && $0.isNumber }
        return digits.isEmpty ? nil : Int(String(sign) + String(digits)) ?? (sign == "-" ? .min : .max)
    }
}

extension CurlCookies.Cookie {
    /// Reads one attribute; false if the cookie is to be dropped because of it.
    fileprivate mutating func read(
        _ name: String, _ value: String, _ hasValue: Bool, _ host: String, _ isTrusted: Bool, _ now: LabTime
    ) -> Bool {
        if value.isEmpty {
            switch name {
            case "secure":
                isSecure = true
                return isTrusted
            case "httponly":
                isHTTPOnly = true
                return true
            default: if !hasValue { return true }
            }
        }
        switch name {
        case "path": path = value
        case "domain" where !value.isEmpty:
            return setDomain(value.hasPrefix(".") ? String(value.dropFirst()) : value, host)
        case "max-age":
            let seconds = CurlCookies.number(value.hasPrefix("\"") ? value.dropFirst() : value[...])
            let (sum, overflow) = Int(now.unixSeconds).addingReportingOverflow(seconds ?? 0)
            // Without a number, or with 0: over already, which 0 could not say.
            expires = seconds == nil || seconds == 0 ? 1 : overflow ? .max : sum
        case "expires" where expires == 0:
            expires = CurlDate.seconds(parsing: value).map { $0 == 0 ? 1 : max(0, $0) } ?? 0
        default: break
        }
        return true
    }

    private mutating func setDomain(_ domain: String, _ host: String) -> Bool {
        if CurlCookies.isAddress(host) {
            self.domain = domain
            return domain == host
        }
        let isWhole = domain.lowercased() == host
        guard CurlCookies.isWithin(host, domain), isWhole || domain.contains(".") else { return false }
        self.domain = domain
        includesSubdomains = true
        return true
    }
}
