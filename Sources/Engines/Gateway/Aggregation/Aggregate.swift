import KernelStructures

/// One answer made of several: what is asked, and how the answers are put together.
///
/// ```yaml
/// - path: /api/dashboard
///   auth: jwt
///   aggregate:
///     timeout: 2s
///     parts:
///       - {group: user, service: user-service, path: /users/me, required: true}
///       - {group: recent_orders, service: order-service, path: "/orders?user={user.id}&limit=5", timeout: 300ms}
///       - {group: notifications, service: notification-service, path: /notifications}
/// ```
///
/// Parts are asked all at once, but for one whose path names another (`{user.id}`): that one waits for the other.
public struct Aggregate: Equatable, Sendable {
    public var parts: [Part]
    /// For all of them together.
    public var timeout = LabDuration.seconds(5)
    /// The status of an answer in which a part is missing that is not required: 200, 206 or 502.
    public var partialStatus = 200

    public static let partLimit = 32
    public static let partialStatuses = [200, 206, 502]

    public init(parts: [Part]) { self.parts = parts }

    public struct Part: Equatable, Sendable {
        /// What it is called in paths of other parts, in logs and in what says that it is missing.
        public var name: String
        public var service: String
        public var path: PathTemplate
        /// Without it there is no answer at all.
        public var isRequired = false
        public var timeout = LabDuration.seconds(2)
        /// The member of the answer that it becomes; nil: its own members become the answer's.
        public var group: String?
        /// A place in its answer that is taken in place of the whole: `data.items`.
        public var pick: [String] = []
        /// Members that are kept, if any are named; then those that are not, by places such as `address.street`.
        public var allow: [[String]] = []
        public var deny: [[String]] = []
        /// Members that get another name.
        public var mapping: [(from: String, to: String)] = []
        public var answerLimitBytes = 1 << 20

        public init(name: String, service: String, path: PathTemplate) {
            self.name = name
            self.service = service
            self.path = path
        }

        public static func == (a: Part, b: Part) -> Bool {
            a.name == b.name && a.service == b.service && a.path == b.path && a.isRequired == b.isRequired
                && a.timeout == b.timeout && a.group == b.group && a.pick == b.pick && a.allow == b.allow
                && a.deny == b.deny && a.mapping.map(\.from) == b.mapping.map(\.from)
                && a.mapping.map(\.to) == b.mapping.map(\.to) && a.answerLimitBytes == b.answerLimitBytes
        }
    }
}

/// A request's target with places to be filled in from other parts' answers: `/orders?user={user.id}&limit=5`.
public struct PathTemplate: Equatable, Sendable, CustomStringConvertible {
    enum Piece: Equatable, Sendable {
        case text(String)
        case value(part: String, path: [String])
    }

    let pieces: [Piece]
    public let description: String

    /// Why a text is none.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible { public let description: String }

    public init(_ text: String) throws(Malformed) {
        guard text.hasPrefix("/") else { throw Malformed(description: "'\(text)' must begin with /") }
        guard text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "#") }), text.utf8.count <= 4096 else {
            throw Malformed(description: "a path has no blanks, no # and nothing beyond ASCII; encode them: %20")
        }
        var pieces: [Piece] = []
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            if open > rest.startIndex { pieces.append(.text(String(rest[..<open]))) }
            guard let close = rest[open...].firstIndex(of: "}") else {
                throw Malformed(description: "'\(text)' has a { without a }")
            }
            let words = rest[rest.index(after: open)..<close].split(separator: ".", omittingEmptySubsequences: false)
            guard words.count >= 2, words.allSatisfy({ !$0.isEmpty }) else {
                throw Malformed(description: "'{\(rest[rest.index(after: open)..<close])}' is not {part.member}")
            }
            pieces.append(.value(part: String(words[0]), path: words.dropFirst().map(String.init)))
            rest = rest[close...].dropFirst()
        }
        if !rest.isEmpty { pieces.append(.text(String(rest))) }
        self.pieces = pieces
        description = text
    }

    /// The parts whose answers it needs.
    public var parts: [String] {
        pieces.compactMap { if case .value(let part, _) = $0 { part } else { nil } }
    }
}
