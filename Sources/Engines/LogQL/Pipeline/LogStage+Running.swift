import KernelJSON
import KernelRegularExpressions
import KernelStructures
import PromQLEngine
import TimeSeriesEngine

extension LogStage {
    /// What the stage makes of a line.
    ///
    /// - Returns: whether the line goes on.
    func apply(_ line: inout LineState) -> Bool {
        switch self {
        case .lineFilter(let filter): return line.withLine(filter.isPassed)
        case .json(let extractions): Self.json(extractions, &line)
        case .logfmt(let isStrict, let keepsEmpty, let extractions):
            Self.logfmt(isStrict, keepsEmpty, extractions, &line)
        case .regexp(let expression): expression.extract(&line)
        case .pattern(let pattern):
            var found: [(String, String)] = []
            line.withLine { bytes in
                pattern.extract(bytes) { found.append(($0, String(decoding: $1, as: UTF8.self))) }
            }
            for (name, value) in found { line.extract(name, value) }
        case .unpack: Self.unpack(&line)
        case .labelFilter(let filter): return filter.isPassed(&line)
        case .lineFormat(let template):
            if let text = Self.text(template, &line) { line.setLine(Array(text.utf8)) }
        case .labelFormat(let assignments): Self.assign(assignments, &line)
        case .decolorize: Self.decolorize(&line)
        case .drop(let selections):
            for selection in selections {
                guard selection.matcher?.matches(line.value(of: selection.name) ?? "") ?? true else { continue }
                line.set(selection.name, "")
            }
        case .keep(let selections):
            for name in line.allNames {
                let isKept = selections.contains {
                    byteOrder($0.name, name) == 0 && ($0.matcher?.matches(line.value(of: name) ?? "") ?? true)
                }
                if !isKept { line.set(name, "") }
            }
        case .search(let query): return query.root.matches(&line)
        case .fields(let names):
            for name in names where line.value(of: name) == nil {
                if let value = line.members(named: name).first { line.set(name, value) }
            }
        }
        return true
    }

    // MARK: Parsers

    private static func json(_ extractions: [LabelExtraction], _ line: inout LineState) {
        guard let members = line.withLine(JSONLine.object) else {
            return line.fail("JSONParserErr", "the line is no JSON object")
        }
        if extractions.isEmpty { return flatten(members, "", &line, 0) }
        let object = JSONValue.object(members)
        for extraction in extractions {
            line.extract(extraction.label, object.value(at: extraction.path)?.labelText ?? "")
        }
    }

    /// Members as labels, those of members with `_` between the names. Lists are left out, as Loki leaves them out.
    private static func flatten(
        _ members: [(key: String, value: JSONValue)], _ prefix: String, _ line: inout LineState, _ depth: Int
    ) {
        for (key, value) in members {
            let name = prefix.isEmpty ? JSONLine.labelName(key) : prefix + "_" + JSONLine.labelTail(key)
            switch value {
            case .object(let inner): if depth < 32 { flatten(inner, name, &line, depth + 1) }
            case .array, .null: break
            default: if let text = value.labelText { line.extract(name, text) }
            }
        }
    }

    private static func logfmt(
        _ isStrict: Bool, _ keepsEmpty: Bool, _ extractions: [LabelExtraction], _ line: inout LineState
    ) {
        var pairs: [LogfmtReader.Pair] = []
        let problem = line.withLine { bytes in
            var reader = LogfmtReader(bytes)
            // A reader that has met something else gives the pair behind it, which a strict one does not want.
            while let pair = reader.next(), !isStrict || reader.problem == nil { pairs.append(pair) }
            return isStrict ? reader.problem : nil
        }
        for pair in pairs where keepsEmpty || !pair.value.isEmpty {
            if extractions.isEmpty {
                line.extract(JSONLine.labelName(pair.key), pair.value)
            } else {
                for extraction in extractions where byteOrder(extraction.source, pair.key) == 0 {
                    line.extract(extraction.label, pair.value)
                }
            }
        }
        if let problem { line.fail("LogfmtParserErr", problem) }
    }

    /// Undoes promtail's `pack`: members as labels, and `_entry` as the line.
    private static func unpack(_ line: inout LineState) {
        guard let members = line.withLine(JSONLine.object) else {
            return line.fail("JSONParserErr", "the line is no JSON object")
        }
        for (key, value) in members {
            guard case .string(let text) = value else { continue }
            if key == "_entry" {
                line.setLine(Array(text.utf8))
            } else {
                line.extract(JSONLine.labelName(key), text)
            }
        }
    }

    // MARK: Formats

    private static func text(_ template: LabelTemplate, _ line: inout LineState) -> String? {
        do throws(AlertTemplate.Failure) {
            return try template.text(line)
        } catch {
            line.fail("TemplateFormatErr", error.description)
            return nil
        }
    }

