import GatewayEngine
import KernelJSON
import TestSupport
import Testing

@Suite("OpenAPI") struct OpenAPITests {
    private func document(_ yaml: String) throws -> JSONValue {
        OpenAPIDocument(try gateway(yaml)).json(title: "gateway")
    }

    @Test("routes, methods, credentials and answers stand there") func documented() throws {
        let document = try document(GatewayConfiguration.reference)
        #expect(document["openapi"] == "3.1.0")
        let users = document["paths"]?["/v2/api/users/{rest}"]?["get"]
        #expect(users?["security"] == [["jwt": ["users:read"]]])
        #expect(users?["responses"]?["400"] != nil)
        #expect(users?["responses"]?["429"] != nil && users?["deprecated"] == true)
        #expect(
            document["paths"]?["/api/dashboard"]?["post"] == nil && document["paths"]?["/api/dashboard"]?["get"] != nil)
        #expect(document["paths"]?["/old/{rest}"]?["get"]?["responses"]?["308"] != nil)
        #expect(document["components"]?["securitySchemes"]?["jwt"]?["bearerFormat"] == "JWT")
    }

    @Test("conditions on fields and queries are part of the document") func conditions() throws {
        let document = try document(
            """
            auth: none
            routes: [{path: /a, method: GET, service: s, headers: {X-A: '1'}, query: {b: '~ [0-9]+', c: '*'}}]
            """
        )
        #expect(
            document["paths"]?["/a"]?["get"]?["parameters"] == [
                ["name": "X-A", "in": "header", "required": true, "schema": ["type": "string", "enum": ["1"]]],
                [
                    "name": "b", "in": "query", "required": true,
                    "schema": ["type": "string", "pattern": "^(?:[0-9]+)$"],
                ],
                ["name": "c", "in": "query", "required": true, "schema": ["type": "string"]],
            ])
    }

    @Test("each operation has a name of its own, and expressions stand apart") func names() throws {
        let document = try document(
            "auth: none\nroutes: [{path: [/a, /a/*], service: s}, {path: '~ /[0-9]+', service: s}, {path: /*, service: s}]"
        )
        guard case .object(let paths)? = document["paths"] else { fatalError("no paths") }
        var names: [String] = []
        for (_, item) in paths {
            guard case .object(let operations) = item else { continue }
            for operation in operations { names.append(operation.value["operationId"]?.text ?? "") }
        }
        #expect(Set(names).count == names.count && names.count == 15, "\(names)")
        #expect(document["x-expressions"] == ["/[0-9]+"])
        #expect(paths.map(\.key) == ["/a", "/a/{rest}", "/{rest}"])
    }
}
