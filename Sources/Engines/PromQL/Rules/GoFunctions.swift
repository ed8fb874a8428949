import TimeSeriesEngine

/// The functions that every template of Go's has: `printf`, `eq`, `len`, …
public enum GoFunctions {
    public typealias Failure = AlertTemplate.Failure

    /// - Returns: nil for a function that is none of them.
    public static func call(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue? {
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

    private static func compare(_ name: String, _ left: TemplateValue, _ right: TemplateValue) throws(Failure) -> Bool {
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
