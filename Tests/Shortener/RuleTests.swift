import KernelStructures
import ShortenerEngine
import Testing

@Suite("Rules that send some visitors elsewhere")
struct RuleTests {
    private let now = LabTime(parsing: "2024-01-15T10:00:00Z")!

    private func holds(_ condition: RedirectCondition, _ change: (inout Visitor) -> Void) -> Bool {
        var visitor = Visitor(now: now)
        change(&visitor)
        return condition.holds(for: visitor)
    }

    @Test(
        "devices by what browsers say",
        arguments: [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", [VisitorDevice.ios, .mobile]),
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8)", [.android, .mobile]),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", [.windows, .desktop]),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", [.macos, .desktop]),
            ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)", [.chromeos, .desktop]),
            ("Mozilla/5.0 (X11; Linux x86_64)", [.linux, .desktop]), ("curl/8.0", []),
        ])
    func devices(_ agent: String, _ expected: [VisitorDevice]) {
        for device in VisitorDevice.allCases {
            #expect(holds(.device(device)) { $0.agent = agent } == expected.contains(device), "\(agent) \(device)")
        }
    }

    @Test("a language fits its countries, and one that is never wanted does not")
    func languages() {
        for (rule, field, expected) in [
            ("es", "es-MX, en;q=0.5", true), ("es-MX", "es", false), ("EN", "de;q=1, en ; q=0.5", true),
            ("en", "de, en;q=0", false), ("en", "de, en;q=0.00", false), ("e", "es", false), ("es", "", false),
        ] {
            #expect(holds(.language(rule)) { $0.languages = field } == expected, "\(rule) in \(field)")
        }
        #expect(!holds(.language("es")) { _ in })
    }

    @Test("queries, decoded as forms are")
    func queries() {
        #expect(holds(.query(name: "a b", value: "ü")) { $0.query = "x=1&a+b=%C3%BC" })
        #expect(!holds(.query(name: "a", value: "1")) { $0.query = "a=2&b=1" })
        #expect(holds(.anyQuery(name: "a")) { $0.query = "a=2" } && !holds(.anyQuery(name: "a")) { $0.query = "b" })
        #expect(holds(.emptyQuery(name: "a")) { $0.query = "a" } && holds(.emptyQuery(name: "a")) { $0.query = "a=" })
        #expect(!holds(.emptyQuery(name: "a")) { $0.query = "a=1" })
    }

    @Test("addresses, blocks, stars, and what is none of them")
    func addresses() throws {
        for (pattern, address, expected) in [
            ("10.1.2.3", "10.1.2.3", true), ("10.0.0.0/8", "10.9.9.9", true), ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.*.7", "10.0.3.7", true), ("10.0.*.7", "10.0.3.8", false), ("2001:db8::/32", "2001:db8::1", true),
            ("10.0.*.7", "::1", false), ("10.0.0.1", "nonsense", false),
        ] {
            let pattern = try #require(VisitorAddressPattern(pattern))
            #expect(holds(.address(pattern)) { $0.address = address } == expected, "\(pattern) \(address)")
        }
        for bad in ["", "10.0.0", "10.0.0.256", "*.*.*", "1.2.3.4.*", "a.*.b.c", "10.0.0.0/33"] {
            #expect(VisitorAddressPattern(bad) == nil, "\(bad)")
        }
    }

    @Test("the first rule whose conditions all hold, to the very moment")
    func order() {
        var link = Link(code: "c", target: "http://a/", createdAt: now)
        link.rules = [
            RedirectRule(target: "http://late/", conditions: [.after(now + .seconds(1)), .device(.ios)]),
            RedirectRule(target: "http://ios/", conditions: [.device(.ios)]),
            RedirectRule(target: "http://early/", conditions: [.before(now + .seconds(1))]),
        ]
        #expect(link.target(for: Visitor(agent: "iphone", now: now)) == "http://ios/")
        #expect(link.target(for: Visitor(agent: "iphone", now: now + .seconds(1))) == "http://late/")
        #expect(link.target(for: Visitor(now: now)) == "http://early/")
        #expect(link.target(for: Visitor(now: now + .seconds(1))) == "http://a/")
    }
}

@Suite("Pictures")
struct PictureTests {
    @Test("a code has its three eyes and a quiet border, and too much text has none")
    func shape() throws {
        let code = try #require(QRCode("http://s.io/abc123", .medium))
        #expect(code.width == 25)
        for (x, y) in [(0, 0), (code.width - 7, 0), (0, code.width - 7)] {
            #expect((0..<7).allSatisfy { code[x + $0, y] && code[x + $0, y + 6] && code[x, y + $0] }, "an eye")
            #expect(!code[x + 1, y + 1] && code[x + 3, y + 3])
        }
        #expect(QRCode("") == nil && QRCode(String(repeating: "x", count: 3000)) == nil)
        #expect(QRCode(String(repeating: "x", count: 2000), .high) == nil && !code[-1, 0] && !code[0, 99])
        #expect(
            code.png(size: 300).starts(with: [137, 80, 78, 71]) && code.svg(size: 300).contains("viewBox=\"0 0 33 33\"")
        )
    }
}
