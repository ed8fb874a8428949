import KernelJSON
import TimeSeriesEngine

/// A line on its way through the stages of a pipeline: what it says by now, and its labels.
///
/// The labels are in layers: the stream's, which all its lines share, the entry's metadata, and what stages have set or
/// taken away. A layer is looked through only when somebody asks for a label, and the whole is put together only for
/// lines that get to the end.
struct LineState {
    /// As it is stored. Valid as long as the state is.
    let raw: UnsafeRawBufferPointer
    let stream: Labels
    let metadata: Labels
    /// Nanoseconds since 1970.
    let timestamp: Int64
    /// Instead of the stored line, once a stage has changed it.
    private var changed: [UInt8]?
    /// What stages have set, each name once; empty for a label that was taken away.
    private(set) var own: [(name: String, value: String)] = []
    /// `__error__` and `__error_details__`; empty for none.
    private(set) var error = ""
    private(set) var errorDetails = ""
    private var parsed: LineFields?

    init(raw: UnsafeRawBufferPointer, stream: Labels, metadata: Labels, timestamp: Int64) {
        self.raw = raw
        self.stream = stream
        self.metadata = metadata
        self.timestamp = timestamp
    }

    static let errorLabel = "__error__"
    static let errorDetailsLabel = "__error_details__"

    // MARK: The line

    func withLine<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        guard let changed else { return body(raw) }
        return changed.withUnsafeBytes(body)
    }

    var line: [UInt8] { changed ?? Array(raw) }
    var isChanged: Bool { changed != nil }

    mutating func setLine(_ line: [UInt8]) {
        changed = line
        parsed = nil
    }

    /// The members of a line in JSON or logfmt, read once.
    var fields: LineFields {
        mutating get {
            if let parsed { return parsed }
            let fields = withLine(LineFields.init)
            parsed = fields
            return fields
        }
    }

    /// The values of a member of the line; several if it is a list.
    mutating func members(named name: String) -> [String] { fields.values(of: name) }

    // MARK: Labels

    /// Nil for a label that is not there.
    func value(of name: String) -> String? {
        for (present, value) in own where byteOrder(present, name) == 0 { return value.isEmpty ? nil : value }
        if name.hasPrefix("__error") {
            if name == Self.errorLabel { return error.isEmpty ? nil : error }
            if name == Self.errorDetailsLabel { return errorDetails.isEmpty ? nil : errorDetails }
        }
        let value = metadata.isEmpty ? "" : metadata[name]
        if !value.isEmpty { return value }
        let label = stream[name]
        return label.isEmpty ? nil : label
    }

    /// Sets a label, or takes it away where the value is empty.
    mutating func set(_ name: String, _ value: String) {
        if name == Self.errorLabel {
            error = value
            return
        }
        if name == Self.errorDetailsLabel {
            errorDetails = value
            return
        }
        for index in own.indices where byteOrder(own[index].name, name) == 0 {
            own[index].value = value
            return
        }
        own.append((name, value))
    }

    /// Sets a label that a parser has found: one that the stream has is set beside it, `status_extracted`.
    mutating func extract(_ name: String, _ value: String) {
        set(stream.has(name) ? name + "_extracted" : name, value)
    }

    mutating func fail(_ kind: String, _ details: String) {
        error = kind
        errorDetails = details
    }

    /// Names and values of all labels, in no order that matters, without errors.
    var allNames: [String] {
        var names = own.filter { !$0.value.isEmpty }.map(\.name)
        for labels in [stream, metadata] {
            for (name, _) in labels.pairs where !own.contains(where: { byteOrder($0.name, name) == 0 }) {
                names.append(name)
            }
        }
        return names
    }

    /// All of them in one, errors included.
    var labels: Labels {
        if own.isEmpty, metadata.isEmpty, error.isEmpty { return stream }
        var pairs = stream.pairs.map { ($0.name, $0.value) }
        pairs += metadata.pairs.map { ($0.name, $0.value) }
        pairs += own.map { ($0.name, $0.value) }
        if !error.isEmpty { pairs.append((Self.errorLabel, error)) }
        if !errorDetails.isEmpty { pairs.append((Self.errorDetailsLabel, errorDetails)) }
        // Of a name that stands there twice the last one counts, and an empty value is none.
        return Labels(pairs)
    }

    /// The stream's as far as no stage has changed them, and beside them all others.
    var labelsByOrigin: (stream: Labels, LogQLEntry.Parts) {
        func untouched(_ labels: Labels) -> Labels {
            if own.isEmpty { return labels }
            let rest = labels.pairs.filter { pair in !own.contains { byteOrder($0.name, pair.name) == 0 } }
            return Labels(rest.map { ($0.name, $0.value) })
        }
        var parsed = own.map { ($0.name, $0.value) }
        if !error.isEmpty { parsed.append((Self.errorLabel, error)) }
        if !errorDetails.isEmpty { parsed.append((Self.errorDetailsLabel, errorDetails)) }
        return (untouched(stream), LogQLEntry.Parts(metadata: untouched(metadata), parsed: Labels(parsed)))
    }
}

/// What can be read from a line by itself.
enum LineFields {
    case json([(key: String, value: JSONValue)])
    case logfmt([(key: String, value: String)])
    case none

    init(_ line: UnsafeRawBufferPointer) {
        if let members = JSONLine.object(line) {
            self = .json(members)
        } else if line.contains(UInt8(ascii: "=")) {
            var pairs: [(key: String, value: String)] = []
            var reader = LogfmtReader(line)
            while let pair = reader.next() { pairs.append((pair.key, pair.value)) }
            self = pairs.isEmpty ? .none : .logfmt(pairs)
        } else {
            self = .none
        }
    }

    /// Of the member of that name, or of the one that a path with points leads to.
    func values(of name: String) -> [String] {
        switch self {
        case .none: return []
        case .logfmt(let pairs): return pairs.filter { byteOrder($0.key, name) == 0 }.map(\.value)
        case .json(let members):
            let value =
                members.first { byteOrder($0.key, name) == 0 }?.value
                ?? (name.utf8.contains(UInt8(ascii: "."))
                    ? JSONValue.object(members).value(at: name.split(separator: ".").map { .member(String($0)) }) : nil)
            if case .array(let elements)? = value { return elements.compactMap(\.labelText) }
            return value?.labelText.map { [$0] } ?? []
        }
    }
}
