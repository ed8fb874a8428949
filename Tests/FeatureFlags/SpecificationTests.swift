import FeatureFlagsEngine
import Foundation
import KernelJSON
import KernelStructures
import Testing

/// Unleash's client specification, case by case.
@Suite("Unleash's client specification")
struct SpecificationTests {
    private static let directory =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/../shared/vectors/flags/unleash"
    static let files = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [])
        .filter { $0.hasSuffix(".json") }.sorted()

    // @covers FLAG-C1 FLAG-C4 FLAG-M2 FLAG-M3
    @Test("each case is decided as it says", .enabled(if: !files.isEmpty, "the folder of vectors is not there"))
    func cases() throws {
        var count = 0
        for file in Self.files {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(Self.directory)/\(file)")))
            let specification = try JSONValue(parsing: bytes)
            let set = FlagSet(try Self.state(try #require(specification["state"])))
            for (kind, isVariant) in [("tests", false), ("variantTests", true)] {
                guard case .array(let cases)? = specification[kind] else { continue }
                for one in cases {
                    count += 1
                    try Self.check(one, set, isVariant, file)
                }
            }
        }
        #expect(count > 170)
    }

    private static func state(_ value: JSONValue) throws -> FlagDefinitions {
        guard value["events"] != nil else { return try FlagDefinitions(value) }
        var definitions = FlagDefinitions()
        try definitions.apply(delta: value)
        return definitions
    }

    private static func check(_ one: JSONValue, _ set: FlagSet, _ isVariant: Bool, _ file: String) throws {
        let context = try FlagContext(try #require(one["context"]))
        guard case .string(let name)? = one["toggleName"], let expected = one["expectedResult"] else {
            Issue.record("\(file): no case: \(one.text)")
            return
        }
        let explanation = set.explain(name, context, now: epoch)
        if isVariant {
            let variant = set.variant(name, context, now: epoch)
            #expect(sorted(variant.json) == sorted(expected), "\(file): \(one["description"]?.text ?? name)")
            if explanation.isEnabled { #expect((explanation.variant?.name ?? "disabled") == variant.name) }
        } else {
            #expect(.bool(set.isOn(name, context)) == expected, "\(file): \(one["description"]?.text ?? name)")
            #expect(.bool(explanation.isEnabled) == expected, "what explains it decides otherwise: \(name)")
        }
    }

    private static func sorted(_ value: JSONValue) -> JSONValue {
        guard case .object(let members) = value else { return value }
        return .object(members.sorted { $0.key < $1.key }.map { ($0.key, sorted($0.value)) })
    }
}
