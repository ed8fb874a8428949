import KernelStructures

/// Reads one message: see `SyslogMessage`.
struct SyslogReader {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0
    private(set) var message = SyslogMessage()
    private var hasPriority = false

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private func malformed(_ problem: String) -> SyslogMessage.Malformed {
        SyslogMessage.Malformed(problem: problem, place: place, partial: hasPriority ? message : nil)
    }

    private var isAtEnd: Bool { place >= bytes.count }
    private func peek(_ character: Unicode.Scalar) -> Bool {
        place < bytes.count && bytes[place] == UInt8(ascii: character)
    }

    private func isDigit(_ place: Int) -> Bool { place < bytes.count && bytes[place] &- 48 < 10 }

    private mutating func expect(_ character: Unicode.Scalar, _ problem: String) throws(SyslogMessage.Malformed) {
        guard peek(character) else { throw malformed(problem) }
        place += 1
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self)
    }

    // MARK: Both

    mutating func readPriority() throws(SyslogMessage.Malformed) {
        try expect("<", "expecting a priority value within angle brackets")
        var value = 0
        let start = place
        while isDigit(place), place - start < 3 {
            value = value * 10 + Int(bytes[place] - 48)
            place += 1
        }
        guard place > start, value <= 191 else {
            throw malformed("expecting a priority value in the range 1-191 or equal to 0")
        }
        try expect(">", "expecting a priority value within angle brackets")
        message.facility = value / 8
        message.severity = value % 8
        hasPriority = true
    }

    /// Whether a version follows, and a blank: RFC 3164 has the month there.
    var hasVersion: Bool {
        guard isDigit(place), bytes[place] != UInt8(ascii: "0") else { return false }
        var end = place
        while isDigit(end), end - place < 3 { end += 1 }
        return end < bytes.count && bytes[end] == 0x20 && !isStampWithYear
    }

    /// `2003 Oct`: some devices put the year in front.
    private var isStampWithYear: Bool { (0..<4).allSatisfy { isDigit(place + $0) } }

    /// What is left, without blanks in front; a byte order mark says no more than that it is UTF-8.
    private mutating func readText() {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        if bytes.count - place >= 3, bytes[place..<place + 3].elementsEqual(mark) { place += 3 }
        if place < bytes.count { message.text = Array(bytes[place...]) }
        place = bytes.count
    }

    // MARK: RFC 5424

    mutating func readRest5424() throws(SyslogMessage.Malformed) {
        let start = place
        while isDigit(place), place - start < 3 { place += 1 }
        guard place > start, bytes[start] != UInt8(ascii: "0") else {
            throw malformed("expecting a version value in the range 1-999")
        }
        message.version = Int(text(start..<place)) ?? 1
        try expect(" ", "expecting a blank behind the version")
        try readTime()
        message.host = try field(255, "hostname")
        message.application = try field(48, "app-name")
        message.process = try field(128, "procid")
        message.messageID = try field(32, "msgid")
        try readStructuredData()
        if isAtEnd { return }
        try expect(" ", "expecting a blank behind the structured data")
        readText()
    }

    private mutating func readTime() throws(SyslogMessage.Malformed) {
        let start = place
        guard let end = word(limit: 64) else {
            throw malformed("expecting a RFC3339MICRO timestamp or a nil value")
        }
        let stamp = text(start..<end)
        if stamp != "-" {
            guard let time = LabTime(parsing: stamp), stamp.utf8.dropFirst(10).first == UInt8(ascii: "T") else {
                throw malformed("expecting a RFC3339MICRO timestamp or a nil value")
            }
            message.time = time
        }
        place = end
        try expect(" ", "expecting a blank behind the timestamp")
    }

    /// Where the word ends that begins here; nil if it is empty or too long.
    private func word(limit: Int) -> Int? {
        var end = place
        while end < bytes.count, bytes[end] > 0x20, bytes[end] < 0x7F { end += 1 }
        return end > place && end - place <= limit ? end : nil
    }

    private mutating func field(_ limit: Int, _ name: String) throws(SyslogMessage.Malformed) -> String? {
        guard let end = word(limit: limit) else {
            throw malformed("expecting an \(name) (from 1 to max \(limit) US-ASCII characters) or a nil value")
        }
        let value = text(place..<end)
        place = end
        try expect(" ", "expecting a blank behind the \(name)")
        return value == "-" ? nil : value
    }

    private static let elementLimit = 1000

    private mutating func readStructuredData() throws(SyslogMessage.Malformed) {
        if peek("-") {
            place += 1
            return
        }
        guard peek("[") else { throw malformed("expecting a structured data section containing one or more elements") }
        while peek("["), message.data.count < Self.elementLimit {
            place += 1
            message.data.append(try element())
        }
    }

    private mutating func element() throws(SyslogMessage.Malformed) -> SyslogMessage.Element {
        let id = try name(" ]")
        var parameters: [SyslogMessage.Element.Parameter] = []
        while peek(" ") {
            place += 1
            let name = try name("=")
            try expect("=", "expecting a structured data parameter")
            try expect("\"", "expecting a structured data parameter")
            parameters.append(SyslogMessage.Element.Parameter(name: name, value: try value()))
            guard parameters.count <= Self.elementLimit else { throw malformed("too many parameters") }
        }
        try expect("]", "expecting the end of the structured data")
        return SyslogMessage.Element(id: id, parameters: parameters)
    }

    private mutating func name(_ ends: String) throws(SyslogMessage.Malformed) -> String {
        let start = place
        while place < bytes.count, bytes[place] > 0x20, bytes[place] < 0x7F, !ends.utf8.contains(bytes[place]),
            bytes[place] != UInt8(ascii: "\""), bytes[place] != UInt8(ascii: "]"), bytes[place] != UInt8(ascii: "=")
        { place += 1 }
        guard place > start, place - start <= 32 else {
            throw malformed("expecting a structured data element id (from 1 to max 32 US-ASCII characters)")
        }
        return text(start..<place)
    }

    /// Up to the quotation mark; `\"`, `\\` and `\]` stand for themselves.
    private mutating func value() throws(SyslogMessage.Malformed) -> String {
        var value: [UInt8] = []
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: value, as: UTF8.self)
            case UInt8(ascii: "\\") where place < bytes.count && "\"\\]".utf8.contains(bytes[place]):
                value.append(bytes[place])
                place += 1
            default: value.append(byte)
            }
        }
        throw malformed("expecting the end of a parameter's value")
    }

    // MARK: RFC 3164

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    mutating func readRest3164(_ now: LabTime) throws(SyslogMessage.Malformed) {
        guard readStamp(now) || readStampWithYear() else {
            throw malformed("expecting a Stamp timestamp")
        }
        try expect(" ", "expecting a blank behind the timestamp")
        let start = place
        while place < bytes.count, bytes[place] > 0x20, bytes[place] < 0x7F { place += 1 }
        // A host ends with a blank; a word with a colon is the tag, and there is no host.
        if place > start, peek(" "), bytes[place - 1] != UInt8(ascii: ":") {
            message.host = text(start..<place)
            place += 1
        } else {
            place = start
        }
        readTag()
        while peek(" ") { place += 1 }
        readText()
    }

    /// `Oct 11 22:14:15`
    private mutating func readStamp(_ now: LabTime) -> Bool {
        guard bytes.count - place >= 15 else { return false }
        let stamp = Array(text(place..<place + 15).utf8)
        guard stamp.count == 15,
            let month = Self.months.firstIndex(of: String(decoding: stamp[..<3], as: UTF8.self)), stamp[3] == 0x20,
            let day = number(stamp[4..<6]), let hour = number(stamp[7..<9]), let minute = number(stamp[10..<12]),
            let second = number(stamp[13..<15]), stamp[6] == 0x20, stamp[9] == UInt8(ascii: ":"),
            stamp[12] == UInt8(ascii: ":"), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return false }
        let year = CivilTime(now).year
        let times = [year - 1, year, year + 1].map { year in
            CivilTime(
                year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second, nanosecond: 0
            ).labTime
        }
        message.time = times.min {
            ($0.nanoseconds &- now.nanoseconds).magnitude < ($1.nanoseconds &- now.nanoseconds).magnitude
        }
        place += 15
        return true
    }

    /// Digits, with a blank in the place of a leading zero.
    private func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for (index, byte) in digits.enumerated() {
            if index == 0, byte == 0x20 { continue }
            guard byte &- 48 < 10 else { return nil }
            value = value * 10 + Int(byte - 48)
        }
        return value
    }

    /// RFC 3339, as rsyslog sends where it is told to be exact; without a zone, as syslog-ng's loggen does, it is UTC.
    private mutating func readStampWithYear() -> Bool {
        guard let end = word(limit: 40) else { return false }
        let stamp = text(place..<end)
        guard let time = LabTime(parsing: stamp) ?? LabTime(parsing: stamp + "Z") else { return false }
        message.time = time
        place = end
        return true
    }

    /// `su[4711]:`, at most 32 characters of a name; anything else is text.
    private mutating func readTag() {
        let start = place
        var end = place
        while end < bytes.count, bytes[end] > 0x20, bytes[end] < 0x7F, bytes[end] != UInt8(ascii: "["),
            bytes[end] != UInt8(ascii: ":")
        { end += 1 }
        guard end > start, end - start <= 48, end < bytes.count else { return }
        var process: String?
        var after = end
        if bytes[end] == UInt8(ascii: "[") {
            guard let close = bytes[end...].prefix(130).firstIndex(of: UInt8(ascii: "]")) else { return }
            process = text(end + 1..<close)
            after = close + 1
        }
        guard after < bytes.count, bytes[after] == UInt8(ascii: ":") else { return }
        message.application = text(start..<end)
        message.process = process
        place = after + 1
    }
}
