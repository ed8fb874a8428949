import KernelStructures
import KernelWire

/// Which pages of other origins may ask this service from a browser: CORS, WHATWG Fetch §3.2.
///
/// A browser lets a page of one origin send a request to another, but shows it the answer only if that says so; for
/// anything but the simplest requests it asks beforehand (the preflight: `OPTIONS` with what is to come). None of it
/// protects the service from anybody who is no browser.
public struct CrossOriginPolicy: Sendable {
    public enum Origins: Equatable, Sendable {
        case any
        /// `https://example.org:8443`; `null` for pages without one.
        case only([String])
    }

    public let origins: Origins
    /// Whether requests with cookies and credentials may be made.
    public let allowsCredentials: Bool
    /// Fields of requests beyond the simple ones.
    public var allowedFields = ["Content-Type", "Authorization"]
    /// Fields of answers that a page may see beyond the simple ones.
    public var exposedFields: [String] = []
    /// How long a browser may remember a preflight's answer.
    public var maxAge = LabDuration.seconds(600)

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible { public let description: String }

    /// - Throws: `Malformed` for any origin with credentials, which would let every page act in its visitor's name; and
    ///   for what is no origin.
    public init(_ origins: Origins, allowsCredentials: Bool = false) throws(Malformed) {
        if case .any = origins, allowsCredentials {
            throw Malformed(
                description: "any origin with credentials: list the origins that may act for their visitors")
        }
        if case .only(let list) = origins {
            for origin in list where origin != "null" {
                guard let url = try? HTTPURL(origin), url.target == "/", !origin.hasSuffix("/"), url.user == nil else {
                    throw Malformed(description: "'\(origin)' is no origin; write https://example.org")
                }
            }
        }
        self.origins = origins
        self.allowsCredentials = allowsCredentials
    }

    private func allows(_ origin: String) -> Bool {
        switch origins {
        case .any: true
        case .only(let list): list.contains { $0.lowercased() == origin.lowercased() }
        }
    }

    /// What an answer to that origin says.
    public func fields(for origin: String?) -> [(String, String)] {
        // A cache must not give one origin's answer to another.
        let vary = origins == .any ? [] : [("Vary", "Origin")]
        guard let origin, allows(origin), HTTPWriter.isSafeField(name: "Origin", value: origin) else { return vary }
        var fields = vary + [("Access-Control-Allow-Origin", origins == .any ? "*" : origin)]
        if allowsCredentials { fields.append(("Access-Control-Allow-Credentials", "true")) }
        if !exposedFields.isEmpty {
            fields.append(("Access-Control-Expose-Headers", exposedFields.joined(separator: ", ")))
        }
        return fields
    }

    /// What a preflight's answer says beyond that.
    public func preflightFields(for origin: String, _ methods: [String]) -> [(String, String)] {
        guard allows(origin) else { return [] }
        return [
            ("Access-Control-Allow-Methods", methods.joined(separator: ", ")),
            ("Access-Control-Allow-Headers", allowedFields.joined(separator: ", ")),
            ("Access-Control-Max-Age", "\(max(0, maxAge.nanoseconds / 1_000_000_000))"),
        ]
    }
}

extension HTTPExchange {
    var crossOriginFields: [(String, String)] {
        router.options.crossOrigin?.fields(for: field("Origin")) ?? []
    }

    /// The answer to `OPTIONS` where no route has one, preflights included.
    func answerOptions(_ methods: [String]) {
        let methods = methods.isEmpty ? [] : (methods + ["OPTIONS"]).sorted()
        if !methods.isEmpty { try? addField("Allow", methods.joined(separator: ", ")) }
        if let origin = field("Origin"), field("Access-Control-Request-Method") != nil,
            let policy = router.options.crossOrigin
        {
            for (name, value) in policy.preflightFields(for: origin, methods) { try? addField(name, value) }
        }
        answer(204)
    }
}
