import Foundation
import KernelJSON
import KernelStructures
import ShortenerEngine
import Testing

@Suite("Addresses as browsers read them")
struct TargetURLTests {
    // @covers URL-C4
    @Test(
        "what leads elsewhere than it looks is written as it will be read",
        arguments: [
            ("HTTPS://EXAMPLE.com:443/a/../b", "https://example.com/b"),
            ("http:\\\\example.com\\x", "http://example.com/x"),
            ("http://0x7f.1/", "http://127.0.0.1/"), ("http://2130706433", "http://127.0.0.1/"),
            ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
            ("http://example.com/a\nb\r\nSet-Cookie: x", "http://example.com/abSet-Cookie:%20x"),
            ("  http://example.com?q=a b#c d ", "http://example.com/?q=a%20b#c%20d"),
            ("http://ex%41mple.com", "http://example.com/"), ("http://example.com:080/", "http://example.com/"),
            ("http://user:p@ss@example.com/", "http://user:p%40ss@example.com/"),
            ("http://Bücher.example/", "http://xn--bcher-kva.example/"),
            ("http://fa\u{DF}.de", "http://xn--fa-hia.de/"),
            ("http://１２７.０.０.１/", "http://127.0.0.1/"), ("http://☃.net/", "http://xn--n3h.net/"),
            ("http://b%C3%BCcher.example", "http://xn--bcher-kva.example/"),
            ("http://example.com/ü'\"", "http://example.com/%C3%BC'%22"),
        ])
    func reading(_ text: String, _ expected: String) throws {
        let target = try TargetURL(parsing: text)
        #expect(target.description == expected)
        #expect(try TargetURL(parsing: expected).description == expected, "what is written reads as itself")
        #expect(target.description.utf8.allSatisfy { $0 > 32 && $0 < 127 }, "nothing in it ends a header line")
    }

    @Test(
        "what is no address to send visitors to",
        arguments: [
            "", "example.com", "javascript:alert(1)", "data:text/html,x", "ftp://example.com/", "file:///etc/passwd",
            "http://", "http:///", "http://a b/", "http://exa<mple/", "http://example.com:99999/", "http://[::1",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/", "http://a:b:80/", "http://\u{AD}/", "https://\u{FFFD}",
            "http://xn--a.\u{200B}\u{FFFF}/", "//example.com/",
            "http://example.com:8x/",
        ])
    func refused(_ text: String) { #expect(throws: TargetURL.Malformed.self) { try TargetURL(parsing: text) } }

    @Test("addresses of everybody's own house, however they are written")
    func ownNetworks() throws {
        for text in [
            "http://127.1/", "http://0x7f000001/", "http://10.1.2.3/", "http://192.168.0.1:8080/",
            "http://169.254.1.1/",
            "http://[::1]/", "http://[fe80::1]/", "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/", "http://localhost/",
            "http://LOCALHOST./", "http://a.localhost/", "http://printer.local/", "http://0/",
        ] {
            #expect(try TargetURL(parsing: text).isPrivate, "\(text)")
        }
        for text in [
            "http://example.com/", "http://8.8.8.8/", "http://[2001:4860::8888]/", "http://notlocalhost/",
            "http://11.0.0.1/", "http://172.32.0.1/",
        ] {
            #expect(try !TargetURL(parsing: text).isPrivate, "\(text)")
        }
    }

    @Test("the query of a visitor goes between query and fragment")
    func query() throws {
        #expect(try TargetURL(parsing: "http://a/b?x=1#f").adding(query: "y=2") == "http://a/b?x=1&y=2#f")
        #expect(try TargetURL(parsing: "http://a/b").adding(query: "y=\r\n") == "http://a/b?y=%0D%0A")
        #expect(try TargetURL(parsing: "http://a/b#f").adding(query: "") == "http://a/b#f")
        #expect(
            try TargetURL(parsing: "http://a/?x=1&y=2&%78=3").adding(query: "x=4&z") == "http://a/?y=2&x=4&z",
            "of two values of one name the visitor's counts")
    }

    @Test("what stands behind a code goes behind the path, and never out of it into the host")
    func path() throws {
        for (target, more, expected) in [
            ("http://a/b?x#f", "/c/d", "http://a/b/c/d?x#f"), ("http://a", "/c", "http://a/c"),
            ("http://a/b/", "/c/", "http://a/b/c/"), ("http://a/b", "/../../c", "http://a/c"),
            ("http://a/b", "/?#\r\n%2e%2e\\", "http://a/b/%3F%23%0D%0A%2e%2e/"), ("http://a/b", "", "http://a/b"),
        ] {
            #expect(try TargetURL(parsing: target).adding(path: more, query: "") == expected, "\(target) \(more)")
        }
    }

    private static let cases =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        + "/../shared/vectors/urls/urltestdata.json"

    /// Published cases of browsers, those without a base and of our schemes.
    @Test("the web platform's cases", .enabled(if: FileManager.default.fileExists(atPath: cases)))
    func published() throws {
        let text = try String(contentsOfFile: Self.cases, encoding: .utf8)
        // Lone surrogates stand in some of them, which no text of ours can hold.
        let cases = try JSONValue(
            parsing: Array(text.replacing(#/\\u[dD][89a-fA-F]../#, with: "x").utf8),
            limits: JSONLimits(bytes: 8 << 20, values: 1_000_000))
        guard case .array(let all) = cases else { return }
        var count = 0
        for one in all {
            guard case .string(let input)? = one["input"], case .null? = one["base"] ?? .null else { continue }
            let scheme = input.drop { $0 <= " " }.lowercased().filter { !"\t\n\r".contains($0) }
            guard scheme.hasPrefix("http:") || scheme.hasPrefix("https:") else { continue }
            count += 1
            let parsed = try? TargetURL(parsing: input)
            if case .bool(true)? = one["failure"] {
                #expect(parsed == nil, "'\(input)' is refused")
            } else if case .string(let href)? = one["href"] {
                #expect(parsed?.description == href, "'\(input)'")
            }
        }
        #expect(count > 250)
    }

    @Test("whatever it is, it is refused, or written so that it reads as itself")
    func noise() {
        var random = SeededRandom(seed: 7)
        let pieces = [
            "http:", "https:", "//", "\\", "/", "?", "#", "@", ":", "[", "]", "::1", "%2e", "%", "..", ".", "0x", "08",
            "a",
            "Z", "é", "\r\n", " ", "\u{0}", "99999", "xn--",
        ]
        for _ in 0..<5000 {
            let text = (0..<random.below(12)).map { _ in pieces[random.below(pieces.count)] }.joined()
            guard let target = try? TargetURL(parsing: "http:" + text) else { continue }
            let written = target.description
            #expect((try? TargetURL(parsing: written))?.description == written, "'\(text)'")
            #expect(written.utf8.allSatisfy { $0 > 32 && $0 < 127 })
        }
    }
}
