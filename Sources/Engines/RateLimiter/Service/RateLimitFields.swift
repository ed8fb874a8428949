import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructuredFields
import KernelStructures
import KernelWire
import RateLimiterEngine

/// What a response says of the quota.
///
/// ## Two families
///
/// `X-RateLimit-Limit`, `-Remaining` and `-Reset` have no standard, only custom: requests a period, requests left, and
/// the Unix time at which it is worth asking again (after a refusal: when this request passes; otherwise: when the
/// quota is whole). Of a burst above the rate, `-Remaining` counts no more than `-Limit`: clients divide the one by the
/// other; all of it stands in the IETF's `r`. The IETF's draft (draft-ietf-httpapi-ratelimit-headers-10) has
/// `RateLimit-Policy` for what is allowed and `RateLimit` for what is left, as structured fields (RFC 9651) with an
/// item for each policy. For a bucket `q` is the most at once and `w` the seconds in which that comes back.
///
/// ## Retry-After
///
/// Whole seconds, rounded up, from exact arithmetic: a client that comes back exactly then gets in, if nobody
/// else has taken what came back. Rounded down it would be `0` for most limits, which tells a client to hammer.
package enum RateLimitFields {
    enum Families: String, CaseIterable, Sendable {
        case both
        case xRateLimit = "x-ratelimit"
        case rateLimit = "ratelimit"
        case none
    }

    /// Seconds, rounded up; at least 1.
    package static func seconds(_ duration: LabDuration) -> Int {
        max(1, Int((duration.nanoseconds + 999_999_999) / 1_000_000_000))
    }

    /// The Unix time, rounded up, so far from now on the calendar `wall`.
    static func unixTime(_ duration: LabDuration, after wall: LabTime) -> Int {
        let time = wall + duration
        return Int(time.unixSeconds) + (time.nanoseconds % 1_000_000_000 == 0 ? 0 : 1)
    }

    package static func appendRetryAfter(_ decision: RateLimiter.Decision, to out: inout [UInt8]) {
        // What can never be admitted has no time at which it is.
        if decision.isAllowed || decision.retryAfter == .infinite { return }
        HTTPWriter.field("Retry-After", seconds(decision.retryAfter), into: &out)
    }

    /// What `X-RateLimit-Limit` says of a policy.
    package static func customaryLimit(_ policy: RateLimitPolicy) -> Int {
        policy.algorithm == .concurrency ? policy.quota.burst : policy.quota.count
    }

    /// - Parameter limit: `customaryLimit` of the policy that decided.
    package static func appendCustomary(
        _ decision: RateLimiter.Decision, limit: Int, wall: LabTime, to out: inout [UInt8]
    ) {
        HTTPWriter.field("X-RateLimit-Limit", limit, into: &out)
        HTTPWriter.field("X-RateLimit-Remaining", min(decision.remaining, limit), into: &out)
        let wait = decision.isAllowed || decision.retryAfter == .infinite ? decision.resetAfter : decision.retryAfter
        HTTPWriter.field("X-RateLimit-Reset", unixTime(wait, after: wall), into: &out)
    }

    /// An item of `RateLimit-Policy`: `"default";q=20;w=2`.
    package static func policyItem(_ policy: RateLimitPolicy, partitionKey: [UInt8]? = nil) -> String {
        let quota = policy.quota
        var item = StructuredItem(.string(policy.name))
        switch policy.algorithm {
        case .concurrency:
            item.parameters.set("q", whole(quota.burst))
            item.parameters.set("qu", .string("concurrent-requests"))
        case .tokenBucket, .leakyBucket, .gcra:
            item.parameters.set("q", whole(quota.burst))
            item.parameters.set("w", whole(seconds(quota.time(for: quota.burstUnits))))
        case .fixedWindow, .slidingLog, .slidingCounter:
            item.parameters.set("q", whole(quota.count))
            item.parameters.set("w", whole(seconds(quota.period)))
        }
        if let partitionKey { item.parameters.set("pk", .bytes(partitionKey)) }
        return item.text ?? ""
    }

    /// How a policy's item of `RateLimit` begins: its name, quoted.
    static func itemStart(_ policy: RateLimitPolicy) -> [UInt8] { Array("\(string(policy.name));r=".utf8) }

    /// An item of `RateLimit`: `"default";r=19;t=1`.
    ///
    /// - Parameter start: `itemStart` of the policy.
    static func appendItem(_ assessment: Assessment, start: [UInt8], partitionKey: [UInt8]?, to out: inout [UInt8]) {
        out.append(contentsOf: start)
        out.append(decimal: assessment.remaining)
        let wait =
            assessment.isAllowed || assessment.retryAfter == .infinite
            ? assessment.resetAfter : assessment.retryAfter
        if wait > .zero {
            out.append(utf8: ";t=")
            out.append(decimal: seconds(wait))
        }
        if let partitionKey { out.append(utf8: ";pk=:\(Base64.standard.encode(partitionKey)):") }
    }

    /// A number of 15 digits at most stands for those beyond: nobody counts that far.
    private static func whole(_ value: Int) -> StructuredValue { .integer(min(value, StructuredValue.integerLimit)) }

    /// Names of rules have nothing but what may stand in one.
    static func string(_ text: String) -> String { StructuredValue.string(text).text ?? "" }
}

/// RFC 9457, with the type that the draft defines. Only for clients that ask for it: most want nothing but the status.
enum QuotaProblem {
    static let contentType = HTTPProblem.contentType

    /// Whether a client's `Accept` names problems or JSON. `*/*` is what clients say that say nothing.
    static func isWanted(_ head: HTTPHead) -> Bool {
        head.fields.contains { field in
            field.name == .accept && head.value(of: field).lowercased().split(separator: ",").contains(where: isJSON)
        }
    }

    private static func isJSON(_ range: Substring) -> Bool {
        let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
        guard let type = parts.first, type == contentType || type == "application/json" else { return false }
        // A quality of zero is a refusal, however many zeros.
        return !parts.dropFirst().contains {
            $0.hasPrefix("q=") && $0.dropFirst(2).allSatisfy { $0 == "0" || $0 == "." }
        }
    }

    static func body(violated: [String], retryAfter: LabDuration) -> String {
        let detail =
            retryAfter == .infinite
            ? "This request costs more than the quota ever holds."
            : "Try again in \(counted(RateLimitFields.seconds(retryAfter), "second"))."
        var problem = HTTPProblem(429, detail)
        problem.type = "https://iana.org/assignments/http-problem-types#quota-exceeded"
        problem.title = "Request cannot be satisfied as assigned quota has been exceeded"
        problem.members = [("violated-policies", .array(violated.map { .string($0) }))]
        return problem.json.text + "\n"
    }
}
