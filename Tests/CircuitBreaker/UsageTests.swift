import CircuitBreakerEngine
import KernelStructures
import Synchronization
import Testing

/// The usage that the documentation shows, compiled and run as it stands there.
@Suite struct UsageTests {
    /// Stands for the service of the example.
    private final class Service: Sendable {
        let isWell = Atomic<Bool>(true)
        let asked = Atomic<Int>(0)
    }

    private static func program(_ service: Service, _ times: Int, _ clock: HandClock) async throws -> [String] {
        @Sendable func fetch(_ url: String) async throws -> String {
            service.asked.add(1, ordering: .relaxed)
            if !service.isWell.load(ordering: .relaxed) { throw Broken() }
            return "fresh"
        }
        func cachedData() -> String { "cached" }

        // usage begins
        let breaker = CircuitBreaker(
            "flaky-api",
            .init(
                failureThreshold: 5,  // open after 5 failures
                successThreshold: 2,  // close after 2 successes in half-open
                timeout: .seconds(30),  // try half-open after 30 s
                windowSize: 10  // among the last 10 calls
            ))

        func data() async throws -> String {
            do {
                return try await breaker.execute { try await fetch("https://flaky-api.com/data") }
            } catch is CallNotPermitted {
                return cachedData()  // the circuit is open: nothing was sent
            }
        }
        // usage ends

        var answers: [String] = []
        for _ in 0..<times {
            do { answers.append(try await data()) } catch { answers.append("error") }
        }
        return answers
    }

    @Test("the example does what it says: the service's errors first, the cache once the circuit is open")
    func example() async throws {
        let service = Service()
        #expect(try await Self.program(service, 3, HandClock()) == ["fresh", "fresh", "fresh"])
        service.isWell.store(false, ordering: .relaxed)
        let answers = try await Self.program(service, 8, HandClock())
        #expect(answers == Array(repeating: "error", count: 5) + Array(repeating: "cached", count: 3))
        #expect(service.asked.load(ordering: .relaxed) == 8, "three and five: an open circuit asks nobody")
    }

    @Test("what the documentation shows is this code")
    func documentation() throws {
        let code = Self.snippet(try SourceText.read(#filePath), from: "// usage begins", to: "// usage ends")
        #expect(code.count > 10)
        let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let comment = try SourceText.read("\(root)/Sources/Engines/CircuitBreaker/Library/CircuitBreaker.swift")
        #expect(Self.blocks(comment.map { $0.drop { $0 == "/" || $0 == " " } }).contains(Self.trimmed(code)))
        let session = try SourceText.read("\(root)/scripts/sessions/07-circuit-breaker.sdl")
        let quote = Self.snippet(session, from: "@quote", to: "@end").dropFirst()
        #expect(Self.trimmed(Array(quote)) == Self.trimmed(code))
        // The README shows the same, wherever it shows a breaker being made.
        for block in Self.blocks(try SourceText.read("\(root)/README.md").map { $0.drop { $0 == " " } })
        where block.contains(where: { $0.contains("CircuitBreaker(\"") }) {
            #expect(block.filter { !$0.hasPrefix("import ") } == Self.trimmed(code))
        }
    }

    private static func snippet(_ lines: [Substring], from begin: String, to end: String) -> [Substring] {
        Array(lines.drop { !$0.hasSuffix(begin) }.dropFirst().prefix { !$0.hasSuffix(end) })
    }

    private static func trimmed(_ lines: [Substring]) -> [Substring] {
        lines.map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
    }

    /// The fenced blocks of Swift, without indentation and empty lines.
    private static func blocks(_ lines: [Substring]) -> [[Substring]] {
        var blocks: [[Substring]] = []
        var block: [Substring]?
        for line in lines {
            if block == nil {
                if line == "```swift" { block = [] }
            } else if line == "```" {
                blocks.append(trimmed(block!))
                block = nil
            } else {
                block!.append(line)
            }
        }
        return blocks
    }
}
