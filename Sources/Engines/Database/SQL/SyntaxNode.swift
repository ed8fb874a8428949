import KernelJSON

/// A node of the tree that PostgreSQL's parser makes, as libpg_query writes it: `{"ColumnRef":{"fields":[…],
/// "location":7}}`. A field of a fixed type has no name around it, and what is zero, false or empty is not written.
struct SyntaxNode: Sendable {
    /// `SelectStmt`, `A_Expr` …; empty where the field's name says what it is.
    let kind: String
    let fields: JSONValue

    init(kind: String = "", fields: JSONValue) {
        self.kind = kind
        self.fields = fields
    }

    /// Takes the name off, if there is one: names of nodes begin with a capital, names of fields do not.
    init(_ value: JSONValue) {
        if case .object(let members) = value, members.count == 1, let only = members.first,
            let first = only.key.utf8.first, first >= UInt8(ascii: "A"), first <= UInt8(ascii: "Z")
        {
            self.init(kind: only.key, fields: only.value)
        } else {
            self.init(fields: value)
        }
    }

    /// A field that is a node; nil where it is not there.
    subscript(_ field: String) -> SyntaxNode? { fields[field].map { SyntaxNode($0) } }

    func has(_ field: String) -> Bool { fields[field] != nil }

    /// A field that is a list of nodes.
    func list(_ field: String) -> [SyntaxNode] {
        guard case .array(let elements)? = fields[field] else { return [] }
        return elements.map { SyntaxNode($0) }
    }

    func text(_ field: String) -> String {
        guard case .string(let text)? = fields[field] else { return "" }
        return text
    }

    func integer(_ field: String) -> Int {
        guard case .integer(let number)? = fields[field] else { return 0 }
        return number
    }

    func flag(_ field: String) -> Bool {
        guard case .bool(let value)? = fields[field] else { return false }
        return value
    }

    /// Where it begins in the text, in bytes from 0; nil where the parser does not say.
    var location: Int? {
        guard case .integer(let place)? = fields["location"] else { return kind.isEmpty ? nil : 0 }
        return place < 0 ? nil : place
    }

    /// What a `String` node holds.
    var string: String { text("sval") }

    /// The words of a list of `String` nodes: a name with what stands before it.
    func words(_ field: String) -> [String] { list(field).map(\.string) }
}

extension SyntaxNode {
    /// Calls `visit` with this and all nodes below it that have a name, until it says not to go deeper.
    func walk(_ visit: (SyntaxNode) -> Bool) {
        if !kind.isEmpty, !visit(self) { return }
        Self.walk(fields, visit)
    }

    private static func walk(_ value: JSONValue, _ visit: (SyntaxNode) -> Bool) {
        switch value {
        case .array(let elements):
            for element in elements { SyntaxNode(element).walk(visit) }
        case .object(let members):
            for member in members {
                switch member.value {
                case .array, .object: SyntaxNode(member.value).walk(visit)
                default: break
                }
            }
        default: break
        }
    }
}
