import Foundation
import Testing

/// What a request looks like on the wire: the server of these comparisons answers with the bytes that it was sent.
extension CurlComparison {
    private func withEcho(_ body: (_ base: String) throws -> Void) throws {
        let server = try #require(CannedServer(["/": "echo", "/p": "echo"]))
        defer { server.stop() }
        try body("http://127.0.0.1:\(server.port)")
    }

    /// RFC 9112 §6.3: a request with both framings is read in two ways, which is what smugglers live on.
    @Test(.timeLimit(.minutes(1)))
    func aBodyHasTheFramingThatItsFieldsSay() throws {
        try withEcho { base in
            let url = base + "/p"
            try compare([
                ["-s", "-H", "Transfer-Encoding: chunked", "-d", "abc", url],
                ["-s", "-H", "transfer-encoding: Chunked", "-d", "", url],
                ["-s", "-H", "Transfer-Encoding: gzip, chunked", "-d", "abc", url],
                ["-s", "-0", "-H", "Transfer-Encoding: chunked", "-d", "abc", url],
                ["-s", "-H", "Transfer-Encoding: chunked", "-T", "f", url],
                ["-s", "-H", "Transfer-Encoding: chunked", url],
                ["-s", "-H", "Transfer-Encoding:", "-d", "abc", url],
                ["-s", "-H", "Content-Length: 3", "-d", "abc", url],
            ])
        }
    }
}
