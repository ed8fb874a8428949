import KernelCryptography
import KernelJSON
import KernelStructures

/// A session as the cache keeps it: whose it is, and the imprint of the refresh token that is good at present.
///
/// Each use of a refresh token makes a new one (RFC 9700 section 4.14.2). Whoever shows one that has been used already
/// has a copy, or the other one has; nobody can say who is who, so the session is over for both. A client that did not
/// get its answer asks again at once: for that the one before is good for a few seconds more.
public struct SessionRecord: Equatable, Sendable {
    public let userID: String
    public let email: String
    public let startedAt: LabTime
    private var current: String
    private var previous: String?
    private var rotatedAt: LabTime

    /// For a client that asks again because the answer was lost.
    public static let graceInterval = LabDuration.seconds(10)
    public static let lifeSeconds = 30 * 86_400

    /// `SESSION.SECRET`, as a client keeps it.
    public struct Ticket: Equatable, Sendable {
        public let sessionID: String
        let secret: String

        public var text: String { "\(sessionID).\(secret)" }

        /// - Parameter random: chance of the World's.
        public init(sessionID: String, random: inout some RandomNumberGenerator) {
            self.sessionID = sessionID
            secret = (0..<4).map { _ in hexadecimal(random.next(), 16) }.joined()
        }

        public init?(parsing text: String) {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, Self.isHexadecimal(parts[0], 16), Self.isHexadecimal(parts[1], 64) else {
                return nil
            }
            sessionID = String(parts[0])
            secret = String(parts[1])
        }

        private static func isHexadecimal(_ text: Substring, _ count: Int) -> Bool {
            text.utf8.count == count
                && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        }

        fileprivate var imprint: String { Hexadecimal.encode(MessageDigest.sha256.digest(of: secret)) }
    }

    public enum Refusal: Error, Equatable, Sendable {
        /// Not this session's, and never was.
        case unknown
        /// One that was used before: the session is to be ended.
        case reused
    }

    public init(userID: String, email: String, ticket: Ticket, now: LabTime) {
        self.userID = userID
        self.email = email
        startedAt = now
        current = ticket.imprint
        rotatedAt = now
    }

    /// Takes a ticket and puts the next one in its place.
    public mutating func rotate(from ticket: Ticket, to next: Ticket, now: LabTime) throws(Refusal) {
        let imprint = ticket.imprint
        if isEqualInConstantTime(Array(imprint.utf8), Array(current.utf8)) {
            previous = current
            current = next.imprint
            rotatedAt = now
        } else if previous == imprint {
            guard now - rotatedAt < Self.graceInterval else { throw .reused }
            current = next.imprint
        } else {
            // Older ones are not kept: whoever shows one has it from this session, since nobody guesses 256 bits.
            throw .reused
        }
    }

    // MARK: In the cache

    public var text: String {
        JSONValue.object([
            ("user", .string(userID)), ("email", .string(email)), ("current", .string(current)),
            ("previous", previous.map { .string($0) } ?? .null), ("started", .string("\(startedAt)")),
            ("rotated", .string("\(rotatedAt)")),
        ]).text(.compact)
    }

    /// Nil for what somebody else has put there.
    public init?(parsing text: String) {
        guard let value = try? JSONValue(parsing: text) else { return nil }
        let json = JSONCursor(value)
        guard let user = try? json["user"].string(), let email = try? json["email"].string(),
            let current = try? json["current"].string(),
            let started = (try? json["started"].string()).flatMap({ LabTime(parsing: $0) }),
            let rotated = (try? json["rotated"].string()).flatMap({ LabTime(parsing: $0) })
        else { return nil }
        userID = user
        self.email = email
        self.current = current
        previous = try? json["previous"].ifPresent?.string()
        startedAt = started
        rotatedAt = rotated
    }
}