    private static func assign(_ assignments: [LabelAssignment], _ line: inout LineState) {
        for assignment in assignments {
            switch assignment.source {
            case .label(let name):
                guard let value = line.value(of: name) else { continue }
                line.set(assignment.label, value)
                if byteOrder(assignment.label, name) != 0 { line.set(name, "") }
            case .template(let template):
                if let text = text(template, &line) { line.set(assignment.label, text) }
            }
        }
    }

    /// Takes out what makes terminals change colours: `ESC [ … letter` (ECMA-48, 5.4).
    private static func decolorize(_ line: inout LineState) {
        let escape: UInt8 = 0x1B
        guard line.withLine({ $0.contains(escape) }) else { return }
        let bytes = line.line
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == escape, index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "[") else {
                out.append(bytes[index])
                index += 1
                continue
            }
            index += 2
            while index < bytes.count, !(0x40...0x7E).contains(bytes[index]) { index += 1 }
            index += 1
        }
        line.setLine(out)
    }
}

extension JSONLine {
    /// As `labelName`, behind another name: a digit may come first.
    static func labelTail(_ name: String) -> String {
        let whole = labelName(name)
        return name.utf8.first.map(LogLexer.isDigit) == true ? String(whole.dropFirst()) : whole
    }
}

extension LineFilter {
    func isPassed(_ line: UnsafeRawBufferPointer) -> Bool {
        for needle in needles where needle.isFound(in: line) { return !operation.isNegated }
        return operation.isNegated
    }
}

extension LineFilter.Needle {
    func isFound(in line: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .text(let bytes): ByteSearch.first(bytes, in: line) != nil
        case .expression(let expression): expression.matches(line)
        case .pattern(let pattern): pattern.matches(line)
        case .address(let pattern): pattern.isFound(in: line)
        }
    }
}

extension LineExpression {
    fileprivate func extract(_ line: inout LineState) {
        var found: [(String, String)] = []
        line.withLine { bytes in
            guard let match = expression.firstMatch(in: bytes) else { return }
            for group in groups {
                guard let range = match[group.number] else { continue }
                found.append((group.name, String(decoding: bytes[range], as: UTF8.self)))
            }
        }
        for (name, value) in found { line.extract(name, value) }
    }
}

extension LabelFilter {
    /// A label that is no number where one is wanted marks the line with an error and lets it through; so does one that
    /// is marked already. A label that is not there keeps it back.
    func isPassed(_ line: inout LineState) -> Bool {
        switch self {
        case .text(let matcher): return matcher.matches(line.value(of: matcher.name) ?? "")
        case .all(let filters):
            for filter in filters where !filter.isPassed(&line) { return false }
            return true
        case .any(let filters):
            for filter in filters where filter.isPassed(&line) { return true }
            return false
        case .address(let name, let isEqual, let pattern):
            guard line.error.isEmpty else { return true }
            guard let value = line.value(of: name) else { return false }
            guard let address = IPAddress(parsing: value) else { return !isEqual }
            return pattern.contains(address) == isEqual
        case .quantity(let name, let comparison, let quantity):
            guard line.error.isEmpty else { return true }
            guard let value = line.value(of: name) else { return false }
            guard let order = quantity.order(of: value) else {
                line.fail("LabelFilterErr", "\(quotedByGo(value)) of label \(name) is \(quantity.whatItIsNot)")
                return true
            }
            return comparison.holds(order)
        }
    }
}

extension LabelFilter.Comparison {
    /// - Parameter order: of the value to the limit; nil for a NaN, which is unlike everything.
    func holds(_ order: LabelFilter.Order) -> Bool {
        switch self {
        case .equal: order == .same
        case .notEqual: order != .same
        case .less: order == .before
        case .atMost: order == .before || order == .same
        case .greater: order == .behind
        case .atLeast: order == .behind || order == .same
        }
    }
}

extension LabelFilter {
    enum Order { case before, same, behind, unlike }
}

extension LabelFilter.Quantity {
    /// Nil for a text that is not of this kind.
    func order(of text: String) -> LabelFilter.Order? {
        switch self {
        case .number(let limit): Self.number(text).map { Self.order($0, limit) }
        case .durationNanoseconds(let limit): GoDuration.parse(text).map { Self.order($0, limit) }
        case .bytes(let limit): ByteSize.parse(text).map { Self.order($0, limit) }
        }
    }

    /// As Go's `strconv.ParseFloat` reads it, without hexadecimal digits.
    static func number(_ text: String) -> Double? {
        guard let first = text.utf8.first, !text.utf8.contains(UInt8(ascii: "x")),
            LogLexer.isDigit(first) || "+-.iInN".utf8.contains(first)
        else { return nil }
        return Double(text)
    }

    private static func order<Value: Comparable>(_ value: Value, _ limit: Value) -> LabelFilter.Order {
        value < limit ? .before : value > limit ? .behind : value == limit ? .same : .unlike
    }

    var whatItIsNot: String {
        switch self {
        case .number: "no number"
        case .durationNanoseconds: "no duration"
        case .bytes: "no size"
        }
    }
}
