import KernelJSON
import KernelStructures
import KernelWorld
import ShortenerEngine
import ShortenerService
import TestSupport
import Testing

@Suite("Where those are sent who find nothing, and what is handed on of what they asked for")
struct LostVisitorTests {
    private let set = "/rest/v3/domains/redirects"

    @Test(
        "{DOMAIN} and {ORIGINAL_PATH} stand for what was asked: as it is in a path, encoded in a query, nowhere else",
        arguments: [
            ("https://example.com/{ORIGINAL_PATH}", "https://example.com/a/b%20c"),
            ("https://example.com/x{ORIGINAL_PATH}", "https://example.com/x/a/b%20c"),
            ("https://example.com/?domain={DOMAIN}", "https://example.com/?domain=s.example%3A8080"),
            (
                "https://example.com/{DOMAIN}/{ORIGINAL_PATH}?p={ORIGINAL_PATH}&d={DOMAIN}#{DOMAIN}",
                "https://example.com/s.example:8080/a/b%20c?p=%2Fa%2Fb%2520c&d=s.example%3A8080#{DOMAIN}"
            ),
            ("https://example.com/{PATH}", "https://example.com/%7BPATH%7D"),
            ("https://example.com/", "https://example.com/"),
        ])
    func placeholders(_ target: String, _ expected: String) throws {
        let stored = SpecialTarget(stored: try TargetURL(parsing: target).description)
        #expect(stored.location(domain: "s.example:8080", path: "/a/b%20c") == expected)
        #expect(SpecialTarget(stored: stored.description) == stored)
    }

    @Test("what a visitor asks for ends no line, leads to no other host, and is no placeholder itself")
    func evil() throws {
        let target = SpecialTarget(stored: "https://example.com/x/{ORIGINAL_PATH}")
        for (path, expected) in [
            ("//evil.example/", "https://example.com/x/evil.example/"), ("/a\r\nX: 1", "https://example.com/x/aX:%201"),
            ("/../../..", "https://example.com/"), ("/\\\\evil.example", "https://example.com/x///evil.example"),
            ("/#f?q", "https://example.com/x/%23f%3Fq"), ("/{DOMAIN}", "https://example.com/x/%7BDOMAIN%7D"),
            ("/" + String(repeating: "a", count: 9000), "https://example.com/"),
        ] {
            let location = target.location(domain: "s.example", path: path)
            #expect(location == expected, "\(path.prefix(40))")
            #expect(location.utf8.allSatisfy { $0 > 32 && $0 < 127 })
        }
    }

    @Test("a domain's redirects and the fallback fill in what was asked, and a host cannot be filled in")
    func overTheNetwork() throws {
        let lab = try ShortenerLab { $0.fallback = "http://over/{ORIGINAL_PATH}" }
        let body = #"""
            {"domain": "a.example", "baseUrlRedirect": "http://base/?from={DOMAIN}",
            "regular404Redirect": "http://regular/{ORIGINAL_PATH}",
            "invalidShortUrlRedirect": "http://invalid{ORIGINAL_PATH}",
            "expiredShortUrlRedirect": "http://expired/{ORIGINAL_PATH}"}
            """#
        let wrong = try lab.ask("PATCH", set, body)
        #expect(wrong.status == 400 && wrong.json["invalidElements"] == ["invalidShortUrlRedirect"])
        let made = try lab.ask("PATCH", set, body.replacing("invalid{", with: "invalid/{"))
        #expect(made.json["regular404Redirect"] == "http://regular/{ORIGINAL_PATH}", "it is shown as it was typed")
        let over = try lab.shorten(#"{"url": "http://x/", "expires_in": 1}"#)
        lab.world.pass(.seconds(2))
        for (target, place) in [
            ("/", "http://base/?from=a.example"), ("/nothing?x=1", "http://invalid/nothing"),
            ("/\(over)", "http://expired/\(over)"), ("/no%20code", "http://regular/no%20code"),
            ("/some/where/else", "http://regular/some/where/else"),
        ] {
            // From the database, and from memory.
            for _ in 0..<2 {
                let answer = try lab.ask("GET", target, host: "a.example")
                #expect(answer.status == 302 && answer.location == place, "\(target)")
            }
        }
        for _ in 0..<2 { #expect(try lab.ask("GET", "/\(over)").location == "http://over/\(over)") }
        try lab.ask("PATCH", set, #"{"domain": "a.example", "expiredShortUrlRedirect": null}"#)
        #expect(try lab.ask("GET", "/\(over)", host: "a.example").location == "http://invalid/\(over)")
        lab.kill()
        try lab.begin()
        #expect(try lab.ask("GET", "/nothing", host: "a.example").location == "http://invalid/nothing")
    }

    @Test("a path behind a code is refused, handed on or left out, as the operator says; the service's own paths stay")
    func extraPath() throws {
        for (mode, location) in [
            (ShortenerSettings.ExtraPath.refuse, nil), (.append, "http://x/docs/a/b?q=1"),
            (.ignore, "http://x/docs?q=1"),
        ] {
            let lab = try ShortenerLab { $0.extraPath = mode }
            try lab.ask("POST", "/rest/v3/short-urls", #"{"longUrl": "http://x/docs", "customSlug": "go"}"#)
            try lab.ask("PATCH", set, #"{"domain": "a.example", "regular404Redirect": "http://lost/"}"#)
            for host in ["s.io", "a.example"] {
                let answer = try lab.ask("GET", "/go/a/b?q=1", host: host)
                let isLost = location == nil && host == "a.example"
                #expect(answer.location == (isLost ? "http://lost/" : location), "\(mode) \(host)")
                #expect(answer.status == (isLost || location != nil ? 302 : 404), "\(mode) \(host)")
            }
            #expect(try lab.ask("GET", "/none/a/b").status == 404)
            #expect(try lab.ask("GET", "/none/a/b", host: "a.example").location == "http://lost/")
            #expect(try lab.ask("GET", "/go/qr-code").body.contains("PNG"), "what is the service's own stays so")
            for path in ["/api/nothing/here", "/rest/v3/nothing"] {
                #expect(try lab.ask("GET", path).status == 404, "\(mode) \(path)")
            }
            let visits = try lab.ask("GET", "/rest/v3/short-urls/go").json["visitsSummary"]?["total"]
            #expect(visits == (location == nil ? 0 : 2), "\(mode)")
        }
    }
}
