import KernelCompression
import KernelStructures
import KernelWire

extension HTTPExchange {
    /// A body in gzip, if the client takes it and it is worth it; then also with the fields that say so.
    ///
    /// Secrets beside what a client can choose should not be compressed together, or the length gives them away
    /// (BREACH,
    /// 2013): a service that has such answers turns compression off.
    func compressed(_ body: [UInt8], _ type: String?, _ fields: inout [(String, String)]) -> [UInt8]? {
        guard let least = router.options.compressesFromBytes, body.count >= least, let type, Self.isText(type),
            !fields.contains(where: { $0.0.lowercased() == "content-encoding" })
        else { return nil }
        fields.append(("Vary", "Accept-Encoding"))
        let wishes = head.values(of: "Accept-Encoding")
        guard !wishes.isEmpty,
            HTTPNegotiation.weight(ofCoding: "gzip", wishes.joined(separator: ",")) > 0,
            let smaller = try? CompressionFormat.gzip.compress(body), smaller.count < body.count
        else { return nil }
        fields.append(("Content-Encoding", "gzip"))
        return smaller
    }

    /// Images, archives and the like are compressed already.
    private static func isText(_ type: String) -> Bool {
        let kind = type.prefix { $0 != ";" }.lowercased()
        return kind.hasPrefix("text/") || kind.hasSuffix("json") || kind.hasSuffix("xml")
            || kind.hasSuffix("javascript")
    }
}
