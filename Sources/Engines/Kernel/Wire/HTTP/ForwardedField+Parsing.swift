import KernelStructures

/// The `Forwarded` field as a whole, RFC 7239 §4.
public enum ForwardedField {
    /// Reads the value of a field; of several fields, their values one after the other with a comma between them
    /// (RFC 9110 §5.3).
    ///
    /// As strict as the grammar: no blanks around `;` and `=`, no parameter twice in one element. Two readers that are
    /// lenient in different ways see two different clients. Empty elements are skipped, as in every list (RFC 9110
    /// §5.6.1). Names are compared without regard to case; values are UTF-8, anything else in them becomes U+FFFD.
    ///
    /// - Throws: `HTTPError` 400 for anything else. Nothing of such a field is to be believed, not even the elements
    ///   before the fault.
    public static func parse(_ value: some Sequence<UInt8>) throws(HTTPError) -> [ForwardedElement] {
        var reader = ForwardedReader(bytes: Array(value))
        return try reader.elements()
    }

    public static func parse(_ value: String) throws(HTTPError) -> [ForwardedElement] { try parse(value.utf8) }
}

private struct ForwardedReader {
    let bytes: [UInt8]
    var position = 0

    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    mutating func elements() throws(HTTPError) -> [ForwardedElement] {
        var elements: [ForwardedElement] = []
        while true {
            skipBlanks()
            if current != nil, current != UInt8(ascii: ",") {
                if let element = try element() { elements.append(element) }
                skipBlanks()
            }
            if current == nil { return elements }
            guard take(UInt8(ascii: ",")) else { throw HTTPError(400, "Forwarded: neither ; nor , after a value") }
        }
    }

    private mutating func skipBlanks() { while current == 32 || current == 9 { position += 1 } }

    /// Nil for one that consists of empty pairs.
    private mutating func element() throws(HTTPError) -> ForwardedElement? {
        var element = ForwardedElement()
        var names: Set<String> = []
        repeat {
            // The grammar lets a pair be empty: `for=a;`, `;`.
            guard let byte = current, isToken(byte) else { continue }
            let name = token().lowercased()
            guard take(UInt8(ascii: "=")) else { throw HTTPError(400, "Forwarded: a name without =") }
            let value = try value()
            guard names.insert(name).inserted else { throw HTTPError(400, "Forwarded: \(name) more than once") }
            try assign(name, value, &element)
        } while take(UInt8(ascii: ";"))
        return names.isEmpty ? nil : element
    }

    private func assign(_ name: String, _ value: String, _ element: inout ForwardedElement) throws(HTTPError) {
        switch name {
        case "for", "by":
            guard let node = ForwardedNode(parsing: value) else { throw HTTPError(400, "Forwarded: not a node") }
            if name == "for" { element.client = node } else { element.receiver = node }
        case "host":
            guard ForwardedElement.isHost(value) else { throw HTTPError(400, "Forwarded: not a host") }
            element.host = value
        case "proto":
            guard ForwardedElement.isScheme(value) else { throw HTTPError(400, "Forwarded: not a scheme") }
            element.scheme = value
        default: element.extensions.append(ForwardedElement.Extension(name, value))
        }
    }

    private mutating func token() -> String {
        let start = position
        while let byte = current, isToken(byte) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func value() throws(HTTPError) -> String {
        guard take(UInt8(ascii: "\"")) else {
            guard let byte = current, isToken(byte) else { throw HTTPError(400, "Forwarded: a name without a value") }
            return token()
        }
        var text: [UInt8] = []
        while let byte = current {
            position += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = current, ForwardedElement.isText(escaped) else { break }
                position += 1
                text.append(escaped)
            } else {
                guard ForwardedElement.isText(byte) else {
                    throw HTTPError(400, "Forwarded: a control character in a value")
                }
                text.append(byte)
            }
        }
        throw HTTPError(400, "Forwarded: a quoted value without its end")
    }
}
