extension Labels: Comparable {
    /// By name, then value, label by label, in the order of bytes; the shorter one first.
    public static func < (left: Labels, right: Labels) -> Bool {
        left.bytes.withUnsafeBytes { left in
            right.bytes.withUnsafeBytes { right in
                var here = 0
                var there = 0
                while true {
                    guard let other = next(right, &there) else { return false }
                    guard let own = next(left, &here) else { return true }
                    let order = byteOrder(own, other)
                    if order != 0 { return order < 0 }
                }
            }
        }
    }
}

extension Labels {
    /// Only those for which `isWanted` says so.
    public func filter(_ isWanted: (_ name: UnsafeRawBufferPointer) -> Bool) -> Labels {
        var result = Labels()
        forEachBytes { name, value in if isWanted(name) { result.append(name, value) } }
        return result
    }

    /// Without the metric's name.
    public var withoutMetricName: Labels { setting(Labels.metricNameLabel, to: "") }

    /// With the label `name` set to `value`; without it where that is empty.
    public func setting(_ name: String, to value: String) -> Labels {
        var result = Labels()
        var name = name
        var value = value
        name.withUTF8 { name in
            value.withUTF8 { value in
                let name = UnsafeRawBufferPointer(name)
                let value = UnsafeRawBufferPointer(value)
                var isDone = value.isEmpty
                forEachBytes { present, old in
                    let order = byteOrder(present, name)
                    if order >= 0, !isDone {
                        result.append(name, value)
                        isDone = true
                    }
                    if order != 0 { result.append(present, old) }
                }
                if !isDone { result.append(name, value) }
            }
        }
        return result
    }
}

extension Labels: CustomStringConvertible {
    /// As PromQL writes a series: `up{job="node"}`.
    public var description: String {
        var text = ""
        var rest: [String] = []
        for (name, value) in pairs {
            if name == Labels.metricNameLabel { text = value } else { rest.append("\(name)=\(Self.quoted(value))") }
        }
        return rest.isEmpty && !text.isEmpty ? text : text + "{" + rest.joined(separator: ", ") + "}"
    }

    /// In quotation marks, with `\`, `"` and line ends escaped.
    public static func quoted(_ value: String) -> String {
        var text = "\""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text + "\""
    }
}

extension Labels: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }
}
