import KernelRegularExpressions
import KernelStructures
import TimeSeriesEngine

/// The functions of alerts' templates.
struct TemplateFunctions: TemplateVocabulary {
    typealias Failure = AlertTemplate.Failure

    let scope: AlertTemplate.Scope

    var dot: TemplateValue { .scope }

    var variables: [(name: String, value: TemplateValue)] {
        [
            ("labels", .labels(scope.labels)), ("value", .number(scope.value)),
            ("externalLabels", .labels(scope.context.externalLabels)),
            ("externalURL", .text(scope.context.externalURL)),
        ]
    }

    func member(_ name: String) -> TemplateValue? {
        switch name {
        case "Labels", "labels": .labels(scope.labels)
        case "Value", "value": .number(scope.value)
        case "ExternalLabels": .labels(scope.context.externalLabels)
        case "ExternalURL": .text(scope.context.externalURL)
        default: nil
        }
    }

    func call(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
        if let value = try GoFunctions.call(name, arguments) { return value }
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
}
