import KernelStructures
import KernelWire

/// What is changed of a head's fields: taken out, put in the place of others, put beside them.
public struct FieldEdits: Equatable, Sendable {
    public struct Field: Equatable, Sendable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// In the place of all that have the name.
    public private(set) var set: [Field] = []
    /// Beside those that have the name.
    public private(set) var add: [Field] = []
    public private(set) var remove: [String] = []
    /// `set` and `add` as they are sent.
    public private(set) var lines: [UInt8] = []

    public init() {}

    public init(set: [Field], add: [Field], remove: [String]) {
        self.set = set
        self.add = add
        self.remove = remove
        for field in set + add { HTTPWriter.field(field.name, field.value, into: &lines) }
    }

    public var isEmpty: Bool { lines.isEmpty && remove.isEmpty }
    /// Whether a field that is there is to go.
    public var takesAny: Bool { !set.isEmpty || !remove.isEmpty }

    /// Whether this field is to go.
    public func takes(_ field: HTTPHead.Field, of head: HTTPHead) -> Bool {
        set.contains { head.isNamed(field, $0.name) } || remove.contains { head.isNamed(field, $0) }
    }
}

/// The fields by which servers are told who asks. A client that sends one itself would be whom it likes.
///
/// Servers do not all tell `X-User-Id` from `X_User_Id`: CGI and its heirs make both of them `HTTP_X_USER_ID`. So both
/// are taken out.
public struct IdentityFields: Equatable, Sendable {
    /// In small letters, with `-` for `_`.
    private let names: [[UInt8]]

    public init(_ names: [String]) { self.names = names.map { $0.utf8.map(Self.folded) } }

    public func contains(_ name: ArraySlice<UInt8>) -> Bool {
        names.contains { $0.count == name.count && zip($0, name).allSatisfy { $0 == Self.folded($1) } }
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case 65...90: byte | 0x20
        case UInt8(ascii: "_"): UInt8(ascii: "-")
        default: byte
        }
    }
}

extension Route {
    /// One of the shares by chance, as their weights say; nil if none has any.
    public static func pick(_ shares: [Share], random: inout SeededRandom) -> Int? {
        let total = shares.reduce(0) { $0 + $1.weight }
        guard total > 0 else { return nil }
        if shares.count == 1 { return 0 }
        var rest = random.below(total)
        for (index, share) in shares.enumerated() {
            if rest < share.weight { return index }
            rest -= share.weight
        }
        return shares.count - 1
    }
}
