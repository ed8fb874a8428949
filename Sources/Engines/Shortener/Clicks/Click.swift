import KernelStructures

/// One visit, as it is written down before the visitor is sent on.
public struct Click: Equatable, Sendable {
    public var code: String
    public var time: LabTime
    public var referrer: String
    public var agent: VisitorAgent
    /// Of the visitor's address and program, with a secret: to tell visitors apart, not to know them.
    public var visitor: UInt64
    /// What the click itself is called; nil for one of a version that gave no names.
    public var name: ClickName?

    public init(
        code: String, time: LabTime, referrer: String, agent: VisitorAgent, visitor: UInt64, name: ClickName? = nil
    ) {
        self.code = code
        self.time = time
        self.referrer = referrer
        self.agent = agent
        self.visitor = visitor
        self.name = name
    }

    /// What stands in the place of a code when a visitor followed a link that there is not: `!`, and the path.
    public static func orphan(_ path: some StringProtocol) -> String { orphans + String(path.prefix(200)) }

    /// The name under which all of them are counted; no alias has a `!`.
    public static let orphans = "!"

    /// The code under which it is counted.
    public var counter: String { code.hasPrefix(Self.orphans) ? Self.orphans : code }

    /// As a record of the log. The first byte says of which kind it is: 1 has no name, 2 has one at its end.
    func encode(into writer: inout RecordWriter) {
        writer.append(byte: name == nil ? 1 : 2)
        writer.append(code)
        writer.append(time.nanoseconds)
        writer.append(referrer)
        writer.append(agent.rawValue)
        writer.append(visitor)
        guard let name else { return }
        writer.append(name.book)
        writer.append(name.serial)
    }

    /// - Throws: `RecordReader.Malformed`.
    init(reading reader: inout RecordReader) throws(RecordReader.Malformed) {
        let kind = try reader.byte()
        guard kind == 1 || kind == 2 else { throw RecordReader.Malformed(position: reader.position) }
        code = try reader.text()
        time = LabTime(nanoseconds: try reader.signed())
        referrer = try reader.text()
        agent = VisitorAgent(rawValue: try reader.text()) ?? .other
        visitor = try reader.unsigned()
        if kind == 2 { name = ClickName(book: try reader.unsigned(), serial: try reader.unsigned()) }
        try reader.expectEnd()
    }
}

/// What a click is called: in whose book it stands, and as which of that book's clicks.
public struct ClickName: Hashable, Sendable {
    /// A number that no other life of any shortener has: below 2⁶², or databases could not hold it.
    public let book: UInt64
    /// 0 for the life's first click; below 2⁶², too.
    public let serial: UInt64

    public init(book: UInt64, serial: UInt64) {
        self.book = book & Self.mask
        self.serial = serial & Self.mask
    }

    private static let mask: UInt64 = (1 << 62) - 1

    /// The click after it.
    public var next: ClickName { ClickName(book: book, serial: serial + 1) }
}

/// Names of clicks that follow one another without a gap: how books keep millions of them in a row of a table.
public struct ClickRun: Equatable, Sendable {
    public let book: UInt64
    public private(set) var first: UInt64
    public private(set) var last: UInt64

    /// The runs of clicks in the order in which they were written down; those without a name are in none.
    public static func of(_ clicks: [Click]) -> [ClickRun] {
        var runs: [ClickRun] = []
        for case let name? in clicks.lazy.map(\.name) {
            if let run = runs.last, run.book == name.book, run.last + 1 == name.serial {
                runs[runs.count - 1].last = name.serial
            } else {
                runs.append(ClickRun(book: name.book, first: name.serial, last: name.serial))
            }
        }
        return runs
    }
}
