import KernelCompression
import KernelHosting
import KernelOTLP
import KernelWire

/// What OTLP over HTTP says about bodies: two formats, and gzip around either.
enum OTLPRequest {
    static let protobufType = "application/x-protobuf"

    /// - Throws: 415 for another format, 400 for what cannot be read, 413 for what is too large unpacked.
    static func traces(_ exchange: HTTPExchange) throws(HTTPProblem) -> (OTLPTraces, isJSON: Bool) {
        let type = (exchange.field("Content-Type") ?? "").prefix { $0 != ";" }.lowercased()
            .filter { $0 != " " }
        guard type == protobufType || type == "application/json" else {
            throw HTTPProblem(
                415, "spans come as \(protobufType) or application/json, not as '\(type)'",
                remedy: "set Content-Type")
        }
        let body = try unpacked(exchange)
        do throws(OTLPError) {
            if type == protobufType { return (try OTLPTraces(protobuf: body), false) }
            return (try OTLPTraces(json: body), true)
        } catch {
            throw HTTPProblem(400, "no spans: \(error)")
        }
    }

    private static func unpacked(_ exchange: HTTPExchange) throws(HTTPProblem) -> [UInt8] {
        let encoding = (exchange.field("Content-Encoding") ?? "identity").lowercased()
        let formats: [String: CompressionFormat] = [
            "gzip": .gzip, "x-gzip": .gzip, "deflate": .zlib, "zstd": .zstd,
        ]
        if encoding == "identity" { return exchange.body }
        guard let format = formats[encoding] else {
            throw HTTPProblem(415, "a body packed with '\(encoding)' cannot be unpacked here", remedy: "use gzip")
        }
        do throws(CompressionError) {
            return try format.decompress(exchange.body, limitBytes: TracingHost.unpackedLimitBytes)
        } catch {
            throw HTTPProblem(400, "the body cannot be unpacked: \(error)")
        }
    }
}
