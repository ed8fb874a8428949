import KernelJSON
import KernelStructures

/// A text with places for values: `{{order_id}}`, and parts that are repeated for each element of a list, or shown only
/// if something is true: `{{#items}}{{quantity}} × {{product_id}}{{/items}}`. A subset of Mustache.
///
/// A name that has no value is an error, and not an empty place: a letter that begins with "Dear ," is worse than none.
/// Values keep to their line: what ends a line in a value becomes a blank, since a value comes from a stranger, and a
/// subject line with a line's end in it would let him write headers of his own.
public struct MessageTemplate: Equatable, Sendable {
    private let parts: [Part]

    private indirect enum Part: Equatable, Sendable {
        case text(String)
        case value(String)
        case section(String, [Part])
    }

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public static let limitBytes = 64 << 10
    static let depthLimit = 8
    static let resultLimitBytes = 1 << 20

    public init(parsing text: String) throws(Malformed) {
        guard text.utf8.count <= Self.limitBytes else {
            throw Malformed(description: "longer than \(byteCountText(Self.limitBytes))")
        }
        var rest = text[...]
        parts = try Self.read(&rest, within: [])
    }

    private static func read(_ rest: inout Substring, within names: [String]) throws(Malformed) -> [Part] {
        var parts: [Part] = []
        while let open = rest.firstRange(of: "{{") {
            if open.lowerBound > rest.startIndex { parts.append(.text(String(rest[..<open.lowerBound]))) }
            rest = rest[open.upperBound...]
            guard let close = rest.firstRange(of: "}}") else { throw Malformed(description: "'{{' without '}}'") }
            let tag = rest[..<close.lowerBound].trimmingBlanks
            rest = rest[close.upperBound...]
            switch tag.first {
            case "#"?:
                guard names.count < depthLimit else { throw Malformed(description: "sections are nested too deeply") }
                let name = try checked(tag.dropFirst())
                parts.append(.section(name, try read(&rest, within: names + [name])))
            case "/"?:
                let name = try checked(tag.dropFirst())
                guard names.last == name else {
                    throw Malformed(description: "'{{/\(name)}}' closes nothing that is open")
                }
                return parts
            default: parts.append(.value(try checked(tag)))
            }
        }
        if let name = names.last { throw Malformed(description: "'{{#\(name)}}' is not closed") }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        return parts
    }

    private static func checked(_ name: Substring) throws(Malformed) -> String {
        let name = name.trimmingBlanks
        let isName =
            (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == 95
            }
        guard isName else { throw Malformed(description: "'\(name.prefix(64))' is no name of letters, digits and _") }
        return String(name)
    }

    /// - Throws: for a name without a value, a value that is neither text nor number, and a text of more than a
    ///   mebibyte.
    public func filled(with values: JSONValue) throws(Malformed) -> String {
        var text = ""
        try Self.fill(parts, [values], &text)
        return text
    }

    private static func fill(_ parts: [Part], _ scopes: [JSONValue], _ text: inout String) throws(Malformed) {
        for part in parts {
            switch part {
            case .text(let plain): text += plain
            case .value(let name): text += try shown(name, scopes)
            case .section(let name, let inner):
                switch try look(name, scopes) {
                case .array(let elements):
                    for element in elements { try fill(inner, scopes + [element], &text) }
                case .bool(true): try fill(inner, scopes, &text)
                case .bool(false), .null: break
                case let object: try fill(inner, scopes + [object], &text)
                }
            }
            guard text.utf8.count <= resultLimitBytes else { throw Malformed(description: "the text becomes too long") }
        }
    }

    /// The innermost first.
    private static func look(_ name: String, _ scopes: [JSONValue]) throws(Malformed) -> JSONValue {
        for scope in scopes.reversed() { if let value = scope[name] { return value } }
        throw Malformed(description: "'\(name)' has no value")
    }

    private static func shown(_ name: String, _ scopes: [JSONValue]) throws(Malformed) -> String {
        switch try look(name, scopes) {
        case .string(let text):
            return String(
                String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? " " : $0 }))
        case .integer(let number): return String(number)
        case .unsigned, .number, .decimal: return try look(name, scopes).text
        case let other: throw Malformed(description: "'\(name)' is \(other.kindName), and no text")
        }
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// A subject and a text.
public struct MessageForm: Equatable, Sendable {
    public let subject: MessageTemplate
    public let body: MessageTemplate

    public init(subject: String, body: String) throws(MessageTemplate.Malformed) {
        self.subject = try MessageTemplate(parsing: subject)
        self.body = try MessageTemplate(parsing: body)
    }

    /// What is sent where nobody has written another form: by channel and template.
    public static let defaults: [(channel: Notification.Channel, template: String, subject: String, body: String)] = [
        (
            .email, "order.created", "Your order {{order_id}} is confirmed",
            """
            Thank you for your order {{order_id}}.

            {{#items}}  {{quantity}} × {{product_id}}
            {{/items}}
            Total: {{total}}

            It is paid, and on its way.

            """
        ),
        (
            .email, "order.failed", "Your order {{order_id}} could not be completed",
            """
            Your order {{order_id}} could not be completed: {{reason}}.

            Nothing was charged that has not been given back.

            """
        ),
        (.sms, "order.created", "", "Order {{order_id}} is confirmed: {{total}}."),
    ]
}
