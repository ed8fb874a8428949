import KernelJSON
import KernelStructures
import RegistryEngine
import Testing

@Suite("The registry's filters")
struct FilterTests {
    private let row: JSONValue = [
        "ServiceName": "api", "ServicePort": 8080, "ServiceTags": ["v1", "blue"], "Checks": [],
        "ServiceMeta": ["env": "prod", "a b": "c"], "Flag": true, "Address": "10.0.0.9",
    ]

    @Test(
        "expressions of go-bexpr",
        arguments: [
            ("ServiceName == api", true), ("ServiceName == \"api\"", true), ("ServiceName != api", false),
            ("ServicePort == 8080", true), ("Flag == true", true), ("Address == 10.0.0.9", true),
            ("\"v1\" in ServiceTags", true), ("v1 in ServiceTags", true), ("\"v2\" not in ServiceTags", true),
            ("ServiceTags contains blue", true), ("ServiceTags not contains blue", false),
            ("ServiceMeta.env == prod", true), ("ServiceMeta[\"a b\"] == c", true), ("ServiceMeta.none == x", false),
            ("ServiceMeta.none != x", true), ("env in ServiceMeta", true), ("Checks is empty", true),
            ("ServiceTags is not empty", true), ("ServiceMeta.none is empty", true),
            ("ServiceName matches \"^a.i$\"", true), ("ServiceName not matches \"^b\"", true),
            ("not ServiceName == api", false), ("ServiceName == api and ServicePort == 1", false),
            ("ServiceName == x or ServicePort == 8080 and Flag == true", true),
            ("(ServiceName == x or ServicePort == 8080) and not (Flag == false)", true),
            ("ServiceName == `api`", true),
        ])
    func expressions(text: String, expected: Bool) throws {
        #expect(try CatalogFilter(parsing: text).accepts(row) == expected, "\(text)")
    }

    @Test(
        "what is none is refused with its place, and a name that no row has is told",
        arguments: [
            "", "ServiceName", "ServiceName ==", "== x", "ServiceName = x", "(ServiceName == x", "ServiceName == x)",
            "ServiceName == x and", "not", "\"x", "\"x\" in", "A is", "A is not full", "A matches \"(\"", "A[1] == x",
            String(repeating: "(", count: 200), String(repeating: "not ", count: 200) + "A == 1",
        ])
    func mistakes(text: String) {
        #expect(throws: RegistryError.self, "\(text)") { try CatalogFilter(parsing: text) }
    }

    @Test("a member that rows do not have is a mistake")
    func unknown() throws {
        let filter = try CatalogFilter(parsing: "ServiceNaem == api")
        #expect(throws: RegistryError.self) { try filter.accepts(row) }
    }

    @Test("words in any order are read or refused, and what is read says yes or no")
    func fuzz() {
        let words = [
            "ServiceName", "==", "!=", "in", "not", "and", "or", "(", ")", "\"x\"", "is", "empty", "contains",
            "matches",
            "ServiceMeta", ".", "env", "[", "]", "8080", "ServiceTags",
        ]
        var read = 0
        for seed in 0..<4000 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let text = (0..<1 + random.below(9)).map { _ in words[random.below(words.count)] }.joined(separator: " ")
            guard let filter = try? CatalogFilter(parsing: text) else { continue }
            read += 1
            // Not and not-not are opposites.
            if let one = try? filter.accepts(row), let other = try? CatalogFilter(parsing: "not (\(text))").accepts(row)
            {
                #expect(one != other, "\(text)")
            }
        }
        #expect(read > 20)
    }
}
