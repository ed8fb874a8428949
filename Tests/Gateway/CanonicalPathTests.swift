import GatewayEngine
import KernelStructures
import TestSupport
import Testing

// @covers GW-C1
@Suite("Canonical paths") struct CanonicalPathTests {
    private func canonical(_ path: String, keep: Bool = false) -> String? {
        do throws(CanonicalPath.Refusal) {
            let bytes = try CanonicalPath.canonical(Array(path.utf8)[...], allowsEncodedSlash: keep)
            return bytes.map { String(decoding: $0, as: UTF8.self) } ?? path
        } catch { return nil }
    }

    @Test(
        "every spelling of a path is one path",
        arguments: [
            ("/", "/"), ("/a/b", "/a/b"), ("/a/", "/a/"), ("/a//b", "/a/b"), ("//a", "/a"), ("/./a", "/a"),
            ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/.", "/a/"), ("/%61%62c", "/abc"),
            ("/a%2Db", "/a-b"), ("/%7euser", "/~user"), ("/a%20b", "/a%20b"), ("/%c3%a9", "/%C3%A9"),
            ("/public/%2e%2e/admin", "/admin"), ("/public/%2E./admin", "/admin"), ("/a;v=1/b", "/a;v=1/b"),
            ("/a.b/..c/...", "/a.b/..c/..."), ("/%252e%252e/x", "/%252e%252e/x"), ("/a/b/../..", "/"),
        ])
    func spellings(_ path: String, _ wanted: String) { #expect(canonical(path) == wanted) }

    @Test(
        "what servers read in different ways is refused",
        arguments: [
            "/..", "/a/../..", "/%2e%2e/x", "/public/..;/admin", "/public/.;x/admin", "/public/..%3b/admin%2fx",
            "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a%", "/a%2", "/a%zz", "/%2e%2e;a/b",
        ])
    func refused(_ path: String) { #expect(canonical(path) == nil) }

    @Test("an encoded slash passes as it is where the file allows that")
    func encodedSlash() {
        #expect(canonical("/a%2fb", keep: true) == "/a%2Fb")
        #expect(canonical("/a%2F..%2Fb", keep: true) == "/a%2F..%2Fb")
    }

    /// The form of the form is itself, it has nothing left that could be resolved, and nothing traps.
    @Test("any bytes have one form, or none") func fuzz() {
        let pieces = ["/", ".", "..", "%2e", "%2F", "%", "a", ";", "//", "%41", "\\", "%00", "é", "?", "%zz", "%25"]
        for seed in 0..<(isLong ? 200_000 : 5000) {
            var random = SeededRandom(seed: UInt64(seed))
            var path = "/"
            for _ in 0..<random.below(12) { path += pieces[random.below(pieces.count)] }
            guard let form = canonical(path) else { continue }
            #expect(canonical(form) == form, "\(path)")
            let segments = form.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            #expect(form.hasPrefix("/") && !segments.contains(".") && !segments.contains(".."), "\(path)")
            #expect(!form.contains("//") && !form.contains("%2F") && !form.contains("\\"), "\(path)")
        }
    }
}
