/// A line with holes in it: `<ip> - - <_> "<method> <uri> <_>" <status>`.
///
/// An extraction takes the text between the literals, each of which is looked for from where the last one ended; what
/// is missing at the end goes to the last hole. A filter (`|> "<_>error<_>"`) asks whether the whole line is of that
/// shape. Both walk over the line once and never go back, so they cannot be made slow.
struct LinePattern: Sendable {
    enum Part: Equatable, Sendable {
        case literal([UInt8])
        /// Nil for `<_>`.
        case capture(String?)
    }

    let source: String
    let parts: [Part]

    /// - Parameter needsCapture: for an extraction, whose holes have names; a filter has only holes without.
    init(parsing text: String, needsCapture: Bool) throws(LogQLError) {
        source = text
        var parts: [Part] = []
        var literal: [UInt8] = []
        let bytes = Array(text.utf8)
        var offset = 0
        var names: [String] = []
        while offset < bytes.count {
            guard bytes[offset] == UInt8(ascii: "<"), let name = Self.name(bytes, offset) else {
                literal.append(bytes[offset])
                offset += 1
                continue
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = []
            if case .capture? = parts.last {
                throw LogQLError(.badRequest, "found consecutive capture '<\(name)>'")
            }
            if name == "_" {
                parts.append(.capture(nil))
            } else if !needsCapture {
                throw LogQLError(.badRequest, "named captures are not allowed, write <_>")
            } else if names.contains(name) {
                throw LogQLError(.badRequest, "duplicate capture name (\(name))")
            } else {
                names.append(name)
                parts.append(.capture(name))
            }
            offset += name.utf8.count + 2
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        if needsCapture, names.isEmpty { throw LogQLError(.badRequest, "at least one capture is required") }
        self.parts = parts
    }

    /// The name in `<name>` that begins here.
    private static func name(_ bytes: [UInt8], _ offset: Int) -> String? {
        guard let end = bytes[offset...].firstIndex(of: UInt8(ascii: ">")) else { return nil }
        let name = String(decoding: bytes[(offset + 1)..<end], as: UTF8.self)
        return isLabelName(name) ? name : nil
    }

    /// Calls `found` for every named hole, with what stands in it.
    func extract(_ line: UnsafeRawBufferPointer, _ found: (String, UnsafeRawBufferPointer) -> Void) {
        var rest = 0
        var index = 0
        if case .literal(let literal)? = parts.first {
            guard line.starts(with: literal) else { return }
            rest = literal.count
            index = 1
        }
        while index < parts.count {
            guard case .capture(let name) = parts[index] else { return }
            var end = line.count
            var next = line.count
            var isMissing = true
            if index + 1 < parts.count, case .literal(let literal) = parts[index + 1],
                let place = ByteSearch.first(literal, in: line, from: rest)
            {
                end = place
                next = place + literal.count
                isMissing = false
            }
            if let name { found(name, UnsafeRawBufferPointer(rebasing: line[rest..<end])) }
            if isMissing { return }
            rest = next
            index += 2
        }
    }

    /// Whether the whole line is of that shape.
    func matches(_ line: UnsafeRawBufferPointer) -> Bool {
        guard !parts.isEmpty else { return line.isEmpty }
        var rest = 0
        for (index, part) in parts.enumerated() {
            guard case .literal(let literal) = part else { continue }
            let isLast = index + 1 == parts.count
            if index == 0 {
                guard line.starts(with: literal) else { return false }
                rest = literal.count
                if isLast { return rest == line.count }
            } else if isLast {
                let start = line.count - literal.count
                return start >= rest && line[start...].elementsEqual(literal)
            } else {
                guard let place = ByteSearch.first(literal, in: line, from: rest) else { return false }
                rest = place + literal.count
            }
        }
        return true
    }
}
