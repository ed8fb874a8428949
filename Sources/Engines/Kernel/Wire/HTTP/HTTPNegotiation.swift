import KernelStructures

/// What a client would rather have: the `Accept` family of fields, RFC 9110 §12.4 and §12.5.
///
/// ```
/// list    = [ item *( "," item ) ]
/// item    = range *( ";" parameter )          ; one of the parameters may be q
/// weight  = "q=" ( "0" [ "." 3DIGIT ] / "1" [ "." "000" ] )
/// ```
///
/// An item that cannot be read is passed over: these fields are wishes, and a wish that nobody understands is none.
/// Weights are thousandths, so that they are compared exactly.
public enum HTTPNegotiation {
    /// Items that are looked at; what comes behind them counts as not there.
    private static let itemLimit = 64

    private struct Item {
        let range: Substring
        let weight: Int
    }

    private static func items(_ field: String) -> [Item] {
        field.split(separator: ",", maxSplits: itemLimit).prefix(itemLimit).compactMap { part in
            let pieces = part.split(separator: ";", omittingEmptySubsequences: false).map(trimmed)
            guard let range = pieces.first, !range.isEmpty else { return nil }
            var weight = 1000
            for piece in pieces.dropFirst() where piece.hasPrefix("q=") || piece.hasPrefix("Q=") {
                guard let given = Self.weight(piece.dropFirst(2)) else { return nil }
                weight = given
            }
            return Item(range: range, weight: weight)
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        return start.lastIndex { $0 != " " && $0 != "\t" }.map { start[...$0] } ?? start.prefix(0)
    }

    /// `0.5` as 500.
    private static func weight(_ text: Substring) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, whole == "0" || whole == "1" else { return nil }
        let places = parts.count > 1 ? parts[1] : ""
        guard places.utf8.count <= 3, places.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        let fraction = Int(places + String(repeating: "0", count: 3 - places.utf8.count)) ?? 0
        let value = (whole == "1" ? 1000 : 0) + fraction
        return value <= 1000 ? value : nil
    }

    /// How much a content coding such as `gzip` is wanted, in thousandths: 0 for not at all. A client that does not say
    /// gets nothing but `identity` (RFC 9110 §12.5.3 would allow more; no client expects it).
    public static func weight(ofCoding coding: String, _ acceptEncoding: String?) -> Int {
        guard let acceptEncoding else { return coding == "identity" ? 1000 : 0 }
        let items = items(acceptEncoding)
        if let item = items.first(where: { $0.range.lowercased() == coding }) { return item.weight }
        if let any = items.first(where: { $0.range == "*" }) { return any.weight }
        return coding == "identity" ? 1000 : 0
    }

    /// How much a media type is wanted, in thousandths; the closest range decides (RFC 9110 §12.5.1). Parameters of
    /// ranges other than `q` are not compared.
    public static func weight(ofType type: String, _ accept: String?) -> Int {
        guard let accept else { return 1000 }
        let main = type.prefix { $0 != "/" }
        var best: (closeness: Int, weight: Int)?
        for item in items(accept) {
            let range = item.range.lowercased()
            let closeness = range == type ? 3 : range == "\(main)/*" ? 2 : range == "*/*" ? 1 : 0
            if closeness > best?.closeness ?? 0 { best = (closeness, item.weight) }
        }
        return best?.weight ?? 0
    }

    /// The type that is wanted most; of equals the first in `types`. Nil if none of them is wanted.
    public static func best(of types: [String], _ accept: String?) -> String? {
        var best: (type: String, weight: Int)?
        for type in types {
            let weight = weight(ofType: type, accept)
            if weight > best?.weight ?? 0 { best = (type, weight) }
        }
        return best?.type
    }
}
