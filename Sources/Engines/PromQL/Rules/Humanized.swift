import Glibc
import KernelStructures

/// Numbers as people read them: `1.234k`, `2h 3m 4s`.
enum Humanized {
    /// Four significant digits.
    static func short(_ value: Double) -> String {
        value.isFinite ? GoPrinter.formatted(value, "%.4g") : GoFormat.plain(value)
    }

    static func decimal(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return short(value) }
        return value.magnitude >= 1
            ? scaled(value, by: 1000, "kMGTPEZY", isUp: false) : scaled(value, by: 1000, "munpfazy", isUp: true)
    }

    static func binary(_ value: Double) -> String {
        guard value.isFinite, value.magnitude > 1 else { return short(value) }
        var value = value
        var prefix = ""
        for letter in "kMGTPEZY" where value.magnitude >= 1024 {
            prefix = "\(letter)i"
            value /= 1024
        }
        return short(value) + prefix
    }

    private static func scaled(_ value: Double, by factor: Double, _ letters: String, isUp: Bool) -> String {
        var value = value
        var prefix = ""
        for letter in letters where isUp ? value.magnitude < 1 : value.magnitude >= factor {
            prefix = String(letter)
            value = isUp ? value * factor : value / factor
        }
        return short(value) + prefix
    }

    static func duration(_ value: Double) -> String {
        guard value.isFinite, value.magnitude < 9e15 else { return short(value) }
        if value == 0 { return "0s" }
        guard value.magnitude >= 1 else { return scaled(value, by: 1000, "munpfazy", isUp: true) + "s" }
        let sign = value < 0 ? "-" : ""
        let whole = Int64(value.magnitude)
        let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60)
        if days != 0 { return "\(sign)\(days)d \(hours)h \(minutes)m \(seconds)s" }
        if hours != 0 { return "\(sign)\(hours)h \(minutes)m \(seconds)s" }
        if minutes != 0 { return "\(sign)\(minutes)m \(seconds)s" }
        return sign + short(value.magnitude) + "s"
    }

    static func timestamp(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds.magnitude < 9e9 else { return short(seconds) }
        var text = LabTime(nanoseconds: Int64((seconds * 1000).rounded()) * 1_000_000).description
        if text.hasSuffix("Z") { text.removeLast() }
        return text.split(separator: "T").joined(separator: " ") + " +0000 UTC"
    }
}

/// `printf` as Go has it, for the verbs that texts of alerts use.
enum GoPrinter {
    static func formatted(_ value: Double, _ format: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
            let count = withVaList([value]) { vsnprintf(buffer.baseAddress, 512, format, $0) }
            guard count > 0, count < 512, let text = buffer.baseAddress else { return GoFormat.plain(value) }
            return String(cString: text)
        }
    }

    static func text(_ format: String, _ arguments: [TemplateValue]) -> String {
        var out = ""
        var rest = Substring(format)
        var next = 0
        while let percent = rest.firstIndex(of: "%") {
            out += rest[..<percent]
            rest = rest[percent...].dropFirst()
            let flags = rest.prefix { "+-# 0123456789.".contains($0) }
            rest = rest.dropFirst(flags.count)
            guard let verb = rest.popFirst() else { return out + "%!(NOVERB)" }
            if verb == "%" {
                out += "%"
                continue
            }
            guard next < arguments.count else {
                out += "%!\(verb)(MISSING)"
                continue
            }
            out += one(verb, String(flags.prefix(12)), arguments[next])
            next += 1
        }
        return out + rest
    }

    private static func one(_ verb: Character, _ flags: String, _ value: TemplateValue) -> String {
        // Widths are bounded, so that no template asks for gigabytes of blanks.
        let width = flags.split(separator: ".").compactMap { Int($0.drop { !$0.isNumber || $0 == "0" }) }.max() ?? 0
        guard width <= 200 else { return "%!\(verb)(WIDTH)" }
        switch (verb, value) {
        case ("f", .number(let number)), ("e", .number(let number)), ("g", .number(let number)),
            ("E", .number(let number)), ("F", .number(let number)), ("G", .number(let number)):
            if !number.isFinite { return GoFormat.plain(number) }
            return flags.isEmpty && verb == "g" ? numberText(number) : formatted(number, "%\(flags)\(verb)")
        case ("d", .number(let number)):
            return number.magnitude < 9e18 ? padded(String(Int64(number)), flags) : GoFormat.plain(number)
        case ("q", _): return padded(quotedByGo(value.text), flags)
        case ("v", _), ("s", _): return padded(value.text, flags)
        case ("t", _): return padded(value.text, flags)
        default: return "%!\(verb)(\(value.text))"
        }
    }

    private static func padded(_ text: String, _ flags: String) -> String {
        let isLeft = flags.contains("-")
        let width = Int(flags.drop { !$0.isNumber || $0 == "0" }.prefix { $0.isNumber }) ?? 0
        let blanks = String(repeating: flags.hasPrefix("0") ? "0" : " ", count: max(0, width - text.count))
        return isLeft ? text + blanks : blanks + text
    }
}
