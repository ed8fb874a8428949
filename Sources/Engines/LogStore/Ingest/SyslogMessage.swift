import KernelStructures

/// One message of syslog, as RFC 5424 has it, or RFC 3164, which only wrote down what programs did.
///
/// ```
/// <165>1 2003-10-11T22:14:15.003Z web-1 evntslog - ID47 [exampleSDID@32473 iut="3"] An application event
/// <34>Oct 11 22:14:15 web-1 su[4711]: 'su root' failed on /dev/pts/8
/// ```
///
/// What stands in brackets in front is facility × 8 + severity. A `-` says that something is not known.
public struct SyslogMessage: Equatable, Sendable {
    /// Who it comes from in general: 0 kernel, 1 user, 3 daemon, 4 auth, 16 local0 … (RFC 5424, table 1).
    public var facility = 1
    /// 0 emergency to 7 debug.
    public var severity = 5
    /// 1 for RFC 5424, 0 for RFC 3164.
    public var version = 0
    public var time: LabTime?
    public var host: String?
    public var application: String?
    public var process: String?
    public var messageID: String?
    public var data: [Element] = []
    /// Without blanks in front, and without a byte order mark; nil where there is none.
    public var text: [UInt8]?

    /// One element of structured data.
    public struct Element: Equatable, Sendable {
        public let id: String
        public let parameters: [Parameter]

        public struct Parameter: Equatable, Sendable {
            public let name: String
            public let value: String
        }
    }

    /// Which of the two is expected.
    public enum Standard: Sendable {
        case rfc5424
        case rfc3164
        /// Whatever it looks like: a version behind the priority makes it RFC 5424.
        case either
    }

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let problem: String
        /// In bytes.
        public let place: Int
        /// What could be read before.
        public let partial: SyslogMessage?
        public var description: String { "\(problem) [col \(place)]" }

        public static func == (left: Malformed, right: Malformed) -> Bool {
            left.problem == right.problem && left.place == right.place
        }
    }

    public init() {}

    /// - Parameters:
    ///   - now: for RFC 3164, whose stamps have no year: the year that brings them nearest.
    /// - Throws: `Malformed`.
    public init(_ bytes: UnsafeRawBufferPointer, _ standard: Standard = .either, now: LabTime) throws(Malformed) {
        var reader = SyslogReader(bytes)
        try reader.readPriority()
        let isNew =
            switch standard {
            case .rfc5424: true
            case .rfc3164: false
            case .either: reader.hasVersion
            }
        if isNew { try reader.readRest5424() } else { try reader.readRest3164(now) }
        self = reader.message
    }

    public var severityName: String { Self.severities[min(max(severity, 0), 7)] }
    public var facilityName: String {
        facility < Self.facilities.count ? Self.facilities[max(0, facility)] : "\(facility)"
    }

    /// As Loki's users call levels.
    public var level: String {
        switch severity {
        case ...2: "critical"
        case 3: "error"
        case 4: "warn"
        case 5, 6: "info"
        default: "debug"
        }
    }

    private static let severities = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
    private static let facilities = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
        "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
        "local7",
    ]
}
