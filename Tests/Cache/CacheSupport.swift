import KernelStructures
import KernelWire
import Testing

@testable import CacheEngine

/// A cache, and somebody to ask it in words.
struct CacheFixture {
    let cache: Cache

    init(seed: UInt64 = 1, _ change: (inout CacheSettings) -> Void = { _ in }) {
        var settings = CacheSettings()
        change(&settings)
        cache = Cache(settings, seed: seed)
        cache.now = 1_700_000_000_000
    }

    /// Words between blanks; `''` is an empty one.
    func ask(_ text: String, version: RESPVersion = .two) -> String {
        Self.text(cache.execute(Self.words(text), version: version))
    }

    static func words(_ text: String) -> [String] {
        text.split(separator: " ").map { $0 == "''" ? "" : String($0) }
    }

    static func text(_ value: RESPValue) -> String {
        switch value {
        case .null: "nil"
        case .integer(let number): "\(number)"
        case .error(let text): "-" + text
        case .double(let number): ",\(number)"
        default: value.elements.map { "[" + $0.map(text).joined(separator: " ") + "]" } ?? value.text ?? "?"
        }
    }

    func expect(_ cases: [(String, String)], at location: SourceLocation = #_sourceLocation) {
        for (request, reply) in cases {
            let answer = ask(request)
            #expect(answer == reply, "\(request)", sourceLocation: location)
        }
    }

    func pass(_ milliseconds: Int) { cache.now += milliseconds }
}
