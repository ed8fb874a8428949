import KernelStructures
import ShellTranscripts
import Testing

/// Whether a line fits an expected one.
func fits(_ pattern: String, _ line: String, collapsing: Bool = false) throws -> Bool {
    var captures: [String: String] = [:]
    return try LinePattern(reading: pattern).matches(line, collapsingBlanks: collapsing, &captures)
}

@Suite("Holes") struct HoleTests {
    /// Texts that each type takes, and texts that it does not, between fixed words.
    static let types: [(type: String, accepted: [String], rejected: [String])] = [
        ("any", ["", "x", "a b  c", "<int>", "ünïcödé 🦊"], []),
        ("int", ["0", "-7", "42", "1,847", "12,345,678"], ["", "x", "1.5", "1,84", "0x10", "+1", "1 2", "١"]),
        ("num", ["0", "-7", "3.25", "1,847.5", "1e9", "2.5E-3"], ["", ".", "1.", "x", "1.2.3", "inf", "nan"]),
        (
            "dur",
            [
                "5s", "1m30s", "12 ms", "30 seconds", "1.5s", "2h", "250us", "7µs", "7μs", "80ns", "3 milliseconds",
                "1d2h",
            ],
            ["", "5", "s", "5 parsecs", "-", "5sx"]
        ),
        ("pct", ["0%", "33.4%", "-1.5 %", "100%"], ["", "33.4", "%", "a%", "3,3%"]),
        ("id", ["a", "node-1", "xyz_789", "7f3A"], ["", "a b", "ä", "a.b", "a:b"]),
        ("hex", ["0", "7a3f", "DEADBEEF", "0x7A3F"], ["", "0x", "g", "7a 3f", "x12"]),
        (
            "ts",
            [
                "2023-12-20T15:00:00Z", "2023-12-20 15:00:00.123456", "2023/12/20 15:00:00",
                "2023-12-20T15:00:00+01:00",
                "15:00:05", "15:00:05,250", "1703084400", "1703084400.5", "1703084400000", "1703084400000000",
                "1703084400000000000", "Wed, 20 Dec 2023 15:00:00 GMT",
            ], ["", "2023-12-20", "15:00", "170308440", "yesterday"]
        ),
        ("ip", ["127.0.0.1", "10.1.2.255", "0.0.0.0", "::1"], ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "localhost"]),
        (
            "jwt", ["eyJhbGciOi.eyJzdWIi.s1g-_", "eyJa.b."], ["", "eyJ", "eyJa.b", "abc.def.ghi", "eyJa.b.c.d"]
        ),
    ]

    @Test("Each type takes what it is for and nothing else")
    func types() throws {
        for (type, accepted, rejected) in Self.types {
            for text in accepted {
                #expect(try fits("at <\(type)>!", "at \(text)!"), "<\(type)> ought to take '\(text)'")
            }
            for text in rejected {
                #expect(try !fits("at <\(type)>!", "at \(text)!"), "<\(type)> must not take '\(text)'")
            }
        }
    }

    @Test("Every type that can be written is in the table above")
    func completeness() {
        let written = Set(HoleType.allCases.map(\.rawValue)).subtracting([HoleType.hexadecimalTail.rawValue])
        #expect(written == Set(Self.types.map(\.type)))
    }

    @Test(
        "A number may be near another, absolutely or by a share",
        arguments: [
            ("<100~5>", "95", true), ("<100~5>", "105", true), ("<100~5>", "104.99", true), ("<100~5>", "94.9", false),
            ("<100~5>", "106", false), ("<33.3~10%>", "36.6", true), ("<33.3~10%>", "36.7", false),
            ("<-10~1>", "-11", true),
            ("<-10~1>", "11", false), ("<1000~0>", "1,000", true), ("<1000~0>", "1000.5", false),
            ("<0.3~0.1>", "0.4", true),
            ("<100~5>", "x", false), ("<100~5>", "", false), ("<2e3~1%>", "2010", true), ("<3~0:n>", "3", true),
            ("<3~0:n>", "4", false), ("<100~5%:n>", "104", true),
        ])
    func tolerance(pattern: String, text: String, fitting: Bool) throws {
        #expect(try fits("rate \(pattern) %", "rate \(text) %") == fitting)
    }

    @Test("A number near another is kept under its name, as it was written")
    func keptNear() throws {
        var captures: [String: String] = [:]
        let line = try LinePattern(reading: "<1000~5:count> of <=count>")
        #expect(line.matches("1,002 of 1,002", collapsingBlanks: false, &captures))
        #expect(captures == ["count": "1,002"])
        #expect(!line.matches("1,002 of 1,003", collapsingBlanks: false, &captures))
    }

    @Test(
        "What only looks like a hole means itself",
        arguments: [
            "<html>", "<integer>", "<int:>", "<int:1a>", "<int:a-b>", "<inf~5>", "<nan~1>", "<5~>", "<~5>", "<5~-1>",
            "<0x10~1>", "<5~1:>", "<5~1:a-b>", "<5~1%%>",
            "<=>", "<=1>", "<>", "a < b > c", "<INT>", "<hexadecimal-tail>", "< int >",
        ])
    func notHoles(text: String) throws {
        #expect(try fits(text, text))
        #expect(try !fits(text, "7"))
        #expect(try LinePattern(reading: text).isPlain)
    }

    @Test("The literal reading comes first: a line that looks like a hole fits itself")
    func literalFirst() throws {
        #expect(try fits("usage: get <id> <int>", "usage: get <id> <int>"))
        #expect(try fits("usage: get <id> <int>", "usage: get a 5"))
    }

    @Test("A capture holds what was matched, and a later line must repeat it")
    func captures() throws {
        var captures: [String: String] = [:]
        let first = try LinePattern(reading: "owner <any:node> port <int:port>")
        #expect(first.matches("owner B port 8082", collapsingBlanks: false, &captures))
        #expect(captures == ["node": "B", "port": "8082"])
        let second = try LinePattern(reading: "<=node>:<=port> ok")
        #expect(second.matches("B:8082 ok", collapsingBlanks: false, &captures))
        #expect(!second.matches("B:8083 ok", collapsingBlanks: false, &captures))
        #expect(try !fits("<=unknown>", ""))
        // A failed match leaves the captures alone.
        let third = try LinePattern(reading: "owner <any:node> port <int:port>!")
        #expect(!third.matches("owner C port 1", collapsingBlanks: false, &captures))
        #expect(captures["node"] == "B")
    }

    @Test("A capture and its repetition may stand in one line")
    func captureWithinLine() throws {
        #expect(try fits("<any:a>-<=a>", "xy-xy"))
        #expect(try fits("<any:a>-<=a>", "x-y-x-y"))
        #expect(try !fits("<any:a>-<=a>", "x-y"))
        // Both ways come to the same place: what failed there with one capture may do with the other.
        #expect(try fits("<any:a><any:b>=<=a>", "ab=a"))
        #expect(try !fits("<any:a><any:b>=<=a>", "ab=b"))
    }

    @Test("A hole gives back characters that what follows needs")
    func backtracking() throws {
        #expect(try fits("<int>0", "100"))
        #expect(try fits("<id>-<id>", "a-b-c"))
        #expect(try fits("<any>x<any>x", "xxx"))
        #expect(try fits("<ip>0 ", "10.0.0.10 "))
    }

    @Test("Patterns of many holes end quickly, also where they fail")
    func pathological() throws {
        let many = String(repeating: "<any>", count: 40)
        let line = String(repeating: "a", count: 300)
        #expect(try fits(many, line))
        #expect(try !fits(many + "b", line))
        #expect(try !fits(String(repeating: "<any>a", count: 30) + "b", line))
        #expect(try !fits(String(repeating: "<int>", count: 20) + "x", String(repeating: "1", count: 60)))
        #expect(try !fits(String(repeating: "<any>", count: 8) + "<=missing>", line))
        #expect(try !fits("<any:x>" + String(repeating: "<any>", count: 6) + "b<=x>", String(line.prefix(60))))
        #expect(try !fits(String(repeating: "*a", count: 30) + "b (glob)", line))
        #expect(try !fits("(a*)*b (re)", line))
    }
}
