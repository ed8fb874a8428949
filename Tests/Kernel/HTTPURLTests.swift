import KernelStructures
import KernelWire
import TestSupport
import Testing

@Suite("URLs and references")
struct HTTPURLTests {
    @Test("parts of a URL")
    func parts() throws {
        let url = try HTTPURL("HTTPS://bob:secret@Example.org:8443/a/./b/../c?x=/../y#frag")
        #expect(url.scheme == .https && url.user == "bob:secret" && url.host == "Example.org" && url.port == 8443)
        #expect(url.target == "/a/c?x=/../y" && url.path == "/a/c" && url.authority == "Example.org:8443")
        #expect(url.text == "https://Example.org:8443/a/c?x=/../y")
        #expect(try HTTPURL("localhost:8081").text == "http://localhost:8081/")
        #expect(try HTTPURL("h?a=b://c").target == "/?a=b://c")
        let six = try HTTPURL("http://[::1]:80/")
        #expect(six.host == "::1" && six.authority == "[::1]" && six.text == "http://[::1]:80/" && six.hasPort)
        #expect(try HTTPURL("https://h").port == 443 && HTTPURL("http://h:").port == 80)
        #expect(try HTTPURL("https://h:443/").authority == "h" && HTTPURL("http://h:443/").authority == "h:443")
    }

    @Test(
        "what is no URL is named",
        arguments: [
            ("ftp://h/", .scheme("ftp")), ("://h", .scheme("")), ("http://", .noHost), ("", .noHost), ("/a", .noHost),
            ("http://h:0/", .port("0")), ("http://h:65536/", .port("65536")), ("http://h:+1/", .port("+1")),
            ("http://h:x/", .port("x")), ("http://h /", .character), ("http://h/a b", .character),
            ("http://h/\r\nX: y", .character), ("http://[::1", .address("Bad IPv6 address")),
            ("http://[::1]x/", .address("Bad IPv6 address")),
            ("http://[g]/", .address("'[g]' is no IPv6 address such as [::1]")), ("::1", .character),
            ("http://a[::1]/", .port("1]")),
            ("http://h\u{7F}/", .character),
        ] as [(String, HTTPURL.Malformed)])
    func malformed(_ text: String, _ error: HTTPURL.Malformed) {
        #expect(throws: error) { try HTTPURL(text) }
    }

    /// RFC 3986 §5.4, without what has no counterpart in HTTP (parameters of `g;x`, other schemes).
    @Test(
        "references of RFC 3986 §5.4",
        arguments: [
            ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), (";x", "/b/c/;x"), ("", "/b/c/d;p?q"),
            (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"), ("../..", "/"),
            ("../../", "/"), ("../../g", "/g"), ("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"), ("..g", "/b/c/..g"), ("./../g", "/b/g"), ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"), ("g?y/./x", "/b/c/g?y/./x"), ("g?y/../x", "/b/c/g?y/../x"), ("g#s/../x", "/b/c/g"),
        ])
    func references(_ reference: String, _ target: String) throws {
        let base = try HTTPURL("http://a/b/c/d;p?q")
        #expect(try base.resolving(reference).text == "http://a" + target)
    }

    @Test("references that lead elsewhere")
    func elsewhere() throws {
        let base = try HTTPURL("https://u:p@a:8443/b?q")
        #expect(try base.resolving("http://x/y").text == "http://x/y")
        #expect(try base.resolving("//x/y").text == "https://x/y")
        #expect(try base.resolving("/z").user == "u:p" && base.resolving("http://x/").user == nil)
        #expect(throws: HTTPURL.Malformed.scheme("mailto")) { try base.resolving("mailto:me") }
        #expect(throws: HTTPURL.Malformed.scheme("ftp")) { try base.resolving("ftp://h/") }
        #expect(throws: HTTPURL.Malformed.character) { try base.resolving("a b") }
        #expect(
            try base.hasSameOrigin(as: HTTPURL("https://A:8443/")) && !base.hasSameOrigin(as: HTTPURL("https://a/")))
        #expect(try !HTTPURL("http://a:443/").hasSameOrigin(as: HTTPURL("https://a/")))
    }

    @Test("whatever is read and written again is the same", arguments: 1...200 as ClosedRange<UInt64>)
    func fuzz(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pieces = [
            "http", "https", ":", "//", "/", "h", "[", "::1", "]", "@", "?", "#", ".", "..", "%41", "80", " ", "é",
            "\\",
        ]
        for _ in 0..<100 {
            let text = (0..<random.below(10)).map { _ in pieces[random.below(pieces.count)] }.joined()
            guard var url = try? HTTPURL(text) else { continue }
            url.user = nil
            #expect((try? HTTPURL(url.text)) == url, "\(text)")
            // What begins with two slashes names another host.
            if url.target.hasPrefix("//") { continue }
            #expect((try? url.resolving(url.target)) == url, "\(text)")
        }
    }
}

@Suite("Dates and waiting times in HTTP")
struct HTTPDateTests {
    private let now = LabTime.documentedEpoch

    @Test("the three forms of RFC 9110 §5.6.7 mean one moment")
    func forms() {
        let expected = LabTime(nanoseconds: 784_111_777_000_000_000)
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        ] {
            #expect(LabTime(parsingHTTPDate: text, now: now) == expected, "\(text)")
        }
        #expect(LabTime(parsingHTTPDate: "Sunday, 06-Nov-73 08:49:37 GMT", now: now).map { CivilTime($0).year } == 2073)
        #expect(LabTime(parsingHTTPDate: "Sunday, 06-Nov-74 08:49:37 GMT", now: now).map { CivilTime($0).year } == 1974)
        #expect(LabTime(parsingHTTPDate: "Fri, 31 Dec 9999 23:59:59 GMT", now: now) == .distantFuture)
        for text in [
            "", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 199 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", "Moo, 06 Nov 1994 08:49:37 GMT",
        ] { #expect(LabTime(parsingHTTPDate: text, now: now) == nil, "\(text)") }
    }

    @Test("what is written is read as it was", arguments: 1...50 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<100 {
            let time = LabTime(nanoseconds: Int64(random.below(253_402_300_799)) % 9_223_372_036 * 1_000_000_000)
            #expect(LabTime(parsingHTTPDate: time.httpDate, now: now) == time)
        }
    }

    @Test("Retry-After is seconds or a date")
    func retryAfter() {
        #expect(LabDuration(parsingRetryAfter: "120", now: now) == .seconds(120))
        #expect(LabDuration(parsingRetryAfter: "0", now: now) == .zero)
        #expect(LabDuration(parsingRetryAfter: "Wed, 20 Dec 2023 15:00:07 GMT", now: now) == .seconds(7))
        #expect(LabDuration(parsingRetryAfter: "Wed, 20 Dec 2023 14:00:07 GMT", now: now) == .zero)
        for long in ["9223372036854775807", "99999999999999999999999"] {
            #expect(LabDuration(parsingRetryAfter: long, now: now) == .infinite)
        }
        for text in ["", "-1", "+1", "1.5", "soon", "1 "] {
            #expect(LabDuration(parsingRetryAfter: text, now: now) == nil)
        }
    }
}
