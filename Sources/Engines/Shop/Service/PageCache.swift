import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShopEngine
import ShopKitService

/// Pages of the catalogue in a cache that speaks RESP.
///
/// Every page carries the catalogue's generation in its name, and every change begins a new generation with `INCR`. So
/// no page has to be found to be forgotten: nobody asks for the old ones, and they end by themselves.
final class PageCache {
    private let link: RESPStoreLink
    private(set) var hitCount = 0
    private(set) var missCount = 0

    private static let generationKey = "products:generation"
    private static let lifeSeconds = 60

    init(_ node: Node, _ place: HostPort) {
        link = RESPStoreLink(node: node, destination: place, timeout: .milliseconds(200))
        node.whenEnded { [weak link] in link?.letGo() }
    }

    private func ask(_ words: [String], _ completion: @escaping (RESPValue?) -> Void) {
        link.ask(words.map { Array($0.utf8) }) { result in
            if case .success(let value) = result { completion(value) } else { completion(nil) }
        }
    }

    func greet(_ completion: @escaping (Bool) -> Void) { ask(["PING"]) { completion($0 != nil) } }

    func forgetAll() { ask(["INCR", Self.generationKey]) { _ in } }

    func close() { link.close() }

    /// A page from the cache; otherwise what `load` finds, which is kept. Without the cache it is just slower.
    func page(
        _ key: String, load: @escaping (@escaping (Result<[Product], ShopStoreFailure>) -> Void) -> Void,
        _ completion: @escaping (Result<[Product], ShopStoreFailure>) -> Void
    ) {
        ask(["GET", Self.generationKey]) { [weak self] answer in
            guard let self, let answer else { return load(completion) }
            let place = "products:page:\(Self.text(answer) ?? "0"):\(key)"
            ask(["GET", place]) { [weak self] answer in
                if let text = answer.flatMap(Self.text), let products = Self.read(text) {
                    self?.hitCount += 1
                    return completion(.success(products))
                }
                self?.missCount += 1
                load { [weak self] result in
                    if case .success(let products) = result {
                        self?.ask(["SET", place, Self.write(products), "EX", "\(Self.lifeSeconds)"]) { _ in }
                    }
                    completion(result)
                }
            }
        }
    }

    private static func text(_ value: RESPValue) -> String? {
        switch value {
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        default: nil
        }
    }

    private static func write(_ products: [Product]) -> String {
        JSONValue.array(
            products.map { product in
                .array([
                    .string(product.id), .string(product.name), .string(product.description),
                    .string(product.category), .integer(product.price.minor), .string(product.price.currency.code),
                    .integer(product.version),
                ])
            }
        ).text(.compact)
    }

    /// Nil for what somebody else has put there.
    private static func read(_ text: String) -> [Product]? {
        guard let json = try? JSONValue(parsing: text), let rows = try? JSONCursor(json).array() else { return nil }
        return try? rows.map { row in
            guard let currency = Money.Currency(try row[5].string()) else { throw row[5].error("no currency") }
            return Product(
                id: try row[0].string(), name: try row[1].string(), description: try row[2].string(),
                category: try row[3].string(),
                price: Money(minor: try row[4].integer(in: 0...Money.largestMinor), currency),
                version: try row[6].integer(in: 0...Int.max))
        }
    }
}
