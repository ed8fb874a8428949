import KernelRegularExpressions
import KernelStructures
import TimeSeriesEngine

/// The functions of templates.
struct TemplateFunctions {
    typealias Failure = AlertTemplate.Failure

    let scope: AlertTemplate.Scope

    func call(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
        if let value = try builtIn(name, arguments) { return value }
        if let value = try ofSamples(name, arguments) { return value }
        guard let only = arguments.last else { throw Failure(description: "function \"\(name)\" wants an argument") }
        switch name {
        case "humanize": return .text(Humanized.decimal(try only.number()))
        case "humanize1024": return .text(Humanized.binary(try only.number()))
        case "humanizeDuration": return .text(Humanized.duration(try only.number()))
        case "humanizePercentage": return .text(Humanized.short(try only.number() * 100) + "%")
        case "humanizeTimestamp": return .text(Humanized.timestamp(try only.number()))
        case "title": return .text(Self.titled(only.text))
        case "toUpper": return .text(only.text.uppercased())
        case "toLower": return .text(only.text.lowercased())
        case "safeHtml": return only
        case "stripPort": return .text(HostPort(parsing: only.text)?.host ?? only.text)
        case "stripDomain": return .text(String(only.text.prefix { $0 != "." }))
        case "parseDuration":
            switch PromQLDuration.parse(only.text) {
            case .success(let milliseconds): return .number(Double(milliseconds) / 1000)
            case .failure(let failure): throw Failure(description: failure.message)
            }
        case "match", "reReplaceAll": return try regular(name, arguments)
        case "graphLink", "tableLink":
            return .text("/graph?g0.expr=\(Self.escaped(only.text))&g0.tab=\(name == "graphLink" ? 0 : 1)")
        default: throw Failure(description: "function \"\(name)\" not defined")
        }
    }

    private static func titled(_ text: String) -> String {
        var isStart = true
        return String(
            text.map { character in
                defer { isStart = character.isWhitespace }
                return isStart ? Character(character.uppercased().prefix(1).first.map(String.init) ?? "") : character
            })
    }

    private static func escaped(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            if Lexer.isAlphanumeric(byte) || "-.~".utf8.contains(byte) {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                out += "%" + (digits.utf8.count < 2 ? "0" : "") + digits
            }
        }
        return out
    }

    private func regular(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
        guard arguments.count == (name == "match" ? 2 : 3), let text = arguments.last?.text else {
            throw Failure(description: "wrong number of args for \(name)")
        }
        do throws(RegularExpressionError) {
            let expression = try RegularExpression(arguments[0].text)
            if name == "match" { return .truth(expression.matches(text)) }
            let template = GoTemplate(arguments[1].text, expression)
            var out: [UInt8] = []
            var copy = text
            copy.withUTF8 { bytes in
                let bytes = UnsafeRawBufferPointer(bytes)
                var position = 0
                for match in expression.allMatches(in: bytes) {
                    out += bytes[position..<match.range.lowerBound]
                    out += template.expanded(match, bytes)
                    position = match.range.upperBound
                }
                out += bytes[position...]
            }
            return .text(String(decoding: out, as: UTF8.self))
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    // MARK: Samples

    private func ofSamples(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue? {
        switch (name, arguments.last) {
        case ("externalURL", _): return .text(scope.context.externalURL)
        case ("pathPrefix", _): return .text("")
        case ("query", .text(let text)?): return .samples(try query(text))
        case ("first", .samples(let samples)?):
            guard let first = samples.first else {
                throw Failure(description: "first() called on vector with no elements")
            }
            return .sample(first)
        case ("value", .sample(let sample)?): return .number(sample.value)
        case ("strvalue", .sample(let sample)?): return .text(sample.labels["__value__"])
        case ("label", .sample(let sample)?): return .text(sample.labels[arguments[0].text])
        case ("label", .labels(let labels)?): return .text(labels[arguments[0].text])
        case ("sortByLabel", .samples(let samples)?):
            let label = arguments[0].text
            return .samples(samples.sorted { byteOrder($0.labels[label], $1.labels[label]) < 0 })
        default: return nil
        }
    }

    private func query(_ text: String) throws(Failure) -> [VectorElement] {
        do throws(PromQLError) {
            let result = try PromQLExpression(parsing: text).evaluate(
                over: scope.queryable, at: scope.now, limits: scope.limits)
            switch result.value {
            case .vector(let elements): return elements
            case .scalar(let time, let value):
                return [VectorElement(labels: Labels(), timestamp: time, value: value)]
            case .string, .matrix: throw PromQLError.execution("query result is not a vector or scalar")
            }
        } catch {
            throw Failure(description: "error calling query: \(error)")
        }
    }

    // MARK: Go's own

    private func builtIn(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue? {
        switch name {
        case "printf":
            guard let format = arguments.first else { throw Failure(description: "wrong number of args for printf") }
            return .text(GoPrinter.text(format.text, Array(arguments.dropFirst())))
        case "print": return .text(arguments.map(\.text).joined())
        case "println": return .text(arguments.map(\.text).joined(separator: " ") + "\n")
        case "not": return .truth(!(arguments.last?.isTrue ?? false))
        case "and": return arguments.first { !$0.isTrue } ?? arguments.last ?? .nothing
        case "or": return arguments.first { $0.isTrue } ?? arguments.last ?? .nothing
        case "len":
            switch arguments.last {
            case .text(let text)?: return .number(Double(text.utf8.count))
            case .samples(let samples)?: return .number(Double(samples.count))
            case .labels(let labels)?: return .number(Double(labels.count))
            default: throw Failure(description: "len of something that has none")
            }
        case "index":
            guard arguments.count == 2 else { throw Failure(description: "wrong number of args for index") }
            if case .labels(let labels) = arguments[0] { return .text(labels[arguments[1].text]) }
            guard case .samples(let samples) = arguments[0], let place = Int(exactly: try arguments[1].number()),
                let sample = samples[safe: place]
            else { throw Failure(description: "index out of range") }
            return .sample(sample)
        case "eq", "ne", "lt", "le", "gt", "ge":
            guard arguments.count >= 2 else { throw Failure(description: "missing argument for comparison") }
            return .truth(try compare(name, arguments[0], arguments[1]))
        default: return nil
        }
    }

    private func compare(_ name: String, _ left: TemplateValue, _ right: TemplateValue) throws(Failure) -> Bool {
        let order: Int
        if case .number(let a) = left, case .number(let b) = right {
            if a.isNaN || b.isNaN { return name == "ne" }
            order = a < b ? -1 : a > b ? 1 : 0
        } else {
            order = byteOrder(left.text, right.text)
        }
        switch name {
        case "eq": return order == 0
        case "ne": return order != 0
        case "lt": return order < 0
        case "le": return order <= 0
        case "gt": return order > 0
        default: return order >= 0
        }
    }
}
